//! The operations of AWS KMS that a provider needs in addition to those of a keyring.

use aws_sdk_kms::config::Config;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType, MessageType, SigningAlgorithmSpec, Tag};
use strongroom::{Error, ErrorKind, Result};

use crate::arn::{KeyArn, KeyName};
use crate::client::Session;

/// The shortest window of a deletion in AWS KMS, in days.
const WINDOW: i32 = 7;

impl Session<'_> {
    /// Creates a key. This is never retried, because each attempt could create a key.
    pub(super) fn create_key(&self, spec: &str, usage: &str, tags: [(&str, String); 3]) -> Result<KeyArn> {
        let name = KeyName::KeyId("a new key".to_owned());
        let call = self.call("CreateKey", &name);
        let tags = tags.into_iter().map(|(name, value)| Tag::builder().tag_key(name).tag_value(value).build());
        let tags = tags.collect::<Result<Vec<_>, _>>().map_err(|error| {
            Error::new(ErrorKind::Internal, format!("cannot tag a key in AWS KMS: {error}")).with_source(error)
        })?;
        let request = self.client().create_key().key_spec(KeySpec::from(spec)).key_usage(KeyUsageType::from(usage));
        let once = Config::builder().retry_config(RetryConfig::disabled());
        let request = request.description("key of a strongroom store").set_tags(Some(tags));
        let request = request.customize().config_override(once);
        let arn = call.run(async move { Ok(request.send().await?.key_metadata.and_then(|metadata| metadata.arn)) })?;
        call.key_used(arn)
    }

    pub(super) fn schedule_deletion(&self, key: &KeyName) -> Result<()> {
        let request = self.client().schedule_key_deletion().key_id(key.as_str()).pending_window_in_days(WINDOW);
        self.call("ScheduleKeyDeletion", key).run(async move { request.send().await.map(drop) })
    }

    pub(super) fn is_pending_deletion(&self, key: &KeyName) -> Result<bool> {
        let request = self.client().describe_key().key_id(key.as_str());
        let state = self
            .call("DescribeKey", key)
            .run(async move { Ok(request.send().await?.key_metadata.and_then(|metadata| metadata.key_state)) })?;
        Ok(matches!(state, Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion)))
    }

    pub(super) fn sign_digest(&self, key: &KeyName, algorithm: &str, digest: &[u8]) -> Result<Vec<u8>> {
        let call = self.call("Sign", key);
        let request = self.client().sign().key_id(key.as_str()).message(Blob::new(digest));
        let request =
            request.message_type(MessageType::Digest).signing_algorithm(SigningAlgorithmSpec::from(algorithm));
        let signature = call.run(async move { Ok(request.send().await?.signature.map(Blob::into_inner)) })?;
        signature.ok_or_else(|| call.incomplete())
    }
}
