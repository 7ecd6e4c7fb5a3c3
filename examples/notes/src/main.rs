//! A notes service for several tenants. Its database contains ciphertext only.
//!
//! `README.md` shows how to start and use it. Settings are environment variables:
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `NOTES_ADMIN_TOKEN` | required | the bearer token of the administrator, of at least 32 bytes |
//! | `NOTES_FOLDER` | `notes-data` | the folder of the keys and the audit trail |
//! | `NOTES_DATABASE` | SQLite in the folder | the URL of the database: `sqlite:` or `postgres:` |
//! | `NOTES_ADDRESS` | `127.0.0.1:3000` | the address to listen on |

mod database;
mod error;
mod keys;
mod note;
mod routes;
mod sweep;
mod vault;

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, io};

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::database::Database;
use crate::routes::Service;
use crate::vault::Vault;

/// The time for requests that run when the service is stopped.
const GRACE: Duration = Duration::from_secs(10);

/// The interval at which expired keys are deleted.
const MAINTENANCE: Duration = Duration::from_secs(3_600);

struct Settings {
    admin_token: String,
    folder: PathBuf,
    database: String,
    address: SocketAddr,
}

impl Settings {
    fn from_environment() -> Result<Self, Box<dyn Error>> {
        let admin_token = env::var("NOTES_ADMIN_TOKEN").unwrap_or_default();
        if admin_token.len() < 32 {
            return Err("NOTES_ADMIN_TOKEN must have at least 32 bytes: openssl rand -hex 32".into());
        }
        let folder = PathBuf::from(env::var_os("NOTES_FOLDER").unwrap_or_else(|| "notes-data".into()));
        let database = env::var("NOTES_DATABASE")
            .unwrap_or_else(|_| format!("sqlite://{}?mode=rwc", folder.join("notes.db").display()));
        let address = env::var("NOTES_ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
        Ok(Self { admin_token, folder, database, address: address.parse()? })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_environment()?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);

    let kms = tokio::task::spawn_blocking(move || keys::open(&settings.folder)).await??;
    let maintenance = kms.maintain_every(MAINTENANCE, |report| {
        if let Err(error) = report {
            eprintln!("maintenance failed: {error}");
        }
    })?;
    let vault = {
        let kms = kms.clone();
        tokio::task::spawn_blocking(move || Vault::new(&kms)).await??
    };
    let database = Database::connect(&settings.database).await?;
    let service = Service::new(vault, database.clone(), &settings.admin_token)?;

    let listener = TcpListener::bind(settings.address).await?;
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, service.routes()).with_graceful_shutdown(async move {
        stop_signal(&mut interrupt, &mut terminate).await;
        stopping.send(()).ok();
    });
    tokio::select! {
        ended = serving => ended?,
        () = async {
            stopped.await.ok();
            tokio::time::sleep(GRACE).await;
        } => eprintln!("requests were still running after {} s", GRACE.as_secs()),
    }

    database.close().await;
    tokio::task::spawn_blocking(move || {
        drop(maintenance);
        kms.close()
    })
    .await??;
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_signal(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
