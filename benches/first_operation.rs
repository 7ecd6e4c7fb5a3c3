//! The processor time of a process whose first and only work is one operation, as of a command-line
//! tool. Run it with `cargo bench --bench first_operation`. Needs Linux, which counts the time.
//!
//! Each row is the median of child processes, without what an empty process needs.

use std::error::Error;
use std::hint::black_box;
use std::process::Command;
use std::{env, fs};

use strongroom::crypto::{AWS_LC, CryptoBackend, FASTEST, RUST_CRYPTO};
use strongroom::envelope::RawAesKeyring;
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::message::AlgorithmSuite;
use strongroom::request::{CreateKeyRequest, GenerateDataKeyRequest};
use strongroom::{Envelope, Kms, SecretBytes};

/// Environment variable with the number of the row that a child process performs.
const ROW: &str = "STRONGROOM_BENCH_FIRST_OPERATION";

/// The number of child processes for each row.
const CHILDREN: usize = 25;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// The name of a row, and its operation.
type Row = (&'static str, fn() -> Result<()>);

const ROWS: [Row; 9] = [
    ("nothing", || Ok(())),
    ("32 random bytes, default backend", || random(&FASTEST)),
    ("32 random bytes, AWS-LC", || random(&AWS_LC)),
    ("32 random bytes, RustCrypto", || random(&RUST_CRYPTO)),
    ("a key and a data key in memory", || {
        let kms = Kms::in_memory()?;
        let key = kms.create_key(Default::default())?;
        black_box(kms.generate_data_key(GenerateDataKeyRequest::new(key.key_id()))?);
        Ok(())
    }),
    ("a message", || message(AlgorithmSuite::Aes256GcmHkdfSha512Commit)),
    ("a signed message", || message(AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384)),
    ("a P-256 key", || key(KeySpec::EccNistP256)),
    ("an Ed25519 key", || key(KeySpec::EccNistEdwards25519)),
];

fn main() -> Result<()> {
    if let Ok(row) = env::var(ROW) {
        let (_, operation) = ROWS[row.parse::<usize>()?];
        operation()?;
        println!("{}", processor_time()?);
        return Ok(());
    }
    let mut nothing = None;
    for (number, (name, _)) in ROWS.into_iter().enumerate() {
        let mut times = Vec::with_capacity(CHILDREN);
        for _ in 0..CHILDREN {
            let child = Command::new(env::current_exe()?).env(ROW, number.to_string()).output()?;
            times.push(String::from_utf8(child.stdout)?.trim().parse::<u64>()?);
        }
        times.sort_unstable();
        let time = times[CHILDREN / 2];
        let more = time.saturating_sub(*nothing.get_or_insert(time));
        println!("{name:34} {:5}.{:02} ms", more / 1_000_000, more / 10_000 % 100);
    }
    Ok(())
}

/// Returns the processor time of this process, in nanoseconds.
fn processor_time() -> Result<u64> {
    let statistics = fs::read_to_string("/proc/self/schedstat")?;
    Ok(statistics.split_whitespace().next().ok_or("no time")?.parse()?)
}

fn random(backend: &CryptoBackend) -> Result<()> {
    let mut bytes = [0; 32];
    backend.random().fill(&mut bytes)?;
    black_box(bytes);
    Ok(())
}

fn message(suite: AlgorithmSuite) -> Result<()> {
    let keyring = RawAesKeyring::new("benchmark", "key", SecretBytes::copy_from_slice(&[7; 32]))?;
    let envelope = Envelope::builder(keyring).algorithm_suite(suite).build()?;
    black_box(envelope.encrypt(&[7; 1_024], &Default::default())?);
    Ok(())
}

fn key(spec: KeySpec) -> Result<()> {
    let request = CreateKeyRequest::default().spec(spec).usage(KeyUsage::SignVerify);
    black_box(Kms::in_memory()?.create_key(request)?);
    Ok(())
}
