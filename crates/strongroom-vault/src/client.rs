//! The transit engine of Vault, with a deadline.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use strongroom::{Error, ErrorKind, Result};
use strongroom_upstream::{DEFAULT_DEADLINE, Interruption, Worker, check_deadline};
use vaultrs::api::{exec_with_empty, exec_with_result};
use vaultrs::client::{Client, VaultClient};
use vaultrs::error::ClientError;

use crate::classify::classify;
use crate::error::{VaultError, VaultFailure};
use crate::name::{check_path, check_token};
use crate::request::Request;

/// How often a request is sent at most, unless [`VaultTransit::with_attempts`] sets another number.
pub const DEFAULT_ATTEMPTS: u32 = 3;

/// The largest number of attempts.
pub const MAX_ATTEMPTS: u32 = 10;

/// The pause before the second attempt. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Calls the transit engine of HashiCorp Vault or OpenBao, from threads of any kind.
///
/// The client is asynchronous, and the traits of strongroom block. This handle runs its calls in the
/// runtime of a separate thread. The calling thread blocks until the call ends or its deadline passes:
///
/// - Any thread may call, those of Tokio runtimes included, also of a runtime with a single thread.
/// - Calls of several threads run concurrently.
/// - Clones share the thread, the connections, and the token. The thread ends when the last of them is
///   dropped, holders and providers included.
/// - After a fork, the child must create another handle.
///
/// # Client
///
/// Address, namespace, token, timeout, proxy, and TLS are the settings of the client. The handle creates
/// another client with the same settings, so that its connections do not depend on your runtime. A token
/// expires: renew it with your client, or log in again and call [`set_token`](Self::set_token).
///
/// A request that Vault did not perform is sent again, after a pause, 3 times by default: if there is no
/// connection, if a quota limits requests, if Vault is sealed or a standby, and if it failed. The
/// operations can all be repeated safely.
///
/// The client does not wipe its buffers, so plaintexts remain in freed memory of the process for some
/// time. It reports errors of Vault through `tracing` or `log`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom_vault::VaultTransit;
/// use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
///
/// let settings = VaultClientSettingsBuilder::default().address("http://127.0.0.1:8200").token("hvs.one").build()?;
/// let vault = VaultTransit::new(&VaultClient::new(settings)?, "transit")?;
/// assert_eq!((vault.mount(), vault.deadline()), ("transit", Duration::from_secs(10)));
/// let patient = vault.with_deadline(Duration::from_secs(60))?.with_attempts(5)?;
/// assert_eq!((patient.deadline(), patient.attempts()), (Duration::from_secs(60), 5));
/// patient.set_token("hvs.two")?; // of both handles
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct VaultTransit {
    shared: Arc<Shared>,
    deadline: Duration,
    attempts: u32,
}

struct Shared {
    worker: Worker,
    client: RwLock<Arc<VaultClient>>,
    address: String,
    mount: String,
    /// The namespace and the mount, for errors and names.
    path: String,
}

