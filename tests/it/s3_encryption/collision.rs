//! One ciphertext that decrypts under two keys: the attack that key commitment prevents (Dodis,
//! Grubbs, Ristenpart and Woodage, "Fast Message Franking", 2018; Len, Grubbs and Ristenpart,
//! "Partitioning Oracle Attacks", 2021).

use base64ct::{Base64, Encoding};
use strongroom::crypto::{AeadAlgorithm, AeadKey, CryptoBackend, DigestAlgorithm};
use strongroom::envelope::CommitmentPolicy;
use strongroom::s3_encryption::{ObjectCipher, ObjectError, WrappingKey};
use strongroom::{EncryptionContext, SecretBytes};

use super::support::{Pairs, TestResult, read, reason};

const WRAPPING_KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];
const DATA_KEYS: [[u8; 32]; 2] = [[3; 32], [4; 32]];
const MESSAGE_ID: [u8; 28] = [6; 28];

/// Multiplies in the field of GCM (NIST SP 800-38D, section 6.3). The first bit is the most
/// significant one.
fn multiply(x: u128, y: u128) -> u128 {
    let (mut product, mut power) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= power;
        }
        let carry = power & 1 == 1;
        power >>= 1;
        if carry {
            power ^= 0xe1 << 120;
        }
    }
    product
}

/// Computes the inverse: the power 2^128 - 2.
fn invert(x: u128) -> u128 {
    let (mut result, mut square) = (1 << 127, x);
    for _ in 1..128 {
        square = multiply(square, square);
        result = multiply(result, square);
    }
    result
}

fn bind(key: &[u8; 32]) -> Box<dyn AeadKey> {
    CryptoBackend::default().aead().bind(AeadAlgorithm::Aes256Gcm, key).expect("32 bytes")
}

/// The secrets of a key with an IV, found with calls of the AEAD alone.
struct Secrets {
    hash_key: u128,
    /// The block that masks the tag.
    mask: u128,
}

impl Secrets {
    fn of(key: &dyn AeadKey, iv: &[u8; 12]) -> Self {
        let tag = |associated_data: &[u8]| {
            u128::from_be_bytes(key.seal(iv, associated_data, &[], &mut []).expect("an empty message"))
        };
        // The hash of nothing is zero, and that of a zero block is the length block times the key.
        let mask = tag(&[]);
        Self { mask, hash_key: multiply(tag(&[0; 16]) ^ mask, invert(128 << 64)) }
    }

    /// Computes the hash of blocks.
    fn hash(&self, blocks: &[u128]) -> u128 {
        blocks.iter().fold(0, |hash, block| multiply(hash ^ block, self.hash_key))
    }
}

/// Returns an object of two blocks that is authentic under both keys.
fn collision(keys: [&dyn AeadKey; 2], iv: &[u8; 12], associated_data: &[u8]) -> Vec<u8> {
    let secrets = keys.map(|key| Secrets::of(key, iv));
    let first = u128::from_be_bytes(*b"chosen by author");
    let lengths = u128::try_from(associated_data.len() * 8).expect("short") << 64 | 256;
    let mut block = [0; 16];
    block[..associated_data.len()].copy_from_slice(associated_data);
    let mut blocks: Vec<u128> = if associated_data.is_empty() { vec![] } else { vec![u128::from_be_bytes(block)] };
    blocks.extend([first, 0, lengths]);
    // The tags differ by this, to which the second block adds its product with H^2 under each key.
    let difference = secrets.iter().map(|secrets| secrets.hash(&blocks) ^ secrets.mask).fold(0, |sum, tag| sum ^ tag);
    let factor = secrets.iter().map(|secrets| multiply(secrets.hash_key, secrets.hash_key)).fold(0, |sum, x| sum ^ x);
    let second = multiply(difference, invert(factor));
    let at = blocks.len() - 2;
    blocks[at] = second;
    let tags = secrets.map(|secrets| secrets.hash(&blocks) ^ secrets.mask);
    assert_eq!(tags[0], tags[1]);
    [first, second, tags[0]].iter().flat_map(|block| block.to_be_bytes()).collect()
}

