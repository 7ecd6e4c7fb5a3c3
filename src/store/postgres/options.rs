//! Options for opening a store in a database.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, NoTls, Socket};

use super::primary::Primary;
use super::session::{Dial, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// The maximum length of the name of a schema, in bytes. PostgreSQL truncates longer names.
const MAX_SCHEMA: usize = 63;

const MAX_CONNECTIONS: usize = 1_000;

const DEFAULT_PORT: u16 = 5432;

/// The time after which PostgreSQL itself begins to probe an idle connection.
const KEEPALIVE_OF_POSTGRES: Duration = Duration::from_secs(2 * 60 * 60);

type ReadPassword = dyn Fn() -> Result<SecretBytes> + Send + Sync;

/// Settings of a [`PostgresStore`](super::PostgresStore).
///
/// The connection string has the form of [libpq]: a URL such as
/// `postgresql://app@db1,db2/keys?sslmode=require`, or pairs such as `host=db1,db2 user=app
/// dbname=keys`. It is the only source of settings: environment variables and password files are
/// not read. Where it is silent, the defaults below apply, which are stricter than those of libpq.
///
/// | setting | default here | in libpq |
/// |---|---|---|
/// | `sslmode` | `require`, except for Unix sockets and loopback addresses | `prefer`: plaintext if the server has no TLS |
/// | `target_session_attrs` | always `read-write` | `any` |
/// | `connect_timeout` | 3 s for each host | none |
/// | `keepalives_idle`, `keepalives_interval`, `keepalives_retries` | 10 s, 5 s, 3 | those of the system: 2 hours |
/// | `tcp_user_timeout` | 20 s | that of the system: about 15 minutes |
/// | `application_name` | `strongroom` | none |
///
/// Several hosts are tried in order. If a host does not answer within half a second, the next one
/// is tried at the same time, and the first that accepts writes is used. `load_balance_hosts` has
/// no effect, since only the primary is used.
///
/// The timeouts and the isolation level that a role or a database has for its sessions do not apply
/// to a store. If `default_transaction_read_only` is on, a store does not open.
///
/// `sslmode=disable` is the only way to use a connection over a network without TLS. The connector
/// that you pass to [`tls`](Self::tls) verifies the certificate of the server.
///
/// [libpq]: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use strongroom::store::PostgresOptions;
///
/// let options = PostgresOptions::new("postgresql://app@db1.internal,db2.internal/keys?sslmode=disable")?
///     .password("secret")
///     .schema("keys")
///     .timeout(Duration::from_secs(2))
///     .connect_timeout(Duration::from_secs(1))
///     .connections(8)
///     .promotion_keeps_location();
/// assert!(!format!("{options:?}").contains("secret"));
///
/// // A server of tests, without durability.
/// let test = PostgresOptions::new("host=/run/postgresql dbname=test")?.accept_unsafe_server();
///
/// assert!(PostgresOptions::new("postgresql://db1:port/").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) config: Config,
    pub(super) dial: Option<Arc<Dial>>,
    pub(super) password: Option<Arc<ReadPassword>>,
    pub(super) schema: String,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) connections: usize,
    pub(super) max_staleness: Duration,
    pub(super) stale_if_error: Duration,
    pub(super) unsafe_server: bool,
    pub(super) location_has_timeline: bool,
}

