//! The performance ratios that the crate must meet, each measured in turn with its reference in the
//! same process.
//!
//! `cargo bench --bench report` prints a table, and `-- --tsv` prints it as tab-separated values.
//! `-- --full` streams 10 GiB instead of 1 GiB. `cargo test --bench report` runs each measurement
//! once, like the other benchmarks, and so does `-- --smoke`. Absolute times on these machines are noisy, so read the ratios.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use strongroom::Envelope;
use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use strongroom::crypto::{
    AeadAlgorithm, AeadKey, CryptoBackend, DigestAlgorithm, FASTEST, KeyPairKind, KeyWrapMode, RUST_CRYPTO, RsaOaep,
    SignatureInput,
};
use strongroom::envelope::RawAesKeyring;
use strongroom::key::{KeyId, KeySpec, KeyUsage, Origin};
use strongroom::message::AlgorithmSuite;
use strongroom::request::{
    CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateDataKeyRequest, GetParametersForImportRequest,
    ImportKeyMaterialRequest, SignRequest, VerifyRequest,
};
use strongroom::{EncryptionContext, Kms, Result, SecretBytes};

const MIB: usize = 1 << 20;

/// A single measured call.
type Work<'a> = dyn FnMut() -> Result<()> + 'a;

/// The requirement on a row.
enum Owed {
    /// Ours must reach this share of the reference's speed.
    Ratio(f64),
    /// Ours must take at most this many microseconds.
    Micros(f64),
    /// Ours must reach this many operations a second.
    PerSecond(f64),
    /// Ours must be this many times as fast as the reference.
    Times(f64),
    /// Ours may take this many microseconds longer than the reference.
    Beyond(f64),
    /// Ours must stay under this many MiB.
    Mebibytes(f64),
}

struct Row {
    name: String,
    ours: f64,
    reference: Option<f64>,
    owed: Owed,
}

struct Options {
    smoke: bool,
    full: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let options = Options { smoke: has("--smoke") || !has("--bench"), full: has("--full") };
    let mut rows = Vec::new();
    stream_memory(&mut rows, &options)?; // runs first, before anything else raises the peak
    for (name, backend, owed) in [("fastest", FASTEST, 0.93), ("rust-crypto", RUST_CRYPTO, 0.9)] {
        large_messages(&mut rows, &options, name, backend, owed)?;
        small_messages(&mut rows, &options, name, backend)?;
    }
    on_two_threads(&mut rows, &options)?;
    blobs(&mut rows, &options)?;
    key_pairs(&mut rows, &options)?;
    print(&rows, has("--tsv"))?;
    Ok(())
}

fn envelope(backend: CryptoBackend) -> Result<Envelope> {
    let keyring = RawAesKeyring::new("report", "key", SecretBytes::copy_from_slice(&[7; 32]))?;
    Envelope::builder(keyring).backend(backend).build()
}

fn raw_key(backend: CryptoBackend) -> Result<Box<dyn AeadKey>> {
    Ok(backend.aead().bind(AeadAlgorithm::Aes256Gcm, &[7; 32])?)
}

fn large_messages(rows: &mut Vec<Row>, options: &Options, name: &str, backend: CryptoBackend, owed: f64) -> Result<()> {
    let (envelope, raw, context) = (envelope(backend)?, raw_key(backend)?, EncryptionContext::new());
    let plaintext = vec![0xA5; 16 * MIB];
    let message = envelope.encrypt(&plaintext, &context)?;
    let (mut output, mut sealed) = (vec![0; 16 * MIB], Vec::new());
    let tag = raw.seal(&[0; 12], &[], &plaintext, &mut output)?;
    let ciphertext = output.clone();
    let (ours, reference) = alternate(
        options,
        || envelope.encrypt_into(&plaintext, &context, &mut sealed),
        || Ok(raw.seal(&[0; 12], &[], &plaintext, &mut output).map(drop)?),
    )?;
    rows.push(throughput(format!("seal 16 MiB, {name}, MB/s against raw AES-256-GCM"), ours, reference, owed));
    let mut opened = Vec::new();
    let (ours, reference) = alternate(
        options,
        || envelope.decrypt_into(&message, &context, &mut opened).map(drop),
        || Ok(raw.open(&[0; 12], &[], &ciphertext, &tag, &mut output)?),
    )?;
    rows.push(throughput(format!("open 16 MiB, {name}, MB/s against raw AES-256-GCM"), ours, reference, owed));
    Ok(())
}

