//! Calls from threads of any kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom::envelope::KmsKeyring;
use strongroom::request::CreateKeyRequest;
use strongroom::seal::RootKeyHolder;
use strongroom::{Envelope, Kms, SecretBytes};
use strongroom_vault::{VaultProvider, VaultRootKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

use crate::support::endpoint::Endpoint;
use crate::support::{PATIENCE, PLAINTEXT, ROOT, Vault, context, transit, wait_until};

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn envelope(url: &str) -> Envelope {
    let kms = Kms::builder().provider(VaultProvider::new(&transit(url, ROOT), "vault")).build().unwrap();
    let key = kms.create_key(CreateKeyRequest::default().provider("vault")).unwrap().key_id();
    Envelope::new(KmsKeyring::new(&kms, key).unwrap())
}

/// Writes and reads a message.
fn round_trip(envelope: &Envelope) {
    let message = envelope.encrypt(PLAINTEXT, &context()).unwrap();
    assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT);
}

#[test]
fn any_thread_may_call() {
    let Some(vault) = Vault::start("any_thread_may_call") else { return };
    let shared = envelope(&vault.url());
    round_trip(&shared);
    for runtime in [single(), multi()] {
        runtime.block_on(async {
            // Creates and drops a handle on a thread of the runtime too.
            round_trip(&envelope(&vault.url()));
            round_trip(&shared);
            let (one, other) = (shared.clone(), shared.clone());
            tokio::spawn(async move { round_trip(&one) }).await.unwrap();
            tokio::task::spawn_blocking(move || round_trip(&other)).await.unwrap();
            let local = tokio::task::LocalSet::new();
            local.run_until(async { round_trip(&shared) }).await;
        });
    }
    round_trip(&shared);
}

#[test]
fn asynchronous_streams_use_the_provider() {
    let Some(vault) = Vault::start("asynchronous_streams_use_the_provider") else { return };
    let envelope = envelope(&vault.url());
    for runtime in [single(), multi()] {
        runtime.block_on(async {
            let mut writer = envelope.async_writer(Vec::new(), &context()).await.unwrap();
            writer.write_all(PLAINTEXT).await.unwrap();
            writer.shutdown().await.unwrap();
            let message = writer.into_inner();
            let mut reader = envelope.async_reader(message.as_slice(), &context()).await.unwrap();
            let mut plaintext = Vec::new();
            reader.read_to_end(&mut plaintext).await.unwrap();
            assert_eq!(plaintext, PLAINTEXT);
        });
    }
}

/// A client whose connections belong to the runtime of the caller. The handle has its own.
#[test]
fn a_client_in_use_is_not_shared() {
    let Some(vault) = Vault::start("a_client_in_use_is_not_shared") else { return };
    vault.create("root", "aes256-gcm96");
    single().block_on(async {
        let settings = VaultClientSettingsBuilder::default().address(vault.url()).token(ROOT).build().unwrap();
        let client = VaultClient::new(settings).unwrap();
        vaultrs::transit::key::list(&client, "transit").await.unwrap();
        let transit = strongroom_vault::VaultTransit::new(&client, "transit").unwrap();
        let holder = VaultRootKey::new(&transit.with_deadline(PATIENCE).unwrap(), "root").unwrap();
        let wrapped = holder.wrap(b"binding", &SecretBytes::zeroed(32)).unwrap();
        assert_eq!(holder.unwrap(b"binding", &wrapped).unwrap(), SecretBytes::zeroed(32));
        vaultrs::transit::key::list(&client, "transit").await.unwrap();
    });
}

#[test]
fn eight_threads_share_a_provider() {
    let Some(vault) = Vault::start("eight_threads_share_a_provider") else { return };
    let envelope = envelope(&vault.url());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let envelope = &envelope;
            scope.spawn(move || (0..10).for_each(|_| round_trip(envelope)));
        }
    });
}

/// Calls of several threads are under way at the same time.
#[test]
fn calls_of_several_threads_overlap() {
    let Some(vault) = Vault::start("calls_of_several_threads_overlap") else { return };
    let together = std::sync::Barrier::new(8);
    let gathers = Arc::new(AtomicBool::new(false));
    let gathering = Arc::clone(&gathers);
    let endpoint = Endpoint::start(move |request| {
        if gathering.load(Ordering::SeqCst) {
            together.wait();
        }
        vault.forward(request)
    });
    let envelope = envelope(&endpoint.url());
    gathers.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| envelope.encrypt(PLAINTEXT, &context()).unwrap());
        }
    });
}

/// A task of the runtime runs while an asynchronous stream waits for Vault, because the stream calls on a
/// blocking thread.
#[test]
fn other_tasks_run_while_a_stream_waits() {
    let Some(vault) = Vault::start("other_tasks_run_while_a_stream_waits") else { return };
    let (released, waits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (until, waiting) = (Arc::clone(&released), Arc::clone(&waits));
    let endpoint = Endpoint::start(move |request| {
        if waiting.load(Ordering::SeqCst) {
            wait_until(|| until.load(Ordering::SeqCst));
        }
        vault.forward(request)
    });
    let envelope = envelope(&endpoint.url());
    waits.store(true, Ordering::SeqCst);
    single().block_on(async {
        let release = tokio::spawn(async move { released.store(true, Ordering::SeqCst) });
        let writer = envelope.async_writer(Vec::new(), &context()).await;
        assert!(writer.is_ok());
        release.await.unwrap();
    });
}
