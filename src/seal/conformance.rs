//! A conformance test suite for implementations of [`RootKeyHolder`].
//!
//! Run it in the tests of your own holder. A holder that unwraps an altered key, or one with
//! another binding, lets an attacker with write access to the store choose among its root keys.

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
/// Returns any error from a call that the holder should have accepted.
///
/// # Panics
/// Panics if the holder violates the contract. The message describes the violation.
pub fn run(holder: &dyn RootKeyHolder) -> Result<()> {
    println!("holder {}: what it wraps it unwraps", holder.id());
    assert!((1..=MAX_ID).contains(&holder.id().len()), "a name has 1 to {MAX_ID} bytes");
    let (one, other) = (SecretBytes::copy_from_slice(&[1; 32]), SecretBytes::copy_from_slice(&[2; 32]));
    let bindings: [&[u8]; 3] = [b"store 1, version 1", b"store 1, version 2", b"\0\xFF"];
    let wrapped = holder.wrap(bindings[0], &one)?;
    assert!(wrapped.len() <= MAX_WRAPPED, "a wrapped key has at most {MAX_WRAPPED} bytes");
    assert!(!wrapped.windows(32).any(|part| part == one.expose_secret()), "the key lies open in what is kept of it");
    assert_eq!(holder.unwrap(bindings[0], &wrapped)?, one);
    for binding in bindings {
        let wrapped = holder.wrap(binding, &other)?;
        assert_eq!(holder.unwrap(binding, &wrapped)?, other, "the latest key that was wrapped");
    }
    assert_eq!(holder.unwrap(bindings[0], &wrapped)?, one, "an earlier key is still there");

    println!("holder {}: anything else is refused", holder.id());
    let refuse = |binding: &[u8], wrapped: &[u8], what: &str| match holder.unwrap(binding, wrapped) {
        Ok(_) => panic!("{what}, and it was unwrapped"),
        Err(error) => assert_ne!(
            error.kind(),
            ErrorKind::KeyUnavailable,
            "{what}: this kind says that the holder cannot be reached, and has whoever asks try again: {error}"
        ),
    };
    for binding in [bindings[1], bindings[2], b"", &bindings[0][1..]] {
        refuse(binding, &wrapped, "the binding is another one");
    }
    for at in (0..wrapped.len()).step_by(wrapped.len().div_ceil(64)) {
        let mut altered = wrapped.clone();
        altered[at] ^= 1;
        refuse(bindings[0], &altered, &format!("a bit of byte {at} was flipped"));
    }
    for length in [0, 1, wrapped.len() / 2, wrapped.len() - 1] {
        refuse(bindings[0], &wrapped[..length], &format!("all but {length} bytes are missing"));
    }
    refuse(bindings[0], &[&wrapped[..], &[0]].concat(), "a byte follows");
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
    #[should_panic(expected = "the binding is another one, and it was unwrapped")]
    fn a_holder_that_does_not_bind_is_found_out() {
        let secret = SecretHolder::new(&CryptoBackend::default(), &SecretBytes::copy_from_slice(&[7; 32]));
        run(&Careless(secret.expect("32 bytes are a secret"))).expect("it answers");
    }
}
