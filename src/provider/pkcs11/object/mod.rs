//! Keys in a token: made, found again by their CKA_ID, and proved to be the same before they are used.

pub(in crate::provider::pkcs11) mod adoption;
pub(in crate::provider::pkcs11) mod disk_space;
pub(in crate::provider::pkcs11) mod public_key;

use std::thread;
use std::time::Duration;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::algorithm::SigningAlgorithm;
use crate::crypto::{CryptoBackend, KeyPairKind, PublicKey, RsaOaep, SignatureInput};
use crate::provider::pkcs11::config::IvMode;
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::mechanism::gcm;
use crate::provider::pkcs11::mechanism::signing;
use crate::provider::pkcs11::reference::{Fingerprint, KeyReference, TokenKeyKind, id_text};

/// What a canary says, and what it is bound to.
const CANARY: &[u8; 32] = b"strongroom: a key that I know...";
const CANARY_DATA: &[u8] = b"strongroom canary v1";

/// How long after the first look for the last objects of a key comes the second.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The most objects that are asked whether they are one and the same key.
const MOST_COPIES: usize = 8;

/// The exponent of RSA keys, 65537.
const PUBLIC_EXPONENT: [u8; 3] = [1, 0, 1];

/// A key that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    pub(in crate::provider::pkcs11) id: Vec<u8>,
    pub(in crate::provider::pkcs11) label: String,
    pub(in crate::provider::pkcs11) kind: TokenKeyKind,
    pub(in crate::provider::pkcs11) extractable: bool,
}

impl NewKey {
    /// A key that is sensitive, and never leaves its token. `id` becomes its CKA_ID: random bytes, so that the key can be
    /// looked for even if nobody heard that it was made.
    pub fn new(id: &[u8], label: impl Into<String>, kind: TokenKeyKind) -> Self {
        Self { id: id.to_vec(), label: label.into(), kind, extractable: false }
    }

    /// A key that may leave its token wrapped, until [`Token::forbid_extraction`](crate::provider::pkcs11::Token::forbid_extraction): to
    /// bring it to the other members of a cluster.
    #[must_use]
    pub const fn extractable_for_replication(mut self) -> Self {
        self.extractable = true;
        self
    }
}

/// What a token says of a key's protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyProtection {
    /// CKA_SENSITIVE: it never comes out in the clear.
    pub sensitive: bool,
    /// CKA_EXTRACTABLE: it may come out wrapped.
    pub extractable: bool,
    /// CKA_LOCAL: it was made in this token.
    pub local: bool,
}

/// The class and type by which the object of a key is found.
fn class_and_type(kind: TokenKeyKind) -> (ObjectClass, KeyType) {
    match kind {
        TokenKeyKind::Aes256 | TokenKeyKind::WrappingAes256 => (ObjectClass::SECRET_KEY, KeyType::AES),
        TokenKeyKind::Signing(pair) | TokenKeyKind::Decryption(pair) => {
            let of_pair = if pair.modulus_bits().is_some() { KeyType::RSA } else { KeyType::EC };
            (ObjectClass::PRIVATE_KEY, of_pair)
        }
    }
}

/// The handle of a key, proved to be the same one since the token was attached.
pub(in crate::provider::pkcs11) fn resolve(
    context: SessionContext<'_>,
    key: &KeyReference,
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
                return Err(error.found_to_be(ErrorClass::TokenLost, &format!("{key} does not work")));
            }
            Err(error) => return Err(error),
        }
    }
    let handle = *copies.first().ok_or_else(|| wrong_count(0, key.id()))?;
    context.connection.keep_handle(key, handle);
    Ok(handle)
}

