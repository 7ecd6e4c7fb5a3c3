//! The command `serve`: start, signals, and shutdown.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use strongroom::TrustedUsers;
use tokio::runtime::{Builder, Runtime};

use super::arguments::{ListenerArguments, ServeArguments};
use super::checkpoints::Checkpoints;
use super::first_start::{self, Start};
use super::opening::{self, Opened};
use super::{log, service_manager, signals};
use crate::credentials::CredentialsFile;
use crate::descriptors;
use crate::error::{Error, Result};
use crate::http::{Limits, Server, State};
use crate::metrics::Metrics;
use crate::tls::TlsFiles;

/// Serves until a signal ends the process.
pub(super) fn run(arguments: &ServeArguments) -> Result<()> {
    let listener = &arguments.listener;
    log::start(listener.log_format, listener.log_level);
    descriptors::raise_limit();
    let limits = limits(listener);
    let runtime = runtime(&limits)?;
    let metrics = Arc::new(Metrics::default());
    let mut opened = opening::open(&arguments.store, Some(Arc::clone(&metrics)))?;
    let result = serve(arguments, &mut opened, metrics, limits, &runtime);
    let closed = opened.kms.close();
    // Calls that did not finish in time fail, because the KMS is closed.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result?;
    Ok(closed?)
}

fn serve(
    arguments: &ServeArguments,
    opened: &mut Opened,
    metrics: Arc<Metrics>,
    limits: Limits,
    runtime: &Runtime,
) -> Result<()> {
    let listener = &arguments.listener;
    let Start { keys, profile } = first_start::prepare(opened, listener.profile.as_deref())?;
    let tls = tls_files(listener, arguments.store.trusted_users());
    let mut state = State::new(opened.kms.clone(), keys, metrics, limits);
    if let Some(files) = &tls {
        state = state.tls(files.load()?);
    }
    if listener.insecure_local {
        state = state.allow_unsigned_requests()?;
    }
    if listener.metrics_for_all {
        state = state.metrics_for_all();
    }
    let state = Arc::new(state);
    let checkpoints = Checkpoints::of(&arguments.checkpoints, &arguments.store, opened.trail.as_ref())?;
    // A signer that does not work is an error now and not in an hour.
    checkpoints.as_ref().map_or(Ok(()), Checkpoints::sign)?;
    let interval = Duration::from_secs(listener.maintenance_interval);
    let maintenance = opened.kms.maintain_every(interval, |report| match report {
        Ok(report) if report.is_complete() => tracing::debug!("maintenance completed"),
        Ok(report) => tracing::warn!(report = ?report, "maintenance is incomplete"),
        Err(error) => tracing::error!(error = %error, "maintenance failed"),
    })?;
    let completed = runtime.block_on(async {
        let server = Server::bind(listener.listen, Arc::clone(&state)).await?;
        let stop = signals::stop()?;
        let reload = reload(Arc::clone(&state), opened.credentials.clone(), tls)?;
        let record = record_refusals(Arc::clone(&state), Duration::from_secs(listener.refusal_interval));
        let sign = sign_checkpoints(checkpoints.clone());
        announce(&server, opened, arguments, profile.as_deref());
        service_manager::ready();
        let stop = async {
            stop.await;
            service_manager::stopping();
        };
        tokio::select! {
            completed = server.serve(stop) => Ok::<_, Error>(completed),
            () = reload => Ok(true),
            () = record => Ok(true),
            () = sign => Ok(true),
        }
    })?;
    drop(maintenance);
    state.record_refusals()?;
    if let Some(Err(error)) = checkpoints.as_ref().map(Checkpoints::sign) {
        tracing::error!(error = %error, "the last events of the audit trail have no checkpoint");
    }
    if completed {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped before all requests were answered");
    }
    Ok(())
}

fn limits(arguments: &ListenerArguments) -> Limits {
    let mut limits = Limits::default();
    if let Some(connections) = arguments.max_connections {
        limits.connections = usize::try_from(connections).unwrap_or(usize::MAX);
    }
    limits.workers = arguments.workers.map_or(limits.workers, usize::from);
    limits.queue = arguments.queue.map_or(limits.queue, usize::from);
    if let Some(seconds) = arguments.shutdown_time {
        limits.shutdown_time = Duration::from_secs(seconds.into());
    }
    limits
}

