//! What a token can do, found out when it is attached: by its list of mechanisms, and by trying what lists lie about.

use std::collections::BTreeMap;

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::mechanism::{Mechanism, MechanismInfo};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
use crate::provider::pkcs11::config::{IvMode, KeyTypes, TokenConfig};
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::mechanism::gcm;
use crate::provider::pkcs11::mechanism::signing;
use crate::provider::pkcs11::mechanism::{MechanismUse, RequiredMechanism};
use crate::provider::pkcs11::object::public_key;
use crate::provider::pkcs11::quirks::{Quirks, quirks_of};
use crate::provider::pkcs11::reference::TokenKeyKind;

/// What the self-test encrypts, and what it is bound to.
const PROBE: &[u8] = b"strongroom self-test";
const PROBE_DATA: &[u8] = b"strongroom self-test, associated";

/// What a token is and can do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenCapabilities {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// The version of its firmware.
    pub firmware: String,
    /// What is known of such tokens.
    pub quirks: &'static Quirks,
    /// Its mechanisms, by the names of the standard.
    pub mechanisms: BTreeMap<String, MechanismUse>,
    /// Who makes the initialisation vectors of AES-GCM, as the self-test proved it; `None` without AES-GCM.
    pub iv_mode: Option<IvMode>,
    /// Why AES-GCM does not work though the token lists it.
    pub gcm_failure: Option<String>,
    /// The hash functions that RSA-OAEP works with; empty if it was not tried.
    pub oaep: Vec<RsaOaep>,
    /// The curves that it makes keys of and signs with; empty if it was not tried.
    pub curves: Vec<KeyPairKind>,
    /// How many sessions operations may have at once.
    pub sessions: usize,
    /// Whether it wants a PIN.
    pub login_required: bool,
    /// Whether it has a keypad of its own for the PIN.
    pub protected_authentication_path: bool,
    /// Whether it gives random numbers.
    pub random: bool,
}

impl TokenCapabilities {
    /// Finds out. The session objects that this makes are gone with the session.
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
                // It lists the mechanism and cannot do it in this way: the rest of the token is as good as before.
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

    /// Whether it is the token that these capabilities were found of.
    pub(in crate::provider::pkcs11) fn are_of(&self, context: SessionContext<'_>) -> bool {
        let info = &context.connection.info;
        self.serial == info.serial_number() && self.firmware == info.firmware_version().to_string()
    }

    /// Whether it lists a mechanism for a use.
    fn has(&self, mechanism: RequiredMechanism) -> bool {
        let (name, used) = mechanism.facts();
        self.mechanisms.get(name).is_some_and(used)
    }

    /// Refuses a use that the token has no mechanism for, with the mechanism's name.
    pub(in crate::provider::pkcs11) fn need(&self, mechanism: RequiredMechanism) -> Result<(), TokenError> {
        let (name, _) = mechanism.facts();
        if mechanism == RequiredMechanism::Gcm && self.iv_mode.is_none() {
            let reason = self.gcm_failure.as_deref().unwrap_or("it is not in its list");
            return Err(self.lack(name).at(reason));
        }
        if self.has(mechanism) { Ok(()) } else { Err(self.lack(name)) }
    }

    /// Refuses a kind of key that the token cannot make or use.
    ///
    /// # Errors
    /// [`ErrorClass::Fatal`], with the name of the mechanism that it lacks.
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
        let text = format!("token '{}' ({}) has no {mechanism} for this", self.label, self.manufacturer);
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

/// Proves AES-GCM: what was encrypted opens with its associated data, and with nothing else.
fn prove_gcm(context: SessionContext<'_>, mode: IvMode, backend: &CryptoBackend) -> Result<(), TokenError> {
    // A session of its own, as a failure leaves the operation open.
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
        // A session of its own for each, as a failure leaves the operation open.
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
    let text = format!("token '{}' fails the self-test of CKM_AES_GCM", context.connection.info.label());
    Err(TokenError::new(ErrorClass::Fatal, text))
}

/// The hash functions of RSA-OAEP, by opening a ciphertext of each.
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

/// The curves, by making a key of each and signing with it.
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

/// A key pair that is gone with its session.
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
