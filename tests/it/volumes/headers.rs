//! Damaged, forged and unusual headers and tokens.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use strongroom::ErrorKind;
use strongroom::volumes::{
    LuksToken, MAX_LUKS_TOKEN_BYTES, MAX_VOLUME_BYTES, MAX_VOLUME_HEADER_BYTES, SectorSize, VolumeError,
    VolumeGeometry, VolumeHeader, VolumeId,
};

use super::support::{SECTOR_SIZES, Setup, TestResult};

/// Replaces the checksum of a header, as an attacker can.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let content = bytes.len() - 32;
    bytes.truncate(content);
    let sum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

#[test]
fn headers_survive_a_round_trip() -> TestResult {
    for sector_size in SECTOR_SIZES {
        for size in [0, 4_096, MAX_VOLUME_BYTES] {
            let setup = Setup::new(sector_size, size)?;
            assert_eq!(VolumeHeader::parse(&setup.header.to_bytes())?, setup.header);
        }
    }
    Ok(())
}

#[test]
fn truncated_and_extended_headers_are_refused() -> TestResult {
    let bytes = Setup::new(SectorSize::Bytes4096, 1 << 20)?.header.to_bytes();
    for length in 0..bytes.len() {
        let error = VolumeHeader::parse(&bytes[..length]).unwrap_err();
        let expected =
            if length < 8 { error == VolumeError::NoHeader } else { matches!(error, VolumeError::Malformed(_)) };
        assert!(expected, "{length} bytes: {error:?}");
        assert_eq!(strongroom::Error::from(error).kind(), ErrorKind::InvalidCiphertext);
    }
    let longer = VolumeHeader::parse(&[&bytes[..], &[0]].concat()).unwrap_err();
    assert!(matches!(longer, VolumeError::Malformed(_)), "{longer:?}");
    let huge = vec![b'S'; MAX_VOLUME_HEADER_BYTES + 1];
    let limit = MAX_VOLUME_HEADER_BYTES;
    assert_eq!(VolumeHeader::parse(&huge), Err(VolumeError::HeaderTooLong { length: limit + 1, limit }));
    Ok(())
}

#[test]
fn every_flipped_bit_of_a_header_is_detected() -> TestResult {
    let setup = Setup::new(SectorSize::Bytes4096, 1 << 20)?;
    let bytes = setup.header.to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = VolumeHeader::parse(&flipped).unwrap_err();
        let expected = match bit / 8 {
            0..8 => error == VolumeError::NoHeader,
            8 => matches!(error, VolumeError::Version { .. }),
            _ => matches!(error, VolumeError::Checksum | VolumeError::Malformed(_)),
        };
        assert!(expected, "bit {bit}: {error:?}");
    }
    Ok(())
}

#[test]
fn forged_headers_are_refused_when_they_are_parsed_or_attached() -> TestResult {
    let setup = Setup::new(SectorSize::Bytes4096, 1 << 20)?;
    let bytes = setup.header.to_bytes();
    let forged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = bytes.clone();
        change(&mut changed);
        VolumeHeader::parse(&with_checksum(changed))
    };
    assert_eq!(forged(&|bytes| bytes[9] = 2), Err(VolumeError::Cipher { cipher: 2 }));
    assert_eq!(forged(&|bytes| bytes[10] = 4), Err(VolumeError::SectorSize { bytes: 1_024 }));
    assert_eq!(forged(&|bytes| bytes[19] = 1), Err(VolumeError::Size { bytes: (1 << 20) + 1 }));
    assert_eq!(forged(&|bytes| bytes[12] = 255), Err(VolumeError::Size { bytes: (255 << 56) + (1 << 20) }));
    assert_eq!(forged(&|bytes| bytes[22] = b' '), Err(VolumeError::VolumeId));
    assert_eq!(forged(&|bytes| bytes[22] = 0xff), Err(VolumeError::VolumeId));

    // A valid header with other values, which only the KMS can detect.
    let smaller_sectors = forged(&|bytes| bytes[10..12].copy_from_slice(&512_u16.to_be_bytes()))?;
    assert_eq!(smaller_sectors.geometry().sector_size(), SectorSize::Bytes512);
    let refused = setup.keys.attach(&smaller_sectors, &setup.id).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
    let other_id = forged(&|bytes| bytes[22] = b'x')?;
    let refused = setup.keys.attach(&other_id, &VolumeId::parse("xol-0a1b2c3d4e5f60718")?).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
    let last = bytes.len() - 33;
    let wrapped = forged(&|bytes| bytes[last] ^= 1)?;
    assert_eq!(setup.keys.attach(&wrapped, &setup.id).unwrap_err().kind(), ErrorKind::InvalidCiphertext);

    // The ARN of another key.
    let text = setup.header.key_arn().to_string();
    let start = bytes.windows(text.len()).position(|window| window == text.as_bytes()).ok_or("the ARN")?;
    let digit = start + text.len() - 1;
    let renamed = forged(&|bytes| bytes[digit] = if bytes[digit] == b'0' { b'1' } else { b'0' })?;
    let refused = setup.keys.attach(&renamed, &setup.id).unwrap_err();
    assert_eq!(refused.downcast_ref(), Some(&VolumeError::OtherKey));

    // The size is not bound: it is documented, and a storage that is too short is rejected.
    let larger = forged(&|bytes| bytes[18] = 16)?;
    assert!(setup.keys.attach(&larger, &setup.id).is_ok());
    Ok(())
}

