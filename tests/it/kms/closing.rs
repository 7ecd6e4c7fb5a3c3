//! Closing a KMS: pending data that it writes, and calls that it rejects afterward.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use strongroom::audit::{Action, Attachment, AuditEvent, AuditSink, ChainState, FileTrail, MemoryTrail, Outcome, Tee};
use strongroom::export::ExportRecipient;
use strongroom::identity::AccountId;
use strongroom::key::{KeyId, KeySpec, KeyUsage, Operation};
use strongroom::policy::{AttachedPolicies, Decision, Policy, PolicyRequest};
use strongroom::request::{CreateKeyRequest, EncryptRequest, GrantFilter};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, RecordKind};
use strongroom::{Clock, Error, ErrorKind, Kms, KmsAead, Result, SystemClock};

use crate::support::any_store::{self, Place};
use crate::support::custom_key_stores::{request, setup};
use crate::support::hooked_store::HookedStore;
use crate::support::kms::{kind, with_key};
use crate::support::operations::{Attempt, operations, operations_of_other_keys};
use crate::support::policies::{identity_policy, user};

/// Returns the calls that need the authority's handle, and the ones that create handles.
fn authority_calls<'a>(service: &'a Kms, recipient: &'a ExportRecipient) -> Vec<(&'static str, Attempt<'a>)> {
    let account = AccountId::default();
    vec![
        ("as_principal", Box::new(|kms| kms.as_principal(user("alice")?).map(drop))),
        ("as_service", Box::new(|kms| kms.as_service("s3").map(drop))),
        ("on_behalf_of", Box::new(move |kms| service.on_behalf_of(kms).map(drop))),
        ("with_request_id", Box::new(|kms| kms.with_request_id("a-1").map(drop))),
        ("put_identity_policy", {
            Box::new(|kms| kms.put_identity_policy(&user("bob")?, "own", &identity_policy("Allow", "kms:*")))
        }),
        ("get_identity_policy", Box::new(|kms| kms.get_identity_policy(&user("bob")?, "own").map(drop))),
        ("list_identity_policies", Box::new(|kms| kms.list_identity_policies(&user("bob")?).map(drop))),
        ("delete_identity_policy", Box::new(|kms| kms.delete_identity_policy(&user("bob")?, "own"))),
        ("export_all_keys", Box::new(move |kms| kms.export_all_keys(recipient).map(drop))),
        ("export_deletions", Box::new(|kms| kms.export_deletions().map(drop))),
        ("apply_deletions", Box::new(|kms| kms.apply_deletions(&[], &[]).map(drop))),
        ("metered_keys", Box::new(move |kms| kms.metered_keys(account).map(drop))),
        ("reset_metering", Box::new(move |kms| kms.reset_metering(account))),
        ("declare_successor", Box::new(|kms| kms.declare_successor().map(drop))),
        ("run_maintenance", Box::new(|kms| kms.run_maintenance().map(drop))),
        ("maintain_every", Box::new(|kms| kms.maintain_every(Duration::from_secs(9), drop).map(drop))),
        ("confirm_clock", Box::new(|kms| kms.confirm_clock(SystemClock.now()))),
        ("verify_store", Box::new(|kms| kms.verify_store(|_| {}).map(drop))),
        ("rotate_root_key", Box::new(|kms| kms.rotate_root_key().map(drop))),
        ("move_root_key", Box::new(|kms| kms.move_root_key(RootKey::generate()).map(drop))),
        ("root_key_status", Box::new(|kms| kms.root_key_status().map(drop))),
        ("verify_audit_trail", Box::new(|kms| kms.verify_audit_trail("/nowhere").map(drop))),
        ("audit_chains", Box::new(|kms| kms.audit_chains().map(drop))),
    ]
}

