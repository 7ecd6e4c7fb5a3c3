//! Worked examples and small messages for the tests of this module.

use super::header::HeaderParts;
use super::{AlgorithmSuite, EncryptedDataKey, Header, HeaderParser, Limits, MessageId, Opener, Sealer};
use crate::crypto::{CryptoBackend, FASTEST};
use crate::secret::SecretBytes;

pub(super) const BACKEND: &CryptoBackend = &FASTEST;

/// A message of suite 0x0178 (version 1); its header has 155 bytes.
pub(super) const EXAMPLE_V1: &str = "\
    01800178404142434445464748494a4b4c4d4e4f000f00020001610002c3a9000162000132000100026e7300166b6e000000800000000ca0a1\
    a2a3a4a5a6a7a8a9aaab0030c6395e0e61ee24984a4cadf82b57eef1409d6b23a682745ba4371cbd43964b3eae50880f0c190f1c2ccad2a5a5\
    32e73102000000000c00000010000000000000000000000000118af1360a070317e67918a1ae44924e00000001000000000000000000000001\
    67bf883679ffdb18b05f89810a1aff27e3a68912d20881af7aeb1a814e9d9a83ffffffff000000020000000000000000000000020000000447\
    bebb080ce3002e25afc5cbb6d84ce12b451329";

/// The same message with suite 0x0478 (version 2); its header has 185 bytes.
pub(super) const EXAMPLE_V2: &str = "\
    020478404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f000f00020001610002c3a90001620001320001000\
    26e7300166b6e000000800000000ca0a1a2a3a4a5a6a7a8a9aaab0030c6395e0e61ee24984a4cadf82b57eef1409d6b23a682745ba4371c\
    bd43964b3eae50880f0c190f1c2ccad2a5a532e7310200000010bbe9a13c6144de6db8a0b1a0e8f11783cd66fc015b916c8c1ee27fb7953\
    e8fad176a5c10d72552d2772c8f20ec30d8ce00000001000000000000000000000001d8bd807fe02dd6198945e5a413c9c39336aa46239e\
    ac0aa119749b3c35c65bb7ffffffff0000000200000000000000000000000200000004089701dbab333b9e62c348b3e5af250f2471467b";

/// The plaintext of both examples.
pub(super) const EXAMPLE_PLAINTEXT: &[u8] = b"envelope encryption!";

pub(super) fn example(hexadecimal: &str) -> Vec<u8> {
    hex::decode(hexadecimal).unwrap()
}

/// The data key of both examples.
pub(super) fn example_data_key() -> SecretBytes {
    counting_from(0x20)
}

pub(super) fn counting_from(first: u8) -> SecretBytes {
    SecretBytes::from_vec((first..first + 32).collect())
}

pub(super) fn message_id(suite: AlgorithmSuite) -> MessageId {
    let fill = |id: &mut [u8]| {
        id.copy_from_slice(&counting_from(0x40).expose_secret()[..id.len()]);
        Ok::<_, std::convert::Infallible>(())
    };
    MessageId::try_fill(suite.version(), fill).unwrap()
}

/// Starts a message of the default suite with the example's data key and message id.
pub(super) fn sealer(frame_length: u32) -> Sealer {
    let suite = AlgorithmSuite::default();
    let parts = HeaderParts {
        suite,
        message_id: &message_id(suite),
        context: &[],
        omitted_context: &[],
        data_keys: &[EncryptedDataKey::new("ns", *b"kn", [7; 4])],
        frame_length,
    };
    Sealer::new(BACKEND, &parts, &example_data_key(), None).unwrap()
}

/// Seals a complete message in one call.
pub(super) fn sealed(frame_length: u32, plaintext: &[u8]) -> Vec<u8> {
    let sealer = sealer(frame_length);
    let mut message = vec![0; sealer.message_length(plaintext.len()).unwrap()];
    sealer.seal_whole(plaintext, &mut message).unwrap();
    message
}

/// Parses a header and starts opening the message with the example's data key.
pub(super) fn opener(message: &[u8], limits: &Limits) -> (Header, Opener) {
    let header = HeaderParser::default().parse(message, limits).unwrap();
    let opener = Opener::new(BACKEND, &header, &[], &example_data_key(), limits).unwrap();
    (header, opener)
}

/// Returns bytes that are not all equal.
pub(super) fn plaintext(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}
