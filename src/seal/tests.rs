use std::collections::HashSet;

use proptest::prelude::*;

use super::versions::{RECORD_LABEL, RECORD_PREFIX_LENGTH};
use super::*;
use crate::crypto::{CryptoError, FASTEST, RUST_CRYPTO, SecureRandom};
use crate::error::{ErrorKind, Result};
use crate::secret::SecretBytes;

/// Label, prefix, and context.
type Bound = (&'static [u8], &'static [u8], &'static [u8]);

const BOUND: Bound = (b"label v1", b"prefix", b"context");

fn key(material: u8) -> CommittingKey {
    CommittingKey::new(&FASTEST, &[material; 32]).expect("32 bytes")
}

fn sealed(key: &CommittingKey, (label, prefix, context): Bound, plaintext: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    key.seal(label, prefix, context, plaintext, &mut body).expect("random bytes are available");
    body
}

fn root(version: u32, material: u8) -> RootKeyVersions {
    let secret = SecretBytes::copy_from_slice(&[material; 32]);
    RootKeyVersions::new(&FASTEST, version, [(version, secret)]).expect("32 bytes")
}

#[test]
fn material_has_32_bytes() {
    for length in (0..=65).filter(|length| *length != 32) {
        let refused = CommittingKey::new(&FASTEST, &vec![1; length]).map(|_| ());
        assert!(matches!(refused, Err(CryptoError::InvalidLength { .. })), "{length}");
    }
}

#[test]
fn a_body_opens_under_what_it_was_sealed_with_and_nothing_else() -> Result<(), CryptoError> {
    let body = sealed(&key(1), BOUND, b"secret");
    let (label, prefix, context) = BOUND;
    assert_eq!(key(1).open(label, prefix, context, &body)?.expose_secret(), b"secret");
    let refusals = [
        key(2).open(label, prefix, context, &body),
        key(1).open(b"label v2", prefix, context, &body),
        key(1).open(label, b"prefiX", context, &body),
        key(1).open(label, prefix, b"", &body),
        key(1).open(label, prefix, b"context ", &body),
    ];
    assert!(refusals.iter().all(|refusal| *refusal == Err(CryptoError::NotAuthentic)));
    Ok(())
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_body_is_refused() {
    let (label, prefix, context) = BOUND;
    for plaintext in [&b""[..], b"secret"] {
        let body = sealed(&key(1), BOUND, plaintext);
        for bit in 0..body.len() * 8 {
            let mut flipped = body.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key(1).open(label, prefix, context, &flipped), Err(CryptoError::NotAuthentic), "bit {bit}");
        }
        for end in 0..body.len() {
            assert_eq!(key(1).open(label, prefix, context, &body[..end]), Err(CryptoError::NotAuthentic), "{end}");
        }
    }
}

/// The commitment is what rejects a wrong key. The ciphertext and tag of this body match the key
/// that is tried, but its commitment belongs to another key.
#[test]
fn a_ciphertext_that_fits_without_its_commitment_is_refused() {
    let (label, prefix, context) = BOUND;
    let (body, other) = (sealed(&key(1), BOUND, b"secret"), sealed(&key(2), BOUND, b"secret"));
    let mixed =
        [&body[..SALT_LENGTH], &other[SALT_LENGTH..][..COMMITMENT_LENGTH], &body[SALT_LENGTH + COMMITMENT_LENGTH..]];
    assert_eq!(key(1).open(label, prefix, context, &mixed.concat()), Err(CryptoError::NotAuthentic));
    assert_eq!(key(2).open(label, prefix, context, &mixed.concat()), Err(CryptoError::NotAuthentic));
}

#[test]
fn every_message_has_a_salt_and_a_key_of_its_own() {
    let bodies: HashSet<Vec<u8>> = (0..100).map(|_| sealed(&key(1), BOUND, b"secret")).collect();
    assert_eq!(bodies.len(), 100);
    let salts: HashSet<&[u8]> = bodies.iter().map(|body| &body[..SALT_LENGTH]).collect();
    let ciphertexts: HashSet<&[u8]> = bodies.iter().map(|body| &body[SALT_LENGTH + COMMITMENT_LENGTH..]).collect();
    assert_eq!((salts.len(), ciphertexts.len()), (100, 100));
}

#[test]
fn sealing_appends_and_leaves_what_is_there() -> Result<(), CryptoError> {
    let mut out = b"before".to_vec();
    let (label, prefix, context) = BOUND;
    key(1).seal(label, prefix, context, b"secret", &mut out)?;
    assert_eq!((&out[..6], out.len()), (&b"before"[..], 6 + OVERHEAD + 6));
    assert_eq!(key(1).open(label, prefix, context, &out[6..])?.expose_secret(), b"secret");
    Ok(())
}

#[derive(Debug)]
struct Broken;

impl SecureRandom for Broken {
    fn library(&self) -> &'static str {
        "broken"
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        output.fill(7);
        Err(CryptoError::RandomFailed)
    }
}

#[test]
fn without_randomness_nothing_is_sealed() -> Result<(), CryptoError> {
    let backend = FASTEST.with_random(&Broken);
    let mut out = b"before".to_vec();
    let refused = CommittingKey::new(&backend, &[1; 32])?.seal(b"label", b"", b"", b"secret", &mut out);
    assert_eq!((refused, out), (Err(CryptoError::RandomFailed), b"before".to_vec()));
    assert_eq!(
        RootKey::generate().into_holder(&backend).map(|_| ()).map_err(|error| error.kind()),
        Err(ErrorKind::Internal)
    );
    Ok(())
}