#[test]
fn every_operation_of_every_handle_is_rejected_and_leaves_no_event() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = any_store::builder().audit(Arc::clone(&trail)).allow_insecure_test_keys().build()?;
    let key = kms.create_key(Default::default())?.key_id();
    let blob = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    let (aead, service) = (KmsAead::new(&kms, key)?, kms.as_service("s3")?);
    let handles = [kms.clone(), kms.as_principal(user("alice")?)?, service.clone(), service.on_behalf_of(&kms)?];
    let mut keys = kms.keys();
    let rsa = CreateKeyRequest::default().spec(KeySpec::Rsa2048).usage(KeyUsage::EncryptDecrypt);
    let recipient = ExportRecipient::rsa(&kms.get_public_key(kms.create_key(rsa)?.key_id())?.public_key)?;

    assert!(handles.iter().all(|handle| !handle.is_closed()));
    kms.close()?;
    let events = trail.events().len();
    for handle in &handles {
        assert!(handle.is_closed());
        for (operation, attempt) in operations(key, &blob).into_iter().chain(operations_of_other_keys(key)) {
            assert_eq!(kind(attempt(handle)), ErrorKind::Closed, "{operation}");
        }
    }
    for (name, attempt) in authority_calls(&service, &recipient) {
        assert_eq!(kind(attempt(&kms)), ErrorKind::Closed, "{name}");
    }
    assert_eq!(kind(kms.create_insecure_test_key(key, CreateKeyRequest::default(), &[&[7; 32]])), ErrorKind::Closed);
    assert_eq!(kind(kms.export_key(key, &recipient)), ErrorKind::Closed);
    assert_eq!(kind(kms.get_or_create_key("alias/a", CreateKeyRequest::default())), ErrorKind::Closed);
    assert_eq!(kind(aead.encrypt(b"data", &Default::default())), ErrorKind::Closed);
    assert_eq!(keys.next().and_then(Result::err).map(|error| error.kind()), Some(ErrorKind::Closed));
    assert_eq!(kms.grants(key, GrantFilter::default()).filter_map(Result::err).count(), 1);
    assert_eq!(trail.events().len(), events, "the trail ends when the KMS is closed");
    kms.close()
}

#[test]
fn operations_on_custom_key_stores_are_rejected() -> Result<()> {
    let setup = setup()?;
    let (store, kms) = (setup.store()?, &setup.kms);
    kms.close()?;
    let results = [
        kms.create_custom_key_store(request("new", "other")?).map(drop),
        kms.describe_custom_key_stores(Default::default()).map(drop),
        kms.describe_custom_key_store(store).map(drop),
        kms.describe_custom_key_store_by_name("safe").map(drop),
        kms.connect_custom_key_store(store),
        kms.disconnect_custom_key_store(store),
        kms.delete_custom_key_store(store),
        kms.create_key(CreateKeyRequest::default().custom_key_store(store)).map(drop),
        kms.generate_random_in(store, 8).map(drop),
    ];
    assert!(results.into_iter().all(|result| kind(result) == ErrorKind::Closed));
    Ok(())
}

#[test]
fn only_the_authority_closes() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = any_store::builder().audit(Arc::clone(&trail)).build()?;
    let alice = kms.as_principal(user("alice")?)?;
    assert_eq!(kind(alice.close()), ErrorKind::AccessDenied);
    let refused = trail.events().last().map(|event| (event.action, event.outcome.clone()));
    assert_eq!(refused, Some((Action::Authority("close"), Outcome::Failure(ErrorKind::AccessDenied))));
    assert!(!kms.is_closed());
    kms.create_key(Default::default())?;
    Ok(())
}

/// Returns a KMS on a store, in which a key was used twice and its uses are only in memory.
fn used(store: impl KeyStore + 'static) -> Result<(Kms, KeyId)> {
    let kms = Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    for _ in 0..2 {
        kms.encrypt(EncryptRequest::new(key, b"data"))?;
    }
    Ok((kms, key))
}

fn requests(place: &Place) -> Result<u64> {
    let kms = Kms::builder().store(place.open()?, RootKey::from_bytes(&[7; 32])).build()?;
    Ok(kms.metered_keys(AccountId::default())?.iter().map(|key| key.requests).sum())
}

