//! Helpers of several areas.

pub(crate) mod endpoint;

// The server that takes the part of AWS KMS, and the other SDKs.
#[path = "../../../../strongroom-server/tests/it/support/peer.rs"]
#[allow(dead_code, reason = "tests of the server use the rest")]
pub(crate) mod peer;
#[path = "../../../../strongroom-server/tests/it/support/server.rs"]
#[allow(dead_code, reason = "tests of the server use the rest")]
pub(crate) mod server;

use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, Builder, Config, Credentials, Region};
use aws_smithy_http_client::Builder as HttpClientBuilder;
use serde_json::{Value, json};
use strongroom::EncryptionContext;
use strongroom_aws_kms::AwsKms;

use peer::Conversation;
use server::{ACCESS_KEY, REGION, SECRET, TestServer};

/// The time that a busy machine may need for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) const PLAINTEXT: &[u8] = b"I owe you 17 euros";

/// Returns the configuration of a client of an endpoint.
pub(crate) fn config(url: &str, region: &'static str, access_key: &str) -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new(region))
        .credentials_provider(Credentials::new(access_key, SECRET, None, None, "test"))
        .http_client(HttpClientBuilder::new().build_http())
        .timeout_config(TimeoutConfig::builder().connect_timeout(PATIENCE).build())
}

/// Returns a handle of a configuration. Its deadline passes only if a test fails.
pub(crate) fn of_config(config: Builder) -> AwsKms {
    let kms = AwsKms::new(aws_sdk_kms::Client::from_conf(config.build())).unwrap();
    kms.with_deadline(PATIENCE).unwrap()
}

/// Returns a handle for the keys of a server, with the permissions of an access key.
pub(crate) fn aws_kms(server: &TestServer, access_key: &str) -> AwsKms {
    of_config(config(&server.url(), REGION, access_key))
}

/// Creates a key, and returns its ARN.
pub(crate) fn new_key(server: &TestServer) -> String {
    server.kms.create_key(Default::default()).unwrap().arn().to_string()
}

pub(crate) fn context() -> EncryptionContext {
    [("invoice", "17"), ("Straße", "日本")].into_iter().collect()
}

/// The AWS Encryption SDK for Python or for JavaScript.
pub(crate) struct Sdk(Conversation);

impl Sdk {
    /// Starts the SDKs that are installed, as clients with this environment.
    pub(crate) fn all(test: &str, environment: &[(&str, String)]) -> Vec<Self> {
        let mut all = Self::python(test, environment);
        all.extend(Self::start(peer::node(test), "encryption_sdk.js", environment));
        all
    }

    /// Starts the SDK for Python, if it is installed.
    pub(crate) fn python(test: &str, environment: &[(&str, String)]) -> Vec<Self> {
        Self::start(peer::python(test), "encryption_sdk.py", environment).into_iter().collect()
    }

    fn start(interpreter: Option<PathBuf>, script: &str, environment: &[(&str, String)]) -> Option<Self> {
        // An absolute path, which does not depend on the package.
        let script = peer::in_repository("crates/strongroom-server/tests/it/peers").join(script);
        Some(Self(Conversation::start(&interpreter?, script.to_str().unwrap(), environment)))
    }

    /// Returns a message of the SDK, or its error.
    pub(crate) fn encrypt(&mut self, keyring: &Value, suite: Option<u16>) -> Result<Vec<u8>, String> {
        let context: Value = context().iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        let policy = POLICY;
        let answer = self.0.ask(&json!({"do": "encrypt", "keyring": keyring, "policy": policy, "suite": suite,
            "context": context, "plaintext": base16ct::lower::encode_string(PLAINTEXT)}));
        result(&answer, "ciphertext")
    }

    /// Returns the plaintext that the SDK reads, or its error.
    pub(crate) fn decrypt(&mut self, keyring: &Value, message: &[u8]) -> Result<Vec<u8>, String> {
        let answer = self.0.ask(&json!({"do": "decrypt", "keyring": keyring, "policy": POLICY,
            "context": {"invoice": "17"}, "ciphertext": base16ct::lower::encode_string(message)}));
        result(&answer, "plaintext")
    }
}

/// The policy that both sides have by default.
const POLICY: &str = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT";

fn result(answer: &Value, member: &str) -> Result<Vec<u8>, String> {
    match answer["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(base16ct::lower::decode_vec(answer[member].as_str().unwrap()).unwrap()),
    }
}

/// Returns the environment of the other SDKs for the root of the account.
pub(crate) fn environment(server: &TestServer) -> Vec<(&'static str, String)> {
    server.environment(ACCESS_KEY)
}
