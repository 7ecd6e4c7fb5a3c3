//! Finds the objects of keys by their CKA_ID. They are verified before they are used.

use std::thread;
use std::time::Duration;

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::proof::{prove, works};
use super::public_key;
use crate::crypto::{CryptoBackend, KeyPairKind};
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::reference::{Fingerprint, TokenKeyHandle, TokenKeyKind, id_text};

/// Delay before a second search, if the first one found no object of a key.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Maximum number of objects that are compared to determine whether they are the same key.
const MOST_COPIES: usize = 8;

/// Returns the handle of a key whose identity was proved over this connection.
pub(in crate::provider::pkcs11) fn resolve(
    context: SessionContext<'_>,
    key: &TokenKeyHandle,
    backend: &CryptoBackend,
) -> Result<ObjectHandle, TokenError> {
    if let Some(handle) = context.connection.handle(key) {
        return Ok(handle);
    }
    let copies = find_copies(context.session, key)?;
    for handle in &copies {
        match prove(context.session, *handle, key, backend) {
            Ok(()) => {}
            Err(error) if matches!(error.class(), ErrorClass::BadInput | ErrorClass::Ambiguous) => {
                if works(context, *handle, key, backend).is_ok() {
                    return Err(error.found_to_be(ErrorClass::KeyMissing, &format!("another key has the id of {key}")));
                }
                return Err(error.found_to_be(ErrorClass::TokenLost, &format!("{key} failed its test operation")));
            }
            Err(error) => return Err(error),
        }
    }
    let handle = *copies.first().ok_or_else(|| wrong_count(0, key.id()))?;
    context.connection.keep_handle(key, handle);
    Ok(handle)
}

/// Returns the class and type of the object of a key.
fn class_and_type(kind: TokenKeyKind) -> (ObjectClass, KeyType) {
    match kind {
        TokenKeyKind::Aes256 | TokenKeyKind::WrappingAes256 => (ObjectClass::SECRET_KEY, KeyType::AES),
        TokenKeyKind::Signing(pair) | TokenKeyKind::Decryption(pair) => {
            let of_pair = if pair.modulus_bits().is_some() { KeyType::RSA } else { KeyType::EC };
            (ObjectClass::PRIVATE_KEY, of_pair)
        }
    }
}

/// Finds the single object of a key.
pub(in crate::provider::pkcs11) fn find_one(
    session: &Session,
    id: &[u8],
    kind: TokenKeyKind,
) -> Result<ObjectHandle, TokenError> {
    match find(session, id, kind)?.as_slice() {
        &[handle] => Ok(handle),
        found => Err(wrong_count(found.len(), id)),
    }
}

/// Finds the candidate objects of a key: one, or a few if each can prove that it is that key.
/// Operators sometimes restore a key twice. SoftHSM lists a key twice that was created while
/// another process created one.
pub(super) fn find_copies(session: &Session, key: &TokenKeyHandle) -> Result<Vec<ObjectHandle>, TokenError> {
    let found = find(session, key.id(), key.kind())?;
    let most = if key.fingerprint() == &Fingerprint::None { 1 } else { MOST_COPIES };
    if (1..=most).contains(&found.len()) { Ok(found) } else { Err(wrong_count(found.len(), key.id())) }
}

/// Finds every object with an id and the class of a key. Each of them must be of the key's kind.
fn find(session: &Session, id: &[u8], kind: TokenKeyKind) -> Result<Vec<ObjectHandle>, TokenError> {
    let (class, key_type) = class_and_type(kind);
    let found = session.find_objects(&[Attribute::Class(class), Attribute::Id(id.to_vec())])?;
    for handle in found.iter().take(MOST_COPIES) {
        let attributes = session.get_attributes(*handle, &[AttributeType::KeyType])?;
        if attributes != [Attribute::KeyType(key_type)] {
            let text = format!("the key with the id {} is not of kind {kind}", id_text(id));
            return Err(TokenError::new(ErrorClass::KeyMissing, text));
        }
    }
    Ok(found)
}

fn wrong_count(count: usize, id: &[u8]) -> TokenError {
    let text = format!("expected one key with the id {}, found {count}", id_text(id));
    TokenError::new(ErrorClass::KeyMissing, text)
}

/// Returns every object with an id: secret, private and public keys.
pub(in crate::provider::pkcs11) fn objects(session: &Session, id: &[u8]) -> Result<Vec<ObjectHandle>, TokenError> {
    let mut found = Vec::new();
    for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        found.extend(session.find_objects(&[Attribute::Class(class), Attribute::Id(id.to_vec())])?);
    }
    Ok(found)
}

/// Like [`objects`], but searches once more before it reports that there are none. A key without
/// objects is treated as destroyed, and a SoftHSM token shared by several processes occasionally
/// hides an existing object.
pub(in crate::provider::pkcs11) fn remaining_objects(
    session: &Session,
    id: &[u8],
) -> Result<Vec<ObjectHandle>, TokenError> {
    let found = objects(session, id)?;
    if !found.is_empty() {
        return Ok(found);
    }
    thread::sleep(LOOK_AGAIN);
    objects(session, id)
}

/// Returns the public key of a private key, read from the public object with the same id or, for
/// RSA, from the private key itself.
pub(in crate::provider::pkcs11) fn find_public(
    session: &Session,
    private: ObjectHandle,
    id: &[u8],
    pair: KeyPairKind,
    backend: &CryptoBackend,
) -> Result<Vec<u8>, TokenError> {
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id.to_vec())];
    let object = match session.find_objects(&template)?.as_slice() {
        [public] => *public,
        _ => private,
    };
    public_key::read(session, object, pair, backend)
}

/// Returns the CKA_LABEL of every object with an id: secret, private and public keys. Searches
/// twice, like [`remaining_objects`].
pub(in crate::provider::pkcs11) fn labels(session: &Session, id: &[u8]) -> Result<Vec<Vec<u8>>, TokenError> {
    let mut labels = Vec::new();
    for object in remaining_objects(session, id)? {
        match label(session, object) {
            Ok(label) => labels.push(label),
            // Another process destroyed it after it was found.
            Err(error) if error.code() == Some("CKR_OBJECT_HANDLE_INVALID") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(labels)
}

pub(super) fn label(session: &Session, object: ObjectHandle) -> Result<Vec<u8>, TokenError> {
    match session.get_attributes(object, &[AttributeType::Label])?.as_slice() {
        [Attribute::Label(label)] => Ok(label.clone()),
        _ => Ok(Vec::new()),
    }
}
