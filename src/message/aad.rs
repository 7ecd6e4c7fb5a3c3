//! The associated data and the IV of a frame.
//!
//! Associated data: `message id ‖ label ‖ u32 sequence ‖ u64 plaintext length`. The label
//! distinguishes a regular frame, the final frame, and an unframed body. The IV of a written frame
//! consists of eight zero bytes and the sequence number.

use super::message_id::MessageId;
use crate::crypto::NONCE_LENGTH;

/// The longest message id (32) and label (35), the sequence number (4), and the plaintext length
/// (8).
const CAPACITY: usize = 32 + 35 + 4 + 8;

/// The kind of body part that is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// A frame of exactly the frame length that is followed by another frame.
    Regular,
    /// The last frame.
    Final,
    /// A complete body without frames.
    Single,
}

impl FrameKind {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Regular => b"AWSKMSEncryptionClient Frame",
            Self::Final => b"AWSKMSEncryptionClient Final Frame",
            Self::Single => b"AWSKMSEncryptionClient Single Block",
        }
    }
}

/// The associated data of a single frame.
pub(super) struct BodyAad {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl BodyAad {
    pub(super) fn new(message_id: &MessageId, kind: FrameKind, sequence: u32, plaintext_length: u64) -> Self {
        let mut aad = Self { bytes: [0; CAPACITY], length: 0 };
        aad.append(message_id.as_ref());
        aad.append(kind.label());
        aad.append(&sequence.to_be_bytes());
        aad.append(&plaintext_length.to_be_bytes());
        aad
    }

    fn append(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        self.bytes[self.length..end].copy_from_slice(part);
        self.length = end;
    }
}

impl AsRef<[u8]> for BodyAad {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Returns the IV of a frame to be written. Frames are numbered from 1; zero is reserved for the
/// header.
pub(super) fn nonce(sequence: u32) -> [u8; NONCE_LENGTH] {
    let mut nonce = [0; NONCE_LENGTH];
    nonce[8..].copy_from_slice(&sequence.to_be_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::suite::MessageVersion;

    fn id(version: MessageVersion) -> MessageId {
        let fill = |id: &mut [u8]| {
            id.iter_mut().zip(0x40..).for_each(|(byte, value)| *byte = value);
            Ok::<_, std::convert::Infallible>(())
        };
        MessageId::try_fill(version, fill).unwrap()
    }

    #[test]
    fn associated_data_is_that_of_the_worked_example() {
        let aad = BodyAad::new(&id(MessageVersion::V2), FrameKind::Regular, 1, 16);
        let expected = "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f\
            4157534b4d53456e6372797074696f6e436c69656e74204672616d65000000010000000000000010";
        assert_eq!(hex::encode(aad), expected);
    }

    #[test]
    fn every_kind_and_version_fits() {
        for version in [MessageVersion::V1, MessageVersion::V2] {
            for kind in [FrameKind::Regular, FrameKind::Final, FrameKind::Single] {
                let aad = BodyAad::new(&id(version), kind, u32::MAX, u64::MAX);
                assert_eq!(aad.as_ref().len(), version.message_id_length() + kind.label().len() + 12);
            }
        }
    }

    #[test]
    fn the_iv_is_the_sequence_number() {
        assert_eq!(nonce(0x0102_0304), [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    }
}