#[test]
fn a_record_opens_under_its_root_key_version_and_binding_only() -> Result<()> {
    let sealed = root(7, 1).seal(b"binding", b"record")?;
    assert_eq!(sealed[..RECORD_PREFIX_LENGTH], [1, 0, 0, 0, 7]);
    assert_eq!(sealed.len(), RECORD_PREFIX_LENGTH + OVERHEAD + 6);
    assert_eq!(root(7, 1).open(b"binding", &sealed)?.expose_secret(), b"record");

    let mut renamed = sealed.clone();
    renamed[4] = 8;
    let mut of_another_format = sealed.clone();
    of_another_format[0] = 2;
    let refusals = [
        root(8, 1).open(b"binding", &sealed),
        root(8, 1).open(b"binding", &renamed),
        root(7, 1).open(b"binding", &renamed),
        root(7, 1).open(b"binding", &of_another_format),
        root(7, 2).open(b"binding", &sealed),
        root(7, 1).open(b"bindinG", &sealed),
    ];
    for refusal in refusals {
        let error = refusal.expect_err("the record must be rejected");
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert!(error.to_string().starts_with("a stored record "), "{error}");
    }
    Ok(())
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_record_is_refused() -> Result<()> {
    let root = root(1, 1);
    let sealed = root.seal(b"binding", b"record")?;
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(root.open(b"binding", &flipped).is_err(), "bit {bit}");
    }
    for end in 0..sealed.len() {
        assert!(root.open(b"binding", &sealed[..end]).is_err(), "truncated to {end}");
    }
    Ok(())
}

#[test]
fn a_record_does_not_open_as_a_blob_of_the_same_material() -> Result<()> {
    let sealed = root(1, 1).seal(b"context", b"record")?;
    let (prefix, body) = sealed.split_at(RECORD_PREFIX_LENGTH);
    assert!(key(1).open(RECORD_LABEL, prefix, b"context", body).is_ok());
    assert_eq!(key(1).open(b"strongroom blob v1", prefix, b"context", body), Err(CryptoError::NotAuthentic));
    Ok(())
}

#[test]
fn identities_tell_sequences_of_parts_and_secrets_apart() {
    let identify = |secret: u8, parts: &[&[u8]]| IdentityKey::new(&FASTEST, &[secret; 32]).identify(parts);
    let identity = identify(1, &[b"ab", b"c"]);
    assert_eq!(identity, IdentityKey::new(&RUST_CRYPTO, &[1; 32]).identify(&[b"ab", b"c"]));
    let others: [&[&[u8]]; 6] =
        [&[b"a", b"bc"], &[b"abc"], &[b"ab", b"c", b""], &[b"", b"ab", b"c"], &[b"c", b"ab"], &[]];
    for other in others {
        assert_ne!(identity, identify(1, other), "{other:?}");
    }
    assert_ne!(identity, identify(2, &[b"ab", b"c"]));
}

/// Computed with OpenSSL from the documented layout. Stores persist identifiers, so they must not
/// change between releases.
#[test]
fn identities_do_not_change() {
    let expected = "00f7da38a97bdafddab2519a3ee0272e086a448b0f5357cfdae24a596c194a12";
    assert_eq!(hex::encode(IdentityKey::new(&FASTEST, &[1; 32]).identify(&[b"ab", b"c"])), expected);
}

/// A record of the first release, which later releases must still read. Created with OpenSSL from
/// the documented layout.
#[test]
fn a_record_of_the_first_release_opens() -> Result<()> {
    let record = concat!(
        "0100000001404142434445464748494a4b4c4d4e4f5051525354555657ae11ad00ec47e71911bc0040d8f722cfa737d7",
        "dda94ec3842e1dafa92c4a9aec5b785610bafb333e5e892023aaf653d9695d25261c88"
    );
    let opened = root(1, 1).open(b"binding", &hex::decode(record).expect("hexadecimal"))?;
    assert_eq!(opened.expose_secret(), b"record");
    Ok(())
}

#[test]
fn debug_shows_no_secret() {
    assert_eq!(format!("{:?}", key(1)), "CommittingKey(..)");
    assert_eq!(format!("{:?}", root(3, 1)), "RootKeyVersions { current: 3, .. }");
}

proptest! {
    #[test]
    fn both_backends_seal_the_same_and_open_it(
        material: [u8; 32],
        salt: [u8; 24],
        (label, prefix, context) in any::<(Vec<u8>, Vec<u8>, Vec<u8>)>(),
        plaintext in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let keys = [CommittingKey::new(&RUST_CRYPTO, &material)?, CommittingKey::new(&FASTEST, &material)?];
        let mut bodies = [Vec::new(), Vec::new()];
        for (key, body) in keys.iter().zip(&mut bodies) {
            key.seal_with_salt(&label, &prefix, &context, &salt, &plaintext, body)?;
        }
        prop_assert_eq!(&bodies[0], &bodies[1]);
        for key in &keys {
            let opened = key.open(&label, &prefix, &context, &bodies[0])?;
            prop_assert_eq!(opened.expose_secret(), &plaintext[..]);
        }
    }

    #[test]
    fn opening_is_total(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(key(1).open(b"label", b"prefix", b"context", &body), Err(CryptoError::NotAuthentic));
        prop_assert!(root(1, 1).open(b"binding", &body).is_err());
    }
}
