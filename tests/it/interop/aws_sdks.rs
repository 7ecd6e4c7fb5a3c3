//! Messages are compatible with the official SDKs: each side decrypts what the other encrypts.
//!
//! The comparisons are written once for every [`Peer`]. The tests here run them with the SDK for
//! Python.

use std::io::Write;

use serde_json::json;
use strongroom::envelope::CommitmentPolicy::{
    ForbidEncryptAllowDecrypt, RequireEncryptAllowDecrypt, RequireEncryptRequireDecrypt,
};
use strongroom::envelope::{MultiKeyring, RequiredContextManager};
use strongroom::message::{AlgorithmSuite, SuiteSupport, inspect};
use strongroom::{EncryptionContext, Envelope};

use crate::support::backend;
use crate::support::sdk_process::{Key, Peer, bytes, contexts, failure, json_of, plaintext};
use crate::support::vectors;

/// The number of our messages that a peer read, and the number of its messages that we read.
pub(crate) type Compared = (usize, usize);

/// Compares keys, contexts, frame lengths, and the sizes around them.
pub(crate) fn compare_messages(peer: &mut Peer) -> Compared {
    let (mut read_by_peer, mut written_by_peer) = (0, 0);
    for key in peer.keys() {
        for context in contexts() {
            for frame_length in [16, 128, 4096, 65_536] {
                for size in sizes(frame_length, &key, &context) {
                    let case = format!("{key:?}, {context:?}, {size} bytes in frames of {frame_length}");
                    peer_reads(peer, &key, &context, frame_length, size)
                        .unwrap_or_else(|error| panic!("{case}: {error}"));
                    read_by_peer += 1;
                    if peer.writes_frames_of(frame_length) {
                        peer_writes(peer, &key, &context, frame_length, size)
                            .unwrap_or_else(|error| panic!("{case}: {error}"));
                        written_by_peer += 1;
                    }
                }
            }
        }
    }
    (read_by_peer, written_by_peer)
}

/// Returns sizes around a frame length. A mebibyte is included only where it adds coverage: neither the
/// length of the wrapping key nor the context affects it, and with the shortest frames it takes the
/// peer seconds.
fn sizes(frame_length: u32, key: &Key, context: &EncryptionContext) -> Vec<usize> {
    let frame = usize::try_from(frame_length).expect("small");
    let mut sizes = vec![0, 1, frame - 1, frame, frame + 1, 2 * frame];
    if key.bytes.len() == 32 && context.is_empty() && (frame > 128 || !key.keyring) {
        sizes.push(1 << 20);
    }
    sizes
}

fn peer_reads(
    peer: &mut Peer,
    key: &Key,
    context: &EncryptionContext,
    frame_length: u32,
    size: usize,
) -> Result<(), String> {
    let text = plaintext(size);
    let ours = key.envelope(frame_length).encrypt(&text, context).map_err(|error| error.to_string())?;
    let read = peer.decrypt(key, &ours)?;
    if read == (text, context.clone()) { Ok(()) } else { Err("the peer read other data".to_owned()) }
}

fn peer_writes(
    peer: &mut Peer,
    key: &Key,
    context: &EncryptionContext,
    frame_length: u32,
    size: usize,
) -> Result<(), String> {
    let text = plaintext(size);
    let theirs = peer.encrypt(key, &text, context, frame_length)?;
    let opened = key.envelope(4096).decrypt_with_header(&theirs, context).map_err(|error| error.to_string())?;
    let header = opened.header();
    let same = opened.plaintext() == text && header.context() == context && header.frame_length() == Some(frame_length);
    if same { Ok(()) } else { Err("this crate read other data".to_owned()) }
}

