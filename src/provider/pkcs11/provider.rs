//! A single token as a key material provider of a `Kms`.

use std::sync::Arc;

use super::error::{ErrorClass, TokenError};
use super::object::NewKey;
use super::reference::{KEY_ID_LENGTH, TokenKeyHandle, TokenKeyKind, id_text};
use super::token::Token;
use super::token::capabilities::TokenCapabilities;
use crate::algorithm::{EncryptionAlgorithm, SigningAlgorithm};
use crate::crypto::{CryptoBackend, RsaOaep, SignatureInput};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, KeyUsage, Origin};
use crate::provider::{
    Capabilities, Cipher, CipherScheme, Decryption, GeneratedMaterial, InstanceMark, InstanceMarks,
    KeyMaterialProvider, MaterialBinding, MaterialGenerator, OpenedKey, ProviderId, Signing, key_pair_kind, oaep,
};
use crate::secret::SecretBytes;

/// Keys in a single token: the provider of origin `AWS_CLOUDHSM` over a [`Token`]. Register it with
/// [`KmsBuilder::provider`](crate::KmsBuilder::provider). Keys whose request names it are generated
/// in the token ([`CreateKeyRequest::provider`](crate::request::CreateKeyRequest::provider)).
///
/// It generates the kinds of key for which the token has every mechanism. Any other kind is
/// rejected with the name of the missing mechanism. The stored state of a key is a
/// [`TokenKeyHandle`], and never key material. Initialization vectors are generated at random, so a
/// caller that encrypts with its keys must count the messages, as the `Kms` does.
///
/// # Examples
/// ```no_run
/// use strongroom::provider::ProviderId;
/// use strongroom::provider::pkcs11::{FixedPin, Module, Pkcs11Provider, Token, TokenConfig, TokenSelector};
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::{Kms, SecretBytes};
///
/// let module = Module::load("/usr/lib/softhsm/libsofthsm2.so")?;
/// let pin = FixedPin::new(SecretBytes::copy_from_slice(b"1234"));
/// let token = Token::new(&module, TokenConfig::new(TokenSelector::Label("home".into())), pin);
/// let provider = Pkcs11Provider::new(ProviderId::new("home"), token)?;
/// assert_eq!(provider.token().capabilities().map(|able| able.label.clone()).as_deref(), Some("home"));
/// let kms = Kms::builder().provider(provider).build()?;
/// kms.create_key(CreateKeyRequest::default().provider("home"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pkcs11Provider {
    id: ProviderId,
    token: Token,
    able: Arc<TokenCapabilities>,
    capabilities: Capabilities,
}

impl Pkcs11Provider {
    /// Connects the token and determines its capabilities.
    ///
    /// # Errors
    /// - The errors of [`Token::connect`].
    pub fn new(id: ProviderId, token: Token) -> Result<Self, TokenError> {
        let able = token.connect()?;
        let kinds = KeySpec::ALL.iter().flat_map(|spec| spec.usages().iter().map(|usage| (*spec, *usage)));
        let kinds = kinds.filter(|(spec, usage)| offered(&able, *spec, *usage).is_ok()).collect();
        Ok(Self { id, token, able, capabilities: Capabilities::new(kinds, false) })
    }

    /// Returns the token.
    pub fn token(&self) -> &Token {
        &self.token
    }

    fn reference(&self, binding: &MaterialBinding, stored: &SecretBytes) -> Result<TokenKeyHandle> {
        let kind = offered(&self.able, binding.spec, binding.usage)?;
        let reference = TokenKeyHandle::from_bytes(stored.expose_secret()).filter(|reference| reference.kind() == kind);
        reference.ok_or_else(|| {
            let text = format!("the stored material is not a reference to a {} key in a token", binding.spec);
            Error::new(ErrorKind::Internal, text)
        })
    }
}

impl KeyMaterialProvider for Pkcs11Provider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn origin(&self) -> Origin {
        Origin::Hsm
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn unsupported_reason(&self, spec: KeySpec, usage: KeyUsage) -> Option<String> {
        offered(&self.able, spec, usage).err().map(|missing| missing.to_string())
    }

    fn open(&self, _backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        let key = TokenKey { key: self.reference(binding, stored)?, token: self.token.clone() };
        Ok(match key.key.kind() {
            TokenKeyKind::Aes256 | TokenKeyKind::WrappingAes256 => OpenedKey::Cipher(Box::new(key)),
            TokenKeyKind::Signing(_) => OpenedKey::Signing(Box::new(key)),
            TokenKeyKind::Decryption(_) => OpenedKey::Decryption(Box::new(key)),
        })
    }

    fn destroy(&self, binding: &MaterialBinding, stored: &SecretBytes) -> Result<()> {
        self.token.destroy_objects(self.reference(binding, stored)?.id())?;
        Ok(())
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }

    fn instance_marks(&self) -> Option<&dyn InstanceMarks> {
        Some(self)
    }
}

