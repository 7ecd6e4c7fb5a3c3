//! Operations on key objects: generate, find, change and destroy.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;

use super::Token;
use super::retry::{RetryPolicy, Task};
use crate::crypto::{CryptoError, KeyWrapMode};
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::mechanism::RequiredMechanism;
use crate::provider::pkcs11::object::adoption::{self, Provenance};
use crate::provider::pkcs11::object::disk_space;
use crate::provider::pkcs11::object::{self, KeyProtection, NewKey, ValueSource};
use crate::provider::pkcs11::reference::{KEY_ID_LENGTH, TokenKeyHandle, TokenKeyKind, id_text};
use crate::secret::SecretBytes;

/// Length in bytes of a key wrapped with AES-KW: 8 more than the key (RFC 3394, section 2.2.1).
const WRAPPED_AES256: usize = 40;

/// Maximum number of attempts to create a key in a token that can fail because of concurrent calls.
const ATTEMPTS_TO_MAKE: u32 = 4;

impl Token {
    /// Generates a key in the token. If the response is lost, the key may exist nevertheless.
    /// Search for its id with [`Token::count_objects`] before you generate another one.
    ///
    /// # Errors
    /// - [`ErrorClass::Fatal`] if the token cannot generate this kind of key. The error names the
    ///   mechanism.
    /// - [`ErrorClass::Denied`] if the id is already in use.
    /// - [`ErrorClass::Busy`] if the token has no room.
    /// - The errors of [`Token::connect`].
    pub fn generate_key(&self, new: &NewKey) -> Result<TokenKeyHandle, TokenError> {
        let able = self.able()?;
        able.check_kind(new.kind)?;
        check_id(&new.id)?;
        let attempts = if able.quirks.objects_one_at_a_time { ATTEMPTS_TO_MAKE } else { 1 };
        let (new, backend, mode) = (new.clone(), self.0.config.backend, self.iv_mode()?);
        self.run(Task {
            retry: RetryPolicy::Never,
            key: None,
            work: move |context: SessionContext<'_>| {
                prepare(context, &new)?;
                let mut made = object::generate(context, &new, mode, &backend);
                for _ in 1..attempts {
                    // Only if no object has the id: an object may remain from this attempt, or be
                    // another process's key.
                    let is_free =
                        || object::remaining_objects(context.session, &new.id).is_ok_and(|left| left.is_empty());
                    if !made.as_ref().is_err_and(is_botched) || !is_free() {
                        break;
                    }
                    made = object::generate(context, &new, mode, &backend);
                }
                made
            },
        })
    }

    /// Returns the reference of a key that other software created in the token. The reference
    /// contains a fingerprint of the existing key, so any other key under its id is rejected from
    /// then on.
    ///
    /// The token must report that it protects the key: CKA_TOKEN, CKA_PRIVATE and CKA_SENSITIVE,
    /// not CKA_EXTRACTABLE, the type and length of `kind`, and the attributes of its use. A
    /// wrapping key must neither encrypt nor decrypt, which would reveal the keys that it wraps.
    /// Its origin (CKA_LOCAL, CKA_NEVER_EXTRACTABLE) is not checked.
    ///
    /// # Errors
    /// - [`ErrorClass::KeyMissing`] if there is not exactly one such key.
    /// - [`ErrorClass::Denied`], with [`TokenError::rejected_for`], if the token does not protect it.
    /// - The errors of [`Token::connect`].
    ///
    /// # Examples
    /// ```no_run
    /// use strongroom::provider::pkcs11::{Token, TokenError, TokenKeyHandle, TokenKeyKind};
    ///
    /// /// Uses a key that another program has generated.
    /// fn existing(token: &Token) -> Result<TokenKeyHandle, TokenError> {
    ///     token.adopt_key(b"payments", "payments 2019", TokenKeyKind::Aes256)
    /// }
    /// ```
    pub fn adopt_key(&self, id: &[u8], label: &str, kind: TokenKeyKind) -> Result<TokenKeyHandle, TokenError> {
        self.adopt(id, label, kind, Provenance::Foreign)
    }

    /// Like [`Token::adopt_key`], for a key of known provenance.
    pub(in crate::provider::pkcs11) fn adopt(
        &self,
        id: &[u8],
        label: &str,
        kind: TokenKeyKind,
        provenance: Provenance,
    ) -> Result<TokenKeyHandle, TokenError> {
        check_id(id)?;
        let (new, backend, mode) = (NewKey::new(id, label, kind), self.0.config.backend, self.iv_mode()?);
        self.run(Task {
            retry: RetryPolicy::SafeAlone,
            key: None,
            work: move |context: SessionContext<'_>| {
                let handle = object::find_one(context.session, &new.id, kind)?;
                adoption::check(context, handle, &new.id, kind, provenance)?;
                let public = match kind.key_pair() {
                    Some(pair) => Some(object::find_public(context.session, handle, &new.id, pair, &backend)?),
                    None => None,
                };
                let key = object::reference(context.session, handle, &new, public.as_deref(), mode, &backend)?;
                object::prove(context.session, handle, &key, &backend)?;
                Ok(key)
            },
        })
    }

    /// Imports an AES-256 wrapping key into the token. Import the same key into every token between
    /// which keys are to be transferred. The imported key cannot be extracted.
    ///
    /// # Errors
    /// - [`ErrorClass::BadInput`] if the value does not have 32 bytes.
    /// - The errors of [`Token::generate_key`].
    pub fn import_wrapping_key(
        &self,
        id: &[u8],
        label: &str,
        value: &SecretBytes,
    ) -> Result<TokenKeyHandle, TokenError> {
        self.able()?.check_kind(TokenKeyKind::WrappingAes256)?;
        check_id(id)?;
        if value.len() != 32 {
            let text = format!("a wrapping key must have 32 bytes, not {}", value.len());
            return Err(TokenError::new(ErrorClass::BadInput, text));
        }
        let (new, mode) = (NewKey::new(id, label, TokenKeyKind::WrappingAes256), self.iv_mode()?);
        let (value, backend) = (SecretBytes::copy_from_slice(value.expose_secret()), self.0.config.backend);
        self.run(Task {
            retry: RetryPolicy::Never,
            key: None,
            work: move |context: SessionContext<'_>| {
                prepare(context, &new)?;
                let mut template = object::secret_template(&new, ValueSource::Provided);
                template.push(Attribute::Value(value.expose_secret().to_vec()));
                let made = context.session.create_object(&template);
                if let Some(Attribute::Value(copy)) = template.last_mut() {
                    zeroize::Zeroize::zeroize(copy);
                }
                let handle = made?;
                let reference = || object::reference(context.session, handle, &new, None, mode, &backend);
                object::keep_provided(context.session, handle, &new, reference)
            },
        })
    }

    /// Verifies that the key exists and is the expected one, and that no other key has its id.
    ///
    /// # Errors
    /// - [`ErrorClass::KeyMissing`] if the check fails.
    /// - The errors of [`Token::connect`].
    pub fn verify_key(&self, key: &TokenKeyHandle) -> Result<(), TokenError> {
        let backend = self.0.config.backend;
        self.with_object(key, move |context, key| {
            // The key is looked up again, ignoring cached handles.
            context.connection.forget_handles(key.id());
            object::resolve(context, key, &backend).map(drop)
        })
    }

    /// Returns the number of objects (secret, private and public keys) with an id. SoftHSM may list
    /// an object twice in the process that created it.
    ///
    /// # Errors
    /// - The errors of [`Token::connect`].
    pub fn count_objects(&self, id: &[u8]) -> Result<usize, TokenError> {
        check_id(id)?;
        let id = id.to_vec();
        self.run(Task {
            retry: RetryPolicy::SafeAlone,
            key: None,
            work: move |context: SessionContext<'_>| {
                // A search without results is conclusive only if the token is present.
                object::token_is_well(context)?;
                Ok(object::remaining_objects(context.session, &id)?.len())
            },
        })
    }

    /// Destroys every object with an id, and returns their number. Calling it again is harmless.
    ///
    /// # Errors
    /// - The errors of [`Token::connect`]. Some objects may have been destroyed.
    pub fn destroy_objects(&self, id: &[u8]) -> Result<usize, TokenError> {
        check_id(id)?;
        let id = id.to_vec();
        self.run(Task {
            retry: RetryPolicy::Never,
            key: None,
            work: move |context: SessionContext<'_>| object::destroy(context, &id),
        })
    }

    /// Returns the CKA_LABEL of every object with an id.
    pub(in crate::provider::pkcs11) fn labels(&self, id: &[u8]) -> Result<Vec<Vec<u8>>, TokenError> {
        check_id(id)?;
        let id = id.to_vec();
        self.run(Task {
            retry: RetryPolicy::SafeAlone,
            key: None,
            work: move |context: SessionContext<'_>| {
                object::token_is_well(context)?;
                object::labels(context.session, &id)
            },
        })
    }

    /// Destroys only the objects with an id that have this CKA_LABEL. Returns their number.
    pub(in crate::provider::pkcs11) fn destroy_labelled(&self, id: &[u8], label: &str) -> Result<usize, TokenError> {
        check_id(id)?;
        let (id, label) = (id.to_vec(), label.as_bytes().to_vec());
        let work = move |context: SessionContext<'_>| object::destroy_labelled(context, &id, &label);
        self.run(Task { retry: RetryPolicy::Never, key: None, work })
    }

    /// Returns `true` if a wrapping key has this value: it unwraps a key that software wrapped
    /// under the value.
    ///
    /// # Errors
    /// - The errors of [`Token::verify_key`].
    pub(in crate::provider::pkcs11) fn is_wrapping_key(
        &self,
        wrapping: &TokenKeyHandle,
        value: &SecretBytes,
    ) -> Result<bool, TokenError> {
        let backend = self.0.config.backend;
        let software = |error: CryptoError| TokenError::new(ErrorClass::Fatal, error.to_string());
        let mut random = SecretBytes::zeroed(32);
        backend.random().fill(random.expose_secret_mut()).map_err(software)?;
        let wrapped = backend.key_wrap().wrap(KeyWrapMode::Plain, value.expose_secret(), random.expose_secret());
        let wrapped = wrapped.map_err(software)?;
        let unwrapped = self.with_object(wrapping, move |context, wrapping| {
            let with = object::resolve(context, wrapping, &backend)?;
            let template = object::passing_template();
            let unwrapped = context.session.unwrap_key(&Mechanism::AesKeyWrap, with, &wrapped, &template)?;
            Ok(context.session.destroy_object(unwrapped)?)
        });
        match unwrapped {
            Ok(()) => Ok(true),
            Err(error) if error.class() == ErrorClass::BadInput => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the protection of a key, as reported by the token.
    ///
    /// # Errors
    /// - [`ErrorClass::KeyMissing`] if the key is missing.
    /// - The errors of [`Token::connect`].
    pub fn key_protection(&self, key: &TokenKeyHandle) -> Result<KeyProtection, TokenError> {
        let backend = self.0.config.backend;
        self.with_object(key, move |context, key| {
            object::protection(context.session, object::resolve(context, key, &backend)?)
        })
    }

    /// Makes an extractable key permanently unextractable. Calling it again is harmless.
    ///
    /// # Errors
    /// - [`ErrorClass::Fatal`] if the token reports success but the key is still extractable.
    /// - The errors of [`Token::verify_key`].
    pub fn forbid_extraction(&self, key: &TokenKeyHandle) -> Result<(), TokenError> {
        let backend = self.0.config.backend;
        self.with_object(key, move |context, key| {
            let handle = object::resolve(context, key, &backend)?;
            if !object::protection(context.session, handle)?.extractable {
                return Ok(());
            }
            context.session.update_attributes(handle, &[Attribute::Extractable(false)])?;
            if object::protection(context.session, handle)?.extractable {
                return Err(TokenError::new(ErrorClass::Fatal, format!("{key} is still extractable")));
            }
            Ok(())
        })
    }

    /// Wraps a key with another key, using AES-KW (CKM_AES_KEY_WRAP, RFC 3394), which is the same
    /// on every token.
    ///
    /// # Errors
    /// - [`ErrorClass::Denied`] if the key is not extractable.
    /// - The errors of [`Token::verify_key`].
    ///
    /// # Examples
    /// Replication of a key from one token to another:
    /// ```no_run
    /// use strongroom::SecretBytes;
    /// use strongroom::provider::pkcs11::{NewKey, Token, TokenError, TokenKeyKind};
    ///
    /// fn replicate(from: &Token, to: &Token, shared: &SecretBytes, id: &[u8]) -> Result<(), TokenError> {
    ///     let [sender, receiver] = [from, to].map(|token| token.import_wrapping_key(b"replication", "replication", shared));
    ///     let key = from.generate_key(&NewKey::new(id, "payments", TokenKeyKind::Aes256).extractable_for_replication())?;
    ///     let wrapped = from.wrap_key(&sender?, &key)?;
    ///     to.unwrap_key(&receiver?, &wrapped, &key)?; // proves that it is the same key
    ///     from.forbid_extraction(&key)
    /// }
    /// ```
    pub fn wrap_key(&self, wrapping: &TokenKeyHandle, key: &TokenKeyHandle) -> Result<Vec<u8>, TokenError> {
        self.able()?.need(RequiredMechanism::KeyWrap)?;
        let (backend, key) = (self.0.config.backend, key.clone());
        self.with_object(wrapping, move |context, wrapping| {
            let with = object::resolve(context, wrapping, &backend)?;
            let what = object::resolve(context, &key, &backend)?;
            trim_wrapped(context.session.wrap_key(&Mechanism::AesKeyWrap, with, what)?)
        })
    }

    /// Unwraps a key that [`Token::wrap_key`] of any token wrapped, and verifies that it is the key
    /// of `key`. The unwrapped key cannot be extracted.
    ///
    /// # Errors
    /// - [`ErrorClass::KeyMissing`] if it is another key. The unwrapped key is removed from the
    ///   token.
    /// - [`ErrorClass::Denied`] if the id is already in use.
    /// - [`ErrorClass::BadInput`] if the wrapped key does not unwrap.
    /// - The errors of [`Token::generate_key`].
    pub fn unwrap_key(
        &self,
        wrapping: &TokenKeyHandle,
        wrapped: &[u8],
        key: &TokenKeyHandle,
    ) -> Result<(), TokenError> {
        self.able()?.need(RequiredMechanism::KeyWrap)?;
        if key.kind() != TokenKeyKind::Aes256 {
            return Err(TokenError::lacks("CKM_AES_KEY_WRAP", "only AES-256 keys can be replicated"));
        }
        let (backend, key, wrapped) = (self.0.config.backend, key.clone(), wrapped.to_vec());
        let wrapping = wrapping.clone();
        self.run(Task {
            retry: RetryPolicy::Never,
            key: None,
            work: move |context: SessionContext<'_>| {
                let new = NewKey::new(key.id(), key.label(), key.kind());
                prepare(context, &new)?;
                let with = object::resolve(context, &wrapping, &backend)?;
                let template = object::secret_template(&new, ValueSource::Provided);
                let handle = context.session.unwrap_key(&Mechanism::AesKeyWrap, with, &wrapped, &template)?;
                object::keep_provided(context.session, handle, &new, || {
                    object::prove(context.session, handle, &key, &backend).map_err(|error| {
                        error.found_to_be(ErrorClass::KeyMissing, &format!("the unwrapped key is not {key}"))
                    })
                })?;
                context.connection.keep_handle(&key, handle);
                Ok(())
            },
        })
    }

    /// Returns the current public key of a key pair in the token, a SubjectPublicKeyInfo in DER.
    /// The private key first proves that it belongs to the key pair.
    ///
    /// # Errors
    /// - [`ErrorClass::Fatal`] if it is a secret key.
    /// - The errors of [`Token::verify_key`].
    pub fn export_public_key(&self, key: &TokenKeyHandle) -> Result<Vec<u8>, TokenError> {
        let Some(pair) = key.kind().key_pair() else {
            return Err(TokenError::new(ErrorClass::Fatal, format!("{key} has no public key")));
        };
        let backend = self.0.config.backend;
        self.with_object(key, move |context, key| {
            let handle = object::resolve(context, key, &backend)?;
            object::find_public(context.session, handle, key.id(), pair, &backend)
        })
    }
}