/// Compares every suite. The peer reads all suites that we write, and we read all that it writes.
/// Its messages are framed or, as only old software writes them, unframed.
pub(crate) fn compare_suites(peer: &mut Peer) -> Compared {
    let (mut read_by_peer, mut written_by_peer) = (0, 0);
    let keys = peer.keys();
    let keys = [&keys[0], &keys[keys.len() - 1]];
    for (&suite, key) in AlgorithmSuite::ALL.iter().flat_map(|suite| keys.map(|key| (suite, key))) {
        for context in contexts() {
            for size in [0, 1, 127, 128, 129, 1000] {
                let (case, text) = (format!("{suite}, {key:?}, {context:?}, {size} bytes"), plaintext(size));
                if suite.support() == SuiteSupport::Full {
                    let ours = envelope_of(key, suite).encrypt(&text, &context).expect("a message");
                    assert_eq!(peer_opens(peer, key, &ours), Ok(text.clone()), "{case}");
                    read_by_peer += 1;
                }
                for frame_length in [128, 0] {
                    if peer.writes_frames_of(frame_length) && peer.takes_suite(suite, key) {
                        let theirs = write_suite(peer, key, suite, &text, &context, frame_length);
                        let theirs = theirs.unwrap_or_else(|error| panic!("{case}: {error}"));
                        assert_eq!(inspect(&theirs).expect("a header").suite(), suite);
                        assert_eq!(reading(key).decrypt(&theirs, &context).expect("their message"), text, "{case}");
                        written_by_peer += 1;
                    }
                }
            }
        }
    }
    (read_by_peer, written_by_peer)
}

/// Has the peer write a message in a suite.
fn write_suite(
    peer: &mut Peer,
    key: &Key,
    suite: AlgorithmSuite,
    plaintext: &[u8],
    context: &EncryptionContext,
    frame_length: u32,
) -> Result<Vec<u8>, String> {
    let request = json!({"do": "encrypt", "plaintext": hex::encode(plaintext), "context": json_of(context),
        "frame_length": frame_length, "suite": suite.id()});
    let answer = peer.ask(&key.request(request));
    failure(&answer).map(|()| bytes(&answer["ciphertext"]))
}

/// Creates an envelope that writes messages of a suite, in frames of 128 bytes.
fn envelope_of(key: &Key, suite: AlgorithmSuite) -> Envelope {
    let policy = if suite.is_committing() { RequireEncryptRequireDecrypt } else { ForbidEncryptAllowDecrypt };
    let builder = Envelope::builder(key.raw_keyring()).commitment_policy(policy).algorithm_suite(suite);
    builder.frame_length(128).build().expect("an envelope")
}

/// Creates an envelope that reads messages of every suite.
fn reading(key: &Key) -> Envelope {
    let builder = Envelope::builder(key.raw_keyring()).commitment_policy(RequireEncryptAllowDecrypt);
    builder.build().expect("an envelope")
}

/// Returns the plaintext that the peer reads from a message of any suite.
fn peer_opens(peer: &mut Peer, key: &Key, message: &[u8]) -> Result<Vec<u8>, String> {
    let request = json!({"do": "decrypt", "ciphertext": hex::encode(message), "allow_version_1": true});
    let answer = peer.ask(&key.request(request));
    failure(&answer).map(|()| bytes(&answer["plaintext"]))
}

/// Asserts that both sides reject a message with a flipped bit or truncated at any position. For
/// each suite, the peer is asked about every `STEP`-th position, with a different offset. Returns the
/// number of messages that it rejected.
pub(crate) fn compare_refusals(peer: &mut Peer) -> usize {
    /// As many suites as positions between two questions, so that every position has its turn.
    const STEP: usize = 5;

    let (key, mut refused) = (peer.keys().remove(0), 0);
    let suites = AlgorithmSuite::ALL.iter().filter(|suite| suite.support() == SuiteSupport::Full);
    for (offset, &suite) in suites.enumerate() {
        let whole = envelope_of(&key, suite).encrypt(&plaintext(130), &contexts()[1]).expect("a message");
        assert_eq!(peer_opens(peer, &key, &whole), Ok(plaintext(130)), "{suite}");
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            for (what, altered) in [("flipped", &flipped[..]), ("cut", &whole[..at])] {
                let opened = reading(&key).decrypt(altered, &contexts()[1]);
                assert!(opened.is_err(), "{suite}, {what} at {at}: this crate accepts it");
                if at % STEP == offset % STEP {
                    let read = peer_opens(peer, &key, altered);
                    assert!(read.is_err(), "{suite}, {what} at {at}: the peer accepts it");
                    refused += 1;
                }
            }
        }
    }
    refused
}