impl InstanceMarks for Pkcs11Provider {
    fn marks(&self, store: [u8; 16]) -> Result<Vec<InstanceMark>> {
        Ok(self.token.marks(store)?)
    }

    fn add_mark(&self, store: [u8; 16], mark: InstanceMark) -> Result<()> {
        Ok(self.token.add_mark(store, mark)?)
    }
}

impl MaterialGenerator for Pkcs11Provider {
    fn generate(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial> {
        let kind = offered(&self.able, binding.spec, binding.usage)?;
        let mut id = [0; KEY_ID_LENGTH];
        backend.random().fill(&mut id)?;
        let label = format!("{} {}", binding.key_id, binding.version.number());
        let key = self.token.generate_key(&NewKey::new(&id, label, kind)).map_err(|error| {
            let text = format!("{error}; if the token created the key nevertheless, its id is {}", id_text(&id));
            Error::new(Error::from(error.clone()).kind(), text).with_source(error)
        })?;
        let stored = SecretBytes::from_vec(key.to_bytes()?);
        Ok(match key.public_key() {
            Some(public) => GeneratedMaterial::key_pair(stored, public.to_vec()),
            None => GeneratedMaterial::secret(stored),
        })
    }
}

/// Returns the kind of token key for a spec. The error names the mechanism that the token lacks.
fn offered(able: &TokenCapabilities, spec: KeySpec, usage: KeyUsage) -> Result<TokenKeyKind> {
    let lacks = |mechanism: &'static str| {
        Error::from(TokenError::lacks(
            mechanism,
            format!("{spec} keys for {usage} are not supported in tokens: they would need {mechanism}"),
        ))
    };
    let kind = match (spec, usage, key_pair_kind(spec)) {
        (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt, _) => TokenKeyKind::Aes256,
        (KeySpec::EccNistEdwards25519, ..) => return Err(lacks("CKM_EDDSA")),
        (KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87, ..) => return Err(lacks("CKM_ML_DSA")),
        (_, KeyUsage::SignVerify, Some(pair)) => TokenKeyKind::Signing(pair),
        (_, KeyUsage::EncryptDecrypt, Some(pair)) => TokenKeyKind::Decryption(pair),
        (_, KeyUsage::KeyAgreement, _) => return Err(lacks("CKM_ECDH1_DERIVE")),
        (_, KeyUsage::EncapsulateDecapsulate, _) => return Err(lacks("CKM_ML_KEM")),
        (_, KeyUsage::GenerateVerifyMac, _) => return Err(lacks("CKM_SHA256_HMAC")),
        (..) => {
            let text = format!("{spec} keys for {usage} do not exist");
            return Err(Error::new(ErrorKind::UnsupportedOperation, text));
        }
    };
    able.check_kind(kind)?;
    if matches!(kind, TokenKeyKind::Decryption(_)) {
        // A KMS key supports every algorithm of its spec.
        let all = [RsaOaep::Sha1, RsaOaep::Sha256];
        if let Some(missing) = all.into_iter().find(|oaep| !able.oaep.contains(oaep)) {
            let text = format!("token '{}' does not support CKM_RSA_PKCS_OAEP with {missing:?}", able.label);
            return Err(TokenError::lacks("CKM_RSA_PKCS_OAEP", text).into());
        }
    }
    Ok(kind)
}

/// An opened key in a token.
struct TokenKey {
    key: TokenKeyHandle,
    token: Token,
}

/// Converts a failure to decrypt. If the ciphertext is the cause, the error gives no details.
fn not_opened(error: TokenError) -> Error {
    match error.class() {
        ErrorClass::BadInput => Error::new(ErrorKind::InvalidCiphertext, "the ciphertext is not authentic"),
        _ => error.into(),
    }
}

impl Cipher for TokenKey {
    fn scheme(&self) -> CipherScheme {
        CipherScheme::Provider
    }

    fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()> {
        output.extend_from_slice(&self.token.encrypt(&self.key, &[header, context].concat(), plaintext)?);
        Ok(())
    }

    fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes> {
        self.token.decrypt(&self.key, &[header, context].concat(), body).map_err(not_opened)
    }

    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes> {
        let (data_key, ciphertext) = self.token.generate_data_key(&self.key, &[header, context].concat(), length)?;
        output.extend_from_slice(&ciphertext);
        Ok(data_key)
    }
}

impl Signing for TokenKey {
    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>> {
        Ok(self.token.sign(&self.key, algorithm, input)?)
    }
}

