//! Checks of a key found in a token, before this crate uses it. A matching name proves nothing:
//! anyone with the PIN can create a key under it. A key that can be read or extracted protects
//! nothing.

use std::thread;
use std::time::Duration;

use cryptoki::error::Error as CryptokiError;
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};

use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::TokenError;
use crate::provider::pkcs11::quirks::quirks_of;
use crate::provider::pkcs11::reference::{TokenKeyKind, id_text};

/// Delay before the attributes of a key that did not pass are read again. SoftHSM misreports some
/// attributes while another process creates a key.
const READ_AGAIN: Duration = Duration::from_millis(20);

/// Length of the value of an AES-256 key in bytes.
const AES_256_LENGTH: usize = 32;

/// The origin of a key in its token. It decides which attributes the token must report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::pkcs11) enum Provenance {
    /// This crate generated it in this token, where it was never extractable.
    Generated,
    /// This crate generated it in one member of a cluster, extractable until it was unwrapped in
    /// the others. It is therefore CKA_LOCAL in only one of them, and CKA_NEVER_EXTRACTABLE in
    /// none.
    Replicated,
    /// Other software created or imported it.
    Foreign,
}

/// An attribute of type CK_BBOOL, and the value that it must have.
type Required = (AttributeType, &'static str, bool);

const PROTECTION: [Required; 4] = [
    (AttributeType::Token, "CKA_TOKEN", true),
    (AttributeType::Private, "CKA_PRIVATE", true),
    (AttributeType::Sensitive, "CKA_SENSITIVE", true),
    (AttributeType::Extractable, "CKA_EXTRACTABLE", false),
];

const GENERATION: [Required; 3] = [
    (AttributeType::AlwaysSensitive, "CKA_ALWAYS_SENSITIVE", true),
    (AttributeType::NeverExtractable, "CKA_NEVER_EXTRACTABLE", true),
    (AttributeType::Local, "CKA_LOCAL", true),
];

/// A key that both decrypts and wraps can reveal every key that it wraps. A wrapping key therefore
/// has no other use.
const WRAPPING: [Required; 4] = [
    (AttributeType::Wrap, "CKA_WRAP", true),
    (AttributeType::Unwrap, "CKA_UNWRAP", true),
    (AttributeType::Encrypt, "CKA_ENCRYPT", false),
    (AttributeType::Decrypt, "CKA_DECRYPT", false),
];

const CIPHER: [Required; 2] =
    [(AttributeType::Encrypt, "CKA_ENCRYPT", true), (AttributeType::Decrypt, "CKA_DECRYPT", true)];

/// Attributes of the cipher keys that this crate generates. Other software may allow both uses.
const CIPHER_ONLY: [Required; 2] =
    [(AttributeType::Wrap, "CKA_WRAP", false), (AttributeType::Unwrap, "CKA_UNWRAP", false)];

const SIGNING: [Required; 1] = [(AttributeType::Sign, "CKA_SIGN", true)];

const DECRYPTION: [Required; 1] = [(AttributeType::Decrypt, "CKA_DECRYPT", true)];

/// Rejects a key that its token does not protect as required for its kind and provenance. The class
/// and CKA_KEY_TYPE were checked when the key was found. The size of a key pair is checked with its
/// public key.
///
/// # Errors
/// - A [rejection](TokenError::rejected_for) with the name of the attribute.
pub(in crate::provider::pkcs11) fn check(
    context: SessionContext<'_>,
    handle: ObjectHandle,
    id: &[u8],
    kind: TokenKeyKind,
    provenance: Provenance,
) -> Result<(), TokenError> {
    let found = Found { context, handle, id, kind };
    match found.check(provenance) {
        Err(rejected) if rejected.rejected_for().is_some() => {
            thread::sleep(READ_AGAIN);
            found.check(provenance)
        }
        checked => checked,
    }
}

/// A key that was found.
#[derive(Clone, Copy)]
struct Found<'a> {
    context: SessionContext<'a>,
    handle: ObjectHandle,
    id: &'a [u8],
    kind: TokenKeyKind,
}

