//! Cryptographic operations with keys of a token, and random bytes.

use super::Token;
use super::retry::{RetryPolicy, Task};
use crate::algorithm::SigningAlgorithm;
use crate::crypto::{CryptoBackend, RsaOaep, SignatureInput};
use crate::provider::pkcs11::config::IvMode;
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::mechanism::{RequiredMechanism, gcm, signing};
use crate::provider::pkcs11::object::{self, public_key};
use crate::provider::pkcs11::reference::{TokenKeyHandle, TokenKeyKind};
use crate::secret::SecretBytes;

/// Maximum number of random bytes per call.
const MAX_RANDOM: usize = 1 << 16;

impl Token {
    /// Encrypts with AES-256-GCM: `12 initialization vector | ciphertext | 16 tag`, for every
    /// source of the initialization vector.
    ///
    /// The caller must count the messages of a key. A message that is repeated after a failure of
    /// the token uses up to two additional initialization vectors.
    ///
    /// # Errors
    /// - [`ErrorClass::BadInput`] if there is no associated data, which some tokens require, or if
    ///   the plaintext is longer than the token accepts in one call.
    /// - [`ErrorClass::Fatal`] if the token does not support CKM_AES_GCM.
    /// - The errors of [`Token::verify_key`].
    pub fn encrypt(
        &self,
        key: &TokenKeyHandle,
        associated_data: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let (backend, mode) = (self.0.config.backend, self.ready_for_gcm(associated_data, plaintext.len())?);
        let (associated_data, plaintext) = (associated_data.to_vec(), SecretBytes::copy_from_slice(plaintext));
        self.with_key(key, move |context, key| {
            let handle = object::resolve(context, key, &backend)?;
            gcm::encrypt(context.session, handle, mode, &backend, &associated_data, plaintext.expose_secret())
        })
    }

    /// Generates a data key in the token, and returns it in plaintext and encrypted as by
    /// [`Token::encrypt`].
    ///
    /// # Errors
    /// - The errors of [`Token::encrypt`] and [`Token::random`].
    ///
    /// # Examples
    /// ```no_run
    /// use strongroom::provider::pkcs11::{GCM_OVERHEAD, Token, TokenError, TokenKeyHandle};
    ///
    /// /// Generates a data key of 32 bytes, in plaintext and encrypted for storage.
    /// fn data_key(token: &Token, key: &TokenKeyHandle) -> Result<Vec<u8>, TokenError> {
    ///     let (plaintext, encrypted) = token.generate_data_key(key, b"tenant 42", 32)?;
    ///     assert_eq!((plaintext.len(), encrypted.len()), (32, 32 + GCM_OVERHEAD));
    ///     Ok(encrypted)
    /// }
    /// ```
    pub fn generate_data_key(
        &self,
        key: &TokenKeyHandle,
        associated_data: &[u8],
        length: usize,
    ) -> Result<(SecretBytes, Vec<u8>), TokenError> {
        check_random(length)?;
        let (backend, mode) = (self.0.config.backend, self.ready_for_gcm(associated_data, length)?);
        let associated_data = associated_data.to_vec();
        self.with_key(key, move |context, key| {
            let handle = object::resolve(context, key, &backend)?;
            let data_key = draw(context, &backend, length)?;
            let sealed =
                gcm::encrypt(context.session, handle, mode, &backend, &associated_data, data_key.expose_secret())?;
            Ok((data_key, sealed))
        })
    }

