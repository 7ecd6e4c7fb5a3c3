//! Headers and LUKS2 tokens of volumes are parsed without panics, and only unchanged ones can be
//! attached.
//!
//! Input: a header without its checksum, or a token. As a structured case: modifications of a valid
//! header, whose checksum is correct again.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
use strongroom::volumes::{
    LuksToken, MAX_VOLUME_HEADER_BYTES, SectorSize, VolumeError, VolumeGeometry, VolumeHeader, VolumeId, VolumeKeys,
};
use strongroom::{Kms, Result as KmsResult};
use strongroom_fuzz::{Edit, backend};

static VOLUME: LazyLock<(VolumeKeys, VolumeHeader)> = LazyLock::new(|| make().expect("a KMS in memory"));

fn make() -> KmsResult<(VolumeKeys, VolumeHeader)> {
    let kms = Kms::builder().backend(backend()).build()?;
    let keys = VolumeKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
    let geometry = VolumeGeometry::new(SectorSize::Bytes4096, 1 << 20)?;
    let header = keys.create(&VolumeId::parse("vol-1")?, geometry)?;
    Ok((keys, header))
}

fn with_checksum(content: &[u8]) -> Vec<u8> {
    let digest = CryptoBackend::default().digest().digest(DigestAlgorithm::Sha256, &[content]);
    [content, digest.as_ref()].concat()
}

fuzz_target!(|bytes: &[u8]| {
    assert!(parsed(bytes).is_err() || bytes.len() >= 32);
    let _ = parsed(&with_checksum(bytes));
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(token) = LuksToken::parse(text)
    {
        assert_eq!(LuksToken::parse(&token.to_json()).as_ref(), Ok(&token));
    }
    if let Ok(edits) = Vec::<Edit>::arbitrary_take_rest(Unstructured::new(bytes)) {
        forged(&edits);
    }
});

/// Parses a header, which must survive a round trip as bytes and as a token.
fn parsed(bytes: &[u8]) -> Result<VolumeHeader, VolumeError> {
    let header = VolumeHeader::parse(bytes)?;
    assert_eq!(header.to_bytes(), bytes);
    assert!(bytes.len() <= MAX_VOLUME_HEADER_BYTES);
    let token = LuksToken::new(header.clone(), [0])?;
    if let Ok(stored) = LuksToken::parse(&token.to_json()) {
        assert_eq!(stored, token);
    }
    Ok(header)
}

fn forged(edits: &[Edit]) {
    let (keys, header) = &*VOLUME;
    let mut content = header.to_bytes();
    content.truncate(content.len() - 32);
    edits.iter().for_each(|edit| edit.apply(&mut content));
    let Ok(received) = parsed(&with_checksum(&content)) else { return };
    let is_same = received.volume_id() == header.volume_id()
        && received.key_arn() == header.key_arn()
        && received.wrapped_key() == header.wrapped_key()
        && received.geometry().sector_size() == header.geometry().sector_size();
    assert_eq!(keys.attach(&received, received.volume_id()).is_ok(), is_same, "a forged header is attached");
}
