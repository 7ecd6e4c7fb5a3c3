use super::*;
use crate::crypto::FASTEST;
use crate::seal::root_key::RootKey;

const STORE: [u8; 16] = [3; 16];
const PLACE: &[u8] = b"place";

fn holder(secret: u8) -> Arc<dyn RootKeyHolder> {
    RootKey::from_bytes(&[secret; 32]).into_holder(&FASTEST).expect("32 bytes")
}

/// Creates a record with two versions, the second of them current, under two holders each.
fn record(holders: [&dyn RootKeyHolder; 2]) -> Result<(RootRecord, Vec<u8>)> {
    let mut wrapped = Vec::new();
    for holder in holders {
        for version in [1, 2] {
            let secret = SecretBytes::copy_from_slice(&[u8::try_from(version).expect("small") + 100; 32]);
            wrapped.push(WrappedVersion::wrap(holder, &STORE, version, &secret)?);
        }
    }
    let record = RootRecord { current: 2, holder: holders[1].id().to_owned(), wrapped };
    let versions = RootKeyVersions::new(&FASTEST, 2, [(2, SecretBytes::copy_from_slice(&[102; 32]))])?;
    let bytes = record.encode(&FASTEST, &versions, PLACE)?;
    Ok((record, bytes))
}

fn unwrap(bytes: &[u8], holders: &[Arc<dyn RootKeyHolder>]) -> Result<(RootRecord, Vec<(u32, SecretBytes)>)> {
    RootRecord::unwrap(&FASTEST, bytes, holders, &STORE, PLACE)
}

#[test]
fn either_holder_unwraps_every_version() -> Result<()> {
    let (one, two) = (holder(1), holder(2));
    let (record, bytes) = record([&*one, &*two])?;
    for holder in [one, two] {
        let (read, secrets) = unwrap(&bytes, &[holder])?;
        assert_eq!(read, record);
        let secrets: Vec<_> = secrets.iter().map(|(version, secret)| (*version, secret.expose_secret()[0])).collect();
        assert_eq!(secrets, [(1, 101), (2, 102)]);
    }
    Ok(())
}

/// A holder with this name that returns a wrapping of this length.
#[derive(Debug)]
struct Lengthy(&'static str, usize);

impl RootKeyHolder for Lengthy {
    fn id(&self) -> &str {
        self.0
    }

    fn wrap(&self, _: &[u8], _: &SecretBytes) -> Result<Vec<u8>> {
        Ok(vec![0; self.1])
    }

    fn unwrap(&self, _: &[u8], _: &[u8]) -> Result<SecretBytes> {
        Ok(SecretBytes::zeroed(32))
    }
}

#[test]
fn a_holder_may_take_up_its_limits_and_no_more() {
    static NAME: &str = match str::from_utf8(&[b'n'; MAX_HOLDER + 1]) {
        Ok(name) => name,
        Err(_) => "",
    };
    let wrap = |name: usize, bytes| {
        WrappedVersion::wrap(&Lengthy(&NAME[..name], bytes), &STORE, 1, &SecretBytes::zeroed(32))
            .map_err(|error| error.kind())
            .map(drop)
    };
    assert_eq!(wrap(MAX_HOLDER, MAX_WRAPPED), Ok(()));
    assert_eq!(wrap(MAX_HOLDER + 1, MAX_WRAPPED), Err(ErrorKind::Validation));
    assert_eq!(wrap(MAX_HOLDER, MAX_WRAPPED + 1), Err(ErrorKind::Validation));
}

#[test]
fn another_holder_is_told_apart_from_damage() -> Result<()> {
    let (one, two, other) = (holder(1), holder(2), holder(4));
    let (_, bytes) = record([&*one, &*two])?;
    let refused = unwrap(&bytes, &[other]).expect_err("the holder does not match");
    assert_eq!(refused.kind(), ErrorKind::RootKey);
    assert!(refused.to_string().contains(two.id()), "{refused}");
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let refused = unwrap(&flipped, &[Arc::clone(&one)]).expect_err("damaged");
        assert_eq!(refused.kind(), ErrorKind::Integrity, "bit {bit}");
    }
    for end in 0..bytes.len() {
        assert_eq!(unwrap(&bytes[..end], &[Arc::clone(&one)]).expect_err("cut").kind(), ErrorKind::Integrity);
    }
    assert!(unwrap(&[&bytes[..], &[0]].concat(), &[one]).is_err());
    Ok(())
}

