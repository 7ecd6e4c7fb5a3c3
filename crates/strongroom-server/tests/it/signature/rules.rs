//! The rules about time, scope, payload and credentials.

use strongroom_server::signature::RefusalKind;

use super::orders::{Order, sign};
use super::{ACCESS_KEY, TEMPORARY, TOKEN, at, keys};

#[test]
fn access_keys_with_and_without_session_tokens() {
    let orders =
        [Order::kms(), Order::kms().with_token(), Order::kms().presigned(60), Order::kms().presigned(60).with_token()];
    let Some(signed) = sign("access_keys_with_and_without_session_tokens", orders) else { return };
    let keys = keys();
    let ids: Vec<String> = signed.iter().map(|request| request.verify(&keys).unwrap().unwrap()).collect();
    assert_eq!(ids, [ACCESS_KEY, TEMPORARY, ACCESS_KEY, TEMPORARY]);
}

#[test]
fn unsigned_request() {
    let Some([signed]) = sign("unsigned_request", [Order::kms()]) else { return };
    let mut unsigned = signed;
    unsigned.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
    assert_eq!(unsigned.refusal(&keys()), RefusalKind::MissingAuthenticationToken);
}

#[test]
fn unknown_access_key() {
    let Some([signed, presigned]) = sign("unknown_access_key", [Order::kms(), Order::kms().presigned(60)]) else {
        return;
    };
    for request in [signed, presigned] {
        let unknown = request.with(ACCESS_KEY, "AKIAIOSFODNN7UNKNOWN");
        assert_eq!(unknown.refusal(&keys()), RefusalKind::UnrecognizedClient);
    }
}

#[test]
fn session_token_of_another_access_key() {
    let orders = [Order::kms().with_token(), Order::kms()];
    let Some([with_token, without]) = sign("session_token_of_another_access_key", orders) else { return };
    // Both access keys have the same secret, so the signatures remain correct.
    let foreign = with_token.with(TEMPORARY, ACCESS_KEY);
    assert_eq!(foreign.refusal(&keys()), RefusalKind::UnrecognizedClient);
    let missing = without.with(ACCESS_KEY, TEMPORARY);
    assert_eq!(missing.refusal(&keys()), RefusalKind::UnrecognizedClient);
    assert_eq!(with_token.with(TOKEN, "FwoGZXIvYXdzEBYaD+/x2R==").refusal(&keys()), RefusalKind::InvalidSignature);
}

#[test]
fn expired_credentials() {
    let Some([request]) = sign("expired_credentials", [Order::kms().presigned(172_800).with_token()]) else { return };
    let verify = |seconds| request.verify_at(&keys(), "kms", at(seconds)).unwrap();
    assert!(verify(86_399).is_ok());
    assert_eq!(verify(86_400).unwrap_err().kind(), RefusalKind::ExpiredToken);
}

#[test]
fn a_request_is_accepted_again_within_five_minutes() {
    let Some([request]) = sign("a_request_is_accepted_again_within_five_minutes", [Order::kms()]) else { return };
    let keys = keys();
    let verify = |seconds| request.verify_at(&keys, "kms", at(seconds)).unwrap();
    for accepted in [-300, -1, 0, 0, 299, 300] {
        assert!(verify(accepted).is_ok(), "{accepted}");
    }
    let early = verify(-301).unwrap_err();
    assert_eq!(early.kind(), RefusalKind::InvalidSignature);
    assert_eq!(
        early.message(),
        "Signature not yet current: 20261130T120000Z is still later than 20261130T115959Z (20261130T115459Z + 5 min.)"
    );
    let late = verify(301).unwrap_err();
    assert_eq!(late.kind(), RefusalKind::InvalidSignature);
    assert_eq!(
        late.message(),
        "Signature expired: 20261130T120000Z is now earlier than 20261130T120001Z (20261130T120501Z - 5 min.)"
    );
}

#[test]
fn presigned_request_expires() {
    let orders = [Order::kms().presigned(900), Order::kms().presigned(604_800), Order::kms().presigned(604_801)];
    let Some([short, long, too_long]) = sign("presigned_request_expires", orders) else { return };
    let keys = keys();
    let is_accepted = |request: &super::Request, seconds| request.verify_at(&keys, "kms", at(seconds)).unwrap().is_ok();
    assert!(is_accepted(&short, 900) && !is_accepted(&short, 901));
    assert!(is_accepted(&short, -300) && !is_accepted(&short, -301));
    assert!(is_accepted(&long, 604_800));
    assert_eq!(too_long.refusal(&keys), RefusalKind::IncompleteSignature);
    for expires in ["0", "0900", "+900", "-1", "9e2", "18446744073709551617"] {
        let changed = short.with("X-Amz-Expires=900", &format!("X-Amz-Expires={expires}"));
        assert_eq!(changed.refusal(&keys), RefusalKind::IncompleteSignature, "{expires}");
    }
}

#[test]
fn scope_of_another_service_or_date() {
    let Some([request]) = sign("scope_of_another_service_or_date", [Order::kms()]) else { return };
    let keys = keys();
    let other = request.verify_at(&keys, "sts", at(0)).unwrap().unwrap_err();
    assert_eq!(other.message(), "Credential should be scoped to correct service: 'sts'.");
    for (old, new) in [
        ("/20261130/", "/20261129/"),
        ("/eu-central-1/", "/eu-central-2/"),
        ("/kms/", "/sts/"),
        ("/aws4_request", "/aws5_request"),
        ("T120000Z", "T120001Z"),
    ] {
        assert_eq!(request.with(old, new).refusal(&keys), RefusalKind::InvalidSignature, "{old}");
    }
    for malformed in ["20261130T120060Z", "2026-11-30T12:00:00Z", "20261130T120000", "20261331T120000Z", ""] {
        let changed = request.with("20261130T120000Z", malformed);
        assert_eq!(changed.refusal(&keys), RefusalKind::IncompleteSignature, "{malformed}");
    }
}