    /// Decrypts the output of [`Token::encrypt`].
    ///
    /// # Errors
    /// - [`ErrorClass::BadInput`] if the ciphertext is not authentic.
    /// - The errors of [`Token::encrypt`].
    pub fn decrypt(
        &self,
        key: &TokenKeyHandle,
        associated_data: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretBytes, TokenError> {
        self.ready_for_gcm(associated_data, ciphertext.len().saturating_sub(gcm::GCM_OVERHEAD))?;
        let backend = self.0.config.backend;
        let (associated_data, ciphertext) = (associated_data.to_vec(), ciphertext.to_vec());
        self.with_key(key, move |context, key| {
            let handle = object::resolve(context, key, &backend)?;
            gcm::decrypt(context.session, handle, &associated_data, &ciphertext)
        })
    }

    /// Signs with a private key. The message is hashed in software.
    ///
    /// # Errors
    /// - [`ErrorClass::Fatal`] if the key or the token does not support the algorithm. The error
    ///   names the mechanism.
    /// - [`ErrorClass::BadInput`] if a digest has the wrong length.
    /// - The errors of [`Token::verify_key`].
    ///
    /// # Examples
    /// ```no_run
    /// use strongroom::algorithm::SigningAlgorithm;
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind, SignatureInput};
    /// use strongroom::provider::pkcs11::{FixedPin, Module, NewKey, Token, TokenConfig, TokenKeyKind, TokenSelector};
    /// use strongroom::SecretBytes;
    ///
    /// let module = Module::load("/usr/lib/softhsm/libsofthsm2.so")?;
    /// let pin = FixedPin::new(SecretBytes::copy_from_slice(b"1234"));
    /// let token = Token::new(&module, TokenConfig::new(TokenSelector::Label("payments".into())), pin);
    /// let kind = TokenKeyKind::Signing(KeyPairKind::EccP256);
    /// let key = token.generate_key(&NewKey::new(&[7; 32], "contracts", kind))?;
    ///
    /// let (algorithm, input) = (SigningAlgorithm::EcdsaSha256, SignatureInput::Message(b"a contract"));
    /// let signature = token.sign(&key, algorithm, input)?;
    /// let spki = key.public_key().expect("a key pair has a public key");
    /// CryptoBackend::default().key_pairs().public_key(KeyPairKind::EccP256, spki)?.verify(algorithm, input, &signature)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign(
        &self,
        key: &TokenKeyHandle,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
    ) -> Result<Vec<u8>, TokenError> {
        let suitable =
            matches!(key.kind(), TokenKeyKind::Signing(pair) if pair.signing_algorithms().contains(&algorithm));
        if !suitable {
            return Err(TokenError::new(ErrorClass::Fatal, format!("{key} cannot sign with {algorithm}")));
        }
        self.able()?.need(signing::needed(algorithm)?)?;
        let backend = self.0.config.backend;
        let digest = signing::digest(&backend, algorithm, input)?;
        self.with_key(key, move |context, key| {
            signing::sign(context.session, object::resolve(context, key, &backend)?, algorithm, &digest)
        })
    }

    /// Decrypts with RSA-OAEP and an empty label.
    ///
    /// # Errors
    /// - [`ErrorClass::BadInput`] if the ciphertext does not decrypt.
    /// - [`ErrorClass::Fatal`] if the token does not support the hash function with
    ///   CKM_RSA_PKCS_OAEP.
    /// - The errors of [`Token::verify_key`].
    ///
    /// # Examples
    /// ```no_run
    /// use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
    /// use strongroom::provider::pkcs11::{NewKey, Token, TokenKeyKind};
    ///
    /// fn round_trip(token: &Token) -> Result<(), Box<dyn std::error::Error>> {
    ///     let kind = TokenKeyKind::Decryption(KeyPairKind::Rsa2048);
    ///     let key = token.generate_key(&NewKey::new(&[7; 32], "inbox", kind))?;
    ///     let (backend, spki) = (CryptoBackend::default(), token.export_public_key(&key)?);
    ///     let public = backend.key_pairs().public_key(KeyPairKind::Rsa2048, &spki)?;
    ///     let ciphertext = public.encrypt(RsaOaep::Sha1, b"a key", backend.random())?;
    ///     assert_eq!(token.decrypt_oaep(&key, RsaOaep::Sha1, &ciphertext)?.expose_secret(), b"a key");
    ///     Ok(())
    /// }
    /// ```
    pub fn decrypt_oaep(
        &self,
        key: &TokenKeyHandle,
        oaep: RsaOaep,
        ciphertext: &[u8],
    ) -> Result<SecretBytes, TokenError> {
        let TokenKeyKind::Decryption(pair) = key.kind() else {
            return Err(TokenError::new(ErrorClass::Fatal, format!("{key} cannot decrypt with RSA-OAEP")));
        };
        if !self.able()?.oaep.contains(&oaep) {
            let text = format!("the token does not support CKM_RSA_PKCS_OAEP with {oaep:?}");
            return Err(TokenError::lacks("CKM_RSA_PKCS_OAEP", text));
        }
        if pair.modulus_bits().is_none_or(|bits| ciphertext.len() != bits / 8) {
            return Err(TokenError::new(
                ErrorClass::BadInput,
                "the length of the ciphertext differs from that of the modulus",
            ));
        }
        if key.public_key().is_some_and(|public| !public_key::is_below_modulus(ciphertext, public)) {
            return Err(TokenError::new(ErrorClass::BadInput, "the ciphertext is a number larger than the modulus"));
        }
        let (backend, ciphertext) = (self.0.config.backend, ciphertext.to_vec());
        self.with_key(key, move |context, key| {
            signing::decrypt_oaep(context.session, object::resolve(context, key, &backend)?, oaep, &ciphertext)
        })
    }

    /// Generates random bytes in the token, or in the software backend if the token has no
    /// generator.
    ///
    /// # Errors
    /// - [`ErrorClass::BadInput`] if more than 65,536 bytes are requested.
    /// - The errors of [`Token::connect`].
    pub fn random(&self, length: usize) -> Result<SecretBytes, TokenError> {
        check_random(length)?;
        let backend = self.0.config.backend;
        self.run(Task {
            retry: RetryPolicy::Safe,
            key: None,
            work: move |context: SessionContext<'_>| draw(context, &backend, length),
        })
    }

    /// Runs an operation with a key.
    fn with_key<T: Send + 'static>(
        &self,
        key: &TokenKeyHandle,
        work: impl Fn(SessionContext<'_>, &TokenKeyHandle) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        self.run_with(key, RetryPolicy::Safe, work)
    }

    /// Rejects input that AES-GCM of this token does not accept, and returns the source of
    /// initialization vectors.
    fn ready_for_gcm(&self, associated_data: &[u8], plaintext: usize) -> Result<IvMode, TokenError> {
        let capabilities = self.able()?;
        capabilities.need(RequiredMechanism::Gcm)?;
        check_gcm(associated_data, plaintext, capabilities.quirks.max_gcm_bytes)?;
        Ok(capabilities.iv_mode.unwrap_or(IvMode::Caller))
    }
}

