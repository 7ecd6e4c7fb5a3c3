use super::*;
use crate::crypto::FASTEST;

const COST: PassphraseCost = PassphraseCost { memory_kib: 32, passes: 1, lanes: 2 };

#[cfg(feature = "fips")]
#[test]
fn the_strict_backend_refuses_passphrases_of_root_keys_and_exports() {
    use crate::crypto::FIPS;

    let sealed = seal(&crate::crypto::RUST_CRYPTO, (&typed("words"), COST), b"label", b"", b"x").expect("sealed");
    let opened = open(&FIPS, (&typed("words"), COST), b"label", b"", &sealed).map(drop);
    assert!(matches!(opened, Err(PassphraseError::Rejected(_))), "{opened:?}");
    let root = RootKey::from_passphrase_with_cost("words", COST).expect("suitable");
    let refusals = [
        seal(&FIPS, (&typed("words"), COST), b"label", b"", b"x").map(drop).unwrap_err(),
        root.into_holder(&FIPS).map(drop).unwrap_err(),
    ];
    for error in refusals {
        assert_eq!(error.kind(), ErrorKind::UnsupportedOperation);
        let text = error.to_string();
        assert!(text.contains("rejects Argon2id") && text.contains("in place of a passphrase"), "{text}");
    }
}

fn typed(text: &str) -> Passphrase {
    Passphrase::new(text).expect("suitable")
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::copy_from_slice(text.as_bytes())
}

fn open_words(sealed: &[u8], limit: PassphraseCost) -> Result<SecretBytes, PassphraseError> {
    open(&FASTEST, (&typed("words"), limit), b"label", b"context", sealed)
}

/// Expected keys from the reference implementation (its `test.c`, version 0x13, Argon2id).
#[test]
fn keys_are_those_of_the_reference_implementation() -> Result<()> {
    let expected = "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe";
    let parameters = PassphraseCost::new(256, 2, 1)?.parameters().expect("in range");
    let mut key = [0; KEY_LENGTH];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(b"password", b"somesalt", &mut key)
        .expect("in range");
    assert_eq!(hex::encode(key), expected);
    // Memory that this crate allocates gives the same result as memory that the library
    // allocates.
    for cost in [COST, PassphraseCost::new(1_000, 3, 4)?] {
        let mut expected = [0; KEY_LENGTH];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.parameters().expect("in range"))
            .hash_password_into(b"password", &[7; SALT_LENGTH], &mut expected)
            .expect("in range");
        let key = cost.derive(&secret("password"), &[7; SALT_LENGTH]);
        assert_eq!(key, Ok(SecretBytes::copy_from_slice(&expected)));
    }
    Ok(())
}

#[test]
fn only_the_same_passphrase_label_and_context_open() -> Result<()> {
    if crate::crypto::default_lacks("only_the_same_passphrase_label_and_context_open", &["Argon2id"]) {
        return Ok(());
    }
    let sealed = seal(&FASTEST, (&typed("words"), COST), b"label", b"context", b"plain")?;
    let open = |passphrase, label, context| open(&FASTEST, (&typed(passphrase), COST), label, context, &sealed);
    assert_eq!(open("words", b"label", b"context"), Ok(secret("plain")));
    assert_eq!(open("word", b"label", b"context"), Err(PassphraseError::Wrong));
    assert_eq!(open("words", b"labeL", b"context"), Err(PassphraseError::Wrong));
    assert_eq!(open("words", b"label", b"contexT"), Err(PassphraseError::Wrong));
    Ok(())
}

#[test]
fn every_flipped_byte_and_every_truncation_is_refused() -> Result<()> {
    if crate::crypto::default_lacks("every_flipped_byte_and_every_truncation_is_refused", &["Argon2id"]) {
        return Ok(());
    }
    let sealed = seal(&FASTEST, (&typed("words"), COST), b"label", b"context", b"plain")?;
    for place in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[place] ^= 1;
        assert!(open_words(&flipped, PassphraseCost::DEFAULT_LIMIT).is_err(), "byte {place}");
    }
    for end in 0..sealed.len() {
        assert_eq!(open_words(&sealed[..end], COST), Err(PassphraseError::Wrong));
    }
    Ok(())
}

#[test]
fn a_stored_cost_is_bounded() -> Result<()> {
    if crate::crypto::default_lacks("a_stored_cost_is_bounded", &["Argon2id"]) {
        return Ok(());
    }
    let sealed = seal(&FASTEST, (&typed("words"), COST), b"label", b"context", b"plain")?;
    let most = PassphraseCost { memory_kib: MAX_MEMORY_KIB, passes: MAX_PASSES, lanes: MAX_LANES };
    for (place, limit) in [(1, MAX_MEMORY_KIB), (5, MAX_PASSES), (9, MAX_LANES)] {
        for value in [0, limit + 1, u32::MAX] {
            let mut altered = sealed.clone();
            altered[place..place + 4].copy_from_slice(&value.to_be_bytes());
            let mut reader = Reader::new(&altered[1..13]);
            let mut next = || reader.u32("cost").expect("there");
            let cost = PassphraseCost { memory_kib: next(), passes: next(), lanes: next() };
            assert!(cost.parameters().is_none(), "{cost:?}");
            assert!(open_words(&altered, most).is_err(), "{cost:?}");
        }
    }
    Ok(())
}