#[test]
fn headers_on_which_the_server_acts_must_be_signed() {
    let orders = [Order::kms(), Order::kms().presigned(60)];
    let Some([signed, presigned]) = sign("headers_on_which_the_server_acts_must_be_signed", orders) else { return };
    let keys = keys();
    for name in ["x-amz-new", "x-amz-content-sha256", "content-encoding"] {
        let added = signed.with_header(name, "identity");
        assert_eq!(
            added.verify(&keys).unwrap().unwrap_err().kind(),
            if name == "x-amz-content-sha256" {
                RefusalKind::InvalidSignature
            } else {
                RefusalKind::IncompleteSignature
            },
            "{name}"
        );
    }
    // Headers of proxies and connections are not covered.
    for name in ["user-agent", "x-amzn-trace-id", "connection", "x-forwarded-for"] {
        assert!(signed.with_header(name, "keep-alive").verify(&keys).unwrap().is_ok(), "{name}");
    }
    assert!(presigned.with_header("x-amz-user-agent", "aws-sdk-js").verify(&keys).unwrap().is_ok());
    assert!(presigned.with_header("x-amz-new", "1").verify(&keys).unwrap().is_err());
}

/// A proxy and a server that choose different ones of two headers must not see different requests.
#[test]
fn repeated_headers_are_refused() {
    let Some([signed]) = sign("repeated_headers_are_refused", [Order::kms().with_token()]) else { return };
    let keys = keys();
    let repeated = ["Authorization", "X-Amz-Date", "X-Amz-Target", "Content-Type", "X-Amz-Security-Token", "Host"];
    for name in repeated {
        let (_, value) = signed.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).unwrap();
        // The same value again, another value after it, and another value before it.
        let mut before = signed.clone();
        before.headers.insert(0, (name.to_owned(), "other".to_owned()));
        for changed in [signed.with_header(name, value), signed.with_header(name, "other"), before] {
            assert_eq!(changed.refusal(&keys), RefusalKind::IncompleteSignature, "{name}");
        }
    }
}

#[test]
fn names_of_headers_have_no_case() {
    let Some([signed]) = sign("names_of_headers_have_no_case", [Order::kms()]) else { return };
    for change in [str::to_ascii_lowercase, str::to_ascii_uppercase] {
        let mut changed = signed.clone();
        changed.headers.iter_mut().for_each(|(name, _)| *name = change(name));
        assert!(changed.verify(&keys()).unwrap().is_ok());
    }
}

#[test]
fn the_payload_is_covered() {
    let hash = "0f8d6b1d6d4a66d2fb6b2b4a9ef2a3b9d8a0f4bff2cc9f4ef5a2a34f7f9e54c1";
    let orders = [
        Order::kms().header("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD"),
        Order::kms().header("X-Amz-Content-SHA256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        Order::kms().header("Content-Encoding", "aws-chunked"),
        Order::kms().header("Content-Encoding", "gzip"),
        Order::kms().header("X-Amz-Content-SHA256", hash),
    ];
    let Some([unsigned, streaming, chunked, compressed, wrong]) = sign("the_payload_is_covered", orders) else {
        return;
    };
    let keys = keys();
    for request in [unsigned, streaming, chunked, compressed] {
        let refusal = request.verify(&keys).unwrap().unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::IncompleteSignature);
        assert!(refusal.message().contains("not supported"), "{refusal}");
    }
    assert_eq!(wrong.refusal(&keys), RefusalKind::InvalidSignature);
}

#[test]
fn there_is_one_signature() {
    let orders = [Order::kms(), Order::kms().presigned(60)];
    let Some([signed, presigned]) = sign("there_is_one_signature", orders) else { return };
    let (_, authorization) = signed.headers.iter().find(|(name, _)| name == "Authorization").unwrap();
    let both = presigned.with_header("Authorization", authorization);
    assert_eq!(both.refusal(&keys()), RefusalKind::IncompleteSignature);
    let repeated = presigned.with("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=60");
    assert_eq!(repeated.refusal(&keys()), RefusalKind::IncompleteSignature);
    // A signature in a header does not need a query, so none is accepted.
    let mut with_query = signed.clone();
    with_query.target = "/?a=b".to_owned();
    assert_eq!(with_query.refusal(&keys()), RefusalKind::IncompleteSignature);
    let mut with_path = signed;
    with_path.target = "/keys".to_owned();
    assert_eq!(with_path.refusal(&keys()), RefusalKind::IncompleteSignature);
}

#[test]
fn the_host_of_http2_is_its_authority() {
    let Some([signed]) = sign("the_host_of_http2_is_its_authority", [Order::kms()]) else { return };
    let keys = keys();
    let mut http2 = signed.clone();
    http2.headers.retain(|(name, _)| name != "Host");
    assert_eq!(http2.refusal(&keys), RefusalKind::IncompleteSignature);
    http2.target = "http://kms.example:8080/".to_owned();
    assert!(http2.verify(&keys).unwrap().is_ok());
    http2.target = "http://kms.example:8081/".to_owned();
    assert_eq!(http2.refusal(&keys), RefusalKind::InvalidSignature);
    let both = http2.with_header("Host", "kms.example:8080");
    assert_eq!(both.refusal(&keys), RefusalKind::IncompleteSignature);
}
