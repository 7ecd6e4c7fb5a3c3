//! A keyring unwraps a modified wrapped data key to the original data key or not at all. Its own
//! keyring always unwraps an unmodified one.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
use strongroom::envelope::{
    BranchKeyStore, DecryptionMaterials, EncryptionMaterials, HierarchicalKeyring, HybridKem, Keyring,
    KmsBranchKeyWrapper, KmsKeyring, MultiKeyring, RawAesKeyring, RawEcdhKeyring, RawHybridKeyring, RawRsaKeyring,
};
use strongroom::message::{AlgorithmSuite, EncryptedDataKey};
use strongroom::store::MemoryStore;
use strongroom::{EncryptionContext, ErrorKind, Kms, SecretBytes};
use strongroom_fuzz::keys::KEYS;
use strongroom_fuzz::{Edit, context};

/// Longer than any run.
const TTL: Duration = Duration::from_secs(1 << 40);

#[derive(Arbitrary, Debug)]
struct Case {
    suite: u8,
    writer: u8,
    reader: u8,
    pairs: Vec<(String, String)>,
    other_context: bool,
    provider_information: Vec<Edit>,
    ciphertext: Vec<Edit>,
    /// The data keys that precede it in the message.
    others: Vec<(String, Vec<u8>, Vec<u8>)>,
}

/// A keyring that encrypts, and one that decrypts its output.
struct Pair {
    writer: Box<dyn Keyring>,
    reader: Box<dyn Keyring>,
    /// `false` for RSA, which binds no context.
    binds_context: bool,
}

static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let backend = CryptoBackend::default();
    let both =
        |keyring: &dyn Fn() -> Box<dyn Keyring>| Pair { writer: keyring(), reader: keyring(), binds_context: true };
    let aes =
        |name: &'static str| RawAesKeyring::new("ns", name, SecretBytes::copy_from_slice(&[7; 32])).expect("32 bytes");
    let kms = Kms::in_memory().expect("a KMS");
    let key = kms.create_key(Default::default()).expect("a key").key_id();
    let arn = kms.describe_key(key).expect("the key").arn().clone();
    let store = MemoryStore::new(&CryptoBackend::default()).expect("a store");
    let branch_keys = BranchKeyStore::new(store, "keys", KmsBranchKeyWrapper::new(&kms, &arn)).expect("a store");
    branch_keys.create_branch_key_as("a", &EncryptionContext::from([("a", "b")])).expect("a branch key");
    let mut pairs = vec![
        both(&|| Box::new(aes("kn"))),
        both(&|| Box::new(aes("kn1"))),
        both(&|| Box::new(MultiKeyring::new(aes("a")).with_child(aes("b")))),
        both(&|| Box::new(KmsKeyring::new(&kms, key).expect("a key id"))),
        both(&|| Box::new(HierarchicalKeyring::new(&branch_keys, "a", TTL).expect("a time to live"))),
    ];
    for (kind, private) in KEYS {
        let public = backend.key_pairs().private_key(kind, private).expect("the key is valid").public_key_der();
        match kind {
            KeyPairKind::Rsa2048 => pairs.extend([RsaOaep::Sha1, RsaOaep::Sha512].map(|oaep| Pair {
                writer: Box::new(RawRsaKeyring::with_public_key("ns", "kn", oaep, &public).expect("a public key")),
                reader: Box::new(RawRsaKeyring::with_private_key("ns", "kn", oaep, private).expect("a private key")),
                binds_context: false,
            })),
            KeyPairKind::EccP256 | KeyPairKind::EccP384 | KeyPairKind::EccP521 => pairs.push(Pair {
                writer: Box::new(RawEcdhKeyring::ephemeral(&public).expect("a public key")),
                reader: Box::new(RawEcdhKeyring::discovery(private).expect("a private key")),
                binds_context: true,
            }),
            _ => {}
        }
    }
    // At the end, so that the committed inputs keep their keyrings.
    for kem in HybridKem::ALL {
        let private = SecretBytes::copy_from_slice(&[7; 32]);
        let public = kem.public_key(&private).expect("32 bytes");
        pairs.push(Pair {
            writer: Box::new(RawHybridKeyring::with_public_key("kn", kem, &public).expect("a public key")),
            reader: Box::new(RawHybridKeyring::with_private_key("kn", kem, &private).expect("a private key")),
            binds_context: true,
        });
    }
    pairs
});

fuzz_target!(|case: Case| {
    let pairs = &*PAIRS;
    let (written_by, read_by) = (usize::from(case.writer) % pairs.len(), usize::from(case.reader) % pairs.len());
    let (writer, reader) = (&pairs[written_by], &pairs[read_by]);
    let suite = AlgorithmSuite::ALL[usize::from(case.suite) % AlgorithmSuite::ALL.len()];
    let bound = context(&case.pairs);
    let Ok(mut made) = EncryptionMaterials::new(suite, bound.clone(), CryptoBackend::default()) else { return };
    if writer.writer.on_encrypt(&mut made).is_err() {
        // The KMS accepts only shorter contexts than a message does.
        return;
    }

    let mut data_keys: Vec<_> =
        case.others.into_iter().map(|(id, info, ciphertext)| EncryptedDataKey::new(id, info, ciphertext)).collect();
    let mut is_sound = false;
    for original in made.encrypted_data_keys() {
        let (mut info, mut ciphertext) = (original.provider_info().to_vec(), original.ciphertext().to_vec());
        case.provider_information.iter().for_each(|edit| edit.apply(&mut info));
        case.ciphertext.iter().for_each(|edit| edit.apply(&mut ciphertext));
        let received = EncryptedDataKey::new(original.provider_id(), info, ciphertext);
        is_sound |= received == *original;
        data_keys.push(received);
    }
    let other_context = case.other_context && bound.get("other").is_none();
    let told = if other_context { bound.with("other", "") } else { bound };
    let Ok(mut found) = DecryptionMaterials::new(suite, told, CryptoBackend::default()) else { return };
    match reader.reader.on_decrypt(&mut found, &data_keys) {
        Ok(()) => {
            assert_eq!(found.data_key(), made.data_key(), "another data key was found");
            assert!(is_sound, "an altered data key was unwrapped");
            assert!(!other_context || !writer.binds_context, "a data key was unwrapped for another encryption context");
        }
        Err(error) => {
            assert!(found.data_key().is_none());
            assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped);
            let should = written_by == read_by && is_sound && (!other_context || !writer.binds_context);
            assert!(!should, "a valid data key could not be unwrapped: {error}");
        }
    }
});