fn throughput(name: String, ours: Duration, reference: Duration, owed: f64) -> Row {
    let speed = |time: Duration| 16.0 * 1.048_576 / time.as_secs_f64();
    Row { name, ours: speed(ours), reference: Some(speed(reference)), owed: Owed::Ratio(owed) }
}

/// Measures two threads per message: both encrypt, or one hashes what the other encrypts.
fn on_two_threads(rows: &mut Vec<Row>, options: &Options) -> Result<()> {
    let keyring = || RawAesKeyring::new("report", "key", SecretBytes::copy_from_slice(&[7; 32]));
    let (one, two) = (Envelope::new(keyring()?), Envelope::builder(keyring()?).threads(2).build()?);
    let signed = AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384;
    let signing = Envelope::builder(keyring()?).threads(2).algorithm_suite(signed).build()?;
    let (plaintext, context) = (vec![0xA5; 16 * MIB], EncryptionContext::new());
    let (message, signed) = (one.encrypt(&plaintext, &context)?, signing.encrypt(&plaintext, &context)?);
    let hash = || {
        black_box(FASTEST.digest().digest(DigestAlgorithm::Sha384, &[black_box(&plaintext)]));
        Ok(())
    };
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    let (sealing, alone) = alternate(
        options,
        || two.encrypt_into(&plaintext, &context, &mut ours),
        || one.encrypt_into(&plaintext, &context, &mut reference),
    )?;
    rows.push(throughput("seal 16 MiB on two threads, MB/s against one".to_owned(), sealing, alone, 1.85));
    let (opening, alone) = alternate(
        options,
        || two.decrypt_into(&message, &context, &mut ours).map(drop),
        || one.decrypt_into(&message, &context, &mut reference).map(drop),
    )?;
    rows.push(throughput("open 16 MiB on two threads, MB/s against one".to_owned(), opening, alone, 1.85));
    let (sealing, alone) = alternate(options, || signing.encrypt_into(&plaintext, &context, &mut ours), hash)?;
    rows.push(throughput("seal 16 MiB signed on two threads, MB/s against SHA-384".to_owned(), sealing, alone, 0.95));
    let (opening, alone) = alternate(options, || signing.decrypt_into(&signed, &context, &mut ours).map(drop), hash)?;
    rows.push(throughput("open 16 MiB signed on two threads, MB/s against SHA-384".to_owned(), opening, alone, 0.95));
    Ok(())
}

