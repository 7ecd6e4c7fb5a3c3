//! The operations of AWS KMS, with a deadline.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_kms::Client;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec};
use strongroom::{EncryptionContext, Error, ErrorKind, Result, SecretBytes};
use strongroom_upstream::{DEFAULT_DEADLINE, Interruption, Worker, check_deadline};

use crate::arn::{KeyArn, KeyName};
use crate::classify::FailedCall;
use crate::error::{AwsKmsError, AwsKmsFailure};

/// The longest ciphertext that AWS KMS accepts.
const MAX_CIPHERTEXT: usize = 6_144;

/// Calls AWS KMS with the official client, from threads of any kind.
///
/// The client is asynchronous, and the traits of strongroom block. This handle runs its calls in the
/// runtime of a separate thread. The calling thread blocks until the call ends or its deadline passes:
///
/// - Any thread may call, those of Tokio runtimes included, also of a runtime with a single thread.
///   Asynchronous programs should encrypt and decrypt with the asynchronous methods of strongroom, or
///   within `spawn_blocking`, because other tasks of a blocked thread wait.
/// - Calls of several threads run concurrently.
/// - Clones share the thread, which ends when the last of them is dropped, keyrings included.
/// - After a fork, the child must create another handle.
///
/// # Client
///
/// Region, credentials, retries, timeouts, endpoint, and TLS are those of the client. This package
/// selects no TLS stack: enable a feature of `aws-sdk-kms`, such as `default-https-client`, in your
/// program. The handle creates another client with the same configuration, so that its connections do
/// not depend on your runtime. Only an HTTP client that you set explicitly is shared. If you use that
/// one in a runtime with a single thread too, and call a keyring from a task of that runtime, a
/// connection can wait for the blocked thread until the deadline passes.
///
/// The official client does not wipe its buffers. Plaintext data keys therefore remain in freed memory
/// of the process for some time.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom_aws_kms::AwsKms;
///
/// # use aws_sdk_kms::config::{BehaviorVersion, Region};
/// # let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
/// # let client = aws_sdk_kms::Client::from_conf(config.region(Region::new("eu-west-1")).build());
/// // let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
/// // let client = aws_sdk_kms::Client::new(&config);
/// let kms = AwsKms::new(client)?;
/// assert_eq!((kms.region(), kms.deadline()), (Some("eu-west-1"), Duration::from_secs(10)));
/// let patient = kms.with_deadline(Duration::from_secs(60))?;
/// assert_eq!(patient.deadline(), Duration::from_secs(60));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct AwsKms {
    client: Client,
    worker: Arc<Worker>,
    deadline: Duration,
}

impl AwsKms {
    /// Creates a handle, and starts its thread.
    ///
    /// # Errors
    /// - [`ErrorKind::Internal`] if the operating system cannot start a thread.
    pub fn new(client: Client) -> Result<Self> {
        let client = Client::from_conf(client.config().clone());
        Ok(Self {
            client,
            worker: Arc::new(Worker::start("strongroom-aws-kms", "AWS KMS")?),
            deadline: DEFAULT_DEADLINE,
        })
    }

    /// Returns a handle with another deadline, which shares the thread and the connections.
    ///
    /// The deadline applies to the work of one keyring for one message: all attempts for all wrapped
    /// data keys together. A keyring of one key calls AWS KMS once.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the deadline is zero or longer than [`MAX_DEADLINE`](crate::MAX_DEADLINE).
    pub fn with_deadline(&self, deadline: Duration) -> Result<Self> {
        Ok(Self { deadline: check_deadline(deadline)?, ..self.clone() })
    }

    /// Returns the deadline.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns the Region of the client.
    pub fn region(&self) -> Option<&str> {
        self.client.config().region().map(AsRef::as_ref)
    }

    /// Begins work that must end before the deadline.
    pub(crate) fn begin(&self) -> Session<'_> {
        Session { kms: self, ends: Instant::now() + self.deadline }
    }
}

impl fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("AwsKms");
        out.field("region", &self.region()).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// Calls that share a deadline.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    kms: &'a AwsKms,
    ends: Instant,
}

/// A plaintext or ciphertext, and the key that AWS KMS used.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) key: KeyArn,
    pub(crate) value: T,
}

/// A new data key.
#[derive(Debug)]
pub(crate) struct NewDataKey {
    pub(crate) plaintext: SecretBytes,
    pub(crate) ciphertext: Vec<u8>,
}

