//! Creation of keys in a token. A new key is retained only if it passes its checks.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;

use super::destroy::destroy_all;
use super::proof::reference;
use super::public_key;
use super::template::{NewKey, ValueSource, private_template, public_template, secret_template};
use crate::crypto::CryptoBackend;
use crate::provider::pkcs11::config::IvMode;
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::reference::{TokenKeyHandle, TokenKeyKind};

/// Protection of a key, as reported by its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyProtection {
    /// CKA_SENSITIVE: it never leaves the token in plaintext.
    pub sensitive: bool,
    /// CKA_EXTRACTABLE: it may leave the token wrapped.
    pub extractable: bool,
    /// CKA_LOCAL: it was generated in this token.
    pub local: bool,
}

/// Handles of the objects of a new key.
struct Created {
    key: ObjectHandle,
    public: Option<ObjectHandle>,
}

/// Generates a key, and returns the reference by which it is found again. A key that fails its
/// checks is destroyed by its handles, as other processes may have a key with the same id.
pub(in crate::provider::pkcs11) fn generate(
    context: SessionContext<'_>,
    new: &NewKey,
    iv_mode: IvMode,
    backend: &CryptoBackend,
) -> Result<TokenKeyHandle, TokenError> {
    let created = create(context.session, new)?;
    match check_created(context.session, &created, new, iv_mode, backend) {
        Ok(key) => {
            context.connection.keep_handle(&key, created.key);
            Ok(key)
        }
        Err(error) => {
            destroy_all(
                context.session,
                &[Some(created.key), created.public].into_iter().flatten().collect::<Vec<_>>(),
            )
            .map_err(|left| {
                error
                    .clone()
                    .found_to_be(error.class(), &format!("the new key could not be removed from the token ({left})"))
            })?;
            Err(error)
        }
    }
}

fn create(session: &Session, new: &NewKey) -> Result<Created, TokenError> {
    match new.kind {
        TokenKeyKind::Aes256 | TokenKeyKind::WrappingAes256 => {
            let key = session.generate_key(&Mechanism::AesKeyGen, &secret_template(new, ValueSource::Generated))?;
            Ok(Created { key, public: None })
        }
        TokenKeyKind::Signing(pair) | TokenKeyKind::Decryption(pair) => {
            let mechanism =
                if pair.modulus_bits().is_some() { Mechanism::RsaPkcsKeyPairGen } else { Mechanism::EccKeyPairGen };
            let (public, private) =
                session.generate_key_pair(&mechanism, &public_template(new, pair)?, &private_template(new))?;
            Ok(Created { key: private, public: Some(public) })
        }
    }
}

fn check_created(
    session: &Session,
    created: &Created,
    new: &NewKey,
    iv_mode: IvMode,
    backend: &CryptoBackend,
) -> Result<TokenKeyHandle, TokenError> {
    check_protection(session, created.key, new)?;
    let public = match (new.kind.key_pair(), created.public) {
        (Some(pair), Some(public)) => Some(public_key::read(session, public, pair, backend)?),
        _ => None,
    };
    reference(session, created.key, new, public.as_deref(), iv_mode, backend)
}

/// Returns the protection of a key, as reported by the token.
pub(in crate::provider::pkcs11) fn protection(
    session: &Session,
    handle: ObjectHandle,
) -> Result<KeyProtection, TokenError> {
    let mut protection = KeyProtection { sensitive: false, extractable: true, local: false };
    let wanted = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::Local];
    for attribute in session.get_attributes(handle, &wanted)? {
        match attribute {
            Attribute::Sensitive(value) => protection.sensitive = value,
            Attribute::Extractable(value) => protection.extractable = value,
            Attribute::Local(value) => protection.local = value,
            _ => {}
        }
    }
    Ok(protection)
}

/// Rejects a key that the token did not protect as its template requested.
fn check_protection(session: &Session, handle: ObjectHandle, new: &NewKey) -> Result<(), TokenError> {
    let protection = protection(session, handle)?;
    if protection.sensitive && protection.extractable == new.extractable {
        return Ok(());
    }
    let text = format!("the token did not apply the required protection to a new {} key: {protection:?}", new.kind);
    Err(TokenError::new(ErrorClass::Fatal, text))
}

/// Retains a secret key whose value was provided, if it is protected as its template requested and
/// passes a test. Otherwise it is destroyed by its handle, as other processes may have a key with
/// the same id.
pub(in crate::provider::pkcs11) fn keep_provided<T>(
    session: &Session,
    handle: ObjectHandle,
    new: &NewKey,
    test: impl FnOnce() -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    match check_protection(session, handle, new).and_then(|()| test()) {
        Ok(kept) => Ok(kept),
        Err(error) => {
            session.destroy_object(handle)?;
            Err(error)
        }
    }
}
