//! Connecting to the primary: every server in turn, each with a deadline for all of its steps.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::config::Host;

use super::failure::{reason, timed_out};
use super::options::{Settings, Target};
use super::session::Session;
use crate::secret::SecretBytes;
use crate::store::error::StoreError;

/// The time after which the next server is tried at the same time.
const HEAD_START: Duration = Duration::from_millis(500);

/// Connects to the first server that accepts writes.
pub(super) async fn connect(settings: &Arc<Settings>) -> Result<Session, StoreError> {
    let password = password(settings).await?.map(Arc::new);
    let attempt = |target: Target| {
        let (settings, password) = (Arc::clone(settings), password.clone());
        async move {
            let connected = tokio::time::timeout(settings.connect_timeout, connect_to(&settings, &target, password));
            let failed = |error| (target.to_string(), error);
            connected.await.unwrap_or_else(|_| Err(timed_out(settings.connect_timeout))).map_err(failed)
        }
    };
    race(settings.primary.order(&settings.targets), attempt).await
}

async fn connect_to(
    settings: &Arc<Settings>,
    target: &Target,
    password: Option<Arc<SecretBytes>>,
) -> Result<Session, StoreError> {
    let dial = |target: Target| {
        let (settings, password) = (Arc::clone(settings), password.clone());
        async move {
            let mut config = settings.config_for(&target);
            if let Some(password) = password {
                config.password(password.expose_secret());
            }
            (settings.dial)(config).await.map_err(|error| (target.to_string(), refusal(error)))
        }
    };
    race(resolve(target).await?, dial).await
}

/// Classifies an error of a connection attempt. The driver rejects a server that accepts no writes.
fn refusal(error: tokio_postgres::Error) -> StoreError {
    match reason(error) {
        StoreError::Unreachable(cause) if cause.to_string().contains("does not allow writes") => {
            let causes = "it is a standby, or default_transaction_read_only is on for it, the database or the role";
            StoreError::Unreachable(format!("{cause}: {causes}").into())
        }
        other => other,
    }
}

/// Returns a target for each address of a name.
async fn resolve(target: &Target) -> Result<Vec<Target>, StoreError> {
    let (Some(Host::Tcp(name)), None) = (&target.host, target.address) else { return Ok(vec![target.clone()]) };
    let unresolved = |error: std::io::Error| StoreError::Unreachable(format!("cannot resolve {name}: {error}").into());
    let found = tokio::net::lookup_host((name.as_str(), target.port)).await.map_err(unresolved)?;
    Ok(found.map(|address| Target { address: Some(address.ip()), ..target.clone() }).collect())
}

/// Returns the current password, if a function supplies it.
async fn password(settings: &Settings) -> Result<Option<SecretBytes>, StoreError> {
    let Some(read) = settings.password.clone() else { return Ok(None) };
    // The function may block, which would stop all connections.
    let password = tokio::task::spawn_blocking(move || read()).await;
    let failed = |error: &dyn std::fmt::Display| StoreError::AccessDenied(format!("no password: {error}").into());
    password.map_err(|error| failed(&error))?.map(Some).map_err(|error| failed(&error))
}

/// Returns the first success. Starts the next attempt when one fails or takes long.
async fn race<F>(targets: Vec<Target>, attempt: impl Fn(Target) -> F) -> Result<Session, StoreError>
where
    F: Future<Output = Result<Session, (String, StoreError)>> + Send + 'static,
{
    // Dropping the set ends the attempts that are still in progress.
    let (mut waiting, mut running, mut failures) = (VecDeque::from(targets), JoinSet::new(), Vec::new());
    loop {
        if let Some(target) = waiting.pop_front() {
            running.spawn(attempt(target));
        }
        let wait = if waiting.is_empty() { Duration::MAX } else { HEAD_START };
        match tokio::time::timeout(wait, running.join_next()).await {
            Ok(Some(Ok(Ok(session)))) => return Ok(session),
            Ok(Some(Ok(Err(failure)))) => failures.push(failure),
            Ok(Some(Err(panicked))) => {
                failures
                    .push((String::new(), StoreError::Unreachable(format!("the connector failed: {panicked}").into())));
            }
            Ok(None) => return Err(summary(failures)),
            Err(_) => {}
        }
    }
}

/// Returns one error for those of all servers.
fn summary(mut failures: Vec<(String, StoreError)>) -> StoreError {
    let is_answer = |(_, error): &(String, StoreError)| !matches!(error, StoreError::Unreachable(_));
    if failures.len() == 1 || failures.iter().any(is_answer) {
        let chosen = failures.iter().position(is_answer).unwrap_or_default();
        return failures.swap_remove(chosen).1;
    }
    let texts: Vec<_> = failures
        .iter()
        .map(|(server, error)| match error {
            StoreError::Unreachable(cause) => format!("{server}: {cause}"),
            other => format!("{server}: {other}"),
        })
        .collect();
    StoreError::Unreachable(if texts.is_empty() { "no address".into() } else { texts.join(", ").into() })
}
