use proptest::prelude::*;

use super::*;
use crate::message::inspect;
use crate::message::testing::{EXAMPLE_V1, EXAMPLE_V2, example};

const LIMITS: fn() -> Limits = Limits::default;

fn parse(bytes: &[u8]) -> Result<Header, MessageError> {
    HeaderParser::default().parse(bytes, &LIMITS())
}

/// Returns an example with the bytes at `offset` replaced.
fn altered(hexadecimal: &str, offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut message = example(hexadecimal);
    message[offset..offset + bytes.len()].copy_from_slice(bytes);
    message
}

#[test]
fn both_versions_are_read() -> Result<(), MessageError> {
    for (hexadecimal, suite, length) in [(EXAMPLE_V1, 0x0178, 155), (EXAMPLE_V2, 0x0478, 185)] {
        let header = inspect(&example(hexadecimal))?;
        assert_eq!((header.suite().id(), header.encoded_length()), (suite, length));
        assert_eq!(header.context(), &EncryptionContext::from([("a", "é"), ("b", "2")]));
        assert_eq!(header.frame_length(), Some(16));
        let [data_key] = header.data_keys() else { panic!("one data key") };
        assert_eq!((data_key.provider_id(), &data_key.provider_info()[..2]), ("ns", b"kn".as_slice()));
        assert_eq!(data_key.ciphertext().len(), 48);
        assert_eq!(header.message_id().as_ref()[..3], [0x40, 0x41, 0x42]);
        assert_eq!(header.commitment().is_some(), suite == 0x0478);
        assert_eq!(hex::encode(header.context_as_received()), "00020001610002c3a9000162000132");
    }
    Ok(())
}

#[test]
fn what_is_written_is_what_was_read() -> Result<(), Box<dyn std::error::Error>> {
    for hexadecimal in [EXAMPLE_V1, EXAMPLE_V2] {
        let message = example(hexadecimal);
        let header = parse(&message)?;
        let parts = HeaderParts {
            suite: header.suite(),
            message_id: header.message_id(),
            context: &header.context().to_canonical_bytes()?,
            omitted_context: &[],
            data_keys: header.data_keys(),
            frame_length: header.frame_length().unwrap_or(0),
        };
        let body = parts.write_body(header.commitment())?;
        assert_eq!(body.as_bytes(), header.body());
        let whole = append_authentication(body, header.version(), header.nonce(), header.tag());
        assert_eq!(whole, &message[..header.encoded_length()]);
    }
    Ok(())
}

#[test]
fn a_header_that_arrives_in_pieces_is_the_same() -> Result<(), MessageError> {
    for hexadecimal in [EXAMPLE_V1, EXAMPLE_V2] {
        let message = example(hexadecimal);
        let (mut parser, mut available) = (HeaderParser::default(), 0);
        let header = loop {
            match parser.parse(&message[..available], &LIMITS()) {
                Ok(header) => break header,
                Err(error) => {
                    let needed = error.bytes_needed().expect("the only error is missing bytes");
                    assert!(needed > available && needed <= parse(&message)?.encoded_length());
                    available = needed;
                }
            }
        };
        assert_eq!(header, parse(&message)?);
    }
    Ok(())
}

#[test]
fn every_truncation_says_so() {
    for hexadecimal in [EXAMPLE_V1, EXAMPLE_V2] {
        let message = example(hexadecimal);
        let length = parse(&message).unwrap().encoded_length();
        for cut in 0..length {
            let refusal = parse(&message[..cut]).unwrap_err();
            assert!(refusal.bytes_needed().is_some_and(|needed| needed > cut), "{cut}: {refusal:?}");
        }
    }
}