/// Whether what has the id of a key, and is not that key, is a key that works: then it is another one, and otherwise the
/// token has a problem.
fn works(
    context: SessionContext<'_>,
    handle: ObjectHandle,
    key: &KeyReference,
    backend: &CryptoBackend,
) -> Result<(), TokenError> {
    let session = context.connection.open_session()?;
    let session = session.session();
    let other = match (key.kind().key_pair(), key.public_key()) {
        (Some(pair), Some(known)) => public_key::read(session, handle, pair, backend)? != known,
        _ => {
            let mode = context.connection.iv_mode.get().copied().unwrap_or(IvMode::Caller);
            let sealed = gcm::encrypt(session, handle, mode, backend, CANARY_DATA, CANARY)?;
            gcm::decrypt(session, handle, CANARY_DATA, &sealed)?.expose_secret() == CANARY
        }
    };
    if other { Ok(()) } else { Err(TokenError::new(ErrorClass::TokenLost, "it is the same key")) }
}

/// Finds the one object of a key.
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

/// Finds the objects that may be a key: one, or a few where each can be asked whether it is that key. Operators restore a
/// key twice, and SoftHSM shows one twice that was made while another process made one.
fn find_copies(session: &Session, key: &KeyReference) -> Result<Vec<ObjectHandle>, TokenError> {
    let found = find(session, key.id(), key.kind())?;
    let most = if key.fingerprint() == &Fingerprint::None { 1 } else { MOST_COPIES };
    if (1..=most).contains(&found.len()) { Ok(found) } else { Err(wrong_count(found.len(), key.id())) }
}

/// Every object of the class of a key, each of which must be of its kind.
fn find(session: &Session, id: &[u8], kind: TokenKeyKind) -> Result<Vec<ObjectHandle>, TokenError> {
    let (class, key_type) = class_and_type(kind);
    let found = session.find_objects(&[Attribute::Class(class), Attribute::Id(id.to_vec())])?;
    for handle in found.iter().take(MOST_COPIES) {
        let attributes = session.get_attributes(*handle, &[AttributeType::KeyType])?;
        if attributes != [Attribute::KeyType(key_type)] {
            let text = format!("the key with the id {} is no {kind}", id_text(id));
            return Err(TokenError::new(ErrorClass::KeyMissing, text));
        }
    }
    Ok(found)
}

fn wrong_count(count: usize, id: &[u8]) -> TokenError {
    let text = format!("{count} keys have the id {}, and it must be one", id_text(id));
    TokenError::new(ErrorClass::KeyMissing, text)
}

/// Proves that a handle is that of the key: it opens what only this key opens, or signs what its public key verifies.
pub(in crate::provider::pkcs11) fn prove(
    session: &Session,
    handle: ObjectHandle,
    key: &KeyReference,
    backend: &CryptoBackend,
) -> Result<(), TokenError> {
    let proved = match (key.fingerprint(), key.kind()) {
        (Fingerprint::Canary(canary), _) => {
            gcm::decrypt(session, handle, CANARY_DATA, canary)?.expose_secret() == CANARY
        }
        (Fingerprint::PublicKey(spki), TokenKeyKind::Signing(pair)) => {
            let algorithm = proof_algorithm(pair)?;
            let input = SignatureInput::Message(CANARY);
            let signature = signing::sign(session, handle, algorithm, &signing::digest(backend, algorithm, input)?)?;
            software_key(pair, spki, backend)?.verify(algorithm, input, &signature).is_ok()
        }
        (Fingerprint::PublicKey(spki), TokenKeyKind::Decryption(pair)) => {
            // SHA-1 is what every token has, and good enough for a value that is no secret.
            let encrypted = software_key(pair, spki, backend)?.encrypt(RsaOaep::Sha1, CANARY, backend.random());
            let encrypted = encrypted.map_err(|error| TokenError::new(ErrorClass::Fatal, error.to_string()))?;
            signing::decrypt_oaep(session, handle, RsaOaep::Sha1, &encrypted)?.expose_secret() == CANARY
        }
        (Fingerprint::PublicKey(_) | Fingerprint::None, _) => true,
    };
    if proved {
        return Ok(());
    }
    Err(TokenError::new(ErrorClass::KeyMissing, format!("another key has the id of {key}")))
}

