//! The private keys of ML-DSA and ML-KEM inside PKCS#8: a seed, an expanded key, or both (RFC 9881,
//! section 6, and RFC 9935, section 6).

use pkcs8::der::asn1::{ContextSpecific, OctetStringRef};
use pkcs8::der::{Decode, Encode, Reader, SliceReader, TagMode, TagNumber};
use zeroize::Zeroizing;

use super::key_flaw::Flaw;
use super::key_pair_kind::LatticeLengths;

/// The tag of a seed.
const SEED: TagNumber = TagNumber(0);

/// A seed, and the expanded key if it is present.
pub(super) struct Seed<'a> {
    pub(super) seed: &'a [u8],
    pub(super) expanded: Option<&'a [u8]>,
}

/// Parses a private key. A backend checks that the expanded key belongs to the seed.
pub(super) fn read(content: &[u8], lengths: LatticeLengths) -> Result<Seed<'_>, Flaw> {
    // No valid encoding has one of these lengths, whatever its first byte is.
    let octets = <&OctetStringRef>::from_der(content).map(OctetStringRef::as_bytes).ok();
    let is_bare = |length| content.len() == length || octets.is_some_and(|octets| octets.len() == length);
    if is_bare(lengths.seed) {
        return Err(Flaw::UntaggedSeed);
    }
    if is_bare(lengths.expanded) {
        return Err(Flaw::WithoutSeed);
    }
    let found = match content.first() {
        Some(0x80) => seed_of(content).map(|seed| Seed { seed, expanded: None }),
        Some(0x30) => both_of(content),
        _ => None,
    };
    let found = found.ok_or(Flaw::NotSeedOrBoth)?;
    for (part, wanted) in [(Some(found.seed), lengths.seed), (found.expanded, lengths.expanded)] {
        if let Some(part) = part.filter(|part| part.len() != wanted) {
            return Err(Flaw::ScalarLength { found: part.len(), wanted });
        }
    }
    Ok(found)
}

/// Parses `[0] IMPLICIT OCTET STRING`.
fn seed_of(content: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(content).ok()?;
    let seed = ContextSpecific::<&OctetStringRef>::decode_implicit(&mut reader, SEED).ok()??;
    reader.finish().ok()?;
    Some(seed.value.as_bytes())
}

/// Parses a `SEQUENCE` of two `OCTET STRING`s.
fn both_of(content: &[u8]) -> Option<Seed<'_>> {
    let mut reader = SliceReader::new(content).ok()?;
    let parts = reader.sequence(|inner| {
        let seed = <&OctetStringRef>::decode(inner)?;
        Ok::<_, pkcs8::der::Error>((seed.as_bytes(), <&OctetStringRef>::decode(inner)?.as_bytes()))
    });
    let (seed, expanded) = parts.ok()?;
    reader.finish().ok()?;
    Some(Seed { seed, expanded: Some(expanded) })
}

/// Encodes a seed.
pub(super) fn write(seed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let value = OctetStringRef::new(seed).ok()?;
    let tagged = ContextSpecific { tag_number: SEED, tag_mode: TagMode::Implicit, value };
    tagged.to_der().ok().map(Zeroizing::new)
}