/// Removes what a token returns beyond the end of a wrapped key.
fn trim_wrapped(mut wrapped: Vec<u8>) -> Result<Vec<u8>, TokenError> {
    if wrapped.len() < WRAPPED_AES256 {
        let text = format!("the token returned a wrapped key of {} bytes", wrapped.len());
        return Err(TokenError::new(ErrorClass::Fatal, text));
    }
    wrapped.truncate(WRAPPED_AES256);
    Ok(wrapped)
}

fn check_id(id: &[u8]) -> Result<(), TokenError> {
    if (1..=KEY_ID_LENGTH).contains(&id.len()) {
        return Ok(());
    }
    Err(TokenError::new(
        ErrorClass::BadInput,
        format!("a key id must have 1 to {KEY_ID_LENGTH} bytes, not {}", id.len()),
    ))
}

/// Returns `true` for the errors that SoftHSM returns when concurrent calls disturb the creation of
/// a key: see [`QUIRKS`](crate::provider::pkcs11::QUIRKS).
fn is_botched(error: &TokenError) -> bool {
    matches!(error.code(), Some("CKR_GENERAL_ERROR" | "CKR_FUNCTION_FAILED" | "CKR_TEMPLATE_INCONSISTENT"))
}

/// Rejects an id that is already in use, and a token without room.
fn prepare(context: SessionContext<'_>, new: &NewKey) -> Result<(), TokenError> {
    match object::objects(context.session, &new.id)?.len() {
        0 => disk_space::probe_free_space(context),
        count => {
            let text = format!("{count} objects already have the id {}", id_text(&new.id));
            Err(TokenError::new(ErrorClass::Denied, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_pkcs11_faults::{Action, Bare, Function};

    use super::super::tests::soft_token;
    use super::*;

    /// Another process may destroy an object after it was found. Any other failure must not hide
    /// an object, as the caller would consider its ID free.
    #[test]
    fn an_object_without_a_label_is_left_out_only_if_it_is_gone() {
        let Some((hsm, token)) = soft_token("an_object_without_a_label_is_left_out_only_if_it_is_gone") else { return };
        token.generate_key(&NewKey::new(&[1; 32], "a key", TokenKeyKind::Aes256)).expect("the token makes keys");
        let labels = || token.labels(&[1; 32]).map_err(|error| error.class());
        assert_eq!(labels(), Ok(vec![b"a key".to_vec()]));
        hsm.shim().rule(Function::GetAttributeValue, 0, 1, Action::Return(0x82));
        assert_eq!(labels(), Ok(Vec::new()), "CKR_OBJECT_HANDLE_INVALID");
        for code in [0x05, 0x30, 0x54] {
            hsm.shim().rule(Function::GetAttributeValue, 0, u64::MAX, Action::Return(code));
            labels().expect_err("it is there");
            hsm.shim().clear();
        }
        assert_eq!(labels(), Ok(vec![b"a key".to_vec()]));
    }

    /// A token may list one object twice. The second entry disappears with the first. Any other
    /// failure is reported.
    #[test]
    fn a_destruction_that_fails_is_reported_unless_the_object_has_disappeared_with_another() {
        let test = "a_destruction_that_fails_is_reported_unless_the_object_has_disappeared_with_another";
        let Some((hsm, token)) = soft_token(test) else { return };
        let put = || Bare::create_cipher_key(&hsm.bare_path(), "one", &[1; 32], &[7; 32]);
        let count = || token.count_objects(&[1; 32]).expect("the token responds");
        let reads = || hsm.shim().calls(Function::GetAttributeValue);
        put();
        put();
        let before = reads();
        assert_eq!(token.labels(&[1; 32]).expect("they exist").len(), 2);
        let reads = reads() - before;
        // CKR_OBJECT_HANDLE_INVALID, for the first or the second of them.
        for (number, is_gone, is_done) in [(0, false, false), (0, true, false), (1, false, false), (1, true, true)] {
            hsm.shim().rule(Function::DestroyObject, number, 1, Action::Return(0x82));
            if is_gone {
                hsm.shim().rule(Function::GetAttributeValue, reads, u64::MAX, Action::Return(0x82));
            }
            let destroyed = token.destroy_labelled(&[1; 32], "").map_err(|error| error.class());
            hsm.shim().clear();
            let expected = if is_done { Ok(2) } else { Err(ErrorClass::SessionLost) };
            assert_eq!(destroyed, expected, "{number} {is_gone}");
            while count() < 2 {
                put();
            }
        }
        assert_eq!(token.destroy_labelled(&[1; 32], "").expect("the objects are destroyed"), 2);
        assert_eq!(count(), 0);
    }

    /// SoftHSM fails with these errors when concurrent calls disturb it. After any other error,
    /// another attempt would fail the same way.
    #[test]
    fn only_a_creation_that_concurrent_calls_may_have_disturbed_is_repeated() {
        let test = "only_a_creation_that_concurrent_calls_may_have_disturbed_is_repeated";
        let Some((hsm, token)) = soft_token(test) else { return };
        token.connect().expect("the token connects");
        let calls = || hsm.shim().calls(Function::GenerateKey);
        let attempts = u64::from(ATTEMPTS_TO_MAKE);
        for (code, attempts) in [
            (0x05, attempts),
            (0x06, attempts),
            (0xD1, attempts),
            (0x13, 1),
            (0x30, 1),
            (0x31, 1),
            (0x54, 1),
            (0xE2, 1),
        ] {
            let before = calls();
            hsm.shim().rule(Function::GenerateKey, 0, u64::MAX, Action::Return(code));
            token.generate_key(&NewKey::new(&[1; 32], "a key", TokenKeyKind::Aes256)).expect_err("the token refuses");
            hsm.shim().clear();
            assert_eq!(calls() - before, attempts, "{code:#x}");
        }
    }

    #[test]
    fn a_wrapped_key_is_taken_whole_and_without_what_follows_it() {
        let wrapped: Vec<u8> = (0..50).collect();
        for length in 0..=50 {
            let expected = (length >= WRAPPED_AES256).then(|| wrapped[..WRAPPED_AES256].to_vec());
            assert_eq!(trim_wrapped(wrapped[..length].to_vec()).ok(), expected, "{length}");
        }
    }

    #[test]
    fn an_id_has_1_to_32_bytes() {
        for length in 0..=40 {
            let checked = check_id(&vec![1; length]).map_err(|error| error.class());
            assert_eq!(
                checked,
                if (1..=32).contains(&length) { Ok(()) } else { Err(ErrorClass::BadInput) },
                "{length}"
            );
        }
    }
}