impl Session<'_> {
    pub(crate) fn client(&self) -> &Client {
        &self.kms.client
    }

    pub(crate) fn call<'a>(&'a self, operation: &'static str, key: &'a KeyName) -> Call<'a> {
        Call { session: self, operation, key: key.as_str(), region: key.region() }
    }

    /// Generates a data key.
    pub(crate) fn generate_data_key(
        &self,
        key: &KeyName,
        length: usize,
        context: &EncryptionContext,
        grant_tokens: &[String],
    ) -> Result<Answer<NewDataKey>> {
        let call = self.call("GenerateDataKey", key);
        let length = i32::try_from(length).map_err(|_| call.rejected("the data key is too long"))?;
        let request = self.kms.client.generate_data_key().key_id(key.as_str()).number_of_bytes(length);
        let request = request.set_encryption_context(pairs(context)).set_grant_tokens(tokens(grant_tokens));
        call.run(async move {
            let answer = request.send().await?;
            let made = answer.plaintext.map(secret).zip(answer.ciphertext_blob.map(Blob::into_inner));
            Ok((answer.key_id, made.map(|(plaintext, ciphertext)| NewDataKey { plaintext, ciphertext })))
        })
        .and_then(|(used, made)| call.answer(used, made))
    }

    /// Encrypts a few bytes under a key.
    pub(crate) fn encrypt(
        &self,
        key: &KeyName,
        plaintext: &SecretBytes,
        context: &EncryptionContext,
        grant_tokens: &[String],
    ) -> Result<Answer<Vec<u8>>> {
        let call = self.call("Encrypt", key);
        let request = self.kms.client.encrypt().key_id(key.as_str()).plaintext(Blob::new(plaintext.expose_secret()));
        let request = request.set_encryption_context(pairs(context)).set_grant_tokens(tokens(grant_tokens));
        call.run(async move {
            let answer = request.send().await?;
            Ok((answer.key_id, answer.ciphertext_blob.map(Blob::into_inner)))
        })
        .and_then(|(used, ciphertext)| call.answer(used, ciphertext))
    }

    /// Decrypts a ciphertext that was encrypted under this key.
    pub(crate) fn decrypt(
        &self,
        key: &KeyName,
        ciphertext: &[u8],
        context: &EncryptionContext,
        grant_tokens: &[String],
    ) -> Result<Answer<SecretBytes>> {
        let call = self.call("Decrypt", key);
        check_ciphertext(ciphertext)?;
        let request = self.kms.client.decrypt().key_id(key.as_str()).ciphertext_blob(Blob::new(ciphertext));
        let request = request.set_encryption_context(pairs(context)).set_grant_tokens(tokens(grant_tokens));
        call.run(async move {
            let answer = request.send().await?;
            Ok((answer.key_id, answer.plaintext.map(secret)))
        })
        .and_then(|(used, plaintext)| call.answer(used, plaintext))
    }

    /// Generates a data key of 32 bytes, and returns only its wrapped form.
    pub(crate) fn generate_data_key_without_plaintext(
        &self,
        key: &KeyName,
        context: &EncryptionContext,
        grant_tokens: &[String],
    ) -> Result<Answer<Vec<u8>>> {
        let call = self.call("GenerateDataKeyWithoutPlaintext", key);
        let request = self.kms.client.generate_data_key_without_plaintext().key_id(key.as_str()).number_of_bytes(32);
        let request = request.set_encryption_context(pairs(context)).set_grant_tokens(tokens(grant_tokens));
        call.run(async move {
            let answer = request.send().await?;
            Ok((answer.key_id, answer.ciphertext_blob.map(Blob::into_inner)))
        })
        .and_then(|(used, ciphertext)| call.answer(used, ciphertext))
    }

    /// Encrypts the plaintext of a ciphertext with another encryption context, under the same key. The
    /// answer also names the key that decrypted.
    pub(crate) fn re_encrypt(
        &self,
        key: &KeyName,
        ciphertext: &[u8],
        (from, to): (&EncryptionContext, &EncryptionContext),
        grant_tokens: &[String],
    ) -> Result<Answer<(KeyArn, Vec<u8>)>> {
        check_ciphertext(ciphertext)?;
        let call = self.call("ReEncrypt", key);
        let request = self.kms.client.re_encrypt().ciphertext_blob(Blob::new(ciphertext));
        let request = request.source_key_id(key.as_str()).set_source_encryption_context(pairs(from));
        let request = request.destination_key_id(key.as_str()).set_destination_encryption_context(pairs(to));
        let request = request.set_grant_tokens(tokens(grant_tokens));
        let (source, used, ciphertext) = call.run(async move {
            let answer = request.send().await?;
            Ok((answer.source_key_id, answer.key_id, answer.ciphertext_blob.map(Blob::into_inner)))
        })?;
        let source = call.key_used(source)?;
        call.answer(used, ciphertext.map(|ciphertext| (source, ciphertext)))
    }

    /// Returns the public key as a SubjectPublicKeyInfo in DER.
    pub(crate) fn public_key(&self, key: &KeyName, grant_tokens: &[String]) -> Result<Answer<Vec<u8>>> {
        let call = self.call("GetPublicKey", key);
        let request = self.kms.client.get_public_key().key_id(key.as_str()).set_grant_tokens(tokens(grant_tokens));
        call.run(async move {
            let answer = request.send().await?;
            Ok((answer.key_id, answer.public_key.map(Blob::into_inner)))
        })
        .and_then(|(used, public_key)| call.answer(used, public_key))
    }

    /// Computes a shared secret with a SubjectPublicKeyInfo in DER.
    pub(crate) fn derive_shared_secret(
        &self,
        key: &KeyName,
        public_key: &[u8],
        grant_tokens: &[String],
    ) -> Result<Answer<SecretBytes>> {
        let call = self.call("DeriveSharedSecret", key);
        let request = self.kms.client.derive_shared_secret().key_id(key.as_str()).public_key(Blob::new(public_key));
        let request = request.key_agreement_algorithm(KeyAgreementAlgorithmSpec::Ecdh);
        let request = request.set_grant_tokens(tokens(grant_tokens));
        call.run(async move {
            let answer = request.send().await?;
            Ok((answer.key_id, answer.shared_secret.map(secret)))
        })
        .and_then(|(used, shared)| call.answer(used, shared))
    }

    /// Decrypts a ciphertext of the public key of this key.
    pub(crate) fn decrypt_asymmetric(
        &self,
        key: &KeyName,
        algorithm: &str,
        ciphertext: &[u8],
        grant_tokens: &[String],
    ) -> Result<Answer<SecretBytes>> {
        check_ciphertext(ciphertext)?;
        let call = self.call("Decrypt", key);
        let request = self.kms.client.decrypt().key_id(key.as_str()).ciphertext_blob(Blob::new(ciphertext));
        let request = request.encryption_algorithm(EncryptionAlgorithmSpec::from(algorithm));
        let request = request.set_grant_tokens(tokens(grant_tokens));
        call.run(async move {
            let answer = request.send().await?;
            Ok((answer.key_id, answer.plaintext.map(secret)))
        })
        .and_then(|(used, plaintext)| call.answer(used, plaintext))
    }
}