#[test]
fn counts_are_written_and_a_failure_is_reported_and_can_be_repeated() -> Result<()> {
    let place = Place::new()?;
    let store = HookedStore::new(place.open()?);
    let (kms, key) = used(Arc::clone(&store))?;
    store.before_commit(RecordKind::Usage, || Err(Error::new(ErrorKind::Store, "the disk is full")));
    let failed = kms.close().expect_err("the counts cannot be written");
    assert_eq!(failed.kind(), ErrorKind::Store);
    assert!(failed.to_string().contains("the disk is full"), "{failed}");
    assert_eq!(requests(&place)?, 0);
    assert_eq!(kind(kms.describe_key(key)), ErrorKind::Closed, "it is closed nevertheless");
    kms.close()?;
    assert_eq!(requests(&place)?, 2);
    kms.close()?;
    drop(kms);
    assert_eq!(requests(&place)?, 2, "nothing is counted twice");

    // Without `close`, the same happens when the last handle is dropped.
    let (kms, _) = used(place.open()?)?;
    assert_eq!(requests(&place)?, 2);
    drop(kms);
    assert_eq!(requests(&place)?, 4);
    Ok(())
}

/// A policy that allows everything, and signals and waits when something is encrypted.
#[derive(Debug)]
struct Waiting {
    arrived: mpsc::Sender<()>,
    go_on: std::sync::Mutex<mpsc::Receiver<()>>,
}

impl Policy for Waiting {
    fn decide(&self, request: &PolicyRequest<'_>, _: &AttachedPolicies<'_>) -> Result<Decision> {
        if request.operation == Operation::Encrypt {
            self.arrived.send(()).expect("the test waits");
            self.go_on.lock().expect("no thread panicked").recv().expect("the test goes on");
        }
        Ok(Decision::Allow)
    }
}

#[test]
fn an_operation_in_progress_is_completed_first() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let ((arrived, has_arrived), (release, go_on)) = (mpsc::channel(), mpsc::channel());
    let policy = Waiting { arrived, go_on: go_on.into() };
    let kms = any_store::builder().audit(Arc::clone(&trail)).policy(policy).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    thread::scope(|scope| {
        let encryption = scope.spawn(|| kms.encrypt(EncryptRequest::new(key, b"data")));
        has_arrived.recv().expect("the encryption has begun");
        let closing = scope.spawn(|| kms.close());
        while !kms.is_closed() {
            thread::yield_now();
        }
        assert_eq!(kind(kms.describe_key(key)), ErrorKind::Closed);
        thread::sleep(Duration::from_millis(20));
        assert!(!closing.is_finished() && !encryption.is_finished());
        release.send(()).expect("the encryption waits");
        assert!(encryption.join().expect("no thread panicked").is_ok());
        closing.join().expect("no thread panicked")
    })?;
    // Events of the same instant have no defined order.
    let is_encryption = |event: &AuditEvent| event.action == Action::Call(Operation::Encrypt);
    let outcomes: Vec<_> = trail.events().into_iter().filter(is_encryption).map(|event| event.outcome).collect();
    assert_eq!(outcomes, [Outcome::Success]);
    Ok(())
}

#[test]
fn many_threads_are_rejected_one_after_the_other_and_lose_no_count() -> Result<()> {
    let place = Place::new()?;
    let (kms, key) = used(place.open()?)?;
    let done = AtomicUsize::new(2);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        match kms.encrypt(EncryptRequest::new(key, b"data")) {
                            Ok(_) => _ = done.fetch_add(1, Ordering::SeqCst),
                            Err(error) => return error.kind(),
                        }
                    }
                })
            })
            .collect();
        while done.load(Ordering::SeqCst) < 100 {
            thread::yield_now();
        }
        let closed = kms.close();
        assert!(threads.into_iter().all(|thread| thread.join().expect("no thread panicked") == ErrorKind::Closed));
        closed
    })?;
    assert_eq!(requests(&place)?, u64::try_from(done.into_inner()).expect("a few"));
    Ok(())
}