/// Whether the token answers. Only who asks through a new session gets to know about the token, and not about a
/// session that is half dead.
pub(in crate::provider::pkcs11) fn token_is_well(context: SessionContext<'_>) -> Result<(), TokenError> {
    let info = context.module.client().get_token_info(context.connection.slot)?;
    if info.serial_number() != context.connection.info.serial_number() {
        return Err(TokenError::new(ErrorClass::TokenLost, "another token is in its slot"));
    }
    if info.rng() {
        context.session.generate_random_slice(&mut [0; 16])?;
    }
    Ok(())
}

/// Whether the token answers, and does with the key what it always did.
pub(in crate::provider::pkcs11) fn key_is_well(
    context: SessionContext<'_>,
    key: &KeyReference,
    backend: &CryptoBackend,
) -> Result<(), TokenError> {
    token_is_well(context)?;
    let found = match context.connection.handle(key) {
        Some(handle) => vec![handle],
        None => find_copies(context.session, key)?,
    };
    found.into_iter().try_for_each(|handle| prove(context.session, handle, key, backend))
}

/// The handles of the objects of a new key.
struct Created {
    key: ObjectHandle,
    public: Option<ObjectHandle>,
}

/// Generates a key, and returns the reference by which it is found again. A key that does not pass its checks is destroyed, by
/// its handles: other processes may have a key of the same id.
pub(in crate::provider::pkcs11) fn generate(
    context: SessionContext<'_>,
    new: &NewKey,
    iv_mode: IvMode,
    backend: &CryptoBackend,
) -> Result<KeyReference, TokenError> {
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
            .map_err(|left| error.clone().found_to_be(error.class(), &format!("it stays in the token ({left})")))?;
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
) -> Result<KeyReference, TokenError> {
    check_protection(session, created.key, new)?;
    let public = match (new.kind.key_pair(), created.public) {
        (Some(pair), Some(public)) => Some(public_key::read(session, public, pair, backend)?),
        _ => None,
    };
    reference(session, created.key, new, public.as_deref(), iv_mode, backend)
}

/// The reference of an object that is there: with a new canary for a secret key.
pub(in crate::provider::pkcs11) fn reference(
    session: &Session,
    handle: ObjectHandle,
    new: &NewKey,
    public: Option<&[u8]>,
    iv_mode: IvMode,
    backend: &CryptoBackend,
) -> Result<KeyReference, TokenError> {
    let fingerprint = match (new.kind, public) {
        (TokenKeyKind::Aes256, _) => {
            Fingerprint::Canary(gcm::encrypt(session, handle, iv_mode, backend, CANARY_DATA, CANARY)?)
        }
        (_, Some(public)) => Fingerprint::PublicKey(public.to_vec()),
        (_, None) => Fingerprint::None,
    };
    Ok(KeyReference::new(&new.id, &new.label, new.kind, fingerprint))
}

/// Every object of an id: secret, private and public keys.
pub(in crate::provider::pkcs11) fn objects(session: &Session, id: &[u8]) -> Result<Vec<ObjectHandle>, TokenError> {
    let mut found = Vec::new();
    for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        found.extend(session.find_objects(&[Attribute::Class(class), Attribute::Id(id.to_vec())])?);
    }
    Ok(found)
}

/// The same, looked for once more before it is believed that there are none: what no longer has an object is taken for
/// destroyed, and a token of SoftHSM that several processes share now and then does not show one that is there.
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

/// Destroys every object of an id, and says how many there were.
pub(in crate::provider::pkcs11) fn destroy(context: SessionContext<'_>, id: &[u8]) -> Result<usize, TokenError> {
    context.connection.forget_handles(id);
    let found = remaining_objects(context.session, id)?;
    if let Err(error) = destroy_all(context.session, &found) {
        // Where a token shows one object twice, the second one goes with the first.
        let left = objects(context.session, id)?;
        if left.len() == found.len() {
            return Err(error);
        }
        destroy_all(context.session, &left)?;
    }
    disk_space::tidy(context)?;
    Ok(found.len())
}

fn destroy_all(session: &Session, objects: &[ObjectHandle]) -> Result<(), TokenError> {
    objects.iter().try_for_each(|object| Ok(session.destroy_object(*object)?))
}

/// The public key that belongs to a private one: of the public object with the same id, or, for RSA, of itself.
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