/// Written by an attacker who can compute a checksum but does not have the root key.
#[test]
fn a_record_with_a_right_checksum_and_without_the_proof_is_refused() -> Result<()> {
    let (one, two) = (holder(1), holder(2));
    let (record, _) = record([&*one, &*two])?;
    let older = RootRecord { current: 1, ..record };
    let forger = RootKeyVersions::new(&FASTEST, 1, [(1, SecretBytes::copy_from_slice(&[9; 32]))])?;
    let forged = older.encode(&FASTEST, &forger, PLACE)?;
    assert_eq!(unwrap(&forged, &[Arc::clone(&one)]).expect_err("forged").kind(), ErrorKind::Integrity);
    let genuine = RootKeyVersions::new(&FASTEST, 1, [(1, SecretBytes::copy_from_slice(&[101; 32]))])?;
    let moved = older.encode(&FASTEST, &genuine, b"another place")?;
    assert_eq!(unwrap(&moved, &[one]).expect_err("moved").kind(), ErrorKind::Integrity);
    Ok(())
}

#[test]
fn a_version_of_another_store_or_number_does_not_unwrap() -> Result<()> {
    let one = holder(1);
    let secret = SecretBytes::copy_from_slice(&[5; 32]);
    let wrapped = WrappedVersion::wrap(&*one, &STORE, 1, &secret)?;
    assert_eq!(wrapped.unwrap(&*one, &STORE)?, secret);
    assert!(wrapped.unwrap(&*one, &[4; 16]).is_err());
    assert!(WrappedVersion { version: 2, ..wrapped }.unwrap(&*one, &STORE).is_err());
    Ok(())
}

#[derive(Debug)]
struct Answers(&'static str, usize, ErrorKind);

impl RootKeyHolder for Answers {
    fn id(&self) -> &str {
        self.0
    }

    fn wrap(&self, _: &[u8], _: &SecretBytes) -> Result<Vec<u8>> {
        Ok(vec![0; self.1])
    }

    fn unwrap(&self, _: &[u8], _: &[u8]) -> Result<SecretBytes> {
        Err(Error::new(self.2, "answer"))
    }
}

#[test]
fn what_a_holder_makes_is_bounded() {
    const LONG: &str = long_name();
    let secret = SecretBytes::copy_from_slice(&[5; 32]);
    for holder in [Answers("x", MAX_WRAPPED + 1, ErrorKind::Internal), Answers(LONG, 1, ErrorKind::Internal)] {
        let refused = WrappedVersion::wrap(&holder, &STORE, 1, &secret).expect_err("too long");
        assert_eq!(refused.kind(), ErrorKind::Validation);
    }
}

const fn long_name() -> &'static str {
    match std::str::from_utf8(&[b'x'; MAX_HOLDER + 1]) {
        Ok(name) => name,
        Err(_) => "",
    }
}

#[test]
fn a_holder_that_cannot_be_reached_is_no_wrong_root_key() -> Result<()> {
    let (one, two) = (holder(1), holder(2));
    let (mut record, _) = record([&*one, &*two])?;
    record.wrapped.iter_mut().for_each(|wrapped| wrapped.holder = "hsm".to_owned());
    let versions = RootKeyVersions::new(&FASTEST, 2, [(2, SecretBytes::copy_from_slice(&[102; 32]))])?;
    let bytes = record.encode(&FASTEST, &versions, PLACE)?;
    for (answer, kind) in
        [(ErrorKind::KeyUnavailable, ErrorKind::KeyUnavailable), (ErrorKind::InvalidCiphertext, ErrorKind::RootKey)]
    {
        let refused = unwrap(&bytes, &[Arc::new(Answers("hsm", 1, answer))]).expect_err("the holder returns an error");
        assert_eq!(refused.kind(), kind);
    }
    Ok(())
}

/// A holder that cannot try what it is asked to unwrap.
#[derive(Debug)]
struct Untried(Arc<dyn RootKeyHolder>, SealError);

impl RootKeyHolder for Untried {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
        self.0.wrap(binding, key)
    }

    fn unwrap(&self, _: &[u8], _: &[u8]) -> Result<SecretBytes> {
        Err(self.1.clone().into())
    }
}

#[test]
fn a_holder_that_could_not_try_is_not_taken_for_another_one() -> Result<()> {
    let (one, two) = (holder(1), holder(2));
    let (record, _) = record([&*two, &*one])?;
    let newer = Untried(Arc::clone(&one), SealError::NewerFormat { found: 9, known: 2 });
    assert!(record.is_kept_by(&newer, &STORE).is_err());
    let wrong = Untried(one, SealError::WrongRootKey { holder: String::new() });
    assert!(!record.is_kept_by(&wrong, &STORE)?);
    Ok(())
}

#[test]
fn what_stands_before_the_checksum_has_one_encoding() -> Result<()> {
    let (one, two) = (holder(1), holder(2));
    let content = record([&*one, &*two])?.0.content()?;
    assert_eq!(rewritten_root_record(&content), Some(content.clone()));
    for end in 0..content.len() {
        assert_eq!(rewritten_root_record(&content[..end]), None, "{end}");
    }
    assert_eq!(rewritten_root_record(&[&content[..], &[0]].concat()), None);
    Ok(())
}