fn small_messages(rows: &mut Vec<Row>, options: &Options, name: &str, backend: CryptoBackend) -> Result<()> {
    let (envelope, raw, context) = (envelope(backend)?, raw_key(backend)?, EncryptionContext::from([("tenant", "42")]));
    let plaintext = [0xA5; 1024];
    let message = envelope.encrypt(&plaintext, &context)?;
    let mut output = [0; 1024];
    let mut reference = || Ok(raw.seal(&[0; 12], &[], black_box(&plaintext), &mut output).map(drop)?);
    let works: [(&str, &mut Work<'_>); 2] = [
        ("seal", &mut || envelope.encrypt(black_box(&plaintext), &context).map(drop)),
        ("open", &mut || envelope.decrypt(black_box(&message), &context).map(drop)),
    ];
    for (what, ours) in works {
        let (ours, reference) = alternate(options, ours, &mut reference)?;
        rows.push(Row {
            name: format!("{what} 1 KiB, {name}, µs compared with raw AES-256-GCM"),
            ours: ours.as_secs_f64() * 1e6,
            reference: Some(reference.as_secs_f64() * 1e6),
            owed: Owed::Micros(6.0),
        });
    }
    Ok(())
}

fn blobs(rows: &mut Vec<Row>, options: &Options) -> Result<()> {
    let kms = Kms::in_memory()?;
    let key = kms.create_key(Default::default())?.key_id();
    let blob = kms.encrypt(EncryptRequest::new(key, &[7; 64]))?.ciphertext_blob;
    let raw = raw_key(FASTEST)?;
    let mut output = [0; 64];
    let mut reference = || Ok(raw.seal(&[0; 12], &[], black_box(&[7; 64]), &mut output).map(drop)?);
    let per_second = |time: Duration| 1.0 / time.as_secs_f64();
    let works: [(&str, &mut Work<'_>); 2] = [
        ("GenerateDataKey", &mut || generate(&kms, key)),
        ("Decrypt 64 B", &mut || kms.decrypt(DecryptRequest::new(black_box(&blob))).map(drop)),
    ];
    for (what, ours) in works {
        let (ours, reference) = alternate(options, ours, &mut reference)?;
        rows.push(Row {
            name: format!("{what}, operations/s compared with raw AES-256-GCM of 64 B"),
            ours: per_second(ours),
            reference: Some(per_second(reference)),
            owed: Owed::PerSecond(700_000.0),
        });
    }
    let (two, one) =
        alternate(options, || on_threads(2, || generate(&kms, key)), || on_threads(1, || generate(&kms, key)))?;
    let rounds = f64::from(THREAD_ROUNDS);
    rows.push(Row {
        name: "GenerateDataKey on two threads, operations/s against one".to_owned(),
        ours: 2.0 * rounds * per_second(two),
        reference: Some(rounds * per_second(one)),
        owed: Owed::Times(1.9),
    });
    Ok(())
}

/// Measures the overhead of the KMS over the backend's operation.
fn key_pairs(rows: &mut Vec<Row>, options: &Options) -> Result<()> {
    let (kms, backend, message) = (Kms::in_memory()?, FASTEST, [7; 64]);
    for (spec, kind) in [
        (KeySpec::Rsa2048, KeyPairKind::Rsa2048),
        (KeySpec::EccNistP256, KeyPairKind::EccP256),
        (KeySpec::EccNistEdwards25519, KeyPairKind::Ed25519),
    ] {
        let raw = backend.key_pairs().generate(kind, backend.random())?;
        let key = imported(&kms, spec, raw.to_pkcs8()?.expose_secret())?;
        let public = backend.key_pairs().public_key(kind, &raw.public_key_der())?;
        let algorithm = kind.signing_algorithms()[0];
        let input = SignatureInput::Message(&message);
        let (ours, theirs) =
            (kms.sign(SignRequest::new(key, algorithm, &message))?.signature, raw.sign(algorithm, input)?);
        let works: [(&str, &mut Work<'_>, &mut Work<'_>); 2] = [
            ("Sign", &mut || kms.sign(SignRequest::new(key, algorithm, black_box(&message))).map(drop), &mut || {
                Ok(raw.sign(algorithm, black_box(input)).map(drop)?)
            }),
            (
                "Verify",
                &mut || kms.verify(VerifyRequest::new(key, algorithm, &message, black_box(&ours))).map(drop),
                &mut || Ok(public.verify(algorithm, input, black_box(&theirs))?),
            ),
        ];
        for (what, ours, reference) in works {
            let (ours, reference) = alternate(options, ours, reference)?;
            rows.push(Row {
                name: format!("{what} with {spec}, µs compared with the backend's call"),
                ours: ours.as_secs_f64() * 1e6,
                reference: Some(reference.as_secs_f64() * 1e6),
                owed: Owed::Beyond(3.0),
            });
        }
    }
    Ok(())
}

/// Imports a given key into the KMS, as two RSA keys of the same size differ in speed.
fn imported(kms: &Kms, spec: KeySpec, material: &[u8]) -> Result<KeyId> {
    let request = CreateKeyRequest::default().spec(spec).usage(KeyUsage::SignVerify).origin(Origin::External);
    let key = kms.create_key(request)?.key_id();
    let (algorithm, size) = (WrappingAlgorithm::RsaAesKeyWrapSha256, WrappingKeySpec::Rsa2048);
    let made = kms.get_parameters_for_import(GetParametersForImportRequest::new(key, algorithm, size))?;
    let public = FASTEST.key_pairs().public_key(KeyPairKind::Rsa2048, &made.public_key)?;
    let wrapped = FASTEST.key_wrap().wrap(KeyWrapMode::Padded, &[5; 32], material)?;
    let wrapped = [public.encrypt(RsaOaep::Sha256, &[5; 32], FASTEST.random())?, wrapped].concat();
    kms.import_key_material(ImportKeyMaterialRequest::new(key, &made.import_token, &wrapped).does_not_expire())?;
    Ok(key)
}

fn generate(kms: &Kms, key: KeyId) -> Result<()> {
    kms.generate_data_key(GenerateDataKeyRequest::new(key)).map(drop)
}

const THREAD_ROUNDS: u32 = 20_000;

fn on_threads(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    let run = || (0..THREAD_ROUNDS).try_for_each(|_| work());
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("the work does not panic"))
    })
}