#[test]
fn each_field_has_its_own_refusal() {
    use MessageError as E;
    let suite = AlgorithmSuite::Aes256GcmHkdfSha512Commit;
    let cases = [
        (altered(EXAMPLE_V2, 0, &[3]), E::UnsupportedVersion(3)),
        (altered(EXAMPLE_V2, 0, b"AX"), E::UnsupportedVersion(b'A')),
        (altered(EXAMPLE_V2, 0, b"AY"), E::LooksBase64),
        (altered(EXAMPLE_V2, 0, b"Ag"), E::LooksBase64),
        (altered(EXAMPLE_V1, 1, &[0x81]), E::InvalidType(0x81)),
        (altered(EXAMPLE_V2, 1, &[0x04, 0x79]), E::UnknownSuite(0x0479)),
        (altered(EXAMPLE_V1, 2, &[0x04, 0x78]), E::SuiteVersionMismatch { suite, version: MessageVersion::V1 }),
        (altered(EXAMPLE_V2, 52, &[0, 0]), E::NoDataKeys),
        (altered(EXAMPLE_V2, 52, &[0xFF, 0xFF]), E::TooManyDataKeys { count: 65_535, limit: 64 }),
        (altered(EXAMPLE_V2, 56, &[0xFF]), E::InvalidDataKey { index: 1 }),
        (altered(EXAMPLE_V2, 132, &[3]), E::InvalidContentType(3)),
        (altered(EXAMPLE_V1, 118, &[1]), E::InvalidHeader { field: "reserved field" }),
        (altered(EXAMPLE_V1, 122, &[13]), E::InvalidHeader { field: "IV length" }),
        (altered(EXAMPLE_V2, 133, &[0; 4]), E::InvalidFrameLength { length: 0, min: 1, max: 16_777_216 }),
        (
            altered(EXAMPLE_V2, 133, &[1, 0, 0, 1]),
            E::InvalidFrameLength { length: 16_777_217, min: 1, max: 16_777_216 },
        ),
        (altered(EXAMPLE_V2, 132, &[1]), E::InvalidFrameLength { length: 16, min: 0, max: 0 }),
    ];
    for (message, refusal) in cases {
        assert_eq!(parse(&message), Err(refusal));
    }
}

#[test]
fn a_malformed_context_is_refused() {
    // Offsets within the example: 35 length, 37 count, 39 length of "a", 41 "a", 45 "b"'s value and so on.
    let cases = [
        ("one pair more than present", altered(EXAMPLE_V2, 37, &[0, 3])),
        ("one pair fewer than present", altered(EXAMPLE_V2, 37, &[0, 1])),
        ("no pair and bytes left", altered(EXAMPLE_V2, 37, &[0, 0])),
        ("a name that is not UTF-8", altered(EXAMPLE_V2, 41, &[0xFF])),
        ("a duplicate name", altered(EXAMPLE_V2, 48, b"a")),
    ];
    for (fault, message) in cases {
        assert!(matches!(parse(&message), Err(MessageError::InvalidEncryptionContext(_))), "{fault}");
    }
}

#[test]
fn limits_hold_before_the_bytes_are_there() {
    let message = example(EXAMPLE_V2);
    let exact = LIMITS().with_max_header_bytes(185);
    assert!(HeaderParser::default().parse(&message, &exact).is_ok());
    let short = LIMITS().with_max_header_bytes(184);
    let refusal = Err(MessageError::HeaderTooLong { limit: 184 });
    assert_eq!(HeaderParser::default().parse(&message, &short), refusal);
    // The length of the context is sufficient to detect this.
    let tiny = LIMITS().with_max_header_bytes(51);
    assert_eq!(HeaderParser::default().parse(&message[..37], &tiny), Err(MessageError::HeaderTooLong { limit: 51 }));
    let no_keys = LIMITS().with_max_encrypted_data_keys(0);
    let refusal = Err(MessageError::TooManyDataKeys { count: 1, limit: 0 });
    assert_eq!(HeaderParser::default().parse(&message[..54], &no_keys), refusal);
}

#[test]
fn the_first_of_two_faults_is_reported() {
    let mut message = altered(EXAMPLE_V2, 52, &[0, 65]);
    message[37] = 0xFF;
    assert!(matches!(parse(&message), Err(MessageError::InvalidEncryptionContext(_))));
    message[1] = 0xFF;
    assert_eq!(parse(&message), Err(MessageError::UnknownSuite(0xFF78)));
}

#[test]
fn a_context_over_the_length_field_cannot_be_written() {
    let suite = AlgorithmSuite::default();
    let parts = HeaderParts {
        suite,
        message_id: &crate::message::testing::message_id(suite),
        context: &vec![0; 65_536],
        omitted_context: &[],
        data_keys: &[],
        frame_length: 1,
    };
    assert!(matches!(parts.write_body(None), Err(CodecError::TooLong { length: 65_536, .. })));
}

proptest! {
    #[test]
    fn parsing_is_total(
        first in any::<bool>(),
        edits in prop::collection::vec((0..200_usize, any::<u8>()), 0..6),
        cut in 0..300_usize,
    ) {
        let mut message = example(if first { EXAMPLE_V1 } else { EXAMPLE_V2 });
        for (offset, value) in edits {
            message[offset] = value;
        }
        message.truncate(cut);
        if let Ok(header) = parse(&message) {
            prop_assert!(header.encoded_length() <= message.len());
        }
    }

    #[test]
    fn parsing_of_anything_is_total(bytes: Vec<u8>) {
        prop_assert!(parse(&bytes).is_err());
    }
}