#[test]
fn the_maintenance_thread_ends() -> Result<()> {
    let (kms, _) = with_key()?;
    let (sender, reports) = mpsc::channel();
    let guard = kms.maintain_every(Duration::from_millis(5), move |report| {
        sender.send(report.map(drop).map_err(|error| error.kind())).ok();
    })?;
    assert_eq!(reports.recv().expect("the first report"), Ok(()));
    kms.close()?;
    let start = Instant::now();
    while guard.is_running() {
        assert!(start.elapsed() < Duration::from_secs(60), "it still runs");
        thread::sleep(Duration::from_millis(1));
    }
    // A run that was about to start may have been rejected.
    assert!(reports.iter().all(|report| matches!(report, Ok(()) | Err(ErrorKind::Closed))));
    Ok(())
}

/// A sink that fails to close until it was asked twice.
#[derive(Debug, Default)]
struct Reluctant {
    closings: AtomicUsize,
}

impl AuditSink for Reluctant {
    fn record(&self, _: AuditEvent) -> Result<()> {
        Ok(())
    }

    fn attach(&self, _: &Attachment<'_>) -> Result<Option<ChainState>> {
        Ok(None)
    }

    fn close(&self) -> Result<()> {
        match self.closings.fetch_add(1, Ordering::SeqCst) {
            0 => Err(Error::new(ErrorKind::Audit, "cannot sync the trail")),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_trail_that_fails_is_closed_again_and_both_sinks_of_a_tee_are() -> Result<()> {
    let (first, second) = (Arc::new(Reluctant::default()), Arc::new(Reluctant::default()));
    let kms = any_store::builder().audit(Tee(Arc::clone(&first), Arc::clone(&second))).build()?;
    assert_eq!(kind(kms.close()), ErrorKind::Audit);
    assert!(kms.is_closed());
    kms.close()?;
    kms.close()?;
    assert_eq!([&first, &second].map(|sink| sink.closings.load(Ordering::SeqCst)), [2, 2]);
    Ok(())
}

/// Closing releases the chain although clones of the handle remain, so that the next KMS resumes it.
#[test]
fn the_chain_of_a_file_trail_is_saved_and_released() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let place = Place::new()?;
    let trail = Arc::new(FileTrail::new(folder.path()));
    let build =
        |trail: Arc<FileTrail>| Kms::builder().store(place.open()?, RootKey::from_bytes(&[7; 32])).audit(trail).build();
    let kms = build(Arc::clone(&trail))?;
    kms.create_key(Default::default())?;
    for _ in 0..3 {
        kms.list_keys(Default::default())?; // not covered by the state that the last change saved
    }
    kms.close()?;
    let closed = kms.clone();

    let fresh = build(Arc::new(FileTrail::new(folder.path())))?;
    assert_eq!(fresh.audit_chains()?.len(), 1, "the chain is resumed");
    assert!(fresh.verify_audit_trail(folder.path())?.is_intact());
    fresh.close()?;
    assert_eq!(kind(closed.list_keys(Default::default())), ErrorKind::Closed);

    // The same trail can be attached again.
    let again = build(trail)?;
    again.create_key(Default::default())?;
    assert_eq!(again.audit_chains()?.len(), 1);
    again.close()?;
    // Verification detects the truncation of events that the saved state covers.
    let file = std::fs::read_dir(folder.path())?.filter_map(|entry| Some(entry.ok()?.path()));
    let file = file.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl")).max().ok_or("a file")?;
    let text = std::fs::read_to_string(&file)?;
    let last_line = text.trim_end().rfind('\n').ok_or("several lines")?;
    std::fs::write(&file, &text[..=last_line])?;
    let outside = Kms::builder().store(place.open()?, RootKey::from_bytes(&[7; 32])).build()?;
    assert!(!outside.verify_audit_trail(folder.path())?.is_intact());
    Ok(())
}
