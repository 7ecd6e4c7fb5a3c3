//! What a token does with keys, one function each.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;

use super::{Repeat, Task, Token};
use crate::algorithm::SigningAlgorithm;
use crate::crypto::{CryptoBackend, CryptoError, KeyWrapMode, RsaOaep, SignatureInput};
use crate::provider::pkcs11::config::IvMode;
use crate::provider::pkcs11::connection::Calls;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::mechanism::Needed;
use crate::provider::pkcs11::mechanism::gcm;
use crate::provider::pkcs11::mechanism::signing;
use crate::provider::pkcs11::object::adoption::{self, Provenance};
use crate::provider::pkcs11::object::public_key;
use crate::provider::pkcs11::object::room;
use crate::provider::pkcs11::object::{self as keys, Extent, KeyProtection, NewKey};
use crate::provider::pkcs11::reference::{KEY_ID_LENGTH, KeyReference, TokenKeyKind};
use crate::secret::SecretBytes;

/// Bytes of a key wrapped with AES-KW: those of the key and 8 more (RFC 3394, section 2.2.1).
const WRAPPED_AES256: usize = 40;

/// How often a key is made anew that a token fails to make beside other calls.
const ATTEMPTS_TO_MAKE: u32 = 4;

/// Most random bytes that are asked for in one call.
const MAX_RANDOM: usize = 1 << 16;

