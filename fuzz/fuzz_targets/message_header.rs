//! Parsing a header is total and lossless: serializing its parts again yields the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::EncryptionContext;
use strongroom::message::{self, Header, MessageError, MessageVersion};

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = message::inspect(bytes) else { return };
    let length = header.encoded_length();
    let (read, _) = bytes.split_at(length);

    // The header ends at its stated length: later bytes are irrelevant, and removing its last byte
    // truncates it.
    assert_eq!(message::inspect(read).as_ref(), Ok(&header));
    assert!(matches!(message::inspect(&read[..length - 1]), Err(MessageError::Truncated { .. })));
    assert_eq!(write(&header, read), read);
});

/// Serializes the header from its parts, following the layout of the format. The order of the
/// context on the wire, the commitment, the IV and the tag are not exposed by the header, so they
/// are copied from `read`.
fn write(header: &Header, read: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let is_v1 = header.version() == MessageVersion::V1;
    out.extend(if is_v1 { &[1, 0x80][..] } else { &[2] });
    out.extend(header.suite().id().to_be_bytes());
    out.extend(header.message_id().as_ref());

    let context = section(&read[out.len()..]);
    let canonical = header.context().to_canonical_bytes().expect("the parsed header can be serialized");
    assert_eq!(EncryptionContext::from_bytes(context).as_ref(), Ok(header.context()));
    assert!(context.len() == canonical.len() || context == [0, 0]);
    put(&mut out, context);

    out.extend(u16::try_from(header.data_keys().len()).expect("the count was read from 16 bits").to_be_bytes());
    for data_key in header.data_keys() {
        put(&mut out, data_key.provider_id().as_bytes());
        put(&mut out, data_key.provider_info());
        put(&mut out, data_key.ciphertext());
    }
    out.push(if header.frame_length().is_some() { 2 } else { 1 });
    if is_v1 {
        out.extend([0, 0, 0, 0, 12]);
    }
    out.extend(header.frame_length().unwrap_or(0).to_be_bytes());
    let hidden = if is_v1 { 12 + 16 } else { 32 + 16 };
    assert_eq!(out.len() + hidden, read.len());
    out.extend(&read[out.len()..]);
    out
}

/// Returns the bytes that follow a 16-bit length.
fn section(bytes: &[u8]) -> &[u8] {
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    &bytes[2..2 + length]
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u16::try_from(bytes.len()).expect("the length was read from 16 bits").to_be_bytes());
    out.extend(bytes);
}
