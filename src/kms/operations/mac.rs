//! Message authentication codes under a KMS key.

use subtle::ConstantTimeEq;

use crate::algorithm::MacAlgorithm;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Operation, check_mac_algorithm, check_message_length};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::authorized_key::AuthorizedKey;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::request::{GenerateMacRequest, GenerateMacResponse, KeyReference, VerifyMacRequest, VerifyMacResponse};
use crate::policy::RequestParameter;

impl Kms {
    /// Computes the message authentication code of 1 to 4,096 bytes.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the message is empty or too long.
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not for message
    ///   authentication or has another algorithm.
    /// - [`Disabled`](ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::MacAlgorithm::HmacSha256;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, GenerateMacRequest, VerifyMacRequest};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    /// let key = kms.create_key(request)?.key_id();
    /// let mac = kms.generate_mac(GenerateMacRequest::new(key, HmacSha256, b"session 42"))?.mac;
    /// kms.verify_mac(VerifyMacRequest::new(key, HmacSha256, b"session 42", &mac))?;
    /// let refused = kms.verify_mac(VerifyMacRequest::new(key, HmacSha256, b"session 43", &mac)).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidMac);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn generate_mac(&self, request: GenerateMacRequest<'_, impl KeyReference>) -> Result<GenerateMacResponse> {
        self.compute_mac(request, MacLimits::Api)
    }

    /// Computes a message authentication code. Key handles allow messages of any length.
    pub(in crate::kms) fn compute_mac(
        &self,
        request: GenerateMacRequest<'_, impl KeyReference>,
        limits: MacLimits,
    ) -> Result<GenerateMacResponse> {
        let conditions = [RequestParameter::MacAlgorithm(request.algorithm)];
        let call = CallSpec::new(Operation::GenerateMac)
            .conditions(&conditions)
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run)
            .valid(limits.check_message(request.message))
            .parameter("macAlgorithm", request.algorithm.as_str());
        self.key_call(call, &request.key, |target, _| {
            let mac = authenticate(target, request.algorithm, request.message)?;
            Ok(GenerateMacResponse { mac, key_arn: target.arn().clone(), mac_algorithm: request.algorithm })
        })
    }

    /// Verifies a message authentication code. An incorrect MAC is an error.
    ///
    /// # Errors
    /// - [`InvalidMac`](ErrorKind::InvalidMac) if the MAC does not match the message.
    /// - The errors of [`Kms::generate_mac`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::MacAlgorithm::HmacSha256;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, GenerateMacRequest, VerifyMacRequest};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    /// let key = kms.create_key(request)?.key_id();
    /// let mac = kms.generate_mac(GenerateMacRequest::new(key, HmacSha256, b"user=42"))?.mac;
    /// assert_eq!(mac.len(), 32);
    /// assert!(kms.verify_mac(VerifyMacRequest::new(key, HmacSha256, b"user=42", &mac)).is_ok());
    /// let truncated = VerifyMacRequest::new(key, HmacSha256, b"user=42", &mac[..16]);
    /// assert_eq!(kms.verify_mac(truncated).unwrap_err().kind(), ErrorKind::InvalidMac);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn verify_mac(&self, request: VerifyMacRequest<'_, impl KeyReference>) -> Result<VerifyMacResponse> {
        self.check_mac(request, MacLimits::Api)
    }

    /// Verifies a message authentication code. Key handles allow messages of any length.
    pub(in crate::kms) fn check_mac(
        &self,
        request: VerifyMacRequest<'_, impl KeyReference>,
        limits: MacLimits,
    ) -> Result<VerifyMacResponse> {
        let conditions = [RequestParameter::MacAlgorithm(request.algorithm)];
        let call = CallSpec::new(Operation::VerifyMac)
            .conditions(&conditions)
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run)
            .valid(limits.check_message(request.message))
            .valid(limits.check_mac(request.mac))
            .parameter("macAlgorithm", request.algorithm.as_str());
        self.key_call(call, &request.key, |target, _| {
            let expected = authenticate(target, request.algorithm, request.message)?;
            if !bool::from(expected.as_slice().ct_eq(request.mac)) {
                let text = "the message authentication code does not match the message and key";
                return Err(Error::new(ErrorKind::InvalidMac, text));
            }
            Ok(VerifyMacResponse { key_arn: target.arn().clone(), mac_algorithm: request.algorithm })
        })
    }
}

/// The maximum length of a code to verify, in bytes, as in the AWS KMS API.
const MAX_MAC_BYTES: usize = 6144;

/// The lengths of messages and codes that a caller accepts.
#[derive(Clone, Copy)]
pub(in crate::kms) enum MacLimits {
    /// Those of the AWS KMS API.
    Api,
    /// Those of a key handle: a message of any length but zero, and any code.
    Handle,
}

impl MacLimits {
    fn check_message(self, message: &[u8]) -> Result<()> {
        match self {
            Self::Handle if !message.is_empty() => Ok(()),
            Self::Api | Self::Handle => check_message_length(message),
        }
    }

    fn check_mac(self, mac: &[u8]) -> Result<()> {
        match (self, mac.len()) {
            (Self::Handle, _) | (Self::Api, 1..=MAX_MAC_BYTES) => Ok(()),
            (Self::Api, length) => {
                let text = format!("a message authentication code must have 1 to {MAX_MAC_BYTES} bytes, not {length}");
                Err(Error::new(ErrorKind::Validation, text))
            }
        }
    }
}

fn authenticate(target: &AuthorizedKey<'_>, algorithm: MacAlgorithm, message: &[u8]) -> Result<Vec<u8>> {
    check_mac_algorithm(target.record().spec, algorithm)?;
    target.mac()?.authenticate(message)
}
