//! The official Encryption SDK for JavaScript in Node.js: each side decrypts what the other
//! encrypts.
//!
//! It is an independent implementation that shares no code with the SDK for Python.

use std::io::{Cursor, Read};

use serde_json::json;
use strongroom::envelope::{CommitmentPolicy, EnvelopeBuilder};
use strongroom::message::AlgorithmSuite;
use strongroom::{EncryptionContext, Envelope, ErrorKind};

use crate::interop::{aws_sdks, key_pairs};
use crate::support::sdk_process::{Key, Peer, bytes, failure, json_of};

#[test]
fn messages_are_the_same_to_the_node_sdk() {
    let Some(mut peer) = Peer::node("messages_are_the_same_to_the_node_sdk") else { return };
    assert_eq!(aws_sdks::compare_messages(&mut peer), (218, 218));
}

#[test]
fn every_suite_is_the_same_to_the_node_sdk() {
    let Some(mut peer) = Peer::node("every_suite_is_the_same_to_the_node_sdk") else { return };
    assert_eq!(aws_sdks::compare_suites(&mut peer), (8 * 36, 11 * 36));
}

#[test]
fn altered_messages_are_refused_by_us_and_by_the_node_sdk() {
    let Some(mut peer) = Peer::node("altered_messages_are_refused_by_us_and_by_the_node_sdk") else { return };
    assert!(aws_sdks::compare_refusals(&mut peer) > 8 * 2 * 80);
}

#[test]
fn streams_are_the_same_to_the_node_sdk() {
    let Some(mut peer) = Peer::node("streams_are_the_same_to_the_node_sdk") else { return };
    aws_sdks::compare_streams(&mut peer);
}

#[test]
fn multi_keyrings_are_the_same_to_the_node_sdk() {
    let Some(mut peer) = Peer::node("multi_keyrings_are_the_same_to_the_node_sdk") else { return };
    aws_sdks::compare_multi_keyrings(&mut peer);
}

#[test]
fn rsa_keyrings_are_the_same_to_the_node_sdk() -> strongroom::Result<()> {
    let Some(mut peer) = Peer::node("rsa_keyrings_are_the_same_to_the_node_sdk") else { return Ok(()) };
    key_pairs::compare_rsa_keyrings(&mut peer)
}

#[test]
fn the_node_sdk_agrees_with_the_vectors() {
    let Some(mut peer) = Peer::node("the_node_sdk_agrees_with_the_vectors") else { return };
    let agreed = aws_sdks::compare_vectors(&mut peer);
    assert_eq!(agreed, 510);
}

/// Returns contexts whose names the SDK does not sort by their bytes, in an unsigned message and in
/// a signed one.
fn disordered() -> Vec<(EncryptionContext, bool, bool)> {
    let context = |names: &[&str]| names.iter().map(|name| (*name, "value")).collect::<EncryptionContext>();
    let many: Vec<_> =
        (0..12).flat_map(|index| [format!("user_{index}"), format!("user{index}"), format!("User-{index}")]).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    vec![
        (context(&["Tenant"]), false, true),
        (context(&["user_id", "userId"]), true, true),
        (context(&["a", "B", "c", "D"]), true, true),
        (context(&["é", "z", "ö", "ключ", "Ключ", "鍵"]), true, true),
        (context(&["\u{10000}", "\u{FF61}"]), false, true),
        (context(&many), true, true),
        (context(&["tenant", "zone"]), false, false),
        (context(&[]), false, false),
    ]
}

#[test]
fn the_order_of_names_of_the_node_sdk_is_read_by_those_who_ask_for_it() -> Result<(), Box<dyn std::error::Error>> {
    let Some(mut peer) = Peer::node("the_order_of_names_of_the_node_sdk_is_read_by_those_who_ask_for_it") else {
        return Ok(());
    };
    let key = Key::new(32, true);
    let builder = || -> EnvelopeBuilder {
        Envelope::builder(key.raw_keyring()).commitment_policy(CommitmentPolicy::RequireEncryptAllowDecrypt)
    };
    let (strict, lenient) = (builder().build()?, builder().accept_javascript_context_order().build()?);
    let none = EncryptionContext::new();
    let (mut refused, mut read) = (0, 0);
    for (context, unsigned_differs, signed_differs) in disordered() {
        for suite in [
            AlgorithmSuite::Aes256GcmHkdfSha512Commit,
            AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384,
            AlgorithmSuite::Aes128GcmHkdfSha256,
        ] {
            let request = json!({"do": "encrypt", "plaintext": "0102", "context": json_of(&context),
                "frame_length": 128, "suite": suite.id(), "locale_order": true});
            let answer = peer.ask(&key.request(request));
            failure(&answer)?;
            let message = bytes(&answer["ciphertext"]);
            let differs = if suite.signature().is_some() { signed_differs } else { unsigned_differs };
            match strict.decrypt(&message, &context) {
                Ok(plaintext) => assert!(plaintext == [1, 2] && !differs, "{context:?}"),
                Err(error) => {
                    assert!(differs && error.kind() == ErrorKind::NoDataKeyUnwrapped, "{context:?}: {error}");
                    assert!(error.to_string().contains("accept_javascript_context_order"), "{error}");
                    refused += 1;
                }
            }
            let opened = lenient.decrypt_with_header(&message, &context)?;
            assert_eq!(opened.plaintext(), [1, 2], "{context:?}");
            if suite.signature().is_none() {
                let mut text = Vec::new();
                lenient.reader(&message[..], &context)?.read_to_end(&mut text)?;
                let (mut decryptor, mut pushed) = (lenient.decryptor(&context), Vec::new());
                decryptor.update(&message, &mut pushed)?;
                decryptor.finish(&mut pushed)?;
                let mut random = Vec::new();
                lenient.random_access_reader(Cursor::new(&message), &context)?.read_to_end(&mut random)?;
                let moved = lenient.re_encrypt(&message[..], &context, &strict, Vec::new())?;
                let moved = strict.decrypt(&moved, &context)?;
                assert_eq!([text, pushed, random, moved], [[1, 2]; 4]);
            }
            // Altered messages are still rejected, in particular with an altered context.
            for at in (0..message.len()).step_by(29) {
                let mut altered = message.clone();
                altered[at] ^= 1;
                assert!(lenient.decrypt(&altered, &none).is_err(), "{context:?} {at}");
            }
            read += 1;
        }
    }
    assert_eq!((refused, read), (14, 24));
    Ok(())
}
