//! State that all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::ServerConfig;
use strongroom::Kms;

use super::budget::Budget;
use super::limits::Limits;
use super::workers::Workers;
use crate::credentials::AccessKeys;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::refusals::Refusals;
use crate::reload::Reloadable;

/// The state of a server: the KMS, the access keys, and the limits.
#[derive(Debug)]
pub struct State {
    pub(super) kms: Kms,
    pub(super) region: String,
    pub(super) keys: Reloadable<AccessKeys>,
    pub(super) tls: Option<Reloadable<Arc<ServerConfig>>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: Limits,
    pub(super) workers: Workers,
    pub(super) refusals: Refusals,
    pub(super) budget: Budget,
    /// The handle of unsigned requests, which only a local server for development accepts.
    pub(super) unsigned: Option<Kms>,
    /// The page `/metrics` is for every client, not only for those of the same machine.
    pub(super) metrics_for_all: bool,
    is_stopping: AtomicBool,
}

impl State {
    /// Creates the state of a server without TLS that accepts only signed requests. The handle is
    /// that of the authority; requests never act with it.
    pub fn new(kms: Kms, keys: AccessKeys, metrics: Arc<Metrics>, limits: Limits) -> Self {
        Self {
            region: kms.locality().region().to_owned(),
            workers: Workers::new(&limits),
            refusals: Refusals::new(),
            budget: Budget::new(&limits),
            kms,
            keys: Reloadable::new(keys),
            tls: None,
            metrics,
            limits,
            unsigned: None,
            metrics_for_all: false,
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Serves TLS.
    #[must_use]
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(Reloadable::new(config));
        self
    }

    /// Lets requests without a known access key act as the root of the account, if they are sent to
    /// a name of the local machine and not by a web page. Only for development, on a loopback
    /// address.
    ///
    /// # Errors
    /// - If the handle is not that of the authority.
    pub fn allow_unsigned_requests(mut self) -> Result<Self> {
        self.unsigned = Some(self.kms.as_principal(self.kms.principal().clone())?);
        Ok(self)
    }

    /// Shows the page `/metrics` to every client, not only to those of the same machine.
    #[must_use]
    pub const fn metrics_for_all(mut self) -> Self {
        self.metrics_for_all = true;
        self
    }

    /// Returns the KMS.
    pub const fn kms(&self) -> &Kms {
        &self.kms
    }

    /// Replaces the access keys. Requests that have begun finish with the previous ones.
    pub fn replace_keys(&self, keys: AccessKeys) {
        self.keys.replace(keys);
    }

    /// Replaces the certificate for new connections.
    pub fn replace_tls(&self, config: Arc<ServerConfig>) {
        if let Some(tls) = &self.tls {
            tls.replace(config);
        }
    }

    /// Writes an event about the requests whose signatures were refused since the last call to the
    /// audit trail. Call this regularly and at the end. If nothing was refused, it writes nothing.
    ///
    /// # Errors
    /// - If the audit trail cannot be written. The next event contains these requests, too.
    pub fn record_refusals(&self) -> Result<()> {
        self.refusals.record(&self.kms)
    }

    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Returns `true` if the server accepts new requests.
    pub(super) fn is_healthy(&self) -> bool {
        !self.is_stopping.load(Ordering::Acquire) && !self.kms.is_closed()
    }
}