/// Keys.
impl Token {
    /// Makes a key in the token. If the answer is lost, the key may be there all the same: look for its id, with
    /// [`Token::count_objects`], before another one is made.
    ///
    /// # Errors
    /// [`ErrorClass::Fatal`], with the name of the mechanism, for a kind that the token cannot make;
    /// [`ErrorClass::Denied`] for an id that is taken; [`ErrorClass::Busy`] if there is no room; otherwise as [`Token::connect`].
    pub fn generate_key(&self, new: &NewKey) -> Result<KeyReference, TokenError> {
        let able = self.able()?;
        able.check_kind(new.kind)?;
        check_id(&new.id)?;
        let attempts = if able.quirks.objects_one_at_a_time { ATTEMPTS_TO_MAKE } else { 1 };
        let (new, backend, mode) = (new.clone(), self.0.config.backend, self.iv_mode()?);
        self.run(Task {
            repeat: Repeat::Never,
            key: None,
            work: move |calls: Calls<'_>| {
                prepare(calls, &new)?;
                let mut made = keys::generate(calls, &new, mode, &backend);
                for _ in 1..attempts {
                    // Only if no object has the id: one may remain from this attempt, or be the key of another process.
                    let is_free = || keys::remaining_objects(calls.session, &new.id).is_ok_and(|left| left.is_empty());
                    if !made.as_ref().is_err_and(is_botched) || !is_free() {
                        break;
                    }
                    made = keys::generate(calls, &new, mode, &backend);
                }
                made
            },
        })
    }

    /// Returns the reference of a key that other software created in the token. The reference holds a fingerprint of the present
    /// key, so any other key under its id is refused from then on.
    ///
    /// The token must report that it protects the key: CKA_TOKEN, CKA_PRIVATE and CKA_SENSITIVE, not CKA_EXTRACTABLE, the
    /// type and length of `kind`, and the attributes of its use. A wrapping key must neither encrypt nor decrypt, which would
    /// give away what it wraps. Its origin (CKA_LOCAL, CKA_NEVER_EXTRACTABLE) is not checked.
    ///
    /// # Errors
    /// - [`ErrorClass::KeyMissing`] if there is not exactly one such key.
    /// - [`ErrorClass::Denied`], with [`TokenError::rejected_for`], if the token does not protect it.
    /// - Otherwise as [`Token::connect`].
    pub fn adopt_key(&self, id: &[u8], label: &str, kind: TokenKeyKind) -> Result<KeyReference, TokenError> {
        self.adopt(id, label, kind, Provenance::Foreign)
    }

    /// The same for a key of which it is known how it came into the token.
    pub(in crate::provider::pkcs11) fn adopt(
        &self,
        id: &[u8],
        label: &str,
        kind: TokenKeyKind,
        provenance: Provenance,
    ) -> Result<KeyReference, TokenError> {
        check_id(id)?;
        let (new, backend, mode) = (NewKey::new(id, label, kind), self.0.config.backend, self.iv_mode()?);
        self.run(Task {
            repeat: Repeat::SafeAlone,
            key: None,
            work: move |calls: Calls<'_>| {
                let handle = keys::find_one(calls.session, &new.id, kind)?;
                adoption::check(calls, handle, &new.id, kind, provenance)?;
                let public = match kind.key_pair() {
                    Some(pair) => Some(keys::find_public(calls.session, handle, &new.id, pair, &backend)?),
                    None => None,
                };
                let key = keys::reference(calls.session, handle, &new, public.as_deref(), mode, &backend)?;
                keys::prove(calls.session, handle, &key, &backend)?;
                Ok(key)
            },
        })
    }

    /// Puts an AES-256 key that wraps other keys into the token, from outside: the same one into every token between which
    /// keys are to travel. From here on it cannot be extracted.
    ///
    /// # Errors
    /// [`ErrorClass::BadInput`] unless it has 32 bytes; otherwise as [`Token::generate_key`].
    pub fn import_wrapping_key(&self, id: &[u8], label: &str, value: &SecretBytes) -> Result<KeyReference, TokenError> {
        self.able()?.check_kind(TokenKeyKind::WrappingAes256)?;
        check_id(id)?;
        if value.len() != 32 {
            let text = format!("a wrapping key has 32 bytes, and not {}", value.len());
            return Err(TokenError::new(ErrorClass::BadInput, text));
        }
        let (new, mode) = (NewKey::new(id, label, TokenKeyKind::WrappingAes256), self.iv_mode()?);
        let (value, backend) = (SecretBytes::copy_of(value.expose_secret()), self.0.config.backend);
        self.run(Task {
            repeat: Repeat::Never,
            key: None,
            work: move |calls: Calls<'_>| {
                prepare(calls, &new)?;
                let mut template = keys::secret_template(&new, Extent::Unwrapped);
                template.push(Attribute::Value(value.expose_secret().to_vec()));
                let made = calls.session.create_object(&template);
                if let Some(Attribute::Value(copy)) = template.last_mut() {
                    zeroize::Zeroize::zeroize(copy);
                }
                let handle = made?;
                let reference = || keys::reference(calls.session, handle, &new, None, mode, &backend);
                keys::keep_provided(calls.session, handle, &new, reference)
            },
        })
    }

    /// Proves that the key is there and the same, and that no other key has its id.
    ///
    /// # Errors
    /// [`ErrorClass::KeyMissing`] if not; otherwise as [`Token::connect`].
    pub fn verify_key(&self, key: &KeyReference) -> Result<(), TokenError> {
        let backend = self.0.config.backend;
        self.with_object(key, move |calls, key| {
            // Found again, whatever was known.
            calls.attachment.forget_handles(key.id());
            keys::resolve(calls, key, &backend).map(drop)
        })
    }

    /// How many objects (secret, private and public keys) have an id. SoftHSM may show one twice to the process that made it.
    ///
    /// # Errors
    /// As [`Token::connect`].
    pub fn count_objects(&self, id: &[u8]) -> Result<usize, TokenError> {
        check_id(id)?;
        let id = id.to_vec();
        self.run(Task {
            repeat: Repeat::SafeAlone,
            key: None,
            work: move |calls: Calls<'_>| {
                // Nothing found counts only if the token is there to look in.
                keys::token_is_well(calls)?;
                Ok(keys::remaining_objects(calls.session, &id)?.len())
            },
        })
    }

    /// Destroys every object of an id, and says how many there were. Doing it again does no harm.
    ///
    /// # Errors
    /// As [`Token::connect`]; some may be destroyed then.
    pub fn destroy_objects(&self, id: &[u8]) -> Result<usize, TokenError> {
        check_id(id)?;
        let id = id.to_vec();
        self.run(Task { repeat: Repeat::Never, key: None, work: move |calls: Calls<'_>| keys::destroy(calls, &id) })
    }

    /// The CKA_LABEL of every object of an id.
    pub(in crate::provider::pkcs11) fn labels(&self, id: &[u8]) -> Result<Vec<Vec<u8>>, TokenError> {
        check_id(id)?;
        let id = id.to_vec();
        self.run(Task {
            repeat: Repeat::SafeAlone,
            key: None,
            work: move |calls: Calls<'_>| {
                keys::token_is_well(calls)?;
                keys::labels(calls.session, &id)
            },
        })
    }

    /// Destroys the objects of an id that have this CKA_LABEL, and no others. Returns how many there were.
    pub(in crate::provider::pkcs11) fn destroy_labelled(&self, id: &[u8], label: &str) -> Result<usize, TokenError> {
        check_id(id)?;
        let (id, label) = (id.to_vec(), label.as_bytes().to_vec());
        let work = move |calls: Calls<'_>| keys::destroy_labelled(calls, &id, &label);
        self.run(Task { repeat: Repeat::Never, key: None, work })
    }

    /// Returns `true` if a wrapping key has this value: it unwraps what software wraps under it.
    ///
    /// # Errors
    /// As [`Token::verify_key`].
    pub(in crate::provider::pkcs11) fn is_wrapping_key(
        &self,
        wrapping: &KeyReference,
        value: &SecretBytes,
    ) -> Result<bool, TokenError> {
        let backend = self.0.config.backend;
        let software = |error: CryptoError| TokenError::new(ErrorClass::Fatal, error.to_string());
        let mut random = SecretBytes::zeroed(32);
        backend.random().fill(random.expose_secret_mut()).map_err(software)?;
        let wrapped = backend.key_wrap().wrap(KeyWrapMode::Plain, value.expose_secret(), random.expose_secret());
        let wrapped = wrapped.map_err(software)?;
        let unwrapped = self.with_object(wrapping, move |calls, wrapping| {
            let with = keys::resolve(calls, wrapping, &backend)?;
            let template = keys::passing_template();
            let unwrapped = calls.session.unwrap_key(&Mechanism::AesKeyWrap, with, &wrapped, &template)?;
            Ok(calls.session.destroy_object(unwrapped)?)
        });
        match unwrapped {
            Ok(()) => Ok(true),
            Err(error) if error.class() == ErrorClass::BadInput => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the token says of the protection of a key.
    ///
    /// # Errors
    /// [`ErrorClass::KeyMissing`] if it is not there; otherwise as [`Token::connect`].
    pub fn key_protection(&self, key: &KeyReference) -> Result<KeyProtection, TokenError> {
        let backend = self.0.config.backend;
        self.with_object(key, move |calls, key| keys::protection(calls.session, keys::resolve(calls, key, &backend)?))
    }

    /// Makes an extractable key unextractable, for ever. Doing it again does no harm.
    ///
    /// # Errors
    /// [`ErrorClass::Fatal`] if the token says that it did and did not; otherwise as [`Token::verify_key`].
    pub fn forbid_extraction(&self, key: &KeyReference) -> Result<(), TokenError> {
        let backend = self.0.config.backend;
        self.with_object(key, move |calls, key| {
            let handle = keys::resolve(calls, key, &backend)?;
            if !keys::protection(calls.session, handle)?.extractable {
                return Ok(());
            }
            calls.session.update_attributes(handle, &[Attribute::Extractable(false)])?;
            if keys::protection(calls.session, handle)?.extractable {
                return Err(TokenError::new(ErrorClass::Fatal, format!("{key} is still extractable")));
            }
            Ok(())
        })
    }

    /// Wraps a key with another one, with AES-KW (CKM_AES_KEY_WRAP, RFC 3394), which is the same on every token.
    ///
    /// # Errors
    /// [`ErrorClass::Denied`] if the key is not extractable; otherwise as [`Token::verify_key`].
    pub fn wrap_key(&self, wrapping: &KeyReference, key: &KeyReference) -> Result<Vec<u8>, TokenError> {
        self.able()?.need(Needed::KeyWrap)?;
        let (backend, key) = (self.0.config.backend, key.clone());
        self.with_object(wrapping, move |calls, wrapping| {
            let with = keys::resolve(calls, wrapping, &backend)?;
            let what = keys::resolve(calls, &key, &backend)?;
            let mut wrapped = calls.session.wrap_key(&Mechanism::AesKeyWrap, with, what)?;
            // Some tokens say that it will be longer than it is.
            if wrapped.len() < WRAPPED_AES256 {
                let text = format!("the token wrapped a key into {} bytes", wrapped.len());
                return Err(TokenError::new(ErrorClass::Fatal, text));
            }
            wrapped.truncate(WRAPPED_AES256);
            Ok(wrapped)
        })
    }

    /// Unwraps a key that [`Token::wrap_key`] of any token wrapped, and proves that it is the one of `key`. It cannot be
    /// extracted from here.
    ///
    /// # Errors
    /// [`ErrorClass::KeyMissing`], and nothing stays in the token, if it is another key; [`ErrorClass::Denied`] if the id
    /// is taken; [`ErrorClass::BadInput`] if it does not unwrap; otherwise as [`Token::generate_key`].
    pub fn unwrap_key(&self, wrapping: &KeyReference, wrapped: &[u8], key: &KeyReference) -> Result<(), TokenError> {
        self.able()?.need(Needed::KeyWrap)?;
        if key.kind() != TokenKeyKind::Aes256 {
            return Err(TokenError::lacks("CKM_AES_KEY_WRAP", "only AES-256 keys are replicated"));
        }
        let (backend, key, wrapped) = (self.0.config.backend, key.clone(), wrapped.to_vec());
        let wrapping = wrapping.clone();
        self.run(Task {
            repeat: Repeat::Never,
            key: None,
            work: move |calls: Calls<'_>| {
                let new = NewKey::new(key.id(), key.label(), key.kind());
                prepare(calls, &new)?;
                let with = keys::resolve(calls, &wrapping, &backend)?;
                let template = keys::secret_template(&new, Extent::Unwrapped);
                let handle = calls.session.unwrap_key(&Mechanism::AesKeyWrap, with, &wrapped, &template)?;
                keys::keep_provided(calls.session, handle, &new, || {
                    keys::prove(calls.session, handle, &key, &backend).map_err(|error| {
                        error.found_to_be(ErrorClass::KeyMissing, &format!("what was unwrapped is not {key}"))
                    })
                })?;
                calls.attachment.keep_handle(&key, handle);
                Ok(())
            },
        })
    }

    /// Uses a key.
    fn with_key<T: Send + 'static>(
        &self,
        key: &KeyReference,
        work: impl Fn(Calls<'_>, &KeyReference) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        self.run_with(key, Repeat::Safe, work)
    }

    /// Looks for a key, reads or changes what is said of it.
    fn with_object<T: Send + 'static>(
        &self,
        key: &KeyReference,
        work: impl Fn(Calls<'_>, &KeyReference) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        self.run_with(key, Repeat::SafeAlone, work)
    }

    fn run_with<T: Send + 'static>(
        &self,
        key: &KeyReference,
        repeat: Repeat,
        work: impl Fn(Calls<'_>, &KeyReference) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        let known = key.clone();
        self.run(Task { repeat, key: Some(key.clone()), work: move |calls: Calls<'_>| work(calls, &known) })
    }

    /// The capabilities, found out now if need be.
    fn able(&self) -> Result<std::sync::Arc<crate::provider::pkcs11::TokenCapabilities>, TokenError> {
        match self.capabilities() {
            Some(capabilities) => Ok(capabilities),
            None => self.connect(),
        }
    }

    /// Refuses what AES-GCM in this token does not take, and tells who makes initialisation vectors.
    fn ready_for_gcm(&self, associated_data: &[u8], plaintext: usize) -> Result<IvMode, TokenError> {
        let capabilities = self.able()?;
        capabilities.need(Needed::Gcm)?;
        check_gcm(associated_data, plaintext, capabilities.quirks.max_gcm_bytes)?;
        Ok(capabilities.iv_mode.unwrap_or(IvMode::Caller))
    }

    /// Who makes initialisation vectors; without AES-GCM it does not matter.
    fn iv_mode(&self) -> Result<IvMode, TokenError> {
        Ok(self.able()?.iv_mode.unwrap_or(IvMode::Caller))
    }
}

/// Cryptography.
impl Token {
    /// Encrypts with AES-256-GCM: `12 initialisation vector | ciphertext | 16 tag`, whoever makes the initialisation
    /// vector. Who calls this counts the messages of a key; one
    /// that is repeated after a failure of the token uses up to two more initialisation vectors.
    ///
    /// # Errors
    /// [`ErrorClass::BadInput`] if there is no associated data, which some tokens cannot do without, or more plaintext
    /// than the token takes at once; [`ErrorClass::Fatal`] without CKM_AES_GCM; otherwise as [`Token::verify_key`].
    pub fn encrypt(&self, key: &KeyReference, associated_data: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, TokenError> {
        let (backend, mode) = (self.0.config.backend, self.ready_for_gcm(associated_data, plaintext.len())?);
        let (associated_data, plaintext) = (associated_data.to_vec(), SecretBytes::copy_of(plaintext));
        self.with_key(key, move |calls, key| {
            let handle = keys::resolve(calls, key, &backend)?;
            gcm::encrypt(calls.session, handle, mode, &backend, &associated_data, plaintext.expose_secret())
        })
    }

    /// Draws a data key from the token, and returns it in the clear and encrypted as [`Token::encrypt`] does.
    ///
    /// # Errors
    /// As [`Token::encrypt`] and [`Token::random`].
    pub fn generate_data_key(
        &self,
        key: &KeyReference,
        associated_data: &[u8],
        length: usize,
    ) -> Result<(SecretBytes, Vec<u8>), TokenError> {
        check_random(length)?;
        let (backend, mode) = (self.0.config.backend, self.ready_for_gcm(associated_data, length)?);
        let associated_data = associated_data.to_vec();
        self.with_key(key, move |calls, key| {
            let handle = keys::resolve(calls, key, &backend)?;
            let data_key = draw(calls, &backend, length)?;
            let sealed =
                gcm::encrypt(calls.session, handle, mode, &backend, &associated_data, data_key.expose_secret())?;
            Ok((data_key, sealed))
        })
    }

    /// Decrypts what [`Token::encrypt`] made.
    ///
    /// # Errors
    /// [`ErrorClass::BadInput`] if it is not authentic; otherwise as [`Token::encrypt`].
    pub fn decrypt(
        &self,
        key: &KeyReference,
        associated_data: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretBytes, TokenError> {
        self.ready_for_gcm(associated_data, ciphertext.len().saturating_sub(gcm::GCM_OVERHEAD))?;
        let backend = self.0.config.backend;
        let (associated_data, ciphertext) = (associated_data.to_vec(), ciphertext.to_vec());
        self.with_key(key, move |calls, key| {
            let handle = keys::resolve(calls, key, &backend)?;
            gcm::decrypt(calls.session, handle, &associated_data, &ciphertext)
        })
    }

    /// Signs with a private key. The message is hashed in software.
    ///
    /// # Errors
    /// [`ErrorClass::Fatal`] for an algorithm that key or token do not have, with the name of the mechanism;
    /// [`ErrorClass::BadInput`] for a hash value of the wrong length; otherwise as [`Token::verify_key`].
    pub fn sign(
        &self,
        key: &KeyReference,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
    ) -> Result<Vec<u8>, TokenError> {
        let suitable =
            matches!(key.kind(), TokenKeyKind::Signing(pair) if pair.signing_algorithms().contains(&algorithm));
        if !suitable {
            return Err(TokenError::new(ErrorClass::Fatal, format!("{key} does not sign with {algorithm}")));
        }
        self.able()?.need(signing::needed(algorithm)?)?;
        let backend = self.0.config.backend;
        let digest = signing::digest(&backend, algorithm, input)?;
        self.with_key(key, move |calls, key| {
            signing::sign(calls.session, keys::resolve(calls, key, &backend)?, algorithm, &digest)
        })
    }

    /// Decrypts with RSA-OAEP and an empty label.
    ///
    /// # Errors
    /// [`ErrorClass::BadInput`] if it does not open; [`ErrorClass::Fatal`] for a hash function that the token does not
    /// have with CKM_RSA_PKCS_OAEP; otherwise as [`Token::verify_key`].
    pub fn decrypt_oaep(
        &self,
        key: &KeyReference,
        oaep: RsaOaep,
        ciphertext: &[u8],
    ) -> Result<SecretBytes, TokenError> {
        let TokenKeyKind::Decryption(pair) = key.kind() else {
            return Err(TokenError::new(ErrorClass::Fatal, format!("{key} does not decrypt with RSA-OAEP")));
        };
        if !self.able()?.oaep.contains(&oaep) {
            let text = format!("the token has no CKM_RSA_PKCS_OAEP with {oaep:?}");
            return Err(TokenError::lacks("CKM_RSA_PKCS_OAEP", text));
        }
        if pair.modulus_bits().is_none_or(|bits| ciphertext.len() != bits / 8) {
            return Err(TokenError::new(ErrorClass::BadInput, "the ciphertext is not as long as the modulus"));
        }
        if key.public_key().is_some_and(|public| !public_key::is_below_modulus(ciphertext, public)) {
            return Err(TokenError::new(ErrorClass::BadInput, "the ciphertext is a number beyond the modulus"));
        }
        let (backend, ciphertext) = (self.0.config.backend, ciphertext.to_vec());
        self.with_key(key, move |calls, key| {
            signing::decrypt_oaep(calls.session, keys::resolve(calls, key, &backend)?, oaep, &ciphertext)
        })
    }

    /// Draws random bytes from the token; from the software backend where the token has no generator.
    ///
    /// # Errors
    /// [`ErrorClass::BadInput`] for more than 65,536 bytes; otherwise as [`Token::connect`].
    pub fn random(&self, length: usize) -> Result<SecretBytes, TokenError> {
        check_random(length)?;
        let backend = self.0.config.backend;
        self.run(Task { repeat: Repeat::Safe, key: None, work: move |calls: Calls<'_>| draw(calls, &backend, length) })
    }

    /// The public key of a key pair as the token has it now, a SubjectPublicKeyInfo in DER, after the private key proved
    /// that it belongs to it.
    ///
    /// # Errors
    /// [`ErrorClass::Fatal`] for a secret key; otherwise as [`Token::verify_key`].
    pub fn export_public_key(&self, key: &KeyReference) -> Result<Vec<u8>, TokenError> {
        let Some(pair) = key.kind().key_pair() else {
            return Err(TokenError::new(ErrorClass::Fatal, format!("{key} has no public key")));
        };
        let backend = self.0.config.backend;
        self.with_object(key, move |calls, key| {
            let handle = keys::resolve(calls, key, &backend)?;
            keys::find_public(calls.session, handle, key.id(), pair, &backend)
        })
    }
}

fn check_id(id: &[u8]) -> Result<(), TokenError> {
    if (1..=KEY_ID_LENGTH).contains(&id.len()) {
        return Ok(());
    }
    Err(TokenError::new(ErrorClass::BadInput, format!("a key id has 1 to {KEY_ID_LENGTH} bytes, and not {}", id.len())))
}

/// Whether it is what SoftHSM answers when it gets in its own way while it makes a key: see [`QUIRKS`](crate::provider::pkcs11::QUIRKS).
fn is_botched(error: &TokenError) -> bool {
    matches!(error.code(), Some("CKR_GENERAL_ERROR" | "CKR_FUNCTION_FAILED" | "CKR_TEMPLATE_INCONSISTENT"))
}

/// Refuses an id that is taken, and a token that has no room.
fn prepare(calls: Calls<'_>, new: &NewKey) -> Result<(), TokenError> {
    match keys::objects(calls.session, &new.id)?.len() {
        0 => room::check(calls),
        count => {
            let text =
                format!("{count} objects have the id {} already", crate::provider::pkcs11::reference::id_text(&new.id));
            Err(TokenError::new(ErrorClass::Denied, text))
        }
    }
}

fn check_random(length: usize) -> Result<(), TokenError> {
    if length <= MAX_RANDOM {
        return Ok(());
    }
    Err(TokenError::new(ErrorClass::BadInput, format!("{length} random bytes are too many for one call")))
}

/// Random bytes of the token, or of the backend where the token has no generator.
fn draw(calls: Calls<'_>, backend: &CryptoBackend, length: usize) -> Result<SecretBytes, TokenError> {
    let mut random = SecretBytes::zeroed(length);
    if calls.attachment.info.rng() {
        calls.session.generate_random_slice(random.expose_secret_mut())?;
    } else {
        let drawn = backend.random().fill(random.expose_secret_mut());
        drawn.map_err(|error| TokenError::new(ErrorClass::Fatal, error.to_string()))?;
    }
    Ok(random)
}

fn check_gcm(associated_data: &[u8], plaintext: usize, most: usize) -> Result<(), TokenError> {
    if associated_data.is_empty() {
        return Err(TokenError::new(ErrorClass::BadInput, "CKM_AES_GCM is never used without associated data"));
    }
    if plaintext > most {
        return Err(TokenError::new(
            ErrorClass::BadInput,
            format!("the token takes {most} bytes at once, not {plaintext}"),
        ));
    }
    Ok(())
}
