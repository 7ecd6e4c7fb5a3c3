//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use strongroom::TrustedUsers;
use strongroom::algorithm::SigningAlgorithm;
use strongroom::identity::{AccountId, Principal};

/// A server for the AWS KMS API on the keys of a strongroom store.
///
/// Without a command, it serves. The first start with a new store creates its root key and an access
/// key for the root of the account, and prints an `aws kms` command to try.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

impl Arguments {
    /// Parses the arguments of the process. Ends it with a message if they are invalid.
    pub(super) fn parse_command() -> Command {
        // Options of the default command are accepted without its name.
        let mut parser = ServeArguments::augment_args(Self::command());
        let matches = parser.get_matches_mut();
        let parsed = Self::from_arg_matches(&matches).and_then(|arguments| match arguments.command {
            Some(command) => Ok(command),
            None => ServeArguments::from_arg_matches(&matches).map(Command::Serve),
        });
        parsed.unwrap_or_else(|error| error.format(&mut parser).exit())
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the API. The default command.
    Serve(ServeArguments),
    /// Create, list and delete access keys.
    Credentials(CredentialsArguments),
    /// Attach policies to users and roles. They take effect in running servers without a signal.
    Policies(PoliciesArguments),
    /// Copy a store in a file to a new file, in one consistent state, while servers use it. This needs
    /// no root key, and the copy needs the same one.
    BackUp {
        /// The file with the store.
        #[arg(long, value_name = "FILE")]
        store: PathBuf,
        /// The new file.
        #[arg(value_name = "COPY")]
        copy: PathBuf,
    },
    /// Verify the store, its anchor and the audit trail, while servers use them. Fails if anything was
    /// altered. This writes nothing to the trail.
    Verify(VerifyArguments),
    /// Create the tables of a store in PostgreSQL, with a role that may create tables.
    CreateSchema(SchemaArguments),
}

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    pub(super) store: StoreArguments,
    #[command(flatten)]
    pub(super) listener: ListenerArguments,
    #[command(flatten)]
    pub(super) checkpoints: CheckpointArguments,
}

/// Signed checkpoints of the audit trail.
#[derive(Debug, Args)]
pub(super) struct CheckpointArguments {
    /// The program that signs checkpoints of the audit trail, with a key that the server cannot read.
    /// It reads a message from standard input, and writes the signature to standard output.
    #[arg(long, value_name = "PROGRAM", requires = "checkpoint_public_key")]
    pub(super) checkpoint_signer: Option<PathBuf>,
    /// The time between two checkpoints, in seconds. Others are signed at the start and the end.
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) checkpoint_interval: u64,
    #[command(flatten)]
    pub(super) key: CheckpointKeyArguments,
}

/// The public key of checkpoints.
#[derive(Debug, Args)]
pub(super) struct CheckpointKeyArguments {
    /// The public key that verifies the signatures of checkpoints, in PEM.
    #[arg(long, value_name = "FILE")]
    pub(super) checkpoint_public_key: Option<PathBuf>,
    /// The algorithm of these signatures, with its name in AWS [default: RSASSA_PSS_SHA_256 for RSA,
    /// ED25519_SHA_512 for Ed25519, and the only one of another key].
    #[arg(long, value_name = "ALGORITHM", requires = "checkpoint_public_key")]
    pub(super) checkpoint_algorithm: Option<SigningAlgorithm>,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    #[command(flatten)]
    pub(super) store: StoreArguments,
    #[command(flatten)]
    pub(super) key: CheckpointKeyArguments,
}

