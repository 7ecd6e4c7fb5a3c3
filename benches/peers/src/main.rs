//! Compares strongroom with other message encryption libraries, and with the bare algorithms, in a
//! single run.
//!
//! `cargo run --release` in this folder prints a Markdown table. It takes about three minutes,
//! after a build of about five. `-- --smoke` runs each measurement once, up to 1 MiB. Run nothing
//! else on the machine at the same time, as the results are times.
//!
//! - Every library encrypts complete messages in memory under a key that it has opened before.
//!   strongroom and `aws-esdk` use a raw AES-256 keyring with the same encryption context and
//!   algorithm suite. `age` encrypts to one X25519 recipient, which costs two multiplications on
//!   the curve where the others wrap a key with AES.
//! - Each library is called in its fastest way, and otherwise with its defaults. strongroom and
//!   `age` write into memory that the caller reuses. `aws-esdk` can only return new memory and
//!   consumes its input, so copying the input is not counted.
//! - strongroom is measured with one thread, and with two threads per message. The others have no
//!   such option.
//! - The bare algorithm is an upper bound for every library. For unsigned messages, it is a single
//!   out-of-place call of AES-256-GCM over the complete plaintext. For signed messages, it is
//!   SHA-384 over the plaintext. Both come from the library behind the backend.
//! - All libraries of a row are measured in turn, in batches of 20 ms, so they are exposed to the
//!   same noise. The reported figure is the median. Before that, each library must decrypt its own
//!   ciphertext.

mod age;
mod aws_esdk;
mod bare;
mod column;
mod measure;
mod ours;
mod subject;
mod table;

use std::thread;

use crate::column::Column;
use crate::measure::{Effort, Measured};
use crate::subject::{Result, Suite};

const SIZES: [usize; 5] = [1 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20];

/// Size of the largest message of a smoke test.
const SMOKE_SIZE: usize = 1 << 20;

/// Stack size of the measuring thread. `aws-esdk` recurses over the frames of a message, and
/// overflows the 8 MiB of a main thread at 256 MiB with its default frames.
const STACK: usize = 256 << 20;

fn main() -> Result<()> {
    let measuring = thread::Builder::new().stack_size(STACK).spawn(|| run().map_err(|error| error.to_string()))?;
    Ok(measuring.join().expect("nothing measured panics")?)
}

fn run() -> Result<()> {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let mut measured = Vec::new();
    for suite in [Suite::Unsigned, Suite::Signed] {
        for size in SIZES.into_iter().filter(|size| !smoke || *size <= SMOKE_SIZE) {
            let effort = if smoke { Effort::SMOKE } else { Effort::for_size(size) };
            measured.extend(measure_messages(suite, size, effort)?);
        }
    }
    table::print(&measured)?;
    Ok(())
}

fn measure_messages(suite: Suite, size: usize, effort: Effort) -> Result<[Measured; 2]> {
    let plaintext: Vec<u8> = (0..=250).cycle().take(size).collect();
    let mut subjects = Vec::new();
    for column in Column::ALL {
        if let Some(mut subject) = column.subject(suite)? {
            subject.encrypt(&plaintext, 1)?;
            subject.decrypt(1)?;
            if subject.decrypted() != plaintext {
                return Err(format!("{column:?} cannot decrypt its own message").into());
            }
            subjects.push((column, subject));
        }
    }
    measure::both_calls(suite, &plaintext, &mut subjects, effort)
}