#[test]
fn malformed_tokens_are_refused() -> TestResult {
    let header = Setup::new(SectorSize::Bytes4096, 1 << 20)?.header;
    let token = LuksToken::new(header.clone(), [0, 31])?;
    assert_eq!(LuksToken::parse(&token.to_json())?, token);
    assert!(matches!(LuksToken::new(header, [32]), Err(VolumeError::Token { .. })));

    let json: Value = serde_json::from_str(&token.to_json())?;
    let changed = |name: &str, value: Value| {
        let mut json = json.clone();
        json[name] = value;
        LuksToken::parse(&json.to_string()).unwrap_err()
    };
    let strange = [
        ("type", json!("luks2-keyring")),
        ("format", json!(2)),
        ("format", json!(256)),
        ("cipher", json!("aes-cbc-essiv:sha256")),
        ("keyslots", json!(["32"])),
        ("keyslots", json!(["-1"])),
        ("keyslots", json!([0])),
        ("wrapped_key", json!("*")),
        ("another", json!("member")),
        ("size", json!(1e30)),
        ("size", json!(-1)),
    ];
    for (name, value) in strange {
        let error = changed(name, value.clone());
        assert!(matches!(error, VolumeError::Token { .. }), "{name}: {value}: {error:?}");
    }
    assert_eq!(changed("volume_id", json!("a b")), VolumeError::VolumeId);
    assert_eq!(changed("key_arn", json!("arn:aws:s3:::bucket")), VolumeError::KeyArn);
    assert_eq!(changed("sector_size", json!(1_024)), VolumeError::SectorSize { bytes: 1_024 });
    assert_eq!(changed("size", json!(1)), VolumeError::Size { bytes: 1 });
    assert!(matches!(changed("wrapped_key", json!("")), VolumeError::WrappedKey { length: 0, .. }));
    let long = changed("wrapped_key", json!("A".repeat(8_196)));
    assert_eq!(long, VolumeError::WrappedKey { length: 6_147, limit: 6_144 });

    let text = token.to_json();
    for length in 0..text.len() {
        assert!(matches!(LuksToken::parse(&text[..length]), Err(VolumeError::Token { .. })), "{length}");
    }
    let padded = format!("{text}{}", " ".repeat(MAX_LUKS_TOKEN_BYTES));
    assert!(matches!(LuksToken::parse(&padded), Err(VolumeError::Token { .. })));
    Ok(())
}

#[test]
fn key_slots_are_never_dropped() -> TestResult {
    let header = Setup::new(SectorSize::Bytes4096, 1 << 20)?.header;
    let token = LuksToken::new(header.clone(), (0..32).rev())?;
    assert_eq!(token.key_slots(), (0..32).rev().collect::<Vec<_>>());
    assert_eq!(LuksToken::parse(&token.to_json())?, token);
    // More than 255, of which the last ones were ignored, and an iterator without an end.
    let repeated = VolumeError::Token { problem: "a key slot occurs twice" };
    assert_eq!(LuksToken::new(header.clone(), [3, 4, 3]), Err(repeated));
    assert_eq!(LuksToken::new(header.clone(), (0..32).cycle()), Err(repeated));
    let unknown = VolumeError::Token { problem: "LUKS2 has the key slots 0 to 31" };
    assert_eq!(LuksToken::new(header, 0..300), Err(unknown));
    Ok(())
}

#[test]
fn unusual_geometries_are_refused() {
    for (sector_size, size) in [(SectorSize::Bytes512, 513), (SectorSize::Bytes4096, 512)] {
        assert_eq!(VolumeGeometry::new(sector_size, size), Err(VolumeError::Size { bytes: size }));
    }
    let size = MAX_VOLUME_BYTES + 4_096;
    assert_eq!(VolumeGeometry::new(SectorSize::Bytes4096, size), Err(VolumeError::Size { bytes: size }));
    let long = "v".repeat(256);
    for text in ["", " ", "vol 1", "vol-\u{e9}", "vol\n", long.as_str()] {
        assert_eq!(VolumeId::parse(text), Err(VolumeError::VolumeId), "{text:?}");
    }
}