/// Compares the streams of both sides.
pub(crate) fn compare_streams(peer: &mut Peer) {
    let key = peer.keys().remove(2);
    for size in [0, 1, 4095, 4096, 4097, 8192, 100_000] {
        let (envelope, text) = (key.envelope(4096), plaintext(size));
        let mut writer = envelope.writer(Vec::new(), &contexts()[2]).expect("a writer");
        text.chunks(1000).try_for_each(|chunk| writer.write_all(chunk)).expect("writing to a vector succeeds");
        let ours = writer.finish().expect("writing to a vector succeeds");
        assert_eq!(peer.decrypt(&key, &ours), Ok((text.clone(), contexts()[2].clone())), "{size}");

        let theirs = peer.encrypt(&key, &text, &contexts()[2], 4096).expect("their message");
        let mut opened = Vec::new();
        let mut reader = envelope.reader(&theirs[..], &contexts()[2]).expect("a reader");
        std::io::copy(&mut reader, &mut opened).expect("their message");
        assert!(opened == text, "{size}");
    }
}

/// Compares multi-keyrings of several raw AES keys, each of which decrypts the message.
pub(crate) fn compare_multi_keyrings(peer: &mut Peer) {
    let keys = [("a", 32), ("ab", 16), ("b", 24)].map(|(name, length)| Key { name, ..Key::new(length, true) });
    let [generator, children @ ..] = &keys;
    let ours = MultiKeyring::new(generator.raw_keyring())
        .with_child(children[0].raw_keyring())
        .with_child(children[1].raw_keyring());
    let ours = Envelope::new(ours);
    let children = children.iter().map(|child| child.request(json!({}))).collect::<Vec<_>>();
    let (text, context) = (plaintext(1000), &contexts()[1]);

    let made = ours.encrypt(&text, context).expect("a message");
    let request = json!({"do": "decrypt", "ciphertext": hex::encode(&made), "children": children});
    assert_eq!(bytes(&peer.ask(&generator.request(request))["plaintext"]), text);
    let request = json!({"do": "encrypt", "plaintext": hex::encode(&text), "context": json_of(context),
        "frame_length": 4096, "children": children});
    let theirs = bytes(&peer.ask(&generator.request(request))["ciphertext"]);
    assert_eq!(ours.decrypt(&theirs, context).expect("their message"), text);
    for key in &keys {
        assert_eq!(peer.decrypt(key, &made), Ok((text.clone(), context.clone())), "{}", key.name);
        assert_eq!(key.envelope(4096).decrypt(&theirs, context).expect("their message"), text, "{}", key.name);
    }
}

/// Asserts that the peer agrees with the verdict of every vector. Returns the number of vectors.
pub(crate) fn compare_vectors(peer: &mut Peer) -> usize {
    let mut agreed = 0;
    for vector in vectors::all() {
        // We are deliberately stricter here: the SDKs accept no expected context and ignore data
        // after a message.
        let stricter =
            matches!(vector.expected().as_ref().map_err(String::as_str), Err("ContextMismatch" | "TrailingData"));
        if stricter || peer.reads_malformed(&vector.file) {
            continue;
        }
        let mut request = vector.request();
        for keyring in peer.implementations_for(&request) {
            request["keyring"] = json!(keyring);
            let answer = peer.ask(&request);
            let plaintext = failure(&answer).map(|()| bytes(&answer["plaintext"]));
            match vector.expected() {
                Ok(expected) => assert_eq!(plaintext, Ok(expected), "{}", vector.file),
                Err(_) => assert!(plaintext.is_err(), "{}: the peer accepts it", vector.file),
            }
        }
        agreed += usize::from(!peer.implementations_for(&request).is_empty());
    }
    agreed
}