/// Wraps a data key as a raw AES key does.
fn wrap(number: usize, algorithm: &str) -> String {
    let mut wrapped = vec![0; 12 + 32];
    let tag = bind(&WRAPPING_KEYS[number])
        .seal(&[0; 12], algorithm.as_bytes(), &DATA_KEYS[number], &mut wrapped[12..])
        .expect("32 bytes");
    wrapped.extend_from_slice(&tag);
    Base64::encode_string(&wrapped)
}

fn cipher(number: usize, policy: CommitmentPolicy) -> ObjectCipher {
    let key = WrappingKey::aes(SecretBytes::copy_from_slice(&WRAPPING_KEYS[number])).expect("32 bytes");
    ObjectCipher::builder(key).commitment_policy(policy).build().expect("a cipher")
}

fn owned(pairs: &[(&str, String)]) -> Pairs {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Without commitment, two readers decrypt one object to different plaintexts. So the default policy
/// rejects such objects.
#[test]
fn version_2_has_objects_with_two_plaintexts_and_the_default_rejects_it() -> TestResult {
    let (iv, none) = ([7; 12], EncryptionContext::new());
    let keys = DATA_KEYS.map(|key| bind(&key));
    let body = collision([&*keys[0], &*keys[1]], &iv, b"");
    let metadata = |number| {
        read(
            &owned(&[
                ("x-amz-key-v2", wrap(number, "AES/GCM/NoPadding")),
                ("x-amz-wrap-alg", "AES/GCM".to_owned()),
                ("x-amz-iv", Base64::encode_string(&iv)),
                ("x-amz-cek-alg", "AES/GCM/NoPadding".to_owned()),
                ("x-amz-tag-len", "128".to_owned()),
            ]),
            None,
        )
    };
    let open = |number, policy| cipher(number, policy).decrypt(&body, &metadata(number)?, &none);
    let plaintexts = [0, 1].map(|number| open(number, CommitmentPolicy::RequireEncryptAllowDecrypt));
    let [one, two] = plaintexts.map(|plaintext| plaintext.expect("authentic under both keys"));
    assert_ne!(one, two);
    for number in [0, 1] {
        let error = open(number, CommitmentPolicy::default()).unwrap_err();
        assert_eq!(reason(&error), Some(ObjectError::NotCommitting));
    }
    Ok(())
}

/// With commitment, an object has one data key, although the ciphertext is authentic under both.
#[test]
fn version_3_rejects_the_second_key_of_a_collision() -> TestResult {
    let none = EncryptionContext::new();
    let derive = |data_key: &[u8; 32], info: &[u8], output: &mut [u8]| {
        let kdf = CryptoBackend::default().kdf();
        kdf.extract(DigestAlgorithm::Sha512, &MESSAGE_ID, data_key).expand(&[&[0, 0x73], info], output)
    };
    let keys = DATA_KEYS.map(|data_key| {
        let mut key = [0; 32];
        derive(&data_key, b"DERIVEKEY", &mut key).expect("32 bytes");
        bind(&key)
    });
    let body = collision([&*keys[0], &*keys[1]], &[1; 12], &[0, 0x73]);
    for committed in [0, 1] {
        let mut commitment = [0; 28];
        derive(&DATA_KEYS[committed], b"COMMITKEY", &mut commitment)?;
        for number in [0, 1] {
            let pairs = owned(&[
                ("x-amz-3", wrap(number, "115")),
                ("x-amz-w", "02".to_owned()),
                ("x-amz-c", "115".to_owned()),
                ("x-amz-i", Base64::encode_string(&MESSAGE_ID)),
                ("x-amz-d", Base64::encode_string(&commitment)),
            ]);
            let opened = cipher(number, CommitmentPolicy::default()).decrypt(&body, &read(&pairs, None)?, &none);
            match number == committed {
                true => assert_eq!(opened?.len(), 32),
                false => assert_eq!(reason(&opened.unwrap_err()), Some(ObjectError::NotAuthentic)),
            }
        }
    }
    Ok(())
}
