//! Capabilities of a token, determined when it is connected: from its mechanism list, and by
//! testing what such lists misreport.

use std::collections::BTreeMap;

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::mechanism::{Mechanism, MechanismInfo};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::crypto::{CryptoBackend, KeyPairFamily, KeyPairKind, RsaOaep};
use crate::provider::pkcs11::config::{IvMode, KeyTypes, TokenConfig};
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::mechanism::gcm;
use crate::provider::pkcs11::mechanism::signing;
use crate::provider::pkcs11::mechanism::{MechanismUse, RequiredMechanism};
use crate::provider::pkcs11::object::public_key;
use crate::provider::pkcs11::quirks::{Quirks, quirks_of};
use crate::provider::pkcs11::reference::TokenKeyKind;

/// Plaintext of the self-test, and its associated data.
const PROBE: &[u8] = b"strongroom self-test";
const PROBE_DATA: &[u8] = b"strongroom self-test, associated";

/// Identity and capabilities of a token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenCapabilities {
    /// Label of the token.
    pub label: String,
    /// Serial number of the token.
    pub serial: String,
    /// Manufacturer of the token.
    pub manufacturer: String,
    /// Model of the token.
    pub model: String,
    /// Firmware version of the token.
    pub firmware: String,
    /// Known facts about tokens of this vendor.
    pub quirks: &'static Quirks,
    /// Mechanisms of the token, by their standard names.
    pub mechanisms: BTreeMap<String, MechanismUse>,
    /// Source of the initialization vectors of AES-GCM, as confirmed by the self-test. `None`
    /// without AES-GCM.
    pub iv_mode: Option<IvMode>,
    /// The reason why AES-GCM does not work although the token lists it.
    pub gcm_failure: Option<String>,
    /// The hash functions that RSA-OAEP works with. Empty if this was not tested.
    pub oaep: Vec<RsaOaep>,
    /// The curves for which the token generates key pairs and signs. Empty if this was not tested.
    pub curves: Vec<KeyPairKind>,
    /// Maximum number of concurrent sessions for operations.
    pub sessions: usize,
    /// `true` if the token requires a PIN.
    pub login_required: bool,
    /// `true` if the token has its own keypad for the PIN.
    pub protected_authentication_path: bool,
    /// `true` if the token generates random numbers.
    pub random: bool,
}