fn runtime(limits: &Limits) -> Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        // Three more than the calls, for reloading, for refused requests, and for checkpoints.
        .max_blocking_threads(limits.workers.saturating_add(3))
        .build()
        .map_err(|error| Error::new("cannot start the threads of the server").with_source(error))
}

fn tls_files(arguments: &ListenerArguments, trusted: TrustedUsers) -> Option<TlsFiles> {
    let (certificate, key) = (arguments.tls_certificate.as_ref()?, arguments.tls_key.as_ref()?);
    Some(TlsFiles::new(certificate, key).trusted_users(trusted))
}

/// Loads the access keys and the certificate again at every SIGHUP. If a file is broken, the
/// previous values stay in use.
fn reload(state: Arc<State>, credentials: CredentialsFile, tls: Option<TlsFiles>) -> Result<impl Future<Output = ()>> {
    let mut hangups = signals::Hangups::new()?;
    Ok(async move {
        loop {
            hangups.next().await;
            let (state, credentials, tls) = (Arc::clone(&state), credentials.clone(), tls.clone());
            let loaded = tokio::task::spawn_blocking(move || load_again(&state, &credentials, tls.as_ref()));
            if loaded.await.is_err() {
                tracing::error!("reloading failed, so the previous access keys and certificate stay in use");
            }
        }
    })
}

/// Writes an event about refused requests to the audit trail in every interval that has some.
async fn record_refusals(state: Arc<State>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let state = Arc::clone(&state);
        match tokio::task::spawn_blocking(move || state.record_refusals()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error = %error, "the refused requests are not in the audit trail yet"),
            Err(_) => tracing::error!("the refused requests of an interval are not in the audit trail"),
        }
    }
}

/// Signs a checkpoint of the audit trail in every interval.
async fn sign_checkpoints(checkpoints: Option<Checkpoints>) {
    let Some(checkpoints) = checkpoints else { return std::future::pending().await };
    loop {
        tokio::time::sleep(checkpoints.interval).await;
        let checkpoints = checkpoints.clone();
        match tokio::task::spawn_blocking(move || checkpoints.sign()).await {
            Ok(Ok(())) => tracing::debug!("signed a checkpoint of the audit trail"),
            Ok(Err(error)) => tracing::error!(error = %error, "the audit trail continues without a checkpoint"),
            Err(_) => tracing::error!("the audit trail continues without a checkpoint"),
        }
    }
}

fn load_again(state: &State, credentials: &CredentialsFile, tls: Option<&TlsFiles>) {
    match credentials.load(state.kms()) {
        Ok(keys) => {
            let number = keys.len();
            state.replace_keys(keys);
            tracing::info!(access_keys = number, "reloaded the access keys");
        }
        Err(error) => tracing::error!(error = %error, "the previous access keys stay in use"),
    }
    match tls.map(TlsFiles::load) {
        Some(Ok(config)) => {
            state.replace_tls(config);
            tracing::info!("reloaded the certificate");
        }
        Some(Err(error)) => tracing::error!(error = %error, "the previous certificate stays in use"),
        None => {}
    }
}

/// Prints what the operator needs to try the server.
fn announce(server: &Server, opened: &Opened, arguments: &ServeArguments, profile: Option<&Path>) {
    let (scheme, address, region) = (server.scheme(), server.address(), &arguments.store.region);
    opened.notes.iter().for_each(|note| println!("{note}"));
    if arguments.listener.insecure_local {
        println!("WARNING: requests without a known access key act as the root of the account (--insecure-local)");
    }
    println!("listening on {scheme}://{address}");
    let (mut line, mut options) = (String::new(), "");
    if let Some(profile) = profile {
        // The profile is named, because variables with other access keys would prevail otherwise.
        let absolute = std::path::absolute(profile).unwrap_or_else(|_| profile.to_owned());
        line.push_str(&format!("AWS_SHARED_CREDENTIALS_FILE={} ", quoted(&absolute.display().to_string())));
        options = " --profile default";
    }
    println!("try: {line}aws kms list-keys{options} --endpoint-url {scheme}://{address} --region {region}");
    tracing::info!(address = %address, scheme, "listening");
}

/// Quotes a word for a shell if it needs it.
fn quoted(word: &str) -> String {
    if word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte)) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
