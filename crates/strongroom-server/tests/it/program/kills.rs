//! A server that is killed under load: nothing that it acknowledged is lost, and its audit trail is
//! intact.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strongroom::Kms;
use strongroom::audit::FileTrail;
use strongroom::identity::Locality;
use strongroom::seal::RootKey;

use super::process::{Program, Running};

/// The changes of one key that the server has acknowledged.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    arn: String,
    alias: Option<String>,
    ciphertext: Option<String>,
    is_tagged: bool,
    is_disabled: bool,
    is_pending_deletion: bool,
}

/// Returns the number of kills: more in the long version of the tests.
fn kills() -> usize {
    std::env::var("STRONGROOM_ENDPOINT_KILLS").map_or(2, |text| text.parse().unwrap())
}

#[test]
fn killed_server_keeps_every_acknowledged_change() {
    let program = Program::new();
    let mut acknowledged = Vec::new();
    for kill in 0..kills() {
        let running = program.serve(&["--insecure-local"]);
        let time = Duration::from_millis(u64::try_from(700 + kill * 37 % 1_300).unwrap());
        acknowledged.extend(change_until_killed(&running, kill, time));
        drop(running);
    }
    assert!(acknowledged.len() > kills(), "{acknowledged:?}");

    let running = program.serve(&["--insecure-local"]);
    acknowledged.iter().for_each(|key| check(&running, key));
    running.stop("TERM");

    let root = RootKey::from_file(program.path("keys.db.root-key")).unwrap();
    let trail = program.path("keys.db.audit");
    let locality = Locality::new("aws", "us-east-1").unwrap();
    let builder = Kms::builder().locality(locality).audit(FileTrail::new(&trail));
    let kms = builder.open(program.path("keys.db"), root).unwrap();
    assert!(kms.verify_store(|_| {}).unwrap().is_intact());
    let report = kms.verify_audit_trail(&trail).unwrap();
    assert!(report.is_intact(), "{report:?}");
    // Every key, alias and state that was acknowledged has its event.
    let text: String = std::fs::read_dir(&trail)
        .unwrap()
        .map(|file| String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned())
        .collect();
    for key in &acknowledged {
        assert!(text.contains(&key.arn), "{} has no event", key.arn);
        assert!(key.alias.as_ref().is_none_or(|alias| text.contains(alias)), "{key:?} has no event for its alias");
    }
}

/// Changes keys on several connections until the server is killed.
pub(super) fn change_until_killed(running: &Running, kill: usize, time: Duration) -> Vec<Acknowledged> {
    // A busy machine may need longer for the first keys.
    let made = AtomicUsize::new(0);
    let change = |thread: usize| {
        let mut keys = Vec::new();
        let mut number = 0;
        let mut goes_on = true;
        while goes_on {
            let mut key = Acknowledged::default();
            goes_on = change_key(running, &mut key, &format!("alias/{kill}-{thread}-{number}"), number).is_some();
            number += 1;
            if !key.arn.is_empty() {
                keys.push(key);
                made.fetch_add(1, Ordering::Relaxed);
            }
        }
        keys
    };
    std::thread::scope(|scope| {
        let change = &change;
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || change(thread))).collect();
        std::thread::sleep(time);
        let started = Instant::now();
        while made.load(Ordering::Relaxed) < 4 && started.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        running.signal("KILL");
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Creates a key and changes it. Returns `None` once the server is gone.
fn change_key(running: &Running, key: &mut Acknowledged, alias: &str, number: usize) -> Option<()> {
    let call = |operation: &str, body: Value| {
        let (status, answer) = running.call(operation, &body.to_string())?;
        assert_eq!(status, 200, "{operation}: {answer}");
        // The server may have been killed while it sent the answer.
        if answer.is_empty() { Some(Value::Null) } else { serde_json::from_str(&answer).ok() }
    };
    key.arn = call("CreateKey", json!({}))?["KeyMetadata"]["Arn"].as_str()?.to_owned();
    let arn = key.arn.clone();
    call("CreateAlias", json!({"AliasName": alias, "TargetKeyId": arn}))?;
    key.alias = Some(alias.to_owned());
    let encrypted = call("Encrypt", json!({"KeyId": arn, "Plaintext": "NDcxMQ=="}))?;
    key.ciphertext = Some(encrypted["CiphertextBlob"].as_str()?.to_owned());
    call("TagResource", json!({"KeyId": arn, "Tags": [{"TagKey": "order", "TagValue": "4711"}]}))?;
    key.is_tagged = true;
    match number % 3 {
        0 => {
            call("DisableKey", json!({"KeyId": arn}))?;
            key.is_disabled = true;
        }
        1 => {
            call("ScheduleKeyDeletion", json!({"KeyId": arn, "PendingWindowInDays": 7}))?;
            key.is_pending_deletion = true;
        }
        _ => {}
    }
    Some(())
}

pub(super) fn check(running: &Running, key: &Acknowledged) {
    let call = |operation: &str, body: Value| {
        let (status, answer) = running.call(operation, &body.to_string()).unwrap();
        (status, serde_json::from_str::<Value>(&answer).unwrap_or_default())
    };
    let (status, answer) = call("DescribeKey", json!({"KeyId": key.arn}));
    let state = &answer["KeyMetadata"]["KeyState"];
    assert_eq!(status, 200, "{key:?}: {answer}");
    // A change that was not acknowledged may be in effect.
    assert!(!key.is_disabled || state == "Disabled", "{key:?}: {state}");
    assert!(!key.is_pending_deletion || state == "PendingDeletion", "{key:?}: {state}");
    if let Some(alias) = &key.alias {
        assert_eq!(call("DescribeKey", json!({"KeyId": alias})).1["KeyMetadata"]["Arn"], key.arn.as_str(), "{key:?}");
    }
    if key.is_tagged {
        let (_, tags) = call("ListResourceTags", json!({"KeyId": key.arn}));
        assert_eq!(tags["Tags"], json!([{"TagKey": "order", "TagValue": "4711"}]), "{key:?}");
    }
    let Some(ciphertext) = &key.ciphertext else { return };
    if state == "PendingDeletion" {
        assert_eq!(call("CancelKeyDeletion", json!({"KeyId": key.arn})).0, 200, "{key:?}");
    }
    if state != "Enabled" {
        assert_eq!(call("EnableKey", json!({"KeyId": key.arn})).0, 200, "{key:?}");
    }
    let (status, decrypted) = call("Decrypt", json!({"CiphertextBlob": ciphertext}));
    assert_eq!((status, &decrypted["Plaintext"]), (200, &"NDcxMQ==".into()), "{key:?}: {decrypted}");
}