#[test]
fn messages_are_the_same_to_the_official_sdk() {
    if backend::lacks("messages_are_the_same_to_the_official_sdk", &["AES-192-GCM"]) {
        return;
    }
    let Some(mut peer) = Peer::python("messages_are_the_same_to_the_official_sdk") else { return };
    assert_eq!(compare_messages(&mut peer), (438, 329));
}

#[test]
fn every_suite_is_the_same_to_the_official_sdk() {
    if backend::lacks("every_suite_is_the_same_to_the_official_sdk", &["AES-192-GCM"]) {
        return;
    }
    let Some(mut peer) = Peer::python("every_suite_is_the_same_to_the_official_sdk") else { return };
    assert_eq!(compare_suites(&mut peer), (8 * 36, 11 * 72 - 3 * 36));
}

#[test]
fn altered_messages_are_refused_by_us_and_by_the_official_sdk() {
    if backend::lacks("altered_messages_are_refused_by_us_and_by_the_official_sdk", &["AES-192-GCM"]) {
        return;
    }
    let Some(mut peer) = Peer::python("altered_messages_are_refused_by_us_and_by_the_official_sdk") else { return };
    assert!(compare_refusals(&mut peer) > 8 * 2 * 80);
}

#[test]
fn streams_are_the_same_to_the_official_sdk() {
    let Some(mut peer) = Peer::python("streams_are_the_same_to_the_official_sdk") else { return };
    compare_streams(&mut peer);
}

#[test]
fn multi_keyrings_are_the_same_to_the_official_sdk() {
    if backend::lacks("multi_keyrings_are_the_same_to_the_official_sdk", &["AES-192-GCM"]) {
        return;
    }
    let Some(mut peer) = Peer::python("multi_keyrings_are_the_same_to_the_official_sdk") else { return };
    compare_multi_keyrings(&mut peer);
}

#[test]
fn required_contexts_are_the_same_to_the_official_sdk() {
    let Some(mut peer) = Peer::python("required_contexts_are_the_same_to_the_official_sdk") else { return };
    let key = Key::new(32, true);
    let (text, mut compared) = (plaintext(1000), 0);
    for context in &contexts()[1..] {
        let names: Vec<&str> = context.iter().map(|(name, _)| name).collect();
        for count in 1..=names.len() {
            let required = &names[..count];
            let inner = key.raw_keyring();
            let manager = RequiredContextManager::new(inner, required.iter().copied()).expect("a manager");
            let ours = Envelope::new(manager);
            let reproduced: EncryptionContext = context.iter().filter(|(name, _)| required.contains(name)).collect();

            let made = ours.encrypt(&text, context).expect("a message");
            let request = |context| {
                let ciphertext = hex::encode(&made);
                key.request(
                    json!({"do": "decrypt", "ciphertext": ciphertext, "required": required, "context": context}),
                )
            };
            let answer = peer.ask(&request(json_of(&reproduced)));
            assert_eq!(failure(&answer), Ok(()));
            assert_eq!(bytes(&answer["plaintext"]), text);
            let wrong: EncryptionContext = reproduced.iter().map(|(name, _)| (name, "wrong")).collect();
            assert!(failure(&peer.ask(&request(json_of(&wrong)))).is_err());

            let request = json!({"do": "encrypt", "plaintext": hex::encode(&text), "context": json_of(context),
                "frame_length": 4096, "required": required});
            let theirs = bytes(&peer.ask(&key.request(request))["ciphertext"]);
            assert_eq!(inspect(&theirs).expect("a header").context(), inspect(&made).expect("a header").context());
            assert_eq!(ours.decrypt_with_reproduced_context(&theirs, &reproduced).expect("their message"), text);
            assert!(ours.decrypt_with_reproduced_context(&theirs, &wrong).is_err());
            compared += 1;
        }
    }
    assert_eq!(compared, 6);
}

#[test]
fn the_official_sdk_agrees_with_the_vectors() {
    let Some(mut peer) = Peer::python("the_official_sdk_agrees_with_the_vectors") else { return };
    let agreed = compare_vectors(&mut peer);
    assert_eq!(agreed, 696);
}
