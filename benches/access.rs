//! The cost of authorization and auditing, `access/<policy or audit sink>/...`, always measured on
//! GenerateDataKey. Also measures the durable audit trail with many concurrent callers.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use strongroom::audit::{AuditEvent, AuditSink, Durability, FileTrail, MemoryTrail};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{KeyId, Operation};
use strongroom::policy::{GrantConstraints, GrantTerms};
use strongroom::request::{CreateGrantRequest, CreateKeyRequest, GenerateDataKeyRequest, PageRequest};
use strongroom::{EncryptionContext, Kms, KmsLimits, Result};

/// Discards all events.
#[derive(Debug)]
struct Nowhere;

impl AuditSink for Nowhere {
    fn record(&self, _: AuditEvent) -> Result<()> {
        Ok(())
    }
}

fn alice() -> Principal {
    Principal::user(AccountId::default(), "alice").expect("a name")
}

/// Returns a key policy of ten statements. Only the last one applies to alice, under a condition.
fn ten_statements() -> String {
    let root = r#"{"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "kms:*", "Resource": "*"}"#;
    let others = (0..8).map(|number| {
        format!(
            r#"{{"Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::000000000000:user/u{number}"}},
            "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": "*"}}"#
        )
    });
    let last = r#"{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"},
        "Action": "kms:GenerateDataKey*", "Resource": "*", "Condition": {"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT"}}}"#;
    let all: Vec<_> = [root.to_owned()].into_iter().chain(others).chain([last.to_owned()]).collect();
    format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, all.join(","))
}

fn data_keys(criterion: &mut Criterion, name: &str, kms: &Kms, key: KeyId) {
    let mut group = criterion.benchmark_group("access");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        bencher.iter(|| black_box(kms.generate_data_key(GenerateDataKeyRequest::new(key)).expect("a data key")));
    });
    group.finish();
}

fn decisions(criterion: &mut Criterion) {
    let kms = Kms::in_memory().expect("memory");
    let as_alice = kms.as_principal(alice()).expect("the authority");
    let key = |request| kms.create_key(request).expect("a key").key_id();
    let default = key(CreateKeyRequest::default());
    data_keys(criterion, "policy/default/root", &kms, default);
    data_keys(
        criterion,
        "policy/ten_statements/user",
        &as_alice,
        key(CreateKeyRequest::default().policy(ten_statements())),
    );
    for grants in [1, 1_000] {
        let granted = key(CreateKeyRequest::default());
        for number in 1..grants {
            let other = Principal::user(AccountId::default(), &format!("u{number}")).expect("a name");
            let terms = GrantTerms::new(other, [Operation::GenerateDataKey]).expect("terms");
            kms.create_grant(CreateGrantRequest::new(granted, terms)).expect("a grant");
        }
        let terms = GrantTerms::new(alice(), [Operation::GenerateDataKey]).expect("terms");
        kms.create_grant(CreateGrantRequest::new(granted, terms)).expect("a grant");
        data_keys(criterion, &format!("grant/one_of_{grants}/user"), &as_alice, granted);
    }
    let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}"#;
    kms.put_identity_policy(&alice(), "all", policy).expect("a policy");
    data_keys(criterion, "policy/identity/user", &as_alice, default);
}

/// Measures many grants of one grantee on one key. Neither a decision nor the creation of a grant
/// may become slower with their number, so compare the rows of 100 and 10,000 grants.
fn grants_of_one_grantee(criterion: &mut Criterion) {
    let limits = KmsLimits { grants_per_key: usize::MAX, ..KmsLimits::default() };
    let kms = Kms::builder().limits(limits).build().expect("memory");
    let as_alice = kms.as_principal(alice()).expect("the authority");
    for grants in [100_u32, 10_000] {
        let key = kms.create_key(CreateKeyRequest::default()).expect("a key").key_id();
        let context = |number: u32| EncryptionContext::from([("volume", number.to_string().as_str())]);
        let make = |number: u32| {
            let constraints =
                GrantConstraints::new().with_encryption_context_subset(context(number)).expect("one pair");
            let terms =
                GrantTerms::new(alice(), [Operation::GenerateDataKey]).expect("terms").with_constraints(constraints);
            kms.create_grant(CreateGrantRequest::new(key, terms).name(format!("volume-{number}"))).expect("a grant");
        };
        (0..grants).for_each(make);
        let last = context(grants - 1);
        let mut group = criterion.benchmark_group("access");
        group.bench_function(format!("grant/of_one_grantee/{grants}"), |bencher| {
            let request = GenerateDataKeyRequest::new(key).context(&last);
            bencher.iter(|| black_box(as_alice.generate_data_key(request.clone()).expect("a data key")));
        });
        group.bench_function(format!("grant/of_one_grantee_after_a_change/{grants}"), |bencher| {
            let request = GenerateDataKeyRequest::new(key).context(&last);
            let mut number = 0_u32;
            bencher.iter(|| {
                number += 1;
                kms.update_key_description(key, number.to_string()).expect("a change");
                black_box(as_alice.generate_data_key(request.clone()).expect("a data key"))
            });
        });
        let mut next = grants;
        group.bench_function(format!("grant/create_named/{grants}"), |bencher| {
            bencher.iter(|| {
                make(next);
                next += 1;
            });
        });
        group.finish();
    }
}

fn sinks(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let trail = |name: &str, durability| FileTrail::new(directory.path().join(name)).durability(durability);
    let sinks: [(&str, Arc<dyn AuditSink>); 4] = [
        ("sink/none", Arc::new(Nowhere)),
        ("sink/memory", Arc::new(MemoryTrail::default())),
        ("sink/file_buffered", Arc::new(trail("buffered", Durability::Buffered))),
        ("sink/file_synced", Arc::new(trail("synced", Durability::Synced))),
    ];
    for (name, sink) in sinks {
        let kms = Kms::builder().audit(sink).build().expect("memory");
        let key = kms.create_key(CreateKeyRequest::default()).expect("a key").key_id();
        data_keys(criterion, name, &kms, key);
    }
}

/// Measures callers that wait until their events are on disk. A single `fsync` serves all waiting
/// callers.
fn group_commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("access");
    for callers in [1_u64, 64] {
        let directory = tempfile::tempdir().expect("a directory");
        let kms = Kms::builder().audit(FileTrail::new(directory.path())).build().expect("memory");
        group.throughput(Throughput::Elements(callers));
        group.bench_function(format!("durable_events/{callers}_callers"), |bencher| {
            bencher.iter_custom(|rounds| {
                let start = Instant::now();
                std::thread::scope(|scope| {
                    for _ in 0..callers {
                        scope.spawn(|| {
                            for _ in 0..rounds {
                                kms.list_keys(PageRequest::default().limit(1)).expect("an event on disk");
                            }
                        });
                    }
                });
                start.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decisions, grants_of_one_grantee, sinks, group_commit);
criterion_main!(benches);
