//! One token in one epoch of its module: its slot, the session that holds the login, the pool of sessions and the
//! handles of keys. When any of it is lost, all of it is made anew.

pub(in crate::provider::pkcs11) mod pool;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Limit, Slot, TokenInfo};
use cryptoki::types::RawAuthPin;

use self::pool::{OpenSession, Pool};
use crate::provider::pkcs11::config::{IvMode, PinProvider, TokenConfig, TokenSelector};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::module::{Call, Module, ModuleLease};
use crate::provider::pkcs11::quirks::quirks_of;
use crate::provider::pkcs11::reference::KeyReference;

/// Most handles that are kept.
const MAX_HANDLES: usize = 100_000;

/// How often a token is logged in to that may be hidden for a moment, and how long it is left alone after the first time;
/// each time longer by as much.
const LOGINS: u32 = 6;
const LOGIN_PAUSE: Duration = Duration::from_millis(10);

/// Most tokens that an error names.
const MAX_NAMES: usize = 16;

/// A token that was found and logged in to.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Connection {
    pub(in crate::provider::pkcs11) epoch: u64,
    pub(in crate::provider::pkcs11) slot: Slot,
    pub(in crate::provider::pkcs11) info: TokenInfo,
    pub(in crate::provider::pkcs11) pool: Pool,
    /// Who makes initialisation vectors, once the self-test has shown it.
    pub(in crate::provider::pkcs11) iv_mode: OnceLock<IvMode>,
    handles: RwLock<HashMap<KeyReference, ObjectHandle>>,
    /// Holds the login: a token logs out when its last session is closed.
    _login: Mutex<OpenSession>,
    /// Last, so that the module is finalised after the sessions are closed.
    lease: Arc<ModuleLease>,
}

impl Connection {
    /// Finds the token and logs in.
    pub(in crate::provider::pkcs11) fn make(
        module: &Module,
        lease: &Arc<ModuleLease>,
        config: &TokenConfig,
        pin: &dyn PinProvider,
    ) -> Result<Self, TokenError> {
        let epoch = module.epoch();
        let call = lease.enter(epoch)?;
        let (slot, info) = find(module, &config.selector)?;
        let login = OpenSession::open(lease, epoch, slot)?;
        log_in(login.session(), &info, pin)?;
        let most = most_sessions(config.max_sessions, &info);
        drop(call);
        Ok(Self {
            epoch,
            slot,
            info,
            pool: Pool::new(most),
            iv_mode: OnceLock::new(),
            handles: RwLock::default(),
            _login: Mutex::new(login),
            lease: Arc::clone(lease),
        })
    }

    /// Whether its epoch is not over. A connection is used only in the process that made it, which is not asked for here.
    pub(in crate::provider::pkcs11) fn is_current(&self) -> bool {
        self.lease.epoch() == self.epoch
    }

    /// Enters the module for calls, unless the epoch is over.
    pub(in crate::provider::pkcs11) fn enter(&self) -> Result<Call<'_>, TokenError> {
        self.lease.enter(self.epoch)
    }

    /// Opens another session; the caller is inside the module.
    pub(in crate::provider::pkcs11) fn open_session(&self) -> Result<OpenSession, TokenError> {
        OpenSession::open(&self.lease, self.epoch, self.slot)
    }

    /// The handle of a key, if it was found and verified since this was made.
    pub(in crate::provider::pkcs11) fn handle(&self, key: &KeyReference) -> Option<ObjectHandle> {
        self.handles.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    /// Keeps the handle of a verified key.
    pub(in crate::provider::pkcs11) fn keep_handle(&self, key: &KeyReference, handle: ObjectHandle) {
        let mut handles = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        if handles.len() >= MAX_HANDLES {
            handles.clear();
        }
        handles.insert(key.clone(), handle);
    }

    /// Forgets the handles of all keys of an id.
    pub(in crate::provider::pkcs11) fn forget_handles(&self, id: &[u8]) {
        self.handles.write().unwrap_or_else(PoisonError::into_inner).retain(|key, _| key.id() != id);
    }
}

/// What an operation calls the token with.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider::pkcs11) struct SessionContext<'a> {
    pub(in crate::provider::pkcs11) module: &'a Module,
    pub(in crate::provider::pkcs11) connection: &'a Connection,
    pub(in crate::provider::pkcs11) session: &'a Session,
}

/// Whether the token is there; nobody logs in for that.
pub(in crate::provider::pkcs11) fn look(module: &Module, selector: &TokenSelector) -> Result<(), TokenError> {
    let lease = module.join()?;
    let _call = lease.enter(lease.epoch())?;
    find(module, selector).map(drop)
}

