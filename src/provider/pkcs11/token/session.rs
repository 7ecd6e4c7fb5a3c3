//! A single call with a session of the pool.

use std::sync::Arc;

use super::state::Inner;
use crate::provider::pkcs11::connection::{Connection, SessionContext};
use crate::provider::pkcs11::error::TokenError;

/// The sessions that a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    Any,
    New,
}

impl Inner {
    /// Runs the operation once. Its session is closed afterwards unless the operation succeeded.
    pub(super) fn once<T>(
        &self,
        connection: &Arc<Connection>,
        session: Session,
        work: impl Fn(SessionContext<'_>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let mut lent = connection.pool.lend(self.config.session_wait)?;
        let call = connection.enter()?;
        if session == Session::New {
            lent.renew();
        }
        let opened = lent.session(|| connection.open_session());
        let result = match opened {
            Ok(session) => work(SessionContext { module: &self.module, connection, session }),
            Err(error) => {
                if error.code() == Some("CKR_SESSION_COUNT") {
                    connection.pool.is_full();
                }
                Err(error)
            }
        };
        if result.is_ok() {
            lent.give_back();
        } else {
            drop(lent);
        }
        drop(call);
        result
    }
}
