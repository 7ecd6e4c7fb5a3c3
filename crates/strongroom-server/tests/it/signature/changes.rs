//! Every change of a single byte of what a signature covers is refused.

use strongroom_server::credentials::AccessKeys;

use super::orders::{Order, sign};
use super::{Request, TOKEN, at, keys};

/// Flips each bit of each byte, and all bits of each byte. One of the bits changes the case of letters.
fn changes(text: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..text.len()).flat_map(move |position| {
        (0..8).map(move |bit| 1u8 << bit).chain([0xff]).map(move |mask| {
            let mut changed = text.to_vec();
            changed[position] ^= mask;
            changed
        })
    })
}

/// Changes of a text that are still text.
fn text_changes(text: &str) -> impl Iterator<Item = String> + '_ {
    changes(text.as_bytes()).filter_map(|changed| String::from_utf8(changed).ok())
}

/// Counts the changed requests that were refused, and fails for one that is accepted. Changes that
/// HTTP itself rejects are not counted.
fn refused(keys: &AccessKeys, service: &str, changed: impl Iterator<Item = Request>) -> usize {
    let mut count = 0;
    for request in changed {
        match request.verify_at(keys, service, at(1)) {
            Some(Err(_)) => count += 1,
            Some(Ok(_)) => panic!("accepted: {request:?}"),
            None => {}
        }
    }
    count
}

/// Headers that no signature of botocore covers.
fn is_signed(request: &Request, name: &str) -> bool {
    let signed =
        format!("{}{}", request.target, request.headers.iter().map(|(_, value)| value.as_str()).collect::<String>());
    signed.contains(&name.to_ascii_lowercase()) || name.eq_ignore_ascii_case("authorization")
}

fn every_change_is_refused(request: &Request, service: &str) {
    let keys = keys();
    request.verify_at(&keys, service, at(1)).unwrap().unwrap();

    let methods = text_changes(&request.method).map(|method| Request { method, ..request.clone() });
    assert!(refused(&keys, service, methods) > 5);
    let targets = text_changes(&request.target).map(|target| Request { target, ..request.clone() });
    // The URI of the request cannot contain a fragment, which its parser removes.
    let is_sent = |target: &Request| !target.target.contains('#') && target.target.parse::<hyper::Uri>().is_ok();
    refused(&keys, service, targets.filter(is_sent));
    let bodies = changes(&request.body).map(|body| Request { body, ..request.clone() });
    assert_eq!(refused(&keys, service, bodies), request.body.len() * 9);

    for (index, (name, value)) in request.headers.iter().enumerate() {
        assert!(is_signed(request, name), "{name} is not signed");
        let values = text_changes(value).map(|value| {
            let mut changed = request.clone();
            changed.headers[index].1 = value;
            changed
        });
        // HTTP removes spaces around a value before the server sees it.
        let is_sent = |changed: &Request| changed.headers[index].1 == changed.headers[index].1.trim();
        assert!(refused(&keys, service, values.filter(is_sent)) > value.len() * 3, "{name}");
        // Names of headers are the same in both cases.
        let names = text_changes(name).filter(|changed| !changed.eq_ignore_ascii_case(name)).map(|name| {
            let mut changed = request.clone();
            changed.headers[index].0 = name;
            changed
        });
        assert!(refused(&keys, service, names) > name.len() * 3, "{name}");
        let mut without = request.clone();
        without.headers.remove(index);
        let mut twice = request.clone();
        twice.headers.push(request.headers[index].clone());
        assert_eq!(refused(&keys, service, [without, twice].into_iter()), 2, "{name}");
    }
    let mut longer = request.clone();
    longer.body.push(b' ');
    assert_eq!(refused(&keys, service, [longer].into_iter()), 1);
}

#[test]
fn signatures_in_headers() {
    let Some([plain, with_token]) = sign("signatures_in_headers", [Order::kms(), Order::kms().with_token()]) else {
        return;
    };
    assert!(with_token.headers.iter().any(|(_, value)| value == TOKEN));
    every_change_is_refused(&plain, "kms");
    every_change_is_refused(&with_token, "kms");
}

#[test]
fn presigned_requests() {
    let orders = [Order::kms().presigned(300), Order::kms().presigned(300).with_token(), Order::caller_identity()];
    let Some([plain, with_token, identity]) = sign("presigned_requests", orders) else { return };
    every_change_is_refused(&plain, "kms");
    every_change_is_refused(&with_token, "kms");
    every_change_is_refused(&identity, "sts");
}
