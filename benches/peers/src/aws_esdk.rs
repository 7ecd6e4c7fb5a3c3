//! `aws-esdk`, the official Encryption SDK for Rust, which writes the same messages.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_esdk::client::Client;
use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{AesWrappingAlg, EsdkAlgorithmSuiteId};
use aws_esdk::types::aws_encryption_sdk_config::AwsEncryptionSdkConfig;
use aws_smithy_types::Blob;
use tokio::runtime::{Builder, Runtime};

use crate::subject::{Result, Subject, Suite};

pub(crate) struct AwsEsdk {
    runtime: Runtime,
    client: Client,
    keyring: KeyringRef,
    suite: EsdkAlgorithmSuiteId,
    context: HashMap<String, String>,
    message: Blob,
    plaintext: Blob,
}

impl AwsEsdk {
    pub(crate) fn new(suite: Suite) -> Result<Self> {
        let runtime = Builder::new_current_thread().build()?;
        let providers = MaterialProviders::from_conf(MaterialProvidersConfig::builder().build()?)?;
        let keyring = providers.create_raw_aes_keyring().key_namespace("peers").key_name("key");
        let keyring = keyring.wrapping_key(vec![7; 32]).wrapping_alg(AesWrappingAlg::AlgAes256GcmIv12Tag16);
        Ok(Self {
            keyring: runtime.block_on(keyring.send())?,
            client: Client::from_conf(AwsEncryptionSdkConfig::builder().build()?)?,
            suite: match suite {
                Suite::Unsigned => EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKey,
                Suite::Signed => EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384,
            },
            context: HashMap::from([("tenant".to_owned(), "42".to_owned())]),
            runtime,
            message: Blob::new([]),
            plaintext: Blob::new([]),
        })
    }
}

/// Returns the time of one call for each input, excluding the time to copy the inputs.
fn time_each(input: &[u8], times: u32, mut call: impl FnMut(Blob) -> Result<()>) -> Result<Duration> {
    let inputs: Vec<Blob> = (0..times).map(|_| Blob::new(input)).collect();
    let start = Instant::now();
    inputs.into_iter().try_for_each(&mut call)?;
    Ok(start.elapsed())
}

impl Subject for AwsEsdk {
    fn encrypt(&mut self, plaintext: &[u8], times: u32) -> Result<Duration> {
        let Self { runtime, client, keyring, suite, context, message, .. } = self;
        time_each(plaintext, times, |plaintext| {
            let call = client.encrypt().plaintext(plaintext).keyring(keyring.clone()).algorithm_suite_id(*suite);
            let output = runtime.block_on(call.encryption_context(context.clone()).send())?;
            *message = output.ciphertext.ok_or("no ciphertext")?;
            Ok(())
        })
    }

    fn decrypt(&mut self, times: u32) -> Result<Duration> {
        let Self { runtime, client, keyring, context, message, plaintext, .. } = self;
        time_each(message.as_ref(), times, |message| {
            let call = client.decrypt().ciphertext(message).keyring(keyring.clone());
            let output = runtime.block_on(call.encryption_context(context.clone()).send())?;
            *plaintext = output.plaintext.ok_or("no plaintext")?;
            Ok(())
        })
    }

    fn decrypted(&self) -> &[u8] {
        self.plaintext.as_ref()
    }
}
