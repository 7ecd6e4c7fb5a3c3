//! strongroom beside other libraries that encrypt messages, and beside the bare algorithms, in one run.
//!
//! `cargo run --release` in this folder prints a table in Markdown, in about three minutes after a build of some five;
//! `-- --smoke` makes each measurement once, up to 1 MiB. Build it without anything else running: these are times.
//!
//! - Every library encrypts whole messages in memory under a key that it has opened before: strongroom and `aws-esdk`
//!   under a raw AES-256 keyring with the same encryption context and algorithm suite, `age` to one X25519 recipient,
//!   which costs it two multiplications on the curve where the others wrap a key with AES.
//! - Each is called as it is fastest and otherwise with its defaults: strongroom and `age` write into memory that the
//!   caller keeps; `aws-esdk` can only return new memory, and takes its input away, so copying that is not counted.
//! - strongroom is measured with one thread, and with two for each message; the others have no such choice.
//! - The bare algorithm is what no library could beat: for unsigned messages one call of AES-256-GCM over the whole
//!   plaintext, out of place, and for signed ones SHA-384 over it, each from the library behind the backend.
//! - All of a row are measured turn by turn in batches of 20 ms, so that they meet the same noise; the figure is the
//!   median. Before that, each must decrypt what it encrypted.

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

/// The largest message of a smoke test.
const SMOKE_SIZE: usize = 1 << 20;

/// Of the thread that measures: `aws-esdk` recurses over the frames of a message, and overflows the 8 MiB of a main
/// thread at 256 MiB in its default frames.
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
                return Err(format!("{column:?} does not decrypt what it encrypted").into());
            }
            subjects.push((column, subject));
        }
    }
    measure::both_calls(suite, &plaintext, &mut subjects, effort)
}
