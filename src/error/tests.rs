//! Tests of the error type.

use super::*;

#[test]
fn source_is_kept_and_debug_is_complete() {
    let error = Error::new(ErrorKind::Store, "cannot read").with_source(io::Error::other("disk"));
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("disk"));
    let text = format!("{error:?}");
    assert!(text.contains("Store") && text.contains("cannot read") && text.contains("disk"), "{text}");
}

#[test]
fn what_the_message_says_already_is_passed_over() {
    let lowest = Error::new(ErrorKind::Io, "lowest");
    let middle = Error::new(ErrorKind::Store, "middle").with_source(lowest);
    let top = Error::new(ErrorKind::Internal, "top: middle").with_source(middle.clone());
    assert_eq!(top.source().map(ToString::to_string).as_deref(), Some("lowest"));
    assert_eq!(top.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::Store));
    assert_eq!(format!("{top:?}").matches("middle").count(), 1, "{top:?}");

    let whole = Error::new(ErrorKind::Internal, "top: middle: lowest").with_source(middle);
    assert!(whole.source().is_none());
    assert!(Error::new(ErrorKind::Internal, "top").source().is_none());
}

#[test]
fn a_cause_is_found_below_errors_that_hide_it() {
    #[derive(Debug, thiserror::Error)]
    #[error("the token is locked")]
    struct Locked;

    let locked = Error::new(ErrorKind::KeyUnavailable, Locked.to_string()).with_source(Locked);
    let read = Error::new(ErrorKind::Io, "cannot read: the token is locked").with_source(io::Error::other(locked));
    assert!(read.source().is_none());
    assert!(read.downcast_ref::<Locked>().is_some() && read.downcast_ref::<io::Error>().is_some());
    assert!(read.downcast_ref::<fmt::Error>().is_none());
}

#[test]
fn a_kind_is_shown_as_the_exception_or_the_variant() {
    let mut seen = std::collections::BTreeSet::new();
    for kind in ErrorKind::ALL {
        let text = kind.to_string();
        let expected = kind.exception_name().map_or_else(|| format!("{kind:?}"), str::to_owned);
        assert_eq!(text, expected);
        assert!(seen.insert(text), "{kind:?} is shown as another kind");
    }
    assert_eq!(format!("{:>8}|{:<8}|", ErrorKind::Io, ErrorKind::Store), "      Io|Store   |");
}

#[test]
fn every_kind_has_a_fault_a_status_and_a_name_that_an_endpoint_can_send() {
    let modelled = ["KMSInternalException", "KeyUnavailableException"];
    for kind in ErrorKind::ALL {
        let is_server = kind.fault() == Fault::Server;
        assert_eq!(kind.http_status(), if is_server { 500 } else { 400 }, "{kind}");
        assert_eq!(modelled.contains(&kind.aws_name()), is_server, "{kind} is sent as {}", kind.aws_name());
        assert!(kind.aws_name().ends_with("Exception"), "{kind}");
        if let Some(name) = kind.exception_name() {
            assert_eq!(kind.aws_name(), name);
        }
    }
    assert_eq!(ErrorKind::InvalidGrantId.aws_name(), "InvalidGrantIdException");
}

#[test]
fn an_io_error_has_the_kind_of_its_cause_only_if_that_is_what_failed() {
    let full = || io::Error::new(io::ErrorKind::StorageFull, "full");
    for kind in ErrorKind::ALL {
        let plain = io::Error::from(Error::new(*kind, "why"));
        assert_eq!((plain.kind(), plain.to_string().as_str()), (kind.as_io(), "why"), "{kind}");
        let caused = io::Error::from(Error::new(*kind, "why").with_source(full()));
        let is_environment = ["Audit", "Io", "KeyUnavailableException", "RootKey", "Store"];
        let expected = match is_environment.contains(&kind.to_string().as_str()) {
            true => io::ErrorKind::StorageFull,
            false => kind.as_io(),
        };
        assert_eq!(caused.kind(), expected, "{kind}");
    }
}

#[test]
fn the_error_inside_an_io_error_is_found_through_what_encloses_it() {
    let error = Error::new(ErrorKind::KeyUnavailable, "the token is locked");
    let direct = io::Error::from(error.clone());
    let same = direct.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    assert_eq!(same.map(Error::kind), Some(ErrorKind::KeyUnavailable));
    for enclosing in [direct, io::Error::other(io::Error::other(error.clone())), io::Error::other(Outer(error))] {
        assert_eq!(Error::from_io(&enclosing).map(Error::kind), Some(ErrorKind::KeyUnavailable), "{enclosing:?}");
    }
    for other in [io::Error::other("disk"), io::ErrorKind::NotFound.into(), io::Error::from_raw_os_error(2)] {
        assert!(Error::from_io(&other).is_none(), "{other:?}");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot copy")]
struct Outer(#[source] Error);

#[test]
fn an_error_is_one_pointer() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}