impl Decryption for TokenKey {
    fn decrypt(&self, algorithm: EncryptionAlgorithm, ciphertext: &[u8]) -> Result<SecretBytes> {
        let oaep = oaep(algorithm).ok_or_else(|| {
            let text = format!("a private key in a token cannot decrypt with {algorithm}");
            Error::new(ErrorKind::Internal, text)
        })?;
        self.token.decrypt_oaep(&self.key, oaep, ciphertext).map_err(not_opened)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use strongroom_pkcs11_faults::{Nss, PIN, SoftHsm};

    use super::*;
    use crate::crypto::FASTEST;
    use crate::provider::conformance;
    use crate::provider::pkcs11::token::capabilities::tests::everything;
    use crate::provider::pkcs11::{FixedPin, KeyTypes, Module, TokenConfig, TokenSelector};

    fn provider(module: &Path, label: &str) -> Result<Pkcs11Provider> {
        let config = TokenConfig::new(TokenSelector::Label(label.into())).key_types(KeyTypes::All);
        let pin = FixedPin::new(SecretBytes::copy_from_slice(PIN.as_bytes()));
        Ok(Pkcs11Provider::new(ProviderId::new(label), Token::new(&Module::load(module)?, config, pin))?)
    }

    /// Reports that a test does not run, or fails it if all tests are required.
    fn missing(what: &str) {
        assert!(std::env::var_os("STRONGROOM_REQUIRE").is_none_or(|value| value != "all"), "{what} is not installed");
        eprintln!("not run: a provider over {what}, which is not installed");
    }

    /// RSA keys of these lengths take seconds to generate and exercise the same code as shorter
    /// keys.
    fn is_quick(spec: KeySpec, _: KeyUsage) -> bool {
        !matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096)
    }

    #[test]
    fn every_kind_of_key_is_offered_or_its_missing_mechanism_is_named() {
        let mut able = everything();
        for &spec in KeySpec::ALL {
            for &usage in spec.usages() {
                let missing = match (spec, usage) {
                    (KeySpec::EccNistEdwards25519, _) => Some("CKM_EDDSA"),
                    (KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87, _) => Some("CKM_ML_DSA"),
                    (_, KeyUsage::KeyAgreement) => Some("CKM_ECDH1_DERIVE"),
                    (_, KeyUsage::EncapsulateDecapsulate) => Some("CKM_ML_KEM"),
                    (_, KeyUsage::GenerateVerifyMac) => Some("CKM_SHA256_HMAC"),
                    _ => None,
                };
                let offer = offered(&able, spec, usage);
                assert_eq!(offer.is_ok(), missing.is_none(), "{spec} {usage}: {offer:?}");
                let Err(error) = offer else { continue };
                assert_eq!(error.kind(), ErrorKind::UnsupportedOperation, "{error}");
                let lacks = error.downcast_ref::<TokenError>().and_then(TokenError::missing_mechanism);
                assert_eq!(lacks, missing, "{error}");
            }
        }
        let rsa = |able: &TokenCapabilities| offered(able, KeySpec::Rsa2048, KeyUsage::EncryptDecrypt);
        for oaep in [vec![RsaOaep::Sha1], vec![RsaOaep::Sha256]] {
            able.oaep = oaep;
            let error = rsa(&able).expect_err("a key has every algorithm of its spec");
            assert!(error.to_string().contains("CKM_RSA_PKCS_OAEP with Sha"), "{error}");
        }
        able.oaep = vec![RsaOaep::Sha256, RsaOaep::Sha1];
        rsa(&able).expect("these are all");
    }

    #[test]
    fn only_the_input_makes_a_ciphertext_invalid() {
        for class in ErrorClass::ALL {
            let invalid = not_opened(TokenError::new(class, "it failed")).kind() == ErrorKind::InvalidCiphertext;
            assert_eq!(invalid, class == ErrorClass::BadInput, "{class}");
        }
    }

    #[test]
    fn keeps_the_contract_on_soft_hsm() -> Result<()> {
        let Some(hsm) = SoftHsm::new(&["conformance"]) else {
            missing("SoftHSM 2");
            return Ok(());
        };
        let provider = provider(hsm.shim().path(), "conformance")?;
        let made = &provider.capabilities().generates;
        assert!(made.contains(&(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)));
        assert!(made.contains(&(KeySpec::Rsa2048, KeyUsage::SignVerify)));
        assert!(made.contains(&(KeySpec::EccSecgP256k1, KeyUsage::SignVerify)));
        assert!(!made.contains(&(KeySpec::Rsa2048, KeyUsage::EncryptDecrypt)), "SoftHSM supports OAEP only with SHA-1");
        conformance::run(&provider, &FASTEST, is_quick)
    }

    #[test]
    fn keeps_the_contract_on_nss_as_far_as_it_goes() -> Result<()> {
        let Some(nss) = Nss::new() else {
            missing("NSS softokn");
            return Ok(());
        };
        let provider = provider(nss.shim().path(), Nss::LABEL)?;
        let made = &provider.capabilities().generates;
        assert!(made.contains(&(KeySpec::Rsa2048, KeyUsage::EncryptDecrypt)));
        assert!(made.contains(&(KeySpec::EccNistP256, KeyUsage::SignVerify)));
        conformance::run(&provider, &FASTEST, is_quick)
    }
}