impl Found<'_> {
    fn check(self, provenance: Provenance) -> Result<(), TokenError> {
        for required in required(self.kind, provenance) {
            self.check_flags(required)?;
        }
        if self.kind.key_pair().is_some() {
            return Ok(());
        }
        self.check_length()?;
        // Some tokens do not support this attribute, and then derive nothing.
        if self.get(&[AttributeType::Derive])? == [Attribute::Derive(true)] {
            return self.reject("CKA_DERIVE", "is true but must be false");
        }
        self.check_mechanisms()
    }

    fn reject(self, name: &'static str, found: &str) -> Result<(), TokenError> {
        let text = format!("rejected the key of kind {} with the id {}: {name} {found}", self.kind, id_text(self.id));
        Err(TokenError::rejects(name, text))
    }

    fn get(self, wanted: &[AttributeType]) -> Result<Vec<Attribute>, TokenError> {
        Ok(self.context.session.get_attributes(self.handle, wanted)?)
    }

    fn check_flags(self, required: &[Required]) -> Result<(), TokenError> {
        let wanted: Vec<AttributeType> = required.iter().map(|(attribute, ..)| *attribute).collect();
        let found = self.get(&wanted)?;
        for (attribute, name, value) in required {
            let reported = found.iter().find(|found| found.attribute_type() == *attribute).and_then(flag);
            match reported {
                Some(reported) if reported == *value => {}
                Some(reported) => return self.reject(name, &format!("is {reported} but must be {value}")),
                None => return self.reject(name, &format!("is not reported but must be {value}")),
            }
        }
        Ok(())
    }

    fn check_length(self) -> Result<(), TokenError> {
        let quirks = quirks_of(self.context.connection.info.manufacturer_id());
        match self.get(&[AttributeType::ValueLen, AttributeType::Local])?.as_slice() {
            [Attribute::ValueLen(length), ..] if usize::from(*length) == AES_256_LENGTH => Ok(()),
            [Attribute::ValueLen(length), Attribute::Local(false)]
                if quirks.unwrapped_without_length && usize::from(*length) == 0 =>
            {
                Ok(())
            }
            [Attribute::ValueLen(length), ..] => {
                self.reject("CKA_VALUE_LEN", &format!("is {} but must be {AES_256_LENGTH}", usize::from(*length)))
            }
            _ => self.reject("CKA_VALUE_LEN", &format!("is not reported but must be {AES_256_LENGTH}")),
        }
    }

    /// Rejects a list of allowed mechanisms that lacks the mechanism that the key is used with. An
    /// empty or missing list allows all mechanisms.
    fn check_mechanisms(self) -> Result<(), TokenError> {
        let (needed, name) = needed(self.kind);
        let found = self.context.session.get_attributes(self.handle, &[AttributeType::AllowedMechanisms]);
        match found.as_deref() {
            Ok([Attribute::AllowedMechanisms(allowed)]) if !allowed.is_empty() && !allowed.contains(&needed) => {
                self.reject("CKA_ALLOWED_MECHANISMS", &format!("does not list {name}"))
            }
            // The bindings return no list if it contains a mechanism unknown to them. The token
            // enforces the list.
            Ok(_) | Err(CryptokiError::NotSupported | CryptokiError::InvalidValue) => Ok(()),
            Err(_) => found.map(drop).map_err(TokenError::from),
        }
    }
}

fn required(kind: TokenKeyKind, provenance: Provenance) -> Vec<&'static [Required]> {
    let uses: &[Required] = match kind {
        TokenKeyKind::Aes256 => &CIPHER,
        TokenKeyKind::WrappingAes256 => &WRAPPING,
        TokenKeyKind::Signing(_) => &SIGNING,
        TokenKeyKind::Decryption(_) => &DECRYPTION,
    };
    let mut required: Vec<&[Required]> = vec![&PROTECTION, uses];
    if provenance != Provenance::Foreign && kind == TokenKeyKind::Aes256 {
        required.push(&CIPHER_ONLY);
    }
    if provenance == Provenance::Generated {
        required.push(&GENERATION);
    }
    required
}

/// Returns the mechanism that a secret key is used with.
const fn needed(kind: TokenKeyKind) -> (MechanismType, &'static str) {
    match kind {
        TokenKeyKind::WrappingAes256 => (MechanismType::AES_KEY_WRAP, "CKM_AES_KEY_WRAP"),
        _ => (MechanismType::AES_GCM, "CKM_AES_GCM"),
    }
}

/// Returns the value of an attribute of type CK_BBOOL.
const fn flag(attribute: &Attribute) -> Option<bool> {
    match attribute {
        Attribute::Token(value)
        | Attribute::Private(value)
        | Attribute::Sensitive(value)
        | Attribute::Extractable(value)
        | Attribute::AlwaysSensitive(value)
        | Attribute::NeverExtractable(value)
        | Attribute::Local(value)
        | Attribute::Encrypt(value)
        | Attribute::Decrypt(value)
        | Attribute::Sign(value)
        | Attribute::Wrap(value)
        | Attribute::Unwrap(value) => Some(*value),
        _ => None,
    }
}
