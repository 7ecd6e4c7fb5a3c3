//! Untrusted export files: anything other than the original file is rejected with a reason, and
//! changes nothing.
//!
//! Input: modifications of a valid file, or bytes that replace it, and whether the checksum is
//! recomputed afterwards.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::crypto::DigestAlgorithm;
use strongroom::export::{ExportIdentity, ExportRecipient};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, MemoryStore};
use strongroom::{ErrorKind, Kms, SecretBytes};
use strongroom_fuzz::Edit;
use strongroom_fuzz::keys::{BACKENDS, KEYS};

/// Length in bytes of the checksum at the end of a file.
const CHECKSUM_LENGTH: usize = 32;

#[derive(Arbitrary, Debug)]
enum File {
    Edited(Vec<Edit>),
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Case {
    file: File,
    with_checksum: bool,
}

struct World {
    store: Arc<MemoryStore>,
    kms: Kms,
    identity: ExportIdentity,
    file: Vec<u8>,
}

/// A key and its export. Importing it into the same store is rejected because the key exists.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    // Uses AWS-LC, as this target tests the code around the cryptography, and a blinded RSA
    // operation is slow here.
    let backend = BACKENDS[1];
    let store = Arc::new(MemoryStore::new(&backend).expect("a store"));
    let kms = Kms::builder().backend(backend).store(Arc::clone(&store), RootKey::generate()).build().expect("a KMS");
    let key = kms.create_key(Default::default()).expect("a key").key_id();
    kms.create_alias("alias/fuzz", key).expect("an alias");
    let (kind, private) = KEYS[0];
    let public = backend.key_pairs().private_key(kind, private).expect("the key is valid").public_key_der();
    let recipient = ExportRecipient::rsa(&public).expect("an RSA key");
    let identity = ExportIdentity::rsa(&SecretBytes::copy_from_slice(private)).expect("an RSA key");
    let file = kms.export_key(key, &recipient).expect("an export").file;
    World { store, kms, identity, file }
});

fuzz_target!(|case: Case| {
    let world = &*WORLD;
    let mut file = match &case.file {
        File::Bytes(bytes) => bytes.clone(),
        File::Edited(edits) => {
            let mut file = world.file.clone();
            edits.iter().for_each(|edit| edit.apply(&mut file));
            file
        }
    };
    if case.with_checksum && file.len() >= CHECKSUM_LENGTH {
        let content = file.len() - CHECKSUM_LENGTH;
        let digest = BACKENDS[1].digest().digest(DigestAlgorithm::Sha256, &[&file[..content]]);
        file[content..].copy_from_slice(digest.as_ref());
    }
    let before = world.store.revision().expect("the memory store does not fail");
    let refused = world.kms.import_keys(&file, &world.identity).expect_err("the key already exists").kind();
    let expected = if file == world.file { ErrorKind::AlreadyExists } else { ErrorKind::InvalidExport };
    assert_eq!(refused, expected);
    assert_eq!(world.store.revision().expect("the memory store does not fail"), before, "data was written");
});