#[test]
fn a_cost_over_the_limit_of_the_reader_is_named_and_not_tried() -> Result<()> {
    if crate::crypto::default_lacks("a_cost_over_the_limit_of_the_reader_is_named_and_not_tried", &["Argon2id"]) {
        return Ok(());
    }
    let sealed = seal(&FASTEST, (&typed("words"), COST), b"label", b"context", b"plain")?;
    assert_eq!(open_words(&sealed, COST), Ok(secret("plain")));
    for limit in [
        PassphraseCost { memory_kib: COST.memory_kib - 1, ..COST },
        PassphraseCost { passes: COST.passes - 1, ..COST },
        PassphraseCost { lanes: COST.lanes - 1, ..COST },
    ] {
        assert_eq!(open_words(&sealed, limit), Err(PassphraseError::TooCostly { cost: COST, limit }));
    }
    // The memory is never allocated: deriving a key at this cost would take minutes.
    let mut hostile = sealed;
    hostile[1..9].copy_from_slice(&[[0, 0x20, 0, 0], [0, 0, 0, 64]].concat());
    let started = std::time::Instant::now();
    let refused = open_words(&hostile, PassphraseCost::DEFAULT_LIMIT);
    assert!(matches!(refused, Err(PassphraseError::TooCostly { .. })), "{refused:?}");
    assert!(started.elapsed() < std::time::Duration::from_secs(60));
    assert!(PassphraseCost::default().is_within(PassphraseCost::DEFAULT_LIMIT));
    Ok(())
}

/// Sealed by the first release, which used passphrases as typed.
#[test]
fn what_was_sealed_before_passphrases_were_normalized_opens_as_it_was_typed() -> Result<()> {
    if crate::crypto::default_lacks(
        "what_was_sealed_before_passphrases_were_normalized_opens_as_it_was_typed",
        &["Argon2id"],
    ) {
        return Ok(());
    }
    let unnormalized = |text| Passphrase::unnormalized(text).expect("not empty");
    for text in ["gru\u{308}n", "line\n", "\u{200b}"] {
        let sealed = seal(&FASTEST, (&unnormalized(text), COST), b"label", b"context", b"plain")?;
        assert_eq!(sealed[0], FORMAT_TYPED);
        let open = |passphrase: &Passphrase| open(&FASTEST, (passphrase, COST), b"label", b"context", &sealed);
        assert_eq!(open(&Passphrase::to_open(text)), Ok(secret("plain")));
        assert_eq!(open(&unnormalized(text)), Ok(secret("plain")));
        assert_eq!(open(&Passphrase::to_open("gr\u{fc}n")), Err(PassphraseError::Wrong));
    }
    let sealed = seal(&FASTEST, (&typed("gru\u{308}n"), COST), b"label", b"context", b"plain")?;
    assert_eq!(sealed[0], FORMAT_PREPARED);
    let open = |passphrase: &Passphrase| open(&FASTEST, (passphrase, COST), b"label", b"context", &sealed);
    assert_eq!(open(&typed("gr\u{fc}n")), Ok(secret("plain")));
    assert_eq!(open(&unnormalized("gr\u{fc}n")), Err(PassphraseError::Wrong));
    let line_end = PassphraseError::Unsuitable(UnsuitablePassphrase::ControlCharacter);
    assert_eq!(open(&Passphrase::to_open("gr\u{fc}n\n")), Err(line_end));
    Ok(())
}

#[test]
fn a_later_format_is_told_apart_from_a_wrong_passphrase() -> Result<()> {
    if crate::crypto::default_lacks("a_later_format_is_told_apart_from_a_wrong_passphrase", &["Argon2id"]) {
        return Ok(());
    }
    let mut sealed = seal(&FASTEST, (&typed("words"), COST), b"label", b"context", b"plain")?;
    sealed[0] = LATEST_FORMAT + 1;
    assert_eq!(open_words(&sealed, COST), Err(PassphraseError::NewerFormat { found: 3 }));
    Ok(())
}

#[test]
fn an_empty_passphrase_is_refused_and_none_is_shown() -> Result<()> {
    if crate::crypto::default_lacks("an_empty_passphrase_is_refused_and_none_is_shown", &["Argon2id"]) {
        return Ok(());
    }
    for text in ["", "words\n", "\u{feff}words"] {
        let refused = RootKey::from_passphrase(text).expect_err("unsuitable");
        assert_eq!(refused.kind(), ErrorKind::Validation);
        assert!(!format!("{refused:?}").contains("words"));
    }
    assert!(RootKey::from_unnormalized_passphrase("", COST).is_err());
    let root = RootKey::from_passphrase_with_cost("words", COST)?;
    assert!(!format!("{root:?}").contains("words"));
    assert!(!format!("{:?}", root.into_holder(&FASTEST)?).contains("words"));
    Ok(())
}