fn check_random(length: usize) -> Result<(), TokenError> {
    if length <= MAX_RANDOM {
        return Ok(());
    }
    Err(TokenError::new(ErrorClass::BadInput, format!("cannot generate {length} random bytes in one call")))
}

/// Returns random bytes of the token, or of the backend if the token has no generator.
fn draw(context: SessionContext<'_>, backend: &CryptoBackend, length: usize) -> Result<SecretBytes, TokenError> {
    let mut random = SecretBytes::zeroed(length);
    if context.connection.info.rng() {
        context.session.generate_random_slice(random.expose_secret_mut())?;
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
            format!("the token accepts at most {most} bytes per call, not {plaintext}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_for_one_call_or_lacks_associated_data_is_refused() {
        let class = |checked: Result<(), TokenError>| checked.map_err(|error| error.class());
        assert_eq!(class(check_random(65_536)), Ok(()));
        assert_eq!(class(check_random(65_537)), Err(ErrorClass::BadInput));
        for length in [0, 1, 10] {
            assert_eq!(class(check_gcm(b"x", length, 10)), Ok(()));
            assert_eq!(class(check_gcm(b"", length, 10)), Err(ErrorClass::BadInput));
        }
        assert_eq!(class(check_gcm(b"x", 11, 10)), Err(ErrorClass::BadInput));
    }
}
