//! Records of the parameter store are parsed as carefully as unsealed data: accepted bytes have a
//! single encoding. A name is rejected, or it leads to its parameter: as requested, as an ARN, and in
//! the list of every path above it.
//!
//! Input: a byte 0, 1 or 2 and the record of a parameter, of an earlier version or of the number of
//! parameters, or any other byte and a name.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strongroom::fuzzing::{rewritten_count_record, rewritten_parameter_record, rewritten_version_record};
use strongroom::parameters::{GetParametersByPathRequest, Parameters, PutParameterRequest};
use strongroom::{ErrorKind, Kms};
use strongroom_fuzz::backend;

/// A store that is empty between the runs.
static PARAMETERS: LazyLock<Parameters> = LazyLock::new(|| {
    let kms = Kms::builder().backend(backend()).build().expect("a KMS in memory");
    Parameters::new(&kms)
});

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let rewritten = match which {
        0 => rewritten_parameter_record(rest),
        1 => rewritten_version_record(rest),
        2 => rewritten_count_record(rest),
        _ => return String::from_utf8(rest.to_vec()).map_or((), |name| check_name(&name)),
    };
    if let Some(rewritten) = rewritten {
        assert_eq!(rewritten, rest, "accepted bytes are canonical");
    }
});

fn check_name(name: &str) {
    let parameters = &*PARAMETERS;
    let missing = [ErrorKind::NotFound, ErrorKind::Validation];
    let is_missing = |kind| assert!(missing.contains(&kind), "{kind:?} for {name:?}");
    is_missing(parameters.get(name).expect_err("the store is empty").kind());
    is_missing(parameters.delete(name).expect_err("the store is empty").kind());
    let listed = |path: &str| parameters.by_path(GetParametersByPathRequest::new(path).recursive());
    match listed(name) {
        Ok(page) => assert!(page.entries.is_empty() && page.next_marker.is_none()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Validation),
    }

    if let Err(error) = parameters.put(PutParameterRequest::string(name, "value")) {
        // The name is invalid, has too many levels, or is the ARN of another account.
        let kinds = [ErrorKind::Validation, ErrorKind::LimitExceeded, ErrorKind::NotFound];
        assert!(kinds.contains(&error.kind()), "{error:?}");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
        let page = parameters.describe(Default::default()).expect("a list");
        assert!(page.entries.is_empty(), "{name:?} was refused and created");
        return;
    }
    let found = parameters.get(name).expect("the parameter exists");
    if !name.contains(':') {
        assert_eq!(found.name(), name.trim_matches(' '));
    }
    for other in [found.name(), found.arn(), &format!("{}:1", found.name()), &format!("{}:1", found.arn())] {
        assert_eq!(parameters.get(other).expect("another form of the name").arn(), found.arn());
    }
    assert!(parameters.get(&format!("{}:2", found.name())).is_err());
    let key = format!("/{}", found.name().trim_start_matches('/'));
    for (place, _) in key.match_indices('/') {
        let page = listed(&key[..place.max(1)]).expect("a path above the parameter");
        assert_eq!(page.entries.len(), 1, "{:?} above {key:?}", &key[..place.max(1)]);
    }
    assert!(listed(&key).expect("a path").entries.is_empty(), "nothing is below a parameter");
    parameters.delete(name).expect("the parameter exists");
}
