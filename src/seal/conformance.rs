//! A conformance test suite for implementations of [`RootKeyHolder`].
//!
//! Run it in the tests of your own holder. A holder that unwraps an altered key, or one with
//! another binding, lets an attacker with write access to the store choose among its root keys.
//!
//! # Examples
//! A holder that wraps root keys under a key of another KMS:
//! ```
//! use strongroom::request::{DecryptRequest, EncryptRequest};
//! use strongroom::seal::{RootKeyHolder, conformance};
//! use strongroom::{EncryptionContext, Kms, Result, SecretBytes};
//!
//! #[derive(Debug)]
//! struct HeldByKms(Kms, String);
//!
//! fn context(binding: &[u8]) -> EncryptionContext {
//!     EncryptionContext::from([("binding", format!("{binding:?}"))])
//! }
//!
//! impl RootKeyHolder for HeldByKms {
//!     fn id(&self) -> &str {
//!         &self.1
//!     }
//!
//!     fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
//!         let request = EncryptRequest::new(self.1.as_str(), key.expose_secret());
//!         Ok(self.0.encrypt(request.context(&context(binding)))?.ciphertext_blob)
//!     }
//!
//!     fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
//!         Ok(self.0.decrypt(DecryptRequest::new(wrapped).context(&context(binding)))?.plaintext)
//!     }
//! }
//!
//! let kms = Kms::in_memory()?;
//! let key = kms.create_key(Default::default())?.arn().to_string();
//! conformance::run(&HeldByKms(kms, key))?;
//! # Ok::<(), strongroom::Error>(())
//! ```

use super::RootKeyHolder;
use crate::error::{ErrorKind, Result};
use crate::secret::SecretBytes;

/// The maximum length of a name in bytes.
const MAX_ID: usize = 255;

/// The maximum length of a wrapped root key in bytes.
const MAX_WRAPPED: usize = 8_192;

/// Runs the whole suite. The holder wraps several keys and must reject every call that the suite
/// expects to fail.
///
/// # Errors
/// - Any error from a call that the holder should have accepted.
///
/// # Panics
/// Panics if the holder violates the contract. The message describes the violation.
pub fn run(holder: &dyn RootKeyHolder) -> Result<()> {
    println!("holder {}: wrapped keys can be unwrapped", holder.id());
    assert!((1..=MAX_ID).contains(&holder.id().len()), "the id has 1 to {MAX_ID} bytes");
    let (one, other) = (SecretBytes::copy_from_slice(&[1; 32]), SecretBytes::copy_from_slice(&[2; 32]));
    let bindings: [&[u8]; 3] = [b"store 1, version 1", b"store 1, version 2", b"\0\xFF"];
    let wrapped = holder.wrap(bindings[0], &one)?;
    assert!(wrapped.len() <= MAX_WRAPPED, "a wrapped key has at most {MAX_WRAPPED} bytes");
    assert!(!wrapped.windows(32).any(|part| part == one.expose_secret()), "the wrapped key contains the plaintext key");
    assert_eq!(holder.unwrap(bindings[0], &wrapped)?, one);
    for binding in bindings {
        let wrapped = holder.wrap(binding, &other)?;
        assert_eq!(holder.unwrap(binding, &wrapped)?, other, "the most recently wrapped key can be unwrapped");
    }
    assert_eq!(holder.unwrap(bindings[0], &wrapped)?, one, "an earlier key can still be unwrapped");

    println!("holder {}: all other input is rejected", holder.id());
    let refuse = |binding: &[u8], wrapped: &[u8], what: &str| match holder.unwrap(binding, wrapped) {
        Ok(_) => panic!("a key was unwrapped despite: {what}"),
        Err(error) => assert_ne!(
            error.kind(),
            ErrorKind::KeyUnavailable,
            "{what}: this error kind means that the holder is unreachable and makes callers retry: {error}"
        ),
    };
    for binding in [bindings[1], bindings[2], b"", &bindings[0][1..]] {
        refuse(binding, &wrapped, "a different binding");
    }
    for at in (0..wrapped.len()).step_by(wrapped.len().div_ceil(64)) {
        let mut altered = wrapped.clone();
        altered[at] ^= 1;
        refuse(bindings[0], &altered, &format!("a flipped bit in byte {at}"));
    }
    for length in [0, 1, wrapped.len() / 2, wrapped.len() - 1] {
        refuse(bindings[0], &wrapped[..length], &format!("all but {length} bytes missing"));
    }
    refuse(bindings[0], &[&wrapped[..], &[0]].concat(), "a trailing byte");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::CryptoBackend;
    use crate::seal::holder::SecretHolder;

    #[test]
    fn a_secret_meets_the_contract() -> Result<()> {
        run(&SecretHolder::new(&CryptoBackend::default(), &SecretBytes::copy_from_slice(&[7; 32]))?)
    }

    /// A holder that ignores the binding.
    #[derive(Debug)]
    struct Careless(SecretHolder);

    impl RootKeyHolder for Careless {
        fn id(&self) -> &str {
            self.0.id()
        }

        fn wrap(&self, _: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
            self.0.wrap(b"", key)
        }

        fn unwrap(&self, _: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
            self.0.unwrap(b"", wrapped)
        }
    }

    #[test]
    #[should_panic(expected = "a key was unwrapped despite: a different binding")]
    fn a_holder_that_does_not_bind_is_found_out() {
        let secret = SecretHolder::new(&CryptoBackend::default(), &SecretBytes::copy_from_slice(&[7; 32]));
        run(&Careless(secret.expect("the secret has 32 bytes"))).expect("the holder responds");
    }
}