/// Streams zeros through a connected writer and reader, and compares the peak memory of the process
/// with that before.
fn stream_memory(rows: &mut Vec<Row>, options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let gibibytes: u64 = if options.full { 10 } else { 1 };
    let length = if options.smoke { 64 << 20 } else { gibibytes << 30 };
    let Some(before) = peak_memory() else { return Ok(()) };
    let envelope = envelope(FASTEST)?;
    let (mut sink, mut source) = io::pipe().map(|(reader, writer)| (writer, reader))?;
    let opened = std::thread::scope(|scope| -> Result<u64, Box<dyn std::error::Error>> {
        let envelope = &envelope;
        let sealing = scope.spawn(move || -> io::Result<()> {
            let mut writer = envelope.writer(&mut sink, &EncryptionContext::new()).map_err(io::Error::other)?;
            io::copy(&mut io::repeat(0).take(length), &mut writer)?;
            writer.finish().map_err(io::Error::other)?.flush()
        });
        let mut reader = envelope.reader(&mut source, &EncryptionContext::new())?;
        let opened = io::copy(&mut reader, &mut io::sink())?;
        sealing.join().expect("the work does not panic")?;
        Ok(opened)
    })?;
    assert_eq!(opened, length, "the stream is complete");
    let after = peak_memory().unwrap_or(before);
    rows.push(Row {
        name: format!("stream of {} MiB both ways, MiB of peak memory above start", length >> 20),
        ours: after - before,
        reference: None,
        owed: Owed::Mebibytes(16.0),
    });
    Ok(())
}

/// Returns the peak resident memory of this process in MiB, if the system reports it.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kibibytes| kibibytes / 1024.0)
}

/// Returns the median time of one call of each. Both are measured in turn in batches, so they are
/// exposed to the same noise.
fn alternate(
    options: &Options,
    mut ours: impl FnMut() -> Result<()>,
    mut reference: impl FnMut() -> Result<()>,
) -> Result<(Duration, Duration)> {
    let (rounds, batch_time) = if options.smoke { (1, Duration::ZERO) } else { (31, Duration::from_millis(20)) };
    let batches = (batch_size(&mut ours, batch_time)?, batch_size(&mut reference, batch_time)?);
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        times.0.push(batch(&mut ours, batches.0)?);
        times.1.push(batch(&mut reference, batches.1)?);
    }
    Ok((median(times.0), median(times.1)))
}

fn batch_size(work: &mut impl FnMut() -> Result<()>, batch_time: Duration) -> Result<u32> {
    let mut size = 1;
    while batch(work, size)? * size < batch_time && size < 1 << 20 {
        size *= 2;
    }
    Ok(size)
}

fn batch(work: &mut impl FnMut() -> Result<()>, size: u32) -> Result<Duration> {
    let start = Instant::now();
    (0..size).try_for_each(|_| work())?;
    Ok(start.elapsed() / size)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn print(rows: &[Row], tsv: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if tsv {
        writeln!(out, "name\tours\treference\tratio\towed\tverdict")?;
    } else {
        writeln!(out, "{:<72} {:>12} {:>12} {:>7} {:>12}", "what", "ours", "reference", "ratio", "owed")?;
    }
    for row in rows {
        let ratio = row.reference.map(|reference| row.ours / reference);
        let (owed, met) = match row.owed {
            Owed::Ratio(least) => (format!(">= {least}"), ratio.is_some_and(|ratio| ratio >= least)),
            Owed::Times(least) => (format!(">= {least}x"), ratio.is_some_and(|ratio| ratio >= least)),
            Owed::Micros(most) => (format!("<= {most}"), row.ours <= most),
            Owed::Beyond(most) => {
                (format!("<= +{most}"), row.reference.is_some_and(|reference| row.ours - reference <= most))
            }
            Owed::PerSecond(least) => (format!(">= {least}"), row.ours >= least),
            Owed::Mebibytes(most) => (format!("<= {most}"), row.ours <= most),
        };
        let verdict = if met { "met" } else { "short" };
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let (ours, reference, ratio) = (number(Some(row.ours)), number(row.reference), number(ratio));
        let name = &row.name;
        if tsv {
            writeln!(out, "{name}\t{ours}\t{reference}\t{ratio}\t{owed}\t{verdict}")?;
        } else {
            writeln!(out, "{name:<72} {ours:>12} {reference:>12} {ratio:>7} {owed:>12} {verdict}")?;
        }
    }
    Ok(())
}
