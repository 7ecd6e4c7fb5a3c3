//! One call with a session of the pool.

use std::sync::Arc;

use super::state::Inner;
use crate::provider::pkcs11::connection::{Attachment, Calls};
use crate::provider::pkcs11::error::TokenError;

/// Which session is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    Any,
    New,
}

impl Inner {
    /// Does it once, with a session that is closed afterwards unless all went well.
    pub(super) fn once<T>(
        &self,
        attachment: &Arc<Attachment>,
        session: Session,
        work: impl Fn(Calls<'_>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let mut lent = attachment.pool.lend(self.config.session_wait)?;
        let call = attachment.enter()?;
        if session == Session::New {
            lent.renew();
        }
        let opened = lent.session(|| attachment.open_session());
        let result = match opened {
            Ok(session) => work(Calls { module: &self.module, attachment, session }),
            Err(error) => {
                if error.code() == Some("CKR_SESSION_COUNT") {
                    attachment.pool.is_full();
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
