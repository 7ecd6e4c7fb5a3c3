//! Rotation of keys, and caches.

use std::fs;
use std::path::Path;

use base64ct::{Base64, Encoding};
use strongroom::{ErrorKind, Kms};
use strongroom_parquet::error_inside;

use crate::support::{configuration, factory, new_key, read, rows, write};

/// Returns the versions of the keys under which the key encryption keys of a file are wrapped.
fn versions(path: &Path) -> Vec<u32> {
    let stored = fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&stored);
    let wrapped = text.split("\"wrappedKEK\":\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    wrapped
        .map(|wrapped| u32::from_be_bytes(Base64::decode_vec(wrapped).unwrap()[18..22].try_into().unwrap()))
        .collect()
}

#[test]
fn a_rotation_needs_no_change_of_a_file() {
    let kms = Kms::in_memory().unwrap();
    let key = new_key(&kms);
    let configuration = configuration(&key, &key);
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before.parquet"), folder.path().join("after.parquet"));
    write(&before, &factory(&kms), &configuration).unwrap();
    let stored = fs::read(&before).unwrap();

    kms.rotate_key_on_demand(key.as_str()).unwrap();
    write(&after, &factory(&kms), &configuration).unwrap();
    assert_eq!(fs::read(&before).unwrap(), stored);
    let (old, new) = (versions(&before), versions(&after));
    assert!(!old.is_empty() && !new.is_empty());
    assert_eq!(new, old.iter().map(|version| version + 1).collect::<Vec<_>>());
    for path in [&before, &after] {
        assert_eq!(read(path, &factory(&kms)).unwrap(), rows());
    }
}

#[test]
fn an_alias_that_leads_to_another_key_is_refused() {
    let kms = Kms::in_memory().unwrap();
    let (old, new) = (new_key(&kms), new_key(&kms));
    kms.create_alias("alias/lake", old.as_str()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &factory(&kms), &configuration("alias/lake", &old)).unwrap();
    kms.update_alias("alias/lake", new.as_str()).unwrap();
    let refused = read(&path, &factory(&kms)).unwrap_err();
    assert_eq!(error_inside(&refused).unwrap().kind(), ErrorKind::IncorrectKey, "{refused}");
    kms.update_alias("alias/lake", old.as_str()).unwrap();
    assert_eq!(read(&path, &factory(&kms)).unwrap(), rows());
}

#[test]
fn a_disabled_key_works_until_the_cache_of_the_factory_expires() {
    let kms = Kms::in_memory().unwrap();
    let key = new_key(&kms);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let writer = factory(&kms);
    write(&path, &writer, &configuration(&key, &key)).unwrap();
    let cached = factory(&kms);
    read(&path, &cached).unwrap();
    kms.disable_key(key.as_str()).unwrap();
    assert_eq!(read(&path, &cached).unwrap(), rows());
    write(&folder.path().join("b.parquet"), &writer, &configuration(&key, &key)).unwrap();
    let refused = read(&path, &factory(&kms)).unwrap_err();
    assert_eq!(error_inside(&refused).unwrap().kind(), ErrorKind::Disabled, "{refused}");
}
