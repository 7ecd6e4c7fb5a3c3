//! After a store is closed, neither its files nor the memory of the process contain any secret in
//! plaintext.
//!
//! A child that did not create the secrets uses them. It receives them masked and searches all of
//! its own memory for them, through `/proc/self/mem`. As a control, it creates a copy and checks
//! that the search finds it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::{env, io};

use strongroom::Kms;
use strongroom::crypto::{CryptoBackend, KeyPairKind};
use strongroom::key::{KeyId, KeySpec, KeyUsage};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateMacRequest, SignRequest};
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;

use crate::support::child_process::{STORE, child};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// The environment variable for the search patterns: 32 bytes each, masked, in hexadecimal.
const NEEDLES: &str = "STRONGROOM_NEEDLES";

const MASK: u8 = 0x5A;

const LENGTH: usize = 32;

/// The IDs of the keys that the child uses.
const IDS: [&str; 3] = [
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
    "00000000-0000-4000-8000-000000000003",
];

/// The last line that the child prints.
const CLEAN: &str = "nothing is left";

fn use_every_key(store: &Path) -> strongroom::Result<()> {
    let kms = Kms::open(store, RootKey::from_file(store.with_extension("root"))?)?;
    let [symmetric, hmac, signing] = IDS.map(|id| KeyId::parse(id).expect("an id"));
    let sealed = kms.encrypt(EncryptRequest::new(symmetric, b"text"))?.ciphertext_blob;
    kms.decrypt(DecryptRequest::new(&sealed))?;
    let spec = KeySpec::Hmac256;
    kms.generate_mac(GenerateMacRequest::new(hmac, spec.mac_algorithms(KeyUsage::GenerateVerifyMac)[0], b"text"))?;
    let spec = KeySpec::EccNistP256;
    kms.sign(SignRequest::new(signing, spec.signing_algorithms(KeyUsage::SignVerify)[0], b"text"))?;
    Ok(())
}

#[test]
#[ignore = "run only as the child process of a test"]
fn looks_at_its_own_memory() -> TestResult {
    let store = env::var_os(STORE).ok_or("run only by another test")?;
    let needles: Vec<Vec<u8>> = env::var(NEEDLES)?.split(',').map(hex::decode).collect::<Result<_, _>>()?;
    use_every_key(Path::new(&store))?;

    for (number, masked) in needles.iter().enumerate() {
        assert_eq!(places(masked)?, Vec::<String>::new(), "needle {number} is in memory");
    }
    // The control: a copy of the first pattern must be found.
    let mut copy: Box<[u8]> = needles[0].iter().map(|byte| byte ^ MASK).collect();
    let found = places(&needles[0])?;
    copy.fill(0);
    assert_eq!((found.len(), std::hint::black_box(&copy)[0]), (1, 0), "{found:?}");
    println!("{CLEAN}");
    Ok(())
}

/// Returns the regions of this process's memory that contain the unmasked bytes.
fn places(masked: &[u8]) -> io::Result<Vec<String>> {
    const STEP: usize = 1 << 20;
    let memory = File::open("/proc/self/mem")?;
    let mut found = Vec::new();
    let mut buffer = vec![0; STEP + LENGTH];
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        let mut words = line.split_whitespace();
        let (range, access) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !access.starts_with('r') || line.ends_with("[vvar]") || line.ends_with("[vsyscall]") {
            continue;
        }
        let mut ends = range.split('-').map(|end| u64::from_str_radix(end, 16).expect("an address"));
        let (mut at, end) = (ends.next().unwrap_or_default(), ends.next().unwrap_or_default());
        while at < end {
            // Not every mapped page can be read, for example past the end of a file.
            let count = memory.read_at(&mut buffer, at).unwrap_or(0);
            let count = count.min(usize::try_from(end - at).unwrap_or(usize::MAX));
            if holds(&buffer[..count], masked) {
                found.push(line.to_owned());
            }
            // The buffer is part of the memory, too.
            buffer.fill(0);
            at += u64::try_from(STEP).expect("a mebibyte");
        }
    }
    Ok(found)
}

fn holds(memory: &[u8], masked: &[u8]) -> bool {
    let first = masked[0] ^ MASK;
    let mut from = 0;
    while let Some(next) = memory[from..].iter().position(|byte| *byte == first) {
        let start = from + next;
        let window = memory.get(start..start + LENGTH);
        if window.is_some_and(|window| window.iter().zip(masked).all(|(byte, masked)| byte ^ MASK == *masked)) {
            return true;
        }
        from = start + 1;
    }
    false
}

#[test]
fn nothing_in_clear_is_left_in_memory_or_files_after_a_store_is_closed() -> TestResult {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("keys.strongroom");
    let backend = CryptoBackend::default();
    let mut secrets = [[0; LENGTH]; 2];
    for secret in &mut secrets {
        backend.random().fill(secret)?;
    }
    let pair = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random())?.to_pkcs8()?;
    // The private key is inside its PKCS#8: it is the second field of an `ECPrivateKey` (RFC 5915).
    let scalar = pair.expose_secret().windows(2).position(|tag| tag == [4, 32]).ok_or("an octet string of 32 bytes")?;
    let scalar = &pair.expose_secret()[scalar + 2..][..LENGTH];

    let root = RootKey::generate_file(store.with_extension("root"))?;
    let opened = SqliteStore::open(&store, &backend)?;
    let kms = Kms::builder().store(opened, root).allow_insecure_test_keys().build()?;
    let [symmetric, hmac, signing] = IDS.map(|id| KeyId::parse(id).expect("an id"));
    kms.create_insecure_test_key(symmetric, CreateKeyRequest::default(), &[&secrets[0]])?;
    let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    kms.create_insecure_test_key(hmac, request, &[&secrets[1]])?;
    let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    kms.create_insecure_test_key(signing, request, &[pair.expose_secret()])?;
    drop(kms);

    let root = hex::decode(fs::read_to_string(store.with_extension("root"))?.trim())?;
    let needles = [&secrets[0][..], &secrets[1], scalar, &root];
    let file = fs::read(&store)?;
    assert!(needles.iter().all(|needle| !file.windows(LENGTH).any(|window| window == *needle)));
    let masked: Vec<String> =
        needles.iter().map(|needle| hex::encode(needle.iter().map(|byte| byte ^ MASK).collect::<Vec<_>>())).collect();
    let mut command: Command = child("storage::residual_secrets::looks_at_its_own_memory", &store)?;
    let output = command.env(NEEDLES, masked.join(",")).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(CLEAN), "{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
