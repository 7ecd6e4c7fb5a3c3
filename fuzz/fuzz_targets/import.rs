//! Untrusted import tokens and wrapped material: rejected input changes nothing, and all unwrapping
//! failures look the same.
//!
//! Input: modifications of a valid token, and modified or replaced wrapped material.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use strongroom::crypto::{KeyPairKind, RsaOaep};
use strongroom::key::{KeyId, Origin};
use strongroom::request::{CreateKeyRequest, GetParametersForImportRequest, ImportKeyMaterialRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, MemoryStore};
use strongroom::{ErrorKind, Kms};
use strongroom_fuzz::Edit;
use strongroom_fuzz::keys::BACKENDS;

#[derive(Arbitrary, Debug)]
enum Part {
    Edited(Vec<Edit>),
    Bytes(Vec<u8>),
}

impl Part {
    fn apply(&self, good: &[u8]) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Edited(edits) => {
                let mut bytes = good.to_vec();
                edits.iter().for_each(|edit| edit.apply(&mut bytes));
                bytes
            }
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Case {
    token: Part,
    wrapped: Part,
}

struct World {
    store: Arc<MemoryStore>,
    kms: Kms,
    key: KeyId,
    token: Vec<u8>,
    wrapped: Vec<u8>,
}

/// A key with its material, and a valid token and wrapped material. Importing them changes nothing.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    // Uses AWS-LC, as this target tests the code around the cryptography, and a blinded RSA
    // operation is slow here.
    let backend = BACKENDS[1];
    let store = Arc::new(MemoryStore::new(&backend).expect("a store"));
    let root = RootKey::generate();
    let kms = Kms::builder().backend(backend).store(Arc::clone(&store), root).build().expect("a KMS");
    let key = kms.create_key(CreateKeyRequest::default().origin(Origin::External)).expect("a key").key_id();
    let (algorithm, size) = (WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa2048);
    let made = kms.get_parameters_for_import(GetParametersForImportRequest::new(key, algorithm, size));
    let made = made.expect("parameters");
    let public = backend.key_pairs().public_key(KeyPairKind::Rsa2048, &made.public_key).expect("a key");
    let wrapped = public.encrypt(RsaOaep::Sha256, &[7; 32], backend.random()).expect("short enough");
    let request = ImportKeyMaterialRequest::new(key, &made.import_token, &wrapped).does_not_expire();
    kms.import_key_material(request).expect("good material");
    World { store, kms, key, token: made.import_token, wrapped }
});

fuzz_target!(|case: Case| {
    let world = &*WORLD;
    let (token, wrapped) = (case.token.apply(&world.token), case.wrapped.apply(&world.wrapped));
    let before = world.store.revision().expect("the memory store does not fail");
    let request = ImportKeyMaterialRequest::new(world.key, &token, &wrapped).does_not_expire();
    let answer = world.kms.import_key_material(request).map_err(|error| error.kind());
    let expected = match (&token == &world.token, &wrapped == &world.wrapped) {
        (true, true) => Ok(()),
        _ if [&token, &wrapped].iter().any(|bytes| bytes.is_empty() || bytes.len() > 6_144) => {
            Err(ErrorKind::Validation)
        }
        (false, _) => Err(ErrorKind::InvalidImportToken),
        (true, false) => Err(ErrorKind::InvalidCiphertext),
    };
    assert_eq!(answer.map(drop), expected);
    assert_eq!(world.store.revision().expect("the memory store does not fail"), before, "data was written");
});