impl VaultTransit {
    /// Creates a handle for a transit engine, and starts its thread. `mount` is the path of the engine
    /// within the namespace of the client, such as `transit`.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the mount, the namespace, or the token contain other characters than
    ///   Vault allows, or if the client cannot be created with its settings.
    /// - [`ErrorKind::Internal`] if the operating system cannot start a thread.
    ///
    /// # Examples
    /// ```
    /// use strongroom_vault::VaultTransit;
    /// use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
    ///
    /// let settings = VaultClientSettingsBuilder::default().address("http://127.0.0.1:8200").token("hvs.one").build()?;
    /// let client = VaultClient::new(settings)?;
    /// assert_eq!(VaultTransit::new(&client, "/teams/billing/transit/")?.mount(), "teams/billing/transit");
    /// assert!(VaultTransit::new(&client, "transit/../sys").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(client: &impl Client, mount: &str) -> Result<Self> {
        let settings = client.settings().clone();
        let mount = check_path(mount, "mount")?;
        check_token(&settings.token)?;
        let path = match settings.namespace.as_deref().filter(|namespace| !namespace.trim_matches('/').is_empty()) {
            Some(namespace) => format!("{}/{mount}", check_path(namespace, "namespace")?),
            None => mount.clone(),
        };
        let address = settings.address.to_string();
        let client = VaultClient::new(settings).map_err(|error| {
            let text = format!("cannot create a client of Vault: {error}");
            Error::new(ErrorKind::Validation, text).with_source(error)
        })?;
        let worker = Worker::start("strongroom-vault", "Vault")?;
        let shared = Shared { worker, client: RwLock::new(Arc::new(client)), address, mount, path };
        Ok(Self { shared: Arc::new(shared), deadline: DEFAULT_DEADLINE, attempts: DEFAULT_ATTEMPTS })
    }

    /// Returns a handle with another deadline, which shares the thread and the connections.
    ///
    /// The deadline applies to one operation with a key: all calls and all attempts together.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the deadline is zero or longer than
    ///   [`MAX_DEADLINE`](crate::MAX_DEADLINE).
    pub fn with_deadline(&self, deadline: Duration) -> Result<Self> {
        Ok(Self { deadline: check_deadline(deadline)?, ..self.clone() })
    }

    /// Returns a handle that sends a request at most this often.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the number is zero or more than [`MAX_ATTEMPTS`].
    pub fn with_attempts(&self, attempts: u32) -> Result<Self> {
        if !(1..=MAX_ATTEMPTS).contains(&attempts) {
            let text = format!("the number of attempts must be 1 to {MAX_ATTEMPTS}");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok(Self { attempts, ..self.clone() })
    }

    /// Sets the token of further calls, of all clones.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if it contains characters that no token has, such as a line break.
    pub fn set_token(&self, token: &str) -> Result<()> {
        check_token(token)?;
        let mut current = self.shared.client.write().unwrap_or_else(PoisonError::into_inner);
        let http = rustify::clients::reqwest::Client::new(&current.http.base, current.http.http.clone());
        let mut next = VaultClient { http, middle: current.middle.clone(), settings: current.settings.clone() };
        next.set_token(token);
        *current = Arc::new(next);
        Ok(())
    }

    /// Returns the deadline.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns the maximum number of attempts.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the path of the transit engine within its namespace.
    pub fn mount(&self) -> &str {
        &self.shared.mount
    }

    /// Returns the path of a key: namespace, mount, and name.
    pub(crate) fn path_of(&self, key: &str) -> String {
        format!("{}/{key}", self.shared.path)
    }

    /// Begins work that must end before the deadline.
    pub(crate) fn begin(&self) -> Session<'_> {
        Session { vault: self, ends: Instant::now() + self.deadline }
    }
}

impl fmt::Debug for VaultTransit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("VaultTransit");
        out.field("address", &self.shared.address).field("path", &self.shared.path);
        out.field("deadline", &self.deadline).field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

/// Calls that share a deadline.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) vault: &'a VaultTransit,
    ends: Instant,
}

impl Session<'_> {
    /// Returns the path of a request within the engine.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.vault.mount())
    }

    /// Sends a request, and returns the data of its answer.
    pub(crate) fn ask<T>(&self, operation: &'static str, key: &str, request: Request<T>) -> Result<T>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.run(operation, key, move |client| {
            let request = request.clone();
            async move { exec_with_result(&*client, request).await }
        })
    }

    /// Sends a request whose answer has no data, or none of interest.
    pub(crate) fn tell(&self, operation: &'static str, key: &str, request: Request<()>) -> Result<()> {
        self.run(operation, key, move |client| {
            let request = request.clone();
            async move { exec_with_empty(&*client, request).await }
        })
    }

    fn run<T, F>(
        &self,
        operation: &'static str,
        key: &str,
        send: impl Fn(Arc<VaultClient>) -> F + Send + Sync + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        let path = self.vault.path_of(key);
        let client = Arc::clone(&self.vault.shared.client.read().unwrap_or_else(PoisonError::into_inner));
        let (ends, attempts, named) = (self.ends, self.vault.attempts, path.clone());
        let call = async move {
            let mut pause = FIRST_PAUSE;
            for attempt in 1.. {
                let error = match send(Arc::clone(&client)).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => classify(operation, &named, &error),
                };
                // A pause beyond the deadline would hide the failure.
                let is_last = attempt >= attempts || Instant::now() + pause >= ends;
                if is_last || !error.failure().is_retried() {
                    return Err(error);
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(VaultError::new(VaultFailure::TimedOut, operation, &named))
        };
        if Instant::now() >= ends {
            return Err(VaultError::new(VaultFailure::TimedOut, operation, &path).into());
        }
        match self.vault.shared.worker.run(ends, call) {
            Ok(answer) => answer.map_err(Into::into),
            Err(Interruption::TimedOut) => Err(VaultError::new(VaultFailure::TimedOut, operation, &path).into()),
            Err(_) => Err(VaultError::new(VaultFailure::Lost, operation, &path).into()),
        }
    }

    /// Returns the error for an answer that lacks something.
    pub(crate) fn incomplete(&self, operation: &'static str, key: &str, detail: &str) -> Error {
        let error = VaultError::new(VaultFailure::InvalidResponse, operation, &self.vault.path_of(key));
        error.with_detail(detail).into()
    }
}
