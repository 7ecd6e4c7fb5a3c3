//! The connection to one token in one generation of its module: the slot, the session that holds
//! the login, the session pool and the key handles. When any of them is lost, all of them are
//! replaced.

mod discovery;
mod login;
mod pool;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::{Limit, Slot, TokenInfo};

use self::discovery::find;
pub(in crate::provider::pkcs11) use self::discovery::look;
use self::login::log_in;
use self::pool::{OpenSession, Pool};
use crate::lock::{Mutex, RwLock};
use crate::provider::pkcs11::config::{IvMode, PinProvider, TokenConfig};
use crate::provider::pkcs11::error::TokenError;
use crate::provider::pkcs11::module::{Call, Module, ModuleLease};
use crate::provider::pkcs11::reference::TokenKeyHandle;

/// Maximum number of cached handles.
const MAX_HANDLES: usize = 100_000;

/// A connection to a token that was found and logged in to.
#[derive(Debug)]
pub(in crate::provider::pkcs11) struct Connection {
    pub(in crate::provider::pkcs11) generation: u64,
    pub(in crate::provider::pkcs11) slot: Slot,
    pub(in crate::provider::pkcs11) info: TokenInfo,
    pub(in crate::provider::pkcs11) pool: Pool,
    /// Source of initialization vectors, once the self-test has determined it.
    pub(in crate::provider::pkcs11) iv_mode: OnceLock<IvMode>,
    handles: RwLock<HashMap<TokenKeyHandle, ObjectHandle>>,
    /// Holds the login: a token logs out when its last session is closed.
    _login: Mutex<OpenSession>,
    /// Dropped last, so that the module is finalized after the sessions are closed.
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
        let generation = module.generation();
        let call = lease.enter(generation)?;
        let (slot, info) = find(module, &config.selector)?;
        let login = OpenSession::open(lease, generation, slot)?;
        log_in(login.session(), &info, pin)?;
        let most = most_sessions(config.max_sessions, [info.max_session_count(), info.max_rw_session_count()]);
        drop(call);
        Ok(Self {
            generation,
            slot,
            info,
            pool: Pool::new(most),
            iv_mode: OnceLock::new(),
            handles: RwLock::default(),
            _login: Mutex::new(login),
            lease: Arc::clone(lease),
        })
    }

    /// Returns `true` if its generation is current. A connection is used only in the process that
    /// created it, which is not checked here.
    pub(in crate::provider::pkcs11) fn is_current(&self) -> bool {
        self.lease.generation() == self.generation
    }

    /// Enters the module for calls, unless the generation has ended.
    pub(in crate::provider::pkcs11) fn enter(&self) -> Result<Call<'_>, TokenError> {
        self.lease.enter(self.generation)
    }

    /// Opens another session. The caller must be inside the module.
    pub(in crate::provider::pkcs11) fn open_session(&self) -> Result<OpenSession, TokenError> {
        OpenSession::open(&self.lease, self.generation, self.slot)
    }

    /// Returns the handle of a key, if it was found and verified over this connection.
    pub(in crate::provider::pkcs11) fn handle(&self, key: &TokenKeyHandle) -> Option<ObjectHandle> {
        self.handles.read().get(key).copied()
    }

    /// Caches the handle of a verified key.
    pub(in crate::provider::pkcs11) fn keep_handle(&self, key: &TokenKeyHandle, handle: ObjectHandle) {
        let mut handles = self.handles.write();
        if handles.len() >= MAX_HANDLES {
            handles.clear();
        }
        handles.insert(key.clone(), handle);
    }

    /// Removes the cached handles of all keys with an id.
    pub(in crate::provider::pkcs11) fn forget_handles(&self, id: &[u8]) {
        self.handles.write().retain(|key, _| key.id() != id);
    }
}

/// Everything that an operation needs to call the token.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider::pkcs11) struct SessionContext<'a> {
    pub(in crate::provider::pkcs11) module: &'a Module,
    pub(in crate::provider::pkcs11) connection: &'a Connection,
    pub(in crate::provider::pkcs11) session: &'a Session,
}

/// Returns the maximum number of sessions for operations. One session of the token is reserved for
/// the login.
fn most_sessions(wanted: usize, limits: [Limit; 2]) -> usize {
    limits.into_iter().fold(wanted.max(1), |most, limit| match limit {
        Limit::Max(count) if count > 0 => {
            most.min(usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(1).max(1))
        }
        Limit::Max(_) | Limit::Infinite | Limit::Unavailable => most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_of_the_token_is_left_for_the_login() {
        use Limit::{Infinite, Max, Unavailable};
        for (wanted, limits, most) in [
            (8, [Infinite, Unavailable], 8),
            (0, [Infinite, Infinite], 1),
            (8, [Max(8), Infinite], 7),
            (8, [Infinite, Max(4)], 3),
            (8, [Max(100), Max(9)], 8),
            (8, [Max(2), Max(3)], 1),
            (8, [Max(1), Infinite], 1),
            (8, [Max(0), Max(0)], 8),
            (usize::MAX, [Max(u64::MAX), Infinite], usize::MAX - 1),
        ] {
            assert_eq!(most_sessions(wanted, limits), most, "{wanted} {limits:?}");
        }
    }
}
