//! Requests that botocore signs.

use super::{ACCESS_KEY, REGION, Request, SECRET, TEMPORARY, TOKEN};
use crate::support::peer;

/// A request to sign.
#[derive(Clone)]
pub(super) struct Order {
    method: &'static str,
    url: &'static str,
    service: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
    token: bool,
    expires: Option<u32>,
    time: &'static str,
}

impl Order {
    /// A call of the KMS API.
    pub(super) fn kms() -> Self {
        Self {
            method: "POST",
            url: "http://kms.example:8080/",
            service: "kms",
            headers: vec![
                ("Content-Type", "application/x-amz-json-1.1"),
                ("X-Amz-Target", "TrentService.Encrypt"),
                ("X-Amz-Meta-Note", "two  spaces,  and a comma"),
            ],
            body: r#"{"KeyId": "alias/a", "Plaintext": "NDcxMQ=="}"#,
            token: false,
            expires: None,
            time: "2026-11-30T12:00:00",
        }
    }

    /// A presigned `GetCallerIdentity`, as clusters send it to identify a node.
    pub(super) fn caller_identity() -> Self {
        Self {
            method: "GET",
            url: "http://kms.example:8080/?Action=GetCallerIdentity&Version=2011-06-15",
            service: "sts",
            headers: vec![("x-k8s-aws-id", "cluster")],
            body: "",
            expires: Some(60),
            ..Self::kms()
        }
    }

    pub(super) fn with_token(self) -> Self {
        Self { token: true, ..self }
    }

    pub(super) fn presigned(self, expires: u32) -> Self {
        Self { expires: Some(expires), ..self }
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn to_json(&self) -> String {
        let (access_key, token) = if self.token { (TEMPORARY, Some(TOKEN)) } else { (ACCESS_KEY, None) };
        serde_json::json!({
            "method": self.method, "url": self.url, "service": self.service, "region": REGION,
            "headers": self.headers, "body": self.body, "expires": self.expires, "time": self.time,
            "access_key": access_key, "secret": SECRET, "token": token,
        })
        .to_string()
    }
}

/// Lets botocore sign the orders. Returns `None` if it is missing.
pub(super) fn sign<const N: usize>(test: &str, orders: [Order; N]) -> Option<[Request; N]> {
    let python = peer::python(test)?;
    let input: Vec<String> = orders.iter().map(Order::to_json).collect();
    let output = peer::run(&python, "sign.py", &input.join("\n"), &[]);
    let signed: Vec<Request> = output.lines().zip(&orders).map(|(line, order)| received(line, order)).collect();
    Some(signed.try_into().unwrap())
}

fn received(line: &str, order: &Order) -> Request {
    #[derive(serde::Deserialize)]
    struct Signed {
        url: String,
        headers: Vec<(String, String)>,
    }
    let signed: Signed = serde_json::from_str(line).unwrap();
    let (host, target) = signed.url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut headers = signed.headers;
    headers.push(("Host".to_owned(), host.to_owned()));
    Request {
        method: order.method.to_owned(),
        target: format!("/{target}"),
        headers,
        body: order.body.as_bytes().to_vec(),
    }
}