impl PostgresOptions {
    /// Returns the options for a connection string.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the connection string is malformed, names no host, has an
    ///   unknown parameter, or requires a server that does not accept writes.
    pub fn new(connection_string: &str) -> Result<Self> {
        // The error of the driver can contain a part of the string, which can contain a password.
        let mut config: Config =
            connection_string.parse().map_err(|_| malformed("it is not in the form that libpq accepts"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(malformed("it names no host"));
        }
        if config.get_target_session_attrs() == TargetSessionAttrs::ReadOnly {
            return Err(malformed("a store needs a server that accepts writes, so remove target_session_attrs"));
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("strongroom");
        }
        if config.get_keepalives_idle() == KEEPALIVE_OF_POSTGRES {
            config.keepalives_idle(Duration::from_secs(10));
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_interval(Duration::from_secs(5));
        }
        if config.get_keepalives_retries().is_none() {
            config.keepalives_retries(3);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(20));
        }
        let connect_timeout = config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(3));
        Ok(Self {
            config,
            dial: None,
            password: None,
            schema: "strongroom".into(),
            timeout: Duration::from_secs(5),
            connect_timeout,
            connections: 4,
            max_staleness: Duration::from_secs(1),
            stale_if_error: Duration::ZERO,
            unsafe_server: false,
            location_has_timeline: true,
        })
    }

    /// Sets the connector that establishes TLS, for example `MakeTlsConnector` of the crate
    /// `postgres-native-tls` or `MakeRustlsConnect` of `tokio-postgres-rustls`. It verifies the
    /// certificate of the server. The manual shows [one](crate::manual::sharing#setting-it-up).
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::store::{PostgresOptions, PostgresStore};
    /// use tokio_postgres::NoTls;
    ///
    /// // Without a connector, nothing is sent over a network.
    /// let options = PostgresOptions::new("postgresql://app@db1.internal/keys")?;
    /// assert_eq!(PostgresStore::open(&options).unwrap_err().kind(), ErrorKind::Validation);
    /// // A real program passes its own connector.
    /// let options = options.tls(NoTls);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn tls<T>(mut self, connector: T) -> Self
    where
        T: MakeTlsConnect<Socket, TlsConnect: Send, Stream: Send> + Clone + Send + Sync + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        self.dial = Some(Session::dialer(connector));
        self
    }

    /// Sets the password of the role, in place of one in the connection string.
    #[must_use]
    pub fn password(mut self, password: impl AsRef<[u8]>) -> Self {
        self.config.password(password);
        self.password = None;
        self
    }

    /// Sets a function that returns the password of the role. It is called for each new connection,
    /// so it suits passwords that expire, such as the tokens of AWS IAM. It may block.
    ///
    /// # Examples
    /// ```
    /// use strongroom::SecretBytes;
    /// use strongroom::store::PostgresOptions;
    ///
    /// let options = PostgresOptions::new("postgresql://app@127.0.0.1/keys")?
    ///     .password_with(|| Ok(SecretBytes::copy_from_slice(b"token")));
    /// assert!(!format!("{options:?}").contains("token"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn password_with(mut self, read: impl Fn() -> Result<SecretBytes> + Send + Sync + 'static) -> Self {
        self.password = Some(Arc::new(read));
        self
    }

    /// Sets the schema that contains the tables, by default `strongroom`. Several stores can be in
    /// one database, each in its own schema.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Sets how long one request to the server may take, by default 5 s. Every call of the store
    /// returns within this time, except [`KeyStore::check_structure`]. A commit has it three times:
    /// to wait for commits of this process, for its lock, and for the write. The server ends
    /// abandoned transactions, and with them the lock of a process that lost its network, after the
    /// same time. It takes at most 25 s if a request was received only in part.
    ///
    /// [`KeyStore::check_structure`]: crate::store::KeyStore::check_structure
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long it may take to connect to one host, by default 3 s: name resolution, TLS and
    /// authentication included. It replaces `connect_timeout` in the connection string.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the maximum number of connections for reading, at least one and by default four. This
    /// is the number of reads that the server executes at the same time; others wait. Connections
    /// are opened when they are first needed. Commits use at most two more connections.
    #[must_use]
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets the time after which a change by another process is observed at the latest, by default
    /// 1 s. It also holds during a failover: no operation uses what has not been current within this
    /// time.
    ///
    /// The store proves twice per bound that its server is still the primary, while it is in use. A
    /// proof is a commit of a message without rows. It takes a round trip and a flush of the
    /// write-ahead log, and the server answers only once its synchronous replicas have the message.
    /// A primary that was deposed therefore cannot prove it. Without synchronous replicas, the bound
    /// depends on whatever stops the old primary when another server is promoted.
    ///
    /// Once the bound has passed, operations fail with
    /// [`StoreError::Fenced`](crate::store::StoreError::Fenced) or
    /// [`StoreError::Unreachable`](crate::store::StoreError::Unreachable). Zero requests a proof for
    /// every operation. The bound is measured with a clock that cannot be set and counts the time
    /// for which the machine was suspended.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use strongroom::store::PostgresOptions;
    ///
    /// let options = PostgresOptions::new("host=/run/postgresql")?.max_staleness(Duration::from_millis(250));
    /// assert!(format!("{options:?}").contains("max_staleness: 250ms"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn max_staleness(mut self, bound: Duration) -> Self {
        self.max_staleness = bound;
        self
    }

    /// Accepts stale state for this additional time while no server proves that it is the primary,
    /// by default zero. **A key that another process has disabled or deleted can be used for as
    /// long.** Keys that are in memory then remain usable during an outage of the database; all
    /// others still need it. The name is that of RFC 5861.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use strongroom::store::PostgresOptions;
    ///
    /// let options = PostgresOptions::new("host=/run/postgresql")?.stale_if_error(Duration::from_secs(60));
    /// assert!(format!("{options:?}").contains("stale_if_error: 60s"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn stale_if_error(mut self, time: Duration) -> Self {
        self.stale_if_error = time;
        self
    }

    /// Accepts a server that loses acknowledged changes when it crashes, because `fsync` or
    /// `full_page_writes` is off. Suitable for the servers of tests.
    #[must_use]
    pub const fn accept_unsafe_server(mut self) -> Self {
        self.unsafe_server = true;
        self
    }

    /// Treats a promoted replica as the same store. By default, a `Kms` destroys nothing outside
    /// the store after a promotion until you call
    /// [`Kms::declare_successor`](crate::Kms::declare_successor), because a promoted replica looks
    /// like a backup that was restored next to the original (see
    /// [`KeyStore::location`](crate::store::KeyStore::location)). Set this only if your automation
    /// never restores a physical backup while the original runs.
    #[must_use]
    pub const fn promotion_keeps_location(mut self) -> Self {
        self.location_has_timeline = false;
        self
    }
}

