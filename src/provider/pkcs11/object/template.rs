//! Parameters of new keys, and the templates of their objects.

use cryptoki::object::{Attribute, KeyType, ObjectClass};

use super::public_key;
use crate::crypto::KeyPairKind;
use crate::provider::pkcs11::error::TokenError;
use crate::provider::pkcs11::reference::TokenKeyKind;

/// Public exponent of RSA keys, 65537.
const PUBLIC_EXPONENT: [u8; 3] = [1, 0, 1];

/// Parameters of a key to generate.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, CryptoError};
/// use strongroom::provider::pkcs11::{KEY_ID_LENGTH, NewKey, TokenKeyKind};
///
/// let mut id = [0; KEY_ID_LENGTH];
/// CryptoBackend::default().random().fill(&mut id)?;
/// let stays = NewKey::new(&id, "payments 2026", TokenKeyKind::Aes256);
/// assert_ne!(stays.clone().extractable_for_replication(), stays);
/// # Ok::<(), CryptoError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    pub(in crate::provider::pkcs11) id: Vec<u8>,
    pub(in crate::provider::pkcs11) label: String,
    pub(in crate::provider::pkcs11) kind: TokenKeyKind,
    pub(in crate::provider::pkcs11) extractable: bool,
}

impl NewKey {
    /// Describes a sensitive key that never leaves its token. `id` becomes its CKA_ID. Use random
    /// bytes, so that the key can be found even if the response to its creation was lost.
    pub fn new(id: &[u8], label: impl Into<String>, kind: TokenKeyKind) -> Self {
        Self { id: id.to_vec(), label: label.into(), kind, extractable: false }
    }

    /// Allows the key to leave its token wrapped, for replication to the other members of a
    /// cluster, until
    /// [`Token::forbid_extraction`](crate::provider::pkcs11::Token::forbid_extraction).
    #[must_use]
    pub const fn extractable_for_replication(mut self) -> Self {
        self.extractable = true;
        self
    }
}

/// Source of the value of a secret key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::pkcs11) enum ValueSource {
    /// The token generates a value of the length in the template.
    Generated,
    /// The caller provides the value, which determines the length.
    Provided,
}

pub(in crate::provider::pkcs11) fn secret_template(new: &NewKey, source: ValueSource) -> Vec<Attribute> {
    let wraps = new.kind == TokenKeyKind::WrappingAes256;
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(new.extractable),
        Attribute::Encrypt(!wraps),
        Attribute::Decrypt(!wraps),
        Attribute::Wrap(wraps),
        Attribute::Unwrap(wraps),
        Attribute::Id(new.id.clone()),
        Attribute::Label(new.label.clone().into_bytes()),
    ];
    if source == ValueSource::Generated {
        template.push(Attribute::ValueLen(32.into()));
    }
    template
}

/// Returns the template of an AES-256 session key, which is destroyed with its session.
pub(in crate::provider::pkcs11) fn passing_template() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
    ]
}

pub(super) fn public_template(new: &NewKey, pair: KeyPairKind) -> Result<Vec<Attribute>, TokenError> {
    let signs = matches!(new.kind, TokenKeyKind::Signing(_));
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Verify(signs),
        Attribute::Encrypt(!signs),
        Attribute::Id(new.id.clone()),
        Attribute::Label(new.label.clone().into_bytes()),
    ];
    match (pair.modulus_bits(), public_key::ec_parameters(pair)) {
        (Some(bits), _) => {
            template.push(Attribute::ModulusBits(bits.try_into()?));
            template.push(Attribute::PublicExponent(PUBLIC_EXPONENT.to_vec()));
        }
        (None, Some(curve)) => template.push(Attribute::EcParams(curve)),
        (None, None) => {
            return Err(TokenError::lacks(
                "CKM_EC_EDWARDS_KEY_PAIR_GEN",
                format!("{pair:?} keys are never created in tokens"),
            ));
        }
    }
    Ok(template)
}

pub(super) fn private_template(new: &NewKey) -> Vec<Attribute> {
    let signs = matches!(new.kind, TokenKeyKind::Signing(_));
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(new.extractable),
        Attribute::Sign(signs),
        Attribute::Decrypt(!signs),
        Attribute::Id(new.id.clone()),
        Attribute::Label(new.label.clone().into_bytes()),
    ]
}
