//! Versions of key material: numbers, IDs, and states.

use std::fmt;
use std::num::NonZeroU32;

use crate::error::{Error, ErrorKind, Result};
use crate::text::{impl_str_serde, string_enum};

/// The number of a version of key material. Numbers start at 1 and are never reused for the same
/// key.
///
/// # Examples
/// ```
/// use strongroom::key::KeyVersion;
///
/// assert_eq!(KeyVersion::FIRST.number(), 1);
/// assert_eq!(KeyVersion::FIRST.next(), KeyVersion::new(2));
/// assert_eq!(KeyVersion::new(0), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyVersion(NonZeroU32);

impl KeyVersion {
    /// The first version.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// Creates a version from its number, or returns `None` for 0.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns the number.
    pub const fn number(self) -> u32 {
        self.0.get()
    }

    /// Returns the next version, or `None` if the numbers are exhausted.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The ID of a version of key material: 64 hexadecimal digits that reveal nothing about the
/// material.
///
/// The same material under the same key always has the same ID, so a repeated import finds its
/// version.
///
/// # Examples
/// ```
/// use strongroom::key::KeyMaterialId;
///
/// let id = KeyMaterialId::from_bytes([0x2c; 32]);
/// assert_eq!(KeyMaterialId::parse(&"2c".repeat(32))?, id);
/// assert_eq!((id.to_string().len(), id.as_bytes().len()), (64, 32));
/// assert!(KeyMaterialId::parse("2C").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyMaterialId([u8; 32]);

impl KeyMaterialId {
    /// Creates an ID from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses 64 lowercase hexadecimal digits.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the text is not 64 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_digits(text.as_bytes()).ok_or_else(|| {
            Error::new(ErrorKind::Validation, "a key material id must be 64 lowercase hexadecimal digits")
        })
    }

    fn parse_digits(digits: &[u8]) -> Option<Self> {
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for KeyMaterialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyMaterialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyMaterialId({self})")
    }
}

impl_str_serde!(KeyMaterialId);

string_enum! {
    /// The role of a version of key material.
    pub enum KeyMaterialState as "key material state" {
        /// Encrypts and decrypts.
        Current => "CURRENT",
        /// Decrypts ciphertexts that were encrypted while it was current.
        NonCurrent => "NON_CURRENT",
        /// Imported, and waiting for an on-demand rotation to make it current.
        PendingRotation => "PENDING_ROTATION",
    }
}

string_enum! {
    /// The trigger of a rotation.
    pub enum RotationType as "rotation type" {
        /// The rotation period elapsed.
        Automatic => "AUTOMATIC",
        /// A caller requested it.
        OnDemand => "ON_DEMAND",
    }
}

string_enum! {
    /// The purpose of an import.
    pub enum ImportType as "import type" {
        /// Imports material that the key never had: its first, or material for the next on-demand
        /// rotation.
        NewKeyMaterial => "NEW_KEY_MATERIAL",
        /// Reimports material that the key had before, or changes its expiration.
        ExistingKeyMaterial => "EXISTING_KEY_MATERIAL",
    }
}

string_enum! {
    /// The state of a version of imported material.
    pub enum ImportState as "import state" {
        /// The material is present.
        Imported => "IMPORTED",
        /// The material was deleted or has expired. The same material can be imported again.
        PendingImport => "PENDING_IMPORT",
    }
}

string_enum! {
    /// The expiration setting of imported material.
    pub enum ExpirationModel as "expiration model" {
        /// Deleted when it expires.
        Expires => "KEY_MATERIAL_EXPIRES",
        /// Kept until it is deleted explicitly.
        DoesNotExpire => "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_count_from_one_and_end() {
        assert_eq!(KeyVersion::new(0), None);
        assert_eq!(KeyVersion::new(1), Some(KeyVersion::FIRST));
        assert_eq!(KeyVersion::FIRST.next().map(KeyVersion::number), Some(2));
        assert_eq!(KeyVersion::new(u32::MAX).map(KeyVersion::next), Some(None));
        assert_eq!(KeyVersion::FIRST.to_string(), "1");
    }

    #[test]
    fn a_material_id_has_one_spelling() {
        let digits = "ab".repeat(32);
        assert_eq!(KeyMaterialId::parse(&digits).map(|id| *id.as_bytes()).ok(), Some([0xab; 32]));
        let (upper, long) = (digits.to_uppercase(), format!("{digits}0"));
        let other = format!("{}g", &digits[1..]);
        for text in ["", &digits[1..], &upper, &long, &other, &"é".repeat(32)] {
            assert_eq!(KeyMaterialId::parse(text).map_err(|error| error.kind()), Err(ErrorKind::Validation), "{text}");
        }
    }

    #[test]
    fn states_of_material_have_the_names_of_the_service() {
        let names = |name: &dyn fmt::Display| name.to_string();
        assert_eq!(
            KeyMaterialState::ALL.iter().map(|state| names(state)).collect::<Vec<_>>(),
            ["CURRENT", "NON_CURRENT", "PENDING_ROTATION"]
        );
        assert_eq!(RotationType::ALL.iter().map(|kind| names(kind)).collect::<Vec<_>>(), ["AUTOMATIC", "ON_DEMAND"]);
        assert_eq!(
            ImportState::ALL.iter().map(|state| names(state)).collect::<Vec<_>>(),
            ["IMPORTED", "PENDING_IMPORT"]
        );
        assert_eq!(
            ExpirationModel::ALL.iter().map(|model| names(model)).collect::<Vec<_>>(),
            ["KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"]
        );
    }

    proptest! {
        #[test]
        fn material_ids_are_read_back(bytes: [u8; 32]) {
            let id = KeyMaterialId::from_bytes(bytes);
            prop_assert_eq!(id.to_string(), hex::encode(bytes));
            prop_assert_eq!(KeyMaterialId::parse(&id.to_string())?, id);
        }

        #[test]
        fn reading_a_material_id_is_total(text in "\\PC{0,70}|[0-9a-fA-F]{60,66}") {
            if let Ok(id) = KeyMaterialId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