/// Shows neither the password nor the connection string.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("hosts", &self.config.get_hosts())
            .field("schema", &self.schema)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("connections", &self.connections)
            .field("max_staleness", &self.max_staleness)
            .field("stale_if_error", &self.stale_if_error)
            .finish_non_exhaustive()
    }
}

fn malformed(reason: &str) -> Error {
    Error::new(ErrorKind::Validation, format!("malformed connection string of a database: {reason}"))
}

/// One server to connect to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The name or the path of the socket, if the connection string has one.
    pub(super) host: Option<Host>,
    /// The address, if the connection string has one.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.address) {
            (Some(Host::Tcp(name)), _) => write!(f, "{name}:{}", self.port),
            #[cfg(unix)]
            (Some(Host::Unix(path)), _) => write!(f, "{}:{}", path.display(), self.port),
            (None, Some(address)) => write!(f, "{address}:{}", self.port),
            (None, None) => f.write_str("no host"),
        }
    }
}

impl Target {
    /// Returns `true` if no network is between this process and the server.
    fn is_local(&self) -> bool {
        match (&self.host, self.address) {
            #[cfg(unix)]
            (Some(Host::Unix(_)), _) => true,
            (_, Some(address)) => address.is_loopback(),
            (Some(Host::Tcp(name)), None) => {
                name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            }
            (None, None) => false,
        }
    }
}

/// Checked options.
pub(super) struct Settings {
    pub(super) dial: Arc<Dial>,
    pub(super) targets: Vec<Target>,
    pub(super) password: Option<Arc<ReadPassword>>,
    pub(super) schema: String,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) connections: usize,
    pub(super) unsafe_server: bool,
    pub(super) location_has_timeline: bool,
    pub(super) max_staleness: Duration,
    pub(super) stale_if_error: Duration,
    pub(super) primary: Primary,
    config: Config,
}

