//! Calls from threads of any kind, and calls that nobody waits for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use strongroom::{EncryptionContext, Envelope, ErrorKind};
use strongroom_aws_kms::{AwsKms, AwsKmsKeyring};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use crate::outages::wait_until;
use crate::support::endpoint::{Answer, Endpoint};
use crate::support::server::{ACCESS_KEY, REGION, TestServer};
use crate::support::{PLAINTEXT, aws_kms, config, context, new_key, of_config};

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Writes and reads a message.
fn round_trip(envelope: &Envelope) {
    let message = envelope.encrypt(PLAINTEXT, &context()).unwrap();
    assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT);
}

#[test]
fn any_thread_may_call() {
    let server = TestServer::start();
    let key = new_key(&server);
    let envelope = || Envelope::new(AwsKmsKeyring::new(&aws_kms(&server, ACCESS_KEY), &key).unwrap());
    let shared = envelope();
    round_trip(&shared);
    for runtime in [single(), multi()] {
        runtime.block_on(async {
            // Creates and drops a handle on a thread of the runtime too.
            round_trip(&envelope());
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
fn asynchronous_streams_use_the_keyring() {
    let server = TestServer::start();
    let key = new_key(&server);
    let envelope = Envelope::new(AwsKmsKeyring::new(&aws_kms(&server, ACCESS_KEY), &key).unwrap());
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

/// A task of the runtime runs while an asynchronous stream waits for AWS KMS, because the stream calls
/// on a blocking thread.
#[test]
fn other_tasks_run_while_a_stream_waits() {
    let server = TestServer::start();
    let key = new_key(&server);
    let released = Arc::new(AtomicBool::new(false));
    let (kms, until) = (server.kms.clone(), Arc::clone(&released));
    let endpoint = Endpoint::start(move |request| {
        wait_until(|| until.load(Ordering::SeqCst));
        Answer::of(&kms, request)
    });
    let kms = of_config(config(&endpoint.url(), REGION, ACCESS_KEY));
    let envelope = Envelope::new(AwsKmsKeyring::new(&kms, &key).unwrap());
    single().block_on(async {
        let release = tokio::spawn(async move { released.store(true, Ordering::SeqCst) });
        let writer = envelope.async_writer(Vec::new(), &context()).await;
        assert!(writer.is_ok());
        release.await.unwrap();
    });
}

#[test]
fn eight_threads_share_a_keyring() {
    let server = TestServer::start();
    let key = new_key(&server);
    let envelope = Envelope::new(AwsKmsKeyring::new(&aws_kms(&server, ACCESS_KEY), &key).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let envelope = &envelope;
            scope.spawn(move || {
                for number in 0..10 {
                    let name = format!("{thread}, {number}");
                    let context = EncryptionContext::from([("name", name.as_str())]);
                    let message = envelope.encrypt(name.as_bytes(), &context).unwrap();
                    assert_eq!(envelope.decrypt(&message, &context).unwrap(), name.as_bytes());
                    assert!(envelope.decrypt(&message, &[("name", "other")].into_iter().collect()).is_err());
                }
            });
        }
    });
}

/// Calls of several threads are under way at the same time.
#[test]
fn calls_of_several_threads_overlap() {
    let server = TestServer::start();
    let key = new_key(&server);
    let kms = server.kms.clone();
    let together = std::sync::Barrier::new(8);
    let endpoint = Endpoint::start(move |request| {
        together.wait();
        Answer::of(&kms, request)
    });
    let kms = of_config(config(&endpoint.url(), REGION, ACCESS_KEY));
    let envelope = Envelope::new(AwsKmsKeyring::new(&kms, &key).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| envelope.encrypt(PLAINTEXT, &context()).unwrap());
        }
    });
}

/// The call of an aborted task ends with its deadline, and the handle continues to serve others.
#[test]
fn an_aborted_task_does_not_disturb_others() {
    let server = TestServer::start();
    let key = new_key(&server);
    let (kms, first) = (server.kms.clone(), AtomicBool::new(true));
    let endpoint = Endpoint::start(move |request| match first.swap(false, Ordering::SeqCst) {
        true => Answer::Hang,
        false => Answer::of(&kms, request),
    });
    let kms = of_config(config(&endpoint.url(), REGION, ACCESS_KEY));
    let envelope = |kms: &AwsKms| Envelope::new(AwsKmsKeyring::new(kms, &key).unwrap());
    let hanging = envelope(&kms.with_deadline(Duration::from_secs(10)).unwrap());
    let (sender, ended) = mpsc::channel();
    let runtime = multi();
    runtime.block_on(async {
        let writer = tokio::spawn(async move {
            let outcome = hanging.async_writer(Vec::new(), &context()).await.err();
            sender.send(outcome.map(|error| error.kind())).ok();
        });
        while endpoint.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writer.abort();
        assert!(writer.await.unwrap_err().is_cancelled());
        let envelope = envelope(&kms);
        tokio::task::spawn_blocking(move || round_trip(&envelope)).await.unwrap();
    });
    assert!(ended.recv().is_err(), "the task was dropped");
    wait_until(|| endpoint.abandoned() == 1);
}

/// A connection that the runtime of the caller drives cannot be used while that runtime is blocked. The
/// call then fails at its deadline, and does not hang.
#[test]
fn a_shared_http_client_cannot_hang_a_call() {
    let server = TestServer::start();
    let key = new_key(&server);
    let client = aws_sdk_kms::Client::from_conf(config(&server.url(), REGION, ACCESS_KEY).build());
    let kms = AwsKms::new(client.clone()).unwrap().with_deadline(Duration::from_secs(1)).unwrap();
    let envelope = Envelope::new(AwsKmsKeyring::new(&kms, &key).unwrap());
    single().block_on(async {
        client.list_keys().send().await.unwrap();
        match envelope.encrypt(PLAINTEXT, &context()) {
            Ok(message) => assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT),
            Err(error) => assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}"),
        }
    });
    round_trip(&Envelope::new(AwsKmsKeyring::new(&aws_kms(&server, ACCESS_KEY), &key).unwrap()));
}

#[test]
fn deadlines_are_bounded() {
    let server = TestServer::start();
    let kms = aws_kms(&server, ACCESS_KEY);
    for deadline in [Duration::ZERO, strongroom_aws_kms::MAX_DEADLINE + Duration::from_nanos(1), Duration::MAX] {
        assert_eq!(kms.with_deadline(deadline).unwrap_err().kind(), ErrorKind::Validation);
    }
    assert!(kms.with_deadline(strongroom_aws_kms::MAX_DEADLINE).is_ok());
    let fresh = AwsKms::new(aws_sdk_kms::Client::from_conf(config(&server.url(), REGION, ACCESS_KEY).build()));
    assert_eq!(fresh.unwrap().deadline(), strongroom_aws_kms::DEFAULT_DEADLINE);
    assert!(format!("{kms:?}").contains(REGION) && !format!("{kms:?}").contains("wJalr"));
}
