//! The file of credentials: its content, and changes of it, which are refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom::identity::{AccountId, Principal};
use strongroom::{ErrorKind, Kms};
use strongroom_server::credentials::{CredentialsFile, IssueOptions, Issued, KEY_ALIAS, issue};

struct Fixture {
    _directory: tempfile::TempDir,
    path: PathBuf,
    kms: Kms,
    file: CredentialsFile,
}

fn user(name: &str) -> Principal {
    Principal::user(AccountId::default(), name).unwrap()
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.json");
        let file = CredentialsFile::new(&path);
        Self { _directory: directory, path, kms: Kms::in_memory().unwrap(), file }
    }

    fn issue(&self, principal: &Principal, options: &IssueOptions) -> Issued {
        issue(&self.kms, &self.file, principal, options).unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    fn refusal(&self) -> String {
        self.file.load(&self.kms).unwrap_err().to_string()
    }
}

#[test]
fn issued_access_keys_are_loaded() {
    let fixture = Fixture::new();
    let alice = fixture.issue(&user("alice"), &IssueOptions::default());
    let job =
        fixture.issue(&user("job"), &IssueOptions::default().with_session_token().lifetime(Duration::from_secs(60)));
    assert!(alice.access_key_id().starts_with("AKIA") && job.access_key_id().starts_with("ASIA"));
    assert_eq!((alice.access_key_id().len(), alice.expose_secret().len()), (20, 40));
    let keys = fixture.file.load(&fixture.kms).unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys.find(alice.access_key_id()).unwrap().principal(), &user("alice"));
    let entries = fixture.file.entries().unwrap();
    assert_eq!((entries[0].expires(), entries[0].has_session_token()), (None, false));
    assert!(entries[1].expires() > Some(entries[1].created()) && entries[1].has_session_token());
    assert!(fixture.file.delete(alice.access_key_id()).unwrap());
    assert!(!fixture.file.delete(alice.access_key_id()).unwrap());
    assert_eq!(fixture.file.load(&fixture.kms).unwrap().len(), 1);
}

#[test]
fn secrets_and_tokens_are_neither_in_the_file_nor_in_debug_output() {
    let fixture = Fixture::new();
    let issued = fixture.issue(&user("alice"), &IssueOptions::default().with_session_token());
    let keys = fixture.file.load(&fixture.kms).unwrap();
    let shown = format!("{issued:?} {keys:?} {}", fixture.text());
    assert!(shown.contains(issued.access_key_id()));
    assert!(!shown.contains(issued.expose_secret()));
    assert!(!shown.contains(issued.expose_session_token().unwrap()));
    let profile = issued.expose_profile("kms");
    assert!(profile.starts_with("[kms]\naws_access_key_id = ASIA"));
    assert!(profile.contains(issued.expose_secret()));
}

#[test]
fn changed_entries_are_refused() {
    let fixture = Fixture::new();
    let options = IssueOptions::default().with_session_token().lifetime(Duration::from_secs(3_600));
    let alice = fixture.issue(&user("alice"), &options);
    let bob = fixture.issue(&user("bob"), &options);
    let original = fixture.text();
    let token_hash = |entry: usize| {
        original.split("\"sessionTokenSha256\": \"").nth(entry + 1).unwrap().split('"').next().unwrap().to_owned()
    };
    let expires = fixture.file.entries().unwrap()[0].expires().unwrap().to_owned();
    for (old, new) in [
        ("user/alice", "user/bob"),
        ("user/alice\"", "root\""),
        (alice.access_key_id(), "ASIAAAAAAAAAAAAAAAAA"),
        (expires.as_str(), "2099-01-01T00:00:00Z"),
        (token_hash(0).as_str(), token_hash(1).as_str()),
    ] {
        let changed = original.replacen(&old.replace("root\"", ":root\""), new, 1);
        assert_ne!(changed, original);
        fs::write(&fixture.path, changed).unwrap();
        assert!(fixture.refusal().contains("cannot use the access key"), "{old}: {}", fixture.refusal());
    }
    fs::write(&fixture.path, original.replace(bob.access_key_id(), alice.access_key_id())).unwrap();
    assert!(fixture.refusal().contains("appears twice"));
    fs::write(&fixture.path, &original).unwrap();
    assert_eq!(fixture.file.load(&fixture.kms).unwrap().len(), 2);
    // Another store has another key.
    let other = Kms::in_memory().unwrap();
    assert!(fixture.file.load(&other).is_err());
}

#[test]
fn broken_files_are_refused() {
    let fixture = Fixture::new();
    fixture.issue(&user("alice"), &IssueOptions::default());
    let original = fixture.text();
    for broken in [
        String::new(),
        original[..original.len() / 2].to_owned(),
        original.replace("\"version\": 1", "\"version\": 2"),
        original.replace("\"created\"", "\"comment\": \"\",\n \"created\""),
    ] {
        fs::write(&fixture.path, broken).unwrap();
        assert!(fixture.refusal().contains("cannot read the credentials"), "{}", fixture.refusal());
    }
}

#[cfg(unix)]
#[test]
fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    fixture.issue(&user("alice"), &IssueOptions::default());
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(fs::metadata(&fixture.path).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o660] {
        set(&fixture.path, mode);
        assert!(fixture.refusal().contains("can be accessed by other users"), "{}", fixture.refusal());
    }
    set(&fixture.path, 0o600);
    set(fixture.path.parent().unwrap(), 0o777);
    assert!(fixture.refusal().contains("can be written by other users"), "{}", fixture.refusal());
}

#[test]
fn no_access_key_is_lost_if_several_are_created_at_once() {
    let fixture = Fixture::new();
    fixture.issue(&user("first"), &IssueOptions::default());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let fixture = &fixture;
            scope.spawn(move || {
                (0..5).for_each(|_| drop(fixture.issue(&user(&format!("u{thread}")), &IssueOptions::default())));
            });
        }
    });
    assert_eq!(fixture.file.load(&fixture.kms).unwrap().len(), 21);
}

#[test]
fn only_the_root_may_use_the_key_of_the_file() {
    let fixture = Fixture::new();
    fixture.issue(&user("alice"), &IssueOptions::default());
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}"#;
    fixture.kms.put_identity_policy(&user("alice"), "everything", policy).unwrap();
    let alice = fixture.kms.as_principal(user("alice")).unwrap();
    assert!(alice.create_key(Default::default()).is_ok());
    let refused = alice.describe_key(KEY_ALIAS).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::AccessDenied | ErrorKind::NotFound), "{refused}");
}