/// The store and everything that belongs to it.
#[derive(Debug, Args)]
pub(super) struct StoreArguments {
    /// The store: a file, `memory`, or `postgres://...` if the server was built with it.
    #[arg(long, value_name = "STORE")]
    pub(super) store: String,
    #[command(flatten)]
    pub(super) root_key: RootKeyArguments,
    /// The account to which the keys belong.
    #[arg(long, value_name = "DIGITS", default_value_t)]
    pub(super) account: AccountId,
    /// The Region in all ARNs, for which clients sign. Never change it for a store.
    #[arg(long, default_value = "us-east-1")]
    pub(super) region: String,
    /// The partition in all ARNs. Never change it for a store.
    #[arg(long, default_value = "aws")]
    pub(super) partition: String,
    /// The file of access keys [default: the name of the store with `.credentials.json`].
    #[arg(long, value_name = "FILE")]
    pub(super) credentials: Option<PathBuf>,
    /// The directory of the audit trail [default: the name of the store with `.audit`].
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) audit: Option<PathBuf>,
    #[command(flatten)]
    pub(super) anchor: AnchorArguments,
    /// The users who may be able to read files with root keys, passphrases, passwords and TLS keys.
    #[arg(long, value_name = "USERS", value_enum, default_value_t = Trusted::Owner)]
    pub(super) trusted_users: Trusted,
    #[command(flatten)]
    pub(super) postgres: PostgresArguments,
}

impl StoreArguments {
    /// Returns the users who may be able to read files with secrets.
    pub(super) const fn trusted_users(&self) -> TrustedUsers {
        match self.trusted_users {
            Trusted::Owner => TrustedUsers::Owner,
            Trusted::Group => TrustedUsers::Group,
            Trusted::Everyone => TrustedUsers::Everyone,
        }
    }
}

/// The anchor of a store.
#[derive(Debug, Args)]
pub(super) struct AnchorArguments {
    /// The anchor, which reveals that the store was replaced by an older copy: a file on another disk,
    /// or `postgres://...` of another database. Pass it to every command that uses the store.
    #[arg(long, value_name = "ANCHOR")]
    pub(super) anchor: Option<String>,
    /// Create the missing anchor of an existing store. This accepts the store as it is now.
    #[arg(long, requires = "anchor")]
    pub(super) create_anchor: bool,
    /// The schema with the tables of the anchor, if it is in PostgreSQL.
    #[arg(long, value_name = "NAME", default_value = "strongroom_anchor")]
    pub(super) anchor_schema: String,
    /// The file with the password of the role that writes the anchor.
    #[arg(long, value_name = "FILE", requires = "anchor")]
    pub(super) anchor_password_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Trusted {
    /// The user of the server, and root.
    Owner,
    /// Also the group of each file, as in secrets of Kubernetes and credentials of systemd.
    Group,
    /// Everyone. For containers without other users.
    Everyone,
}

/// A store in PostgreSQL. The URL contains everything else.
#[derive(Debug, Args)]
pub(super) struct PostgresArguments {
    /// The schema with the tables, if the store is in PostgreSQL.
    #[arg(long, value_name = "NAME", default_value = "strongroom")]
    pub(super) postgres_schema: String,
    /// The file with the password of the role, read again for each connection [default: the
    /// environment variable PGPASSWORD].
    #[arg(long, value_name = "FILE")]
    pub(super) postgres_password_file: Option<PathBuf>,
}

/// The root key of the store.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct RootKeyArguments {
    /// The file with the root key [default: the name of the store with `.root-key`]. It is created
    /// with a new store.
    #[arg(long, value_name = "FILE")]
    pub(super) root_key_file: Option<PathBuf>,
    /// The environment variable with the root key, in hexadecimal or base64.
    #[arg(long, value_name = "VARIABLE")]
    pub(super) root_key_environment: Option<String>,
    /// The file with the passphrase of the root key.
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// The environment variable with the passphrase of the root key.
    #[arg(long, value_name = "VARIABLE")]
    pub(super) passphrase_environment: Option<String>,
}