impl TokenCapabilities {
    /// Determines the capabilities. The session objects created for this are destroyed with the
    /// session.
    pub(in crate::provider::pkcs11) fn probe(
        context: SessionContext<'_>,
        config: &TokenConfig,
    ) -> Result<Self, TokenError> {
        let info = &context.connection.info;
        let quirks = quirks_of(info.manufacturer_id());
        let mut found = Self {
            label: info.label().to_owned(),
            serial: info.serial_number().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            firmware: info.firmware_version().to_string(),
            quirks,
            mechanisms: mechanisms(context)?,
            iv_mode: None,
            gcm_failure: None,
            oaep: Vec::new(),
            curves: Vec::new(),
            sessions: context.connection.pool.most(),
            login_required: info.login_required(),
            protected_authentication_path: info.protected_authentication_path(),
            random: info.rng(),
        };
        if found.has(RequiredMechanism::Gcm) {
            let mode = config.iv_mode.or(quirks.iv_mode).unwrap_or(IvMode::Caller);
            match prove_gcm(context, mode, &config.backend) {
                Ok(()) => found.iv_mode = Some(mode),
                // The token lists the mechanism but does not support it in this mode. The rest of
                // the token remains usable.
                Err(error) if error.code().is_some() && error.class() == ErrorClass::Fatal => {
                    found.gcm_failure = Some(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        if config.key_types == KeyTypes::All {
            found.oaep = probe_oaep(context, &found, &config.backend)?;
            found.curves = probe_curves(context, &found)?;
        }
        Ok(found)
    }

    /// Returns `true` if the capabilities were determined for this token.
    pub(in crate::provider::pkcs11) fn are_of(&self, context: SessionContext<'_>) -> bool {
        let info = &context.connection.info;
        self.serial == info.serial_number() && self.firmware == info.firmware_version().to_string()
    }

    /// Returns `true` if the token lists a mechanism for the required use.
    fn has(&self, mechanism: RequiredMechanism) -> bool {
        let (name, used) = mechanism.facts();
        self.mechanisms.get(name).is_some_and(used)
    }

    /// Rejects a use for which the token has no mechanism, and names the mechanism.
    pub(in crate::provider::pkcs11) fn need(&self, mechanism: RequiredMechanism) -> Result<(), TokenError> {
        let (name, _) = mechanism.facts();
        if mechanism == RequiredMechanism::Gcm && self.iv_mode.is_none() {
            let reason = self.gcm_failure.as_deref().unwrap_or("the mechanism is not in the token's list");
            return Err(self.lack(name).at(reason));
        }
        if self.has(mechanism) { Ok(()) } else { Err(self.lack(name)) }
    }

    /// Rejects a kind of key that the token cannot generate or use.
    ///
    /// # Errors
    /// - [`ErrorClass::Fatal`] with the name of the missing mechanism.
    pub fn check_kind(&self, kind: TokenKeyKind) -> Result<(), TokenError> {
        match kind {
            TokenKeyKind::Aes256 => {
                self.need(RequiredMechanism::AesKeyGeneration).and_then(|()| self.need(RequiredMechanism::Gcm))
            }
            TokenKeyKind::WrappingAes256 => {
                self.need(RequiredMechanism::AesKeyGeneration).and_then(|()| self.need(RequiredMechanism::KeyWrap))
            }
            TokenKeyKind::Signing(pair) if pair.modulus_bits().is_some() => {
                [RequiredMechanism::RsaKeyPairGeneration, RequiredMechanism::Pkcs1, RequiredMechanism::Pss]
                    .into_iter()
                    .try_for_each(|mechanism| self.need(mechanism))
            }
            TokenKeyKind::Signing(pair) if pair.family() == KeyPairFamily::MlDsa => Err(self.lack("CKM_ML_DSA")),
            TokenKeyKind::Signing(pair) => {
                self.need(RequiredMechanism::EcKeyPairGeneration)?;
                self.need(RequiredMechanism::Ecdsa)?;
                if self.curves.contains(&pair) { Ok(()) } else { Err(self.lack("CKM_EC_KEY_PAIR_GEN")) }
            }
            TokenKeyKind::Decryption(pair) => {
                if pair.modulus_bits().is_none() {
                    return Err(self.lack("CKM_RSA_PKCS_OAEP"));
                }
                self.need(RequiredMechanism::RsaKeyPairGeneration)?;
                self.need(RequiredMechanism::Oaep)?;
                if self.oaep.is_empty() { Err(self.lack("CKM_RSA_PKCS_OAEP")) } else { Ok(()) }
            }
        }
    }

    fn lack(&self, mechanism: &'static str) -> TokenError {
        let text =
            format!("token '{}' ({}) does not support {mechanism} for this operation", self.label, self.manufacturer);
        TokenError::lacks(mechanism, text)
    }
}

fn mechanisms(context: SessionContext<'_>) -> Result<BTreeMap<String, MechanismUse>, TokenError> {
    let (client, slot) = (context.module.client(), context.connection.slot);
    let mut found = BTreeMap::new();
    for mechanism in client.get_mechanism_list(slot)? {
        let info = client.get_mechanism_info(slot, mechanism)?;
        found.insert(mechanism.to_string(), use_of(&info));
    }
    Ok(found)
}

fn use_of(info: &MechanismInfo) -> MechanismUse {
    MechanismUse {
        ciphers: info.encrypt() && info.decrypt(),
        signs: info.sign(),
        wraps: info.wrap() && info.unwrap(),
        generates: info.generate() || info.generate_key_pair(),
        in_hardware: info.hardware(),
    }
}

/// Verifies AES-GCM: a ciphertext decrypts only if it and its associated data are unaltered.
fn prove_gcm(context: SessionContext<'_>, mode: IvMode, backend: &CryptoBackend) -> Result<(), TokenError> {
    // Uses a separate session, as a failure leaves the operation open.
    let session = context.connection.open_session()?;
    let context = SessionContext { session: session.session(), ..context };
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Sensitive(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
    ];
    let key = context.session.generate_key(&Mechanism::AesKeyGen, &template)?;
    let made = gcm::encrypt(context.session, key, mode, backend, PROBE_DATA, PROBE)?;
    let again = gcm::encrypt(context.session, key, mode, backend, PROBE_DATA, PROBE)?;
    let opened = gcm::decrypt(context.session, key, PROBE_DATA, &made)?;
    let mut altered = made.clone();
    if let Some(last) = altered.last_mut() {
        *last ^= 1;
    }
    let fails = |data: &[u8], ciphertext: &[u8]| {
        // Each uses a separate session, as a failure leaves the operation open.
        let session = context.connection.open_session()?;
        Ok::<bool, TokenError>(gcm::decrypt(session.session(), key, data, ciphertext).is_err())
    };
    let sound = opened.expose_secret() == PROBE
        && made[..12] != again[..12]
        && fails(PROBE_DATA, &altered)?
        && fails(b"other associated data", &made)?;
    context.session.destroy_object(key)?;
    if sound {
        return Ok(());
    }
    let text = format!("token '{}' failed the self-test of CKM_AES_GCM", context.connection.info.label());
    Err(TokenError::new(ErrorClass::Fatal, text))
}

/// Determines the hash functions of RSA-OAEP, by decrypting one ciphertext for each.
fn probe_oaep(
    context: SessionContext<'_>,
    found: &TokenCapabilities,
    backend: &CryptoBackend,
) -> Result<Vec<RsaOaep>, TokenError> {
    let listed = [RequiredMechanism::Oaep, RequiredMechanism::RsaKeyPairGeneration]
        .into_iter()
        .all(|needed| found.need(needed).is_ok());
    if !listed {
        return Ok(Vec::new());
    }
    let public = [
        Attribute::Token(false),
        Attribute::Encrypt(true),
        Attribute::ModulusBits(2_048.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ];
    let (public, private) = pair(context.session, &Mechanism::RsaPkcsKeyPairGen, &public, Attribute::Decrypt(true))?;
    let spki = public_key::read(context.session, public, KeyPairKind::Rsa2048, backend)?;
    let software = backend.key_pairs().public_key(KeyPairKind::Rsa2048, &spki);
    let software = software.map_err(|error| TokenError::new(ErrorClass::Fatal, error.to_string()))?;
    let mut works = Vec::new();
    for oaep in RsaOaep::ALL {
        let Ok(ciphertext) = software.encrypt(oaep, PROBE, backend.random()) else { continue };
        let session = context.connection.open_session()?;
        let opened = signing::decrypt_oaep(session.session(), private, oaep, &ciphertext);
        if opened.is_ok_and(|opened| opened.expose_secret() == PROBE) {
            works.push(oaep);
        }
    }
    Ok(works)
}

/// Determines the curves, by generating a key pair on each and signing with it.
fn probe_curves(context: SessionContext<'_>, found: &TokenCapabilities) -> Result<Vec<KeyPairKind>, TokenError> {
    let listed = [RequiredMechanism::Ecdsa, RequiredMechanism::EcKeyPairGeneration]
        .into_iter()
        .all(|needed| found.need(needed).is_ok());
    let mut works = Vec::new();
    for kind in KeyPairKind::ALL.into_iter().filter(|_| listed) {
        let Some(curve) = public_key::ec_parameters(kind) else { continue };
        let session = context.connection.open_session()?;
        let public = [Attribute::Token(false), Attribute::Verify(true), Attribute::EcParams(curve)];
        let made = pair(session.session(), &Mechanism::EccKeyPairGen, &public, Attribute::Sign(true));
        let signed = made.and_then(|(_, private)| Ok(session.session().sign(&Mechanism::Ecdsa, private, &[7; 32])?));
        match signed {
            Ok(_) => works.push(kind),
            Err(error) if error.class() == ErrorClass::TokenLost => return Err(error),
            Err(_) => {}
        }
    }
    Ok(works)
}

/// Generates a session key pair, which is destroyed with its session.
fn pair(
    session: &Session,
    mechanism: &Mechanism<'_>,
    public: &[Attribute],
    used: Attribute,
) -> Result<(ObjectHandle, ObjectHandle), TokenError> {
    let private = [Attribute::Token(false), Attribute::Private(true), Attribute::Sensitive(true), used];
    match session.generate_key_pair(mechanism, public, &private) {
        Err(CryptokiError::Pkcs11(RvError::DeviceRemoved | RvError::TokenNotPresent, _)) => {
            Err(TokenError::new(ErrorClass::TokenLost, "the token was lost during its self-test"))
        }
        made => Ok(made?),
    }
}

#[cfg(test)]
pub(in crate::provider::pkcs11) mod tests {
    use super::*;

    const MECHANISMS: [RequiredMechanism; 9] = [
        RequiredMechanism::AesKeyGeneration,
        RequiredMechanism::Gcm,
        RequiredMechanism::KeyWrap,
        RequiredMechanism::RsaKeyPairGeneration,
        RequiredMechanism::EcKeyPairGeneration,
        RequiredMechanism::Pkcs1,
        RequiredMechanism::Pss,
        RequiredMechanism::Oaep,
        RequiredMechanism::Ecdsa,
    ];

    const NO_USE: MechanismUse =
        MechanismUse { ciphers: false, signs: false, wraps: false, generates: false, in_hardware: true };

    /// The capabilities of a token that has everything.
    pub(in crate::provider::pkcs11) fn everything() -> TokenCapabilities {
        let used = MechanismUse { ciphers: true, signs: true, wraps: true, generates: true, in_hardware: false };
        let curves = KeyPairKind::ALL.into_iter().filter(|kind| public_key::ec_parameters(*kind).is_some());
        TokenCapabilities {
            label: "one".to_owned(),
            serial: "1".to_owned(),
            manufacturer: "of the test".to_owned(),
            model: String::new(),
            firmware: "1.0".to_owned(),
            quirks: quirks_of("of the test"),
            mechanisms: MECHANISMS.iter().map(|mechanism| (mechanism.facts().0.to_owned(), used)).collect(),
            iv_mode: Some(IvMode::Caller),
            gcm_failure: None,
            oaep: RsaOaep::ALL.to_vec(),
            curves: curves.collect(),
            sessions: 8,
            login_required: true,
            protected_authentication_path: false,
            random: true,
        }
    }

    /// Every kind of key, with what a token needs for it.
    fn kinds() -> Vec<(TokenKeyKind, Vec<RequiredMechanism>)> {
        use RequiredMechanism::{
            AesKeyGeneration, EcKeyPairGeneration, Ecdsa, Gcm, KeyWrap, Oaep, Pkcs1, Pss, RsaKeyPairGeneration,
        };
        let mut kinds = vec![
            (TokenKeyKind::Aes256, vec![AesKeyGeneration, Gcm]),
            (TokenKeyKind::WrappingAes256, vec![AesKeyGeneration, KeyWrap]),
        ];
        for pair in KeyPairKind::ALL {
            if pair.modulus_bits().is_some() {
                kinds.push((TokenKeyKind::Signing(pair), vec![RsaKeyPairGeneration, Pkcs1, Pss]));
                kinds.push((TokenKeyKind::Decryption(pair), vec![RsaKeyPairGeneration, Oaep]));
            } else if public_key::ec_parameters(pair).is_some() {
                kinds.push((TokenKeyKind::Signing(pair), vec![EcKeyPairGeneration, Ecdsa]));
            }
        }
        kinds
    }

    #[test]
    fn a_kind_of_key_needs_exactly_its_mechanisms() {
        let everything = everything();
        for (kind, needed) in kinds() {
            assert_eq!(everything.check_kind(kind), Ok(()), "{kind}");
            for mechanism in MECHANISMS {
                let name = mechanism.facts().0;
                let mut listed_for_nothing = everything.clone();
                listed_for_nothing.mechanisms.insert(name.to_owned(), NO_USE);
                let mut unlisted = everything.clone();
                unlisted.mechanisms.remove(name);
                for able in [listed_for_nothing, unlisted] {
                    let expected = needed.contains(&mechanism).then_some(name);
                    let missing = able.check_kind(kind).err().map(|error| error.missing_mechanism());
                    assert_eq!(missing, expected.map(Some), "{kind} without {name}");
                }
            }
        }
    }

    #[test]
    fn what_did_not_work_when_it_was_tested_is_missing() {
        let missing = |able: &TokenCapabilities, kind| {
            let error = able.check_kind(kind).expect_err("it did not work");
            (error.missing_mechanism(), error.to_string())
        };
        let mut able = everything();
        (able.iv_mode, able.gcm_failure) = (None, Some("it rejects every vector".to_owned()));
        let (mechanism, text) = missing(&able, TokenKeyKind::Aes256);
        assert_eq!(mechanism, Some("CKM_AES_GCM"));
        assert!(text.contains("it rejects every vector"), "{text}");
        able.gcm_failure = None;
        assert!(missing(&able, TokenKeyKind::Aes256).1.contains("the mechanism is not in the token's list"));
        assert_eq!(able.check_kind(TokenKeyKind::WrappingAes256), Ok(()), "it needs no AES-GCM");

        let mut able = everything();
        able.curves.retain(|curve| *curve != KeyPairKind::EccP521);
        let p521 = TokenKeyKind::Signing(KeyPairKind::EccP521);
        assert_eq!(missing(&able, p521).0, Some("CKM_EC_KEY_PAIR_GEN"));
        assert_eq!(able.check_kind(TokenKeyKind::Signing(KeyPairKind::EccP384)), Ok(()));
        able.oaep.clear();
        let rsa = TokenKeyKind::Decryption(KeyPairKind::Rsa2048);
        assert_eq!(missing(&able, rsa).0, Some("CKM_RSA_PKCS_OAEP"));
        let ecc = TokenKeyKind::Decryption(KeyPairKind::EccP256);
        assert_eq!(missing(&everything(), ecc).0, Some("CKM_RSA_PKCS_OAEP"), "elliptic curves do not decrypt");
        assert_eq!(missing(&everything(), TokenKeyKind::Signing(KeyPairKind::Ed25519)).0, Some("CKM_EC_KEY_PAIR_GEN"));
        assert_eq!(missing(&everything(), TokenKeyKind::Signing(KeyPairKind::MlDsa65)).0, Some("CKM_ML_DSA"));
    }
}
