//! Establishes the connection of a token when it is needed, once for all waiting operations.

use std::sync::Arc;
use std::time::Duration;

use super::capabilities::TokenCapabilities;
use super::session::Session;
use super::state::{Inner, ProcessState};
use crate::provider::pkcs11::connection::Connection;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::module::ModuleLease;

impl Inner {
    /// Discards a connection. The next operation establishes a new one.
    pub(super) fn drop_connection(process: &ProcessState, connection: &Arc<Connection>) {
        process.connection.compare_and_swap(connection, None);
    }

    /// Returns the current connection, or establishes one if no other thread has just done so.
    pub(super) fn obtain_connection(&self, process: &ProcessState) -> Result<Arc<Connection>, TokenError> {
        let _turn = ConnectingTurn::take(process, self.config.session_wait)?;
        if let Some(connection) = process.connection.load_full()
            && connection.is_current()
        {
            return Ok(connection);
        }
        // If the previous connection attempt, for which this one waited, was rejected, its PIN is
        // not tried again. Each wrong PIN uses up one of the attempts before the token locks.
        process.breaker.check_pin()?;
        process.connection.store(None);
        let made = self.lease(process).and_then(|lease| self.make_connection(&lease));
        let made = made.and_then(|connection| Self::keep(process, connection));
        match &made {
            Ok(_) => process.breaker.logged_in(),
            Err(error) if error.is_of_login() => process.breaker.login_failed(error),
            Err(_) => {}
        }
        made.inspect_err(|error| match error.class() {
            ErrorClass::Denied | ErrorClass::Fatal | ErrorClass::Busy => {}
            _ => process.breaker.failure(error),
        })
    }

    /// Stores a new connection, unless the token was disconnected in the meantime.
    fn keep(process: &ProcessState, connection: Arc<Connection>) -> Result<Arc<Connection>, TokenError> {
        let lease = {
            let mut connecting = process.connecting();
            if !connecting.ended {
                process.connection.store(Some(Arc::clone(&connection)));
                return Ok(connection);
            }
            connecting.lease.take()
        };
        drop((connection, lease));
        Err(TokenError::new(ErrorClass::TokenLost, "the token was disconnected"))
    }

    fn lease(&self, process: &ProcessState) -> Result<Arc<ModuleLease>, TokenError> {
        if let Some(lease) = &process.connecting().lease {
            return Ok(Arc::clone(lease));
        }
        let lease = Arc::new(self.module.join()?);
        process.connecting().lease = Some(Arc::clone(&lease));
        Ok(lease)
    }

    /// Finds the token. If it is missing, reinitializes the module, which does not see returning
    /// tokens otherwise.
    fn make_connection(&self, lease: &Arc<ModuleLease>) -> Result<Arc<Connection>, TokenError> {
        let generation = self.module.generation();
        self.try_connection(lease).or_else(|error| match error.class() {
            _ if error.is_of_unclear_login() => Err(error),
            ErrorClass::Denied | ErrorClass::Fatal | ErrorClass::Busy | ErrorClass::BadInput => Err(error),
            ErrorClass::SessionLost | ErrorClass::TokenLost | ErrorClass::Ambiguous | ErrorClass::KeyMissing => {
                match self.module.reinitialize(generation) {
                    Ok(()) => self.try_connection(lease),
                    Err(refused) => Err(error.found_to_be(ErrorClass::TokenLost, &refused.to_string())),
                }
            }
        })
    }

    fn try_connection(&self, lease: &Arc<ModuleLease>) -> Result<Arc<Connection>, TokenError> {
        let pin = self.pin.load_full();
        let connection = Arc::new(Connection::make(&self.module, lease, &self.config, &**pin)?);
        let known = self.capabilities.load_full();
        let found = self.once(&connection, Session::Any, |context| match &known {
            Some(known) if known.are_of(context) => Ok(None),
            _ => TokenCapabilities::probe(context, &self.config).map(Some),
        });
        let found = match found? {
            Some(found) => {
                let found = Arc::new(found);
                self.capabilities.store(Some(Arc::clone(&found)));
                Some(found)
            }
            None => known,
        };
        if let Some(mode) = found.and_then(|found| found.iv_mode) {
            connection.iv_mode.get_or_init(|| mode);
        }
        Ok(connection)
    }
}

/// The exclusive right to establish the connection of a token.
struct ConnectingTurn<'a>(&'a ProcessState);

impl<'a> ConnectingTurn<'a> {
    fn take(process: &'a ProcessState, wait: Duration) -> Result<Self, TokenError> {
        let (mut connecting, waited) =
            process.connected.wait_timeout_while(process.connecting(), wait, |connecting| connecting.under_way);
        if waited.timed_out() {
            return Err(TokenError::new(ErrorClass::TokenLost, "timed out connecting to the token"));
        }
        if connecting.ended {
            return Err(TokenError::new(ErrorClass::TokenLost, "the token is disconnected"));
        }
        connecting.under_way = true;
        Ok(Self(process))
    }
}

impl Drop for ConnectingTurn<'_> {
    fn drop(&mut self) {
        self.0.connecting().under_way = false;
        self.0.connected.notify_all();
    }
}