/// One call, for its errors.
pub(crate) struct Call<'a> {
    session: &'a Session<'a>,
    operation: &'static str,
    key: &'a str,
    region: Option<&'a str>,
}

impl Call<'_> {
    /// Runs a call that an operation of the client begins.
    pub(crate) fn run<T, E>(
        &self,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        E: ProvideErrorMetadata + std::error::Error + Send + 'static,
    {
        if Instant::now() >= self.session.ends {
            return Err(self.failed(AwsKmsFailure::TimedOut));
        }
        match self.session.kms.worker.run(self.session.ends, call) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let failed = FailedCall {
                    operation: self.operation,
                    key: self.key,
                    key_region: self.region,
                    client_region: self.session.kms.region(),
                };
                Err(failed.classify(&error).into())
            }
            Err(Interruption::TimedOut) => Err(self.failed(AwsKmsFailure::TimedOut)),
            Err(_) => Err(self.failed(AwsKmsFailure::Lost)),
        }
    }

    fn failed(&self, failure: AwsKmsFailure) -> Error {
        AwsKmsError::new(failure, self.operation, self.key).into()
    }

    fn rejected(&self, detail: &str) -> Error {
        AwsKmsError::new(AwsKmsFailure::Rejected, self.operation, self.key).with_detail(detail).into()
    }

    /// Returns the answer with the key that AWS KMS used. Both are required.
    fn answer<T>(&self, used: Option<String>, value: Option<T>) -> Result<Answer<T>> {
        let value = value.ok_or_else(|| self.incomplete())?;
        Ok(Answer { key: self.key_used(used)?, value })
    }

    /// Returns the error for an answer that lacks a member.
    pub(crate) fn incomplete(&self) -> Error {
        let error = AwsKmsError::new(AwsKmsFailure::InvalidResponse, self.operation, self.key);
        error.with_detail("a member is missing").into()
    }

    /// Parses the ARN of the key that AWS KMS used.
    pub(crate) fn key_used(&self, arn: Option<String>) -> Result<KeyArn> {
        arn.as_deref().and_then(KeyArn::parse).ok_or_else(|| {
            let error = AwsKmsError::new(AwsKmsFailure::InvalidResponse, self.operation, self.key);
            error.with_detail("it contains no key ARN").into()
        })
    }
}

/// Rejects a ciphertext whose length AWS KMS does not accept.
pub(crate) fn check_ciphertext(ciphertext: &[u8]) -> Result<()> {
    if (1..=MAX_CIPHERTEXT).contains(&ciphertext.len()) {
        return Ok(());
    }
    let text = format!("a ciphertext of AWS KMS has 1 to {MAX_CIPHERTEXT} bytes, not {}", ciphertext.len());
    Err(Error::new(ErrorKind::InvalidCiphertext, text))
}

fn pairs(context: &EncryptionContext) -> Option<HashMap<String, String>> {
    let pairs: HashMap<_, _> = context.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (!pairs.is_empty()).then_some(pairs)
}

fn tokens(grant_tokens: &[String]) -> Option<Vec<String>> {
    (!grant_tokens.is_empty()).then(|| grant_tokens.to_vec())
}

fn secret(plaintext: Blob) -> SecretBytes {
    SecretBytes::from_vec(plaintext.into_inner())
}
