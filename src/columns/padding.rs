//! Padding that hides the exact length of a value: ISO/IEC 7816-4, one byte 80 and then zeros.

use crate::secret::SecretBytes;

/// The byte that ends the value.
const END: u8 = 0x80;

/// Appends 80 and as few zeros as possible, so that the length is a multiple of `block`, which is at
/// least 1. The result is never empty, and [`unpad`] does not need to know the block.
pub(super) fn pad(value: &[u8], block: usize) -> SecretBytes {
    let length = (value.len() + 1).next_multiple_of(block);
    let mut padded = SecretBytes::zeroed(length);
    let bytes = padded.expose_secret_mut();
    bytes[..value.len()].copy_from_slice(value);
    bytes[value.len()] = END;
    padded
}

/// Returns the value without its padding, or `None` if there is no padding.
pub(super) fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let end = padded.iter().rposition(|byte| *byte != 0)?;
    (padded[end] == END).then_some(&padded[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_is_that_of_the_standard() {
        for (value, block, padded) in [
            (&b""[..], 1, &b"\x80"[..]),
            (b"", 4, b"\x80\0\0\0"),
            (b"abc", 1, b"abc\x80"),
            (b"abc", 4, b"abc\x80"),
            (b"abcd", 4, b"abcd\x80\0\0\0"),
            (b"a\x80\0", 1, b"a\x80\0\x80"),
        ] {
            assert_eq!(pad(value, block).expose_secret(), padded);
            assert_eq!(unpad(padded), Some(value));
        }
    }

    #[test]
    fn bytes_without_padding_are_rejected() {
        for bytes in [&b""[..], b"\0", b"abc", b"abc\0\0", b"\x80\x01"] {
            assert_eq!(unpad(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn padding_is_reversible(value in prop::collection::vec(any::<u8>(), 0..70), block in 1_usize..70) {
            let padded = pad(&value, block);
            prop_assert!(padded.len().is_multiple_of(block) && (1..=block).contains(&(padded.len() - value.len())));
            prop_assert_eq!(unpad(padded.expose_secret()), Some(&value[..]));
        }
    }
}