/// The listener.
#[derive(Debug, Args)]
pub(super) struct ListenerArguments {
    /// The address and port. All except loopback addresses require TLS.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// The certificate chain, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_certificate: Option<PathBuf>,
    /// The private key of the certificate, in PEM. Only its owner may have access to the file.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(super) tls_key: Option<PathBuf>,
    /// Accept requests that are not signed, or signed with an unknown access key, as the root of the
    /// account. For development, only on a loopback address.
    #[arg(long)]
    pub(super) insecure_local: bool,
    /// The file for the first access key of a new store [default: the name of the store with
    /// `.aws`].
    #[arg(long, value_name = "FILE")]
    pub(super) profile: Option<PathBuf>,
    /// Show the page `/metrics` to clients of other machines.
    #[arg(long)]
    pub(super) metrics_for_all: bool,
    /// The time between two runs of maintenance, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) maintenance_interval: u64,
    /// The time between two events about refused requests in the audit trail, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) refusal_interval: u64,
    /// The number of connections. A new one replaces the one that has been idle for the longest time.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_connections: Option<u32>,
    /// The number of calls at the same time [default: 32 for each core, 64 to 512].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) workers: Option<u16>,
    /// The number of calls that wait. Others are throttled.
    #[arg(long, value_name = "NUMBER")]
    pub(super) queue: Option<u16>,
    /// The time for requests to finish at shutdown, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(super) shutdown_time: Option<u16>,
    /// The format of the log on standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub(super) log_format: LogFormat,
    /// The least severe level of the log.
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub(super) log_level: LogLevel,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines of JSON.
    Json,
    /// Lines for people.
    Text,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogLevel {
    /// Failures of the server.
    Error,
    /// Also what an operator should look at.
    Warn,
    /// Also every request.
    Info,
    /// Also connections that failed.
    Debug,
}

#[derive(Debug, Args)]
pub(super) struct CredentialsArguments {
    #[command(subcommand)]
    pub(super) action: CredentialsAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum CredentialsAction {
    /// Create an access key, and print it as a profile for `~/.aws/credentials`.
    Create {
        #[command(flatten)]
        store: StoreArguments,
        /// The ARN of the principal as which its requests act: a root, user or role.
        #[arg(long, value_name = "ARN")]
        principal: Principal,
        /// Create a session token, too.
        #[arg(long)]
        session_token: bool,
        /// The time after which the access key is refused, in seconds.
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
        lifetime: Option<u64>,
        /// The name of the profile.
        #[arg(long, value_name = "NAME", default_value = "default")]
        profile_name: String,
        /// Attach the policy in this file to the principal, under the name of the file without its
        /// extension. It applies to all access keys of the principal.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// List the access keys, without secrets.
    List {
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Delete an access key. A running server needs SIGHUP.
    Delete {
        #[command(flatten)]
        store: StoreArguments,
        /// The access key ID.
        access_key_id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct PoliciesArguments {
    #[command(subcommand)]
    pub(super) action: PoliciesAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum PoliciesAction {
    /// Attach a policy to a principal, or replace the policy of that name.
    Put {
        #[command(flatten)]
        target: PolicyTarget,
        /// The file with the policy, in the language of AWS.
        #[arg(value_name = "FILE")]
        policy: PathBuf,
        /// The name of the policy [default: the name of the file without its extension].
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Print a policy of a principal.
    Get {
        #[command(flatten)]
        target: PolicyTarget,
        /// The name of the policy.
        name: String,
    },
    /// List the names of the policies of a principal.
    List {
        #[command(flatten)]
        target: PolicyTarget,
    },
    /// Delete a policy of a principal.
    Delete {
        #[command(flatten)]
        target: PolicyTarget,
        /// The name of the policy.
        name: String,
    },
}

/// A principal of a store.
#[derive(Debug, Args)]
pub(super) struct PolicyTarget {
    #[command(flatten)]
    pub(super) store: StoreArguments,
    /// The ARN of the user or role. The policies of a role apply to its sessions.
    #[arg(long, value_name = "ARN")]
    pub(super) principal: Principal,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArguments {
    #[command(flatten)]
    pub(super) store: StoreArguments,
    /// Let this role of the database use the tables.
    #[arg(long, value_name = "ROLE")]
    pub(super) grant_to: Option<String>,
}
