//! The official Encryption SDK for JavaScript in Node.js opens what we write and writes what we open.
//!
//! It is a reader and a writer of its own, of which no part is shared with the SDK for Python.

use crate::peer::Peer;
use crate::{interop, interop_key_pairs};

#[test]
fn messages_are_the_same_to_the_node_sdk() {
    let Some(mut peer) = Peer::node("messages_are_the_same_to_the_node_sdk") else { return };
    assert_eq!(interop::compare_messages(&mut peer), (222, 222));
}

#[test]
fn every_suite_is_the_same_to_the_node_sdk() {
    let Some(mut peer) = Peer::node("every_suite_is_the_same_to_the_node_sdk") else { return };
    assert_eq!(interop::compare_suites(&mut peer), (8 * 36, 11 * 36));
}

#[test]
fn altered_messages_are_refused_by_us_and_by_the_node_sdk() {
    let Some(mut peer) = Peer::node("altered_messages_are_refused_by_us_and_by_the_node_sdk") else { return };
    assert!(interop::compare_refusals(&mut peer) > 8 * 2 * 400);
}

#[test]
fn streams_are_the_same_to_the_node_sdk() {
    let Some(mut peer) = Peer::node("streams_are_the_same_to_the_node_sdk") else { return };
    interop::compare_streams(&mut peer);
}

#[test]
fn multi_keyrings_are_the_same_to_the_node_sdk() {
    let Some(mut peer) = Peer::node("multi_keyrings_are_the_same_to_the_node_sdk") else { return };
    interop::compare_multi_keyrings(&mut peer);
}

#[test]
fn rsa_keyrings_are_the_same_to_the_node_sdk() -> strongroom::Result<()> {
    let Some(mut peer) = Peer::node("rsa_keyrings_are_the_same_to_the_node_sdk") else { return Ok(()) };
    interop_key_pairs::compare_rsa_keyrings(&mut peer)
}

#[test]
fn the_node_sdk_agrees_with_the_vectors() {
    let Some(mut peer) = Peer::node("the_node_sdk_agrees_with_the_vectors") else { return };
    let agreed = interop::compare_vectors(&mut peer);
    assert_eq!(agreed, 510);
}