/// The slot of the one token that the selector means.
fn find(module: &Module, selector: &TokenSelector) -> Result<(Slot, TokenInfo), TokenError> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let mut failed = None;
    for slot in module.client().get_slots_with_token()? {
        // A token that does not answer is none of our business, unless it is the one.
        match module.client().get_token_info(slot) {
            Ok(info) if is_meant(&info, selector) => found.push((slot, info)),
            Ok(info) => others.push(info),
            Err(error) => failed = Some(TokenError::from(error)),
        }
    }
    let count = found.len();
    let all = names(found.iter().map(|(_, info)| info).chain(&others));
    match (found.pop(), count) {
        (Some(one), 1) => Ok(one),
        (Some(_), _) => {
            let text = format!("{count} tokens are a {selector}: name it by its serial number, of {all}");
            Err(TokenError::new(ErrorClass::Fatal, text))
        }
        (None, _) => {
            let text = format!("there is no {selector} in {}, which has {all}", module.path().display());
            let error = TokenError::new(ErrorClass::TokenLost, text);
            Err(failed.map_or(error.clone(), |failed| failed.found_to_be(ErrorClass::TokenLost, &error.to_string())))
        }
    }
}

/// The tokens of a module that have a name, for who wrote another one.
fn names<'a>(infos: impl Iterator<Item = &'a TokenInfo>) -> String {
    let named = infos.filter(|info| info.token_initialized()).take(MAX_NAMES);
    let names: Vec<String> =
        named.map(|info| format!("'{}' (serial number '{}')", info.label(), info.serial_number())).collect();
    if names.is_empty() { "no tokens".to_owned() } else { names.join(", ") }
}

fn is_meant(info: &TokenInfo, selector: &TokenSelector) -> bool {
    info.token_initialized()
        && match selector {
            TokenSelector::Serial(serial) => info.serial_number() == serial,
            TokenSelector::Label(label) => info.label() == label,
        }
}

/// Logs in if the token wants it. A wrong PIN is tried once, here, and by nobody after.
fn log_in(session: &Session, info: &TokenInfo, pin: &dyn PinProvider) -> Result<(), TokenError> {
    if !info.login_required() {
        return Ok(());
    }
    check_pin_flags(info)?;
    let given = pin.pin().map_err(|error| {
        TokenError::new(ErrorClass::TokenLost, format!("there is no PIN for token '{}': {error}", info.label()))
    })?;
    // The copy is overwritten when it is dropped.
    let given = given.map(|pin| RawAuthPin::new(Box::new(pin.into_zeroizing_vec().to_vec())));
    let hidden = quirks_of(info.manufacturer_id()).hidden_by_logins;
    let mut tries = 0;
    loop {
        tries += 1;
        let answer = match &given {
            Some(pin) => session.login_with_raw(UserType::User, pin),
            None => session.login(UserType::User, None),
        };
        match answer {
            // Another session of this process has logged in: the login is the token's.
            Ok(()) | Err(CryptokiError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => return Ok(()),
            // It could not read what it knows of the token, and has not come to the PIN.
            Err(CryptokiError::Pkcs11(RvError::GeneralError, _)) if hidden && tries < LOGINS => {
                thread::sleep(LOGIN_PAUSE * tries);
            }
            Err(CryptokiError::Pkcs11(RvError::UserPinNotInitialized, _)) if hidden && info.user_pin_initialized() => {
                let text = "C_Login answers CKR_USER_PIN_NOT_INITIALIZED for a token that has a PIN";
                return Err(TokenError::new(ErrorClass::TokenLost, text));
            }
            Err(error) => return Err(TokenError::from(error).of_login()),
        }
    }
}

/// Rejects a token whose flags report that a login must not be attempted (PKCS#11 v3.1, section 3.2). They cost no attempt, so
/// they are read again by the next connection.
fn check_pin_flags(info: &TokenInfo) -> Result<(), TokenError> {
    let token = info.label();
    if info.user_pin_locked() {
        let text = format!(
            "the user PIN of token '{token}' is locked (CKF_USER_PIN_LOCKED): the token's security officer must set a new one"
        );
        return Err(TokenError::rejects("CKF_USER_PIN_LOCKED", text));
    }
    if info.user_pin_final_try() {
        let text = format!(
            "not logged in to token '{token}': one more wrong PIN would lock it (CKF_USER_PIN_FINAL_TRY). Log in once with the \
             vendor's tool and the right PIN, which resets the counter, check the PIN that is configured here, and connect again"
        );
        return Err(TokenError::rejects("CKF_USER_PIN_FINAL_TRY", text));
    }
    if info.user_pin_to_be_changed() {
        let text = format!(
            "not logged in to token '{token}': its user PIN is a default or has expired (CKF_USER_PIN_TO_BE_CHANGED). Change it \
             with the vendor's tool, configure the new one here, and connect again"
        );
        return Err(TokenError::rejects("CKF_USER_PIN_TO_BE_CHANGED", text));
    }
    Ok(())
}

/// Sessions for operations: one is left for the login.
fn most_sessions(wanted: usize, info: &TokenInfo) -> usize {
    [info.max_session_count(), info.max_rw_session_count()].into_iter().fold(wanted.max(1), |most, limit| match limit {
        Limit::Max(count) if count > 0 => {
            most.min(usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(1).max(1))
        }
        Limit::Max(_) | Limit::Infinite | Limit::Unavailable => most,
    })
}
