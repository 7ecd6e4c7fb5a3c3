//! Lists in pages, with the sizes of AWS.

use serde_json::{Value, json};

use crate::wire::Endpoint;

/// Reads all pages of a list, each with at most `limit` entries.
fn all(endpoint: &Endpoint, operation: &str, request: &Value, member: &str, limit: Option<usize>) -> Vec<Vec<Value>> {
    let mut request = request.clone();
    if let Some(limit) = limit {
        request["Limit"] = limit.into();
    }
    let mut pages = Vec::new();
    loop {
        let page = endpoint.must(operation, request.clone());
        pages.push(page[member].as_array().expect("a list").clone());
        assert_eq!(page["Truncated"].as_bool(), Some(page.get("NextMarker").is_some()), "{operation}");
        match page.get("NextMarker") {
            Some(marker) => request["Marker"] = marker.clone(),
            None => return pages,
        }
    }
}

#[test]
fn lists_have_the_page_sizes_of_aws() {
    let endpoint = Endpoint::new();
    let key = endpoint.key(json!({}));
    let alice = "arn:aws:iam::000000000000:user/alice";
    for number in 0..101 {
        let target = endpoint.key(json!({}));
        endpoint.must("CreateAlias", json!({"AliasName": format!("alias/{number:03}"), "TargetKeyId": target}));
        endpoint.must(
            "CreateGrant",
            json!({"KeyId": key, "GranteePrincipal": alice, "RetiringPrincipal": alice, "Operations": ["Decrypt"]}),
        );
    }
    let tags: Vec<Value> = (0..50).map(|number| json!({"TagKey": format!("{number:02}"), "TagValue": ""})).collect();
    endpoint.must("TagResource", json!({"KeyId": key, "Tags": tags}));
    let of_key = json!({"KeyId": key});
    for (operation, request, member, count, default, most) in [
        ("ListKeys", json!({}), "Keys", 102, 100, 1000),
        ("ListAliases", json!({}), "Aliases", 101, 50, 100),
        ("ListGrants", of_key.clone(), "Grants", 101, 50, 100),
        ("ListRetirableGrants", json!({"RetiringPrincipal": alice}), "Grants", 101, 50, 100),
        ("ListResourceTags", of_key.clone(), "Tags", 50, 50, 50),
        ("ListKeyPolicies", of_key.clone(), "PolicyNames", 1, 100, 1000),
        ("ListKeyRotations", of_key, "Rotations", 0, 100, 1000),
        ("DescribeCustomKeyStores", json!({}), "CustomKeyStores", 0, 100, 1000),
    ] {
        let whole = all(&endpoint, operation, &request, member, None);
        assert_eq!(whole[0].len(), count.min(default), "{operation}");
        let entries = whole.concat();
        assert_eq!(entries.len(), count, "{operation}");
        for limit in [1, 33, most] {
            let pages = all(&endpoint, operation, &request, member, Some(limit));
            assert!(pages[..pages.len() - 1].iter().all(|page| page.len() == limit), "{operation} {limit}");
            assert_eq!(pages.concat(), entries, "{operation} {limit}");
        }
        for limit in [0, most + 1] {
            let mut request = request.clone();
            request["Limit"] = limit.into();
            let refused = endpoint.call(operation, request).map_err(|(code, _)| code);
            assert_eq!(refused, Err("ValidationException"), "{operation} {limit}");
        }
    }
}