/// What the token says of a key's protection.
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

/// Rejects a key that the token did not protect as its template asked for.
fn check_protection(session: &Session, handle: ObjectHandle, new: &NewKey) -> Result<(), TokenError> {
    let protection = protection(session, handle)?;
    if protection.sensitive && protection.extractable == new.extractable {
        return Ok(());
    }
    let text = format!("the token did not protect a new {} key as it was told: {protection:?}", new.kind);
    Err(TokenError::new(ErrorClass::Fatal, text))
}

/// Keeps a secret key whose value came from elsewhere, if it is protected as its template asked for and passes a test.
/// Otherwise it is destroyed, by its handle: other processes may have a key of the same id.
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

/// The CKA_LABEL of every object of an id: secret, private and public keys. Looked for twice, as [`remaining_objects`].
pub(in crate::provider::pkcs11) fn labels(session: &Session, id: &[u8]) -> Result<Vec<Vec<u8>>, TokenError> {
    let mut labels = Vec::new();
    for object in remaining_objects(session, id)? {
        match label(session, object) {
            Ok(label) => labels.push(label),
            // Destroyed by another process since it was found.
            Err(error) if error.code() == Some("CKR_OBJECT_HANDLE_INVALID") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(labels)
}

fn label(session: &Session, object: ObjectHandle) -> Result<Vec<u8>, TokenError> {
    match session.get_attributes(object, &[AttributeType::Label])?.as_slice() {
        [Attribute::Label(label)] => Ok(label.clone()),
        _ => Ok(Vec::new()),
    }
}

/// Destroys the objects of an id that have this label, and no others. Returns how many there were.
pub(in crate::provider::pkcs11) fn destroy_labelled(
    context: SessionContext<'_>,
    id: &[u8],
    wanted: &[u8],
) -> Result<usize, TokenError> {
    context.connection.forget_handles(id);
    let mut found = Vec::new();
    for object in remaining_objects(context.session, id)? {
        if label(context.session, object)? == wanted {
            found.push(object);
        }
    }
    for (count, object) in found.iter().enumerate() {
        match context.session.destroy_object(*object) {
            // Where a token shows one object twice, the second one goes with the first.
            Err(_) if count > 0 && label(context.session, *object).is_err() => {}
            destroyed => destroyed?,
        }
    }
    disk_space::tidy(context)?;
    Ok(found.len())
}

/// Where the value of a secret key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::pkcs11) enum ValueSource {
    /// The token generates a value of the length in the template.
    Generated,
    /// The caller provides the value, which has its length.
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

/// The template of an AES-256 key that is gone with its session.
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

fn public_template(new: &NewKey, pair: KeyPairKind) -> Result<Vec<Attribute>, TokenError> {
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
            return Err(TokenError::lacks("CKM_EC_EDWARDS_KEY_PAIR_GEN", format!("no {pair:?} keys in tokens")));
        }
    }
    Ok(template)
}

fn private_template(new: &NewKey) -> Vec<Attribute> {
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

/// The algorithm with which a signing key proves itself.
fn proof_algorithm(pair: KeyPairKind) -> Result<SigningAlgorithm, TokenError> {
    match pair {
        KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => {
            Ok(SigningAlgorithm::RsassaPkcs1V15Sha256)
        }
        KeyPairKind::EccP256 | KeyPairKind::EccSecp256k1 => Ok(SigningAlgorithm::EcdsaSha256),
        KeyPairKind::EccP384 => Ok(SigningAlgorithm::EcdsaSha384),
        KeyPairKind::EccP521 => Ok(SigningAlgorithm::EcdsaSha512),
        KeyPairKind::Ed25519 => Err(TokenError::lacks("CKM_EDDSA", "no Ed25519 in tokens")),
    }
}

fn software_key(pair: KeyPairKind, spki: &[u8], backend: &CryptoBackend) -> Result<Box<dyn PublicKey>, TokenError> {
    let key = backend.key_pairs().public_key(pair, spki);
    key.map_err(|error| TokenError::new(ErrorClass::Fatal, format!("the kept public key: {error}")))
}