impl Settings {
    /// Checks the options.
    pub(super) fn new(options: &PostgresOptions) -> Result<Self> {
        let PostgresOptions { config, dial, schema, .. } = options.clone();
        if schema.is_empty() || schema.len() > MAX_SCHEMA || schema.contains('\0') {
            return Err(Error::new(ErrorKind::Validation, "the name of a schema must have 1 to 63 bytes"));
        }
        let targets = targets(&config)?;
        let needs_tls = match config.get_ssl_mode() {
            SslMode::Disable => false,
            SslMode::Require => true,
            _ => !targets.iter().all(Target::is_local),
        };
        match (&dial, config.get_ssl_mode()) {
            (None, _) if needs_tls => {
                let text = "TLS is required to connect to this server: set a connector with PostgresOptions::tls, or \
                            accept plaintext on the network with sslmode=disable in the connection string";
                return Err(Error::new(ErrorKind::Validation, text));
            }
            (Some(_), SslMode::Disable) => {
                return Err(malformed("sslmode=disable contradicts the connector for TLS"));
            }
            _ => {}
        }
        let dial = dial.unwrap_or_else(|| Session::dialer(NoTls));
        Ok(Self {
            dial,
            targets,
            password: options.password.clone(),
            schema,
            timeout: options.timeout,
            connect_timeout: options.connect_timeout,
            connections: options.connections.clamp(1, MAX_CONNECTIONS),
            max_staleness: options.max_staleness,
            stale_if_error: options.stale_if_error,
            unsafe_server: options.unsafe_server,
            primary: Primary::default(),
            location_has_timeline: options.location_has_timeline,
            config,
        })
    }

    /// Returns the timeout in milliseconds, at most the longest that the server accepts.
    pub(super) fn timeout_millis(&self) -> u128 {
        self.timeout.as_millis().clamp(4, u128::from(i32::MAX.unsigned_abs()))
    }

    /// Returns the name of the schema as SQL.
    pub(super) fn quoted_schema(&self) -> String {
        quoted(&self.schema)
    }

    /// Returns a name of the store for errors: its schema and servers.
    pub(super) fn name(&self) -> String {
        let targets: Vec<_> = self.targets.iter().map(Target::to_string).collect();
        format!("in schema {} at {}", self.schema, targets.join(","))
    }

    /// Returns the configuration for one address of a target.
    pub(super) fn config_for(&self, target: &Target) -> Config {
        let from = &self.config;
        let mut config = Config::new();
        from.get_user().map(|user| config.user(user));
        from.get_password().map(|password| config.password(password));
        from.get_dbname().map(|name| config.dbname(name));
        from.get_options().map(|options| config.options(options));
        from.get_application_name().map(|name| config.application_name(name));
        from.get_tcp_user_timeout().map(|timeout| config.tcp_user_timeout(*timeout));
        from.get_keepalives_interval().map(|interval| config.keepalives_interval(interval));
        from.get_keepalives_retries().map(|retries| config.keepalives_retries(retries));
        config
            .ssl_mode(self.ssl_mode(target))
            .ssl_negotiation(from.get_ssl_negotiation())
            .channel_binding(from.get_channel_binding())
            .target_session_attrs(from.get_target_session_attrs())
            .keepalives(from.get_keepalives())
            .keepalives_idle(from.get_keepalives_idle())
            .connect_timeout(self.connect_timeout)
            .port(target.port);
        match &target.host {
            Some(Host::Tcp(name)) => config.host(name),
            #[cfg(unix)]
            Some(Host::Unix(path)) => config.host_path(path),
            None => &mut config,
        };
        target.address.map(|address| config.hostaddr(address));
        config
    }

    /// Returns the mode for a server. Only local connections may fall back to plaintext.
    fn ssl_mode(&self, target: &Target) -> SslMode {
        match (&target.host, self.config.get_ssl_mode()) {
            // There is no TLS over Unix sockets.
            #[cfg(unix)]
            (Some(Host::Unix(_)), _) => SslMode::Disable,
            (_, SslMode::Prefer) if target.is_local() => SslMode::Prefer,
            (_, SslMode::Disable) => SslMode::Disable,
            _ => SslMode::Require,
        }
    }
}

/// Returns an identifier as SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the servers of a connection string, in its order.
fn targets(config: &Config) -> Result<Vec<Target>> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    if (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len())
        || (ports.len() > 1 && ports.len() != count)
    {
        return Err(malformed("its lists of hosts, addresses and ports have different lengths"));
    }
    let port = |number| ports.get(number).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
    let target = |number| Target {
        host: hosts.get(number).cloned(),
        address: addresses.get(number).copied(),
        port: port(number),
    };
    Ok((0..count).map(target).collect())
}
