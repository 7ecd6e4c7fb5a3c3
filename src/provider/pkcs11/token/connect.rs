//! Makes the connection of a token when it is needed, once for all that need it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::capabilities::TokenCapabilities;
use super::session::Session;
use super::state::{Inner, Local};
use crate::provider::pkcs11::connection::Attachment;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::module::Membership;

impl Inner {
    /// Gives up a connection; whoever comes next makes a new one.
    pub(super) fn detach(local: &Local, attachment: &Arc<Attachment>) {
        local.attachment.compare_and_swap(attachment, None);
    }

    /// The connection, made unless somebody else has just done so.
    pub(super) fn attach(&self, local: &Local) -> Result<Arc<Attachment>, TokenError> {
        let _turn = ConnectingTurn::take(local, self.config.session_wait)?;
        if let Some(attachment) = local.attachment.load_full()
            && attachment.is_current()
        {
            return Ok(attachment);
        }
        // What the one before was refused, and waited for here, is not tried again: each wrong PIN brings the token nearer
        // to locking.
        local.breaker.check_pin()?;
        local.attachment.store(None);
        let made = self.membership(local).and_then(|membership| self.make_attachment(&membership));
        let made = made.and_then(|attachment| Self::keep(local, attachment));
        match &made {
            Ok(_) => local.breaker.logged_in(),
            Err(error) if error.is_of_login() => local.breaker.login_failed(error),
            Err(_) => {}
        }
        made.inspect_err(|error| match error.class() {
            ErrorClass::Denied | ErrorClass::Fatal | ErrorClass::Busy => {}
            _ => local.breaker.failure(error),
        })
    }

    /// Keeps a new connection, unless the token was disconnected while it was made.
    fn keep(local: &Local, attachment: Arc<Attachment>) -> Result<Arc<Attachment>, TokenError> {
        let membership = {
            let mut connecting = local.connecting();
            if !connecting.ended {
                local.attachment.store(Some(Arc::clone(&attachment)));
                return Ok(attachment);
            }
            connecting.membership.take()
        };
        drop((attachment, membership));
        Err(TokenError::new(ErrorClass::TokenLost, "the token was disconnected"))
    }

    fn membership(&self, local: &Local) -> Result<Arc<Membership>, TokenError> {
        if let Some(membership) = &local.connecting().membership {
            return Ok(Arc::clone(membership));
        }
        let membership = Arc::new(self.module.join()?);
        local.connecting().membership = Some(Arc::clone(&membership));
        Ok(membership)
    }

    /// Finds the token; where it is not, has the module look again, as tokens that come back are not seen before.
    fn make_attachment(&self, membership: &Arc<Membership>) -> Result<Arc<Attachment>, TokenError> {
        let epoch = self.module.epoch();
        self.try_attachment(membership).or_else(|error| match error.class() {
            _ if error.is_of_unclear_login() => Err(error),
            ErrorClass::Denied | ErrorClass::Fatal | ErrorClass::Busy | ErrorClass::BadInput => Err(error),
            ErrorClass::SessionLost | ErrorClass::TokenLost | ErrorClass::Ambiguous | ErrorClass::KeyMissing => {
                match self.module.reinitialize(epoch) {
                    Ok(()) => self.try_attachment(membership),
                    Err(refused) => Err(error.found_to_be(ErrorClass::TokenLost, &refused.to_string())),
                }
            }
        })
    }

    fn try_attachment(&self, membership: &Arc<Membership>) -> Result<Arc<Attachment>, TokenError> {
        let pin = self.pin.load_full();
        let attachment = Arc::new(Attachment::make(&self.module, membership, &self.config, &**pin)?);
        let known = self.capabilities.load_full();
        let found = self.once(&attachment, Session::Any, |calls| match &known {
            Some(known) if known.are_of(calls) => Ok(None),
            _ => TokenCapabilities::probe(calls, &self.config).map(Some),
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
            attachment.iv_mode.get_or_init(|| mode);
        }
        Ok(attachment)
    }
}

/// The turn to make the connection of a token.
struct ConnectingTurn<'a>(&'a Local);

impl<'a> ConnectingTurn<'a> {
    fn take(local: &'a Local, wait: Duration) -> Result<Self, TokenError> {
        let (mut connecting, waited) = local
            .connected
            .wait_timeout_while(local.connecting(), wait, |connecting| connecting.under_way)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(TokenError::new(ErrorClass::TokenLost, "a connection to the token is not made in time"));
        }
        if connecting.ended {
            return Err(TokenError::new(ErrorClass::TokenLost, "the token is disconnected"));
        }
        connecting.under_way = true;
        Ok(Self(local))
    }
}

impl Drop for ConnectingTurn<'_> {
    fn drop(&mut self) {
        self.0.connecting().under_way = false;
        self.0.connected.notify_all();
    }
}
