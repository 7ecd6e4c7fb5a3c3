//! Changes of a parameter while it is being read.

use std::sync::Arc;

use strongroom::crypto::CryptoBackend;
use strongroom::parameters::{
    GetParameterHistoryRequest, GetParametersByPathRequest, ParameterFilter, ParameterHistoryEntry, ParameterType,
    Parameters, PutParameterRequest,
};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, MemoryStore, RecordKind};
use strongroom::{Kms, Result};

use super::{TestResult, exception};
use crate::support::hooked_store::HookedStore;

fn open(store: Arc<dyn KeyStore>) -> Result<Parameters> {
    Ok(Parameters::new(&Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).build()?))
}

/// Returns a handle that is to read, the store below it, and the handle of another process.
fn two_handles() -> TestResult<(Parameters, Arc<HookedStore>, Parameters)> {
    let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
    let hooked = HookedStore::new(Arc::clone(&store));
    let other = open(store)?;
    other.put(PutParameterRequest::string("/a", "old 1"))?;
    other.put(PutParameterRequest::new("/a", "old 2").overwrite())?;
    other.label("/a", Some(1), ["live"])?;
    Ok((open(hooked.clone())?, hooked, other))
}

/// Deletes the parameter, and creates another one of another type under its name.
fn replace(other: &Parameters) -> Result<()> {
    other.delete("/a")?;
    other.put(PutParameterRequest::secure_string("/a", "new 1"))?;
    other.put(PutParameterRequest::new("/a", "new 2").overwrite())?;
    other.label("/a", Some(1), ["live"]).map(drop)
}

/// An earlier version is a separate record. It must not be confused with a version of a parameter of
/// the same name that was deleted in between, and had another type and other tags.
#[test]
fn a_version_of_a_later_parameter_is_not_one_of_the_earlier() -> TestResult {
    for name in ["/a:1", "/a:live"] {
        let (reader, hooked, other) = two_handles()?;
        hooked.before_get(RecordKind::ParameterVersion, move || replace(&other));
        let found = reader.get(name)?;
        assert_eq!((found.expose_value(), found.parameter_type()), ("new 1", ParameterType::SecureString), "{name}");
    }
    let (reader, hooked, other) = two_handles()?;
    hooked.before_get(RecordKind::ParameterVersion, move || replace(&other));
    let page = reader.history(GetParameterHistoryRequest::new("/a"))?;
    let values: Vec<&str> = page.entries.iter().map(ParameterHistoryEntry::expose_value).collect();
    assert_eq!(values, ["new 1", "new 2"]);

    let (reader, hooked, other) = two_handles()?;
    hooked.before_get(RecordKind::ParameterVersion, move || other.delete("/a"));
    assert_eq!(exception(reader.get("/a:1")), "ParameterNotFound");
    Ok(())
}

/// A page has every parameter that exists all the time, even if a selected version ceases to exist
/// between two reads.
#[test]
fn a_list_omits_no_parameter_that_is_changed_meanwhile() -> TestResult {
    let (reader, hooked, other) = two_handles()?;
    let labeled = || GetParametersByPathRequest::new("/").filters([ParameterFilter::new("Label", ["live"])]);
    hooked.before_get(RecordKind::ParameterVersion, move || {
        for number in 3..=101 {
            other.put(PutParameterRequest::new("/a", number.to_string()).overwrite())?;
            other.label("/a", None, ["live"])?;
        }
        Ok(())
    });
    let page = reader.by_path(labeled())?;
    assert_eq!((page.entries.len(), page.entries[0].expose_value(), page.entries[0].version()), (1, "101", 101));

    let (reader, hooked, other) = two_handles()?;
    hooked.before_get(RecordKind::ParameterVersion, move || replace(&other));
    assert_eq!(reader.by_path(labeled())?.entries[0].expose_value(), "new 1");
    let (reader, hooked, other) = two_handles()?;
    hooked.before_get(RecordKind::ParameterVersion, move || {
        other.delete("/a")?;
        other.put(PutParameterRequest::string("/a", "without a label")).map(drop)
    });
    assert!(reader.by_path(labeled())?.entries.is_empty());
    Ok(())
}
