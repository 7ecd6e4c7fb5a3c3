//! AES-256-GCM in a token (NIST SP 800-38D). The ciphertext layout is the same for every source of
//! the initialization vector.

use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::vendor_defined::{CKM_VENDOR_DEFINED, VendorDefinedMechanism};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::types::Ulong;

use crate::crypto::{CryptoBackend, NONCE_LENGTH, TAG_LENGTH};
use crate::provider::pkcs11::config::IvMode;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::secret::SecretBytes;

/// Overhead of a ciphertext over its plaintext in bytes: initialization vector and tag.
pub const GCM_OVERHEAD: usize = NONCE_LENGTH + TAG_LENGTH;

/// Parameter of CKM_CLOUDHSM_AES_GCM of AWS CloudHSM: a CK_GCM_PARAMS without an initialization
/// vector.
#[repr(C)]
struct WithoutIv {
    iv: *const u8,
    iv_length: Ulong,
    iv_bits: Ulong,
    associated_data: *const u8,
    associated_data_length: Ulong,
    tag_bits: Ulong,
}

/// Encrypts into `12 initialization vector | ciphertext | 16 tag`.
pub(in crate::provider::pkcs11) fn encrypt(
    session: &Session,
    key: ObjectHandle,
    mode: IvMode,
    backend: &CryptoBackend,
    associated_data: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, TokenError> {
    let mut iv = [0; NONCE_LENGTH];
    if mode == IvMode::Caller {
        let drawn = backend.random().fill(&mut iv);
        drawn.map_err(|error| TokenError::new(ErrorClass::Fatal, error.to_string()))?;
    }
    let made = match mode {
        IvMode::Caller | IvMode::TokenWritten | IvMode::TokenAppended => {
            let parameters = GcmParams::new(&mut iv, associated_data, tag_bits())?;
            session.encrypt(&Mechanism::AesGcm(parameters), key, plaintext)?
        }
        IvMode::TokenPrepended => encrypt_at_cloudhsm(session, key, associated_data, plaintext)?,
    };
    arrange(mode, iv, made, plaintext.len())
}

fn encrypt_at_cloudhsm(
    session: &Session,
    key: ObjectHandle,
    associated_data: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, TokenError> {
    let parameters = WithoutIv {
        iv: std::ptr::null(),
        iv_length: Ulong::from(0),
        iv_bits: Ulong::from(0),
        associated_data: associated_data.as_ptr(),
        associated_data_length: associated_data.len().try_into()?,
        tag_bits: tag_bits(),
    };
    let number = MechanismType::new_vendor_defined(CKM_VENDOR_DEFINED | 0x1087)?;
    let mechanism = VendorDefinedMechanism::new(number, Some(&parameters));
    Ok(session.encrypt(&Mechanism::VendorDefined(mechanism), key, plaintext)?)
}

/// Converts a token's output into the common layout, and checks its length.
fn arrange(mode: IvMode, iv: [u8; NONCE_LENGTH], made: Vec<u8>, plaintext: usize) -> Result<Vec<u8>, TokenError> {
    let (expected, written) = match mode {
        IvMode::Caller | IvMode::TokenWritten => (plaintext + TAG_LENGTH, true),
        IvMode::TokenPrepended | IvMode::TokenAppended => (plaintext + GCM_OVERHEAD, false),
    };
    if made.len() != expected {
        let text =
            format!("the token returned {} bytes for a plaintext of {plaintext}, expected {expected}", made.len());
        return Err(TokenError::new(ErrorClass::Fatal, text));
    }
    if written && iv == [0; NONCE_LENGTH] {
        let text = "the token did not generate an initialization vector for CKM_AES_GCM";
        return Err(TokenError::new(ErrorClass::Fatal, text));
    }
    Ok(match mode {
        IvMode::Caller | IvMode::TokenWritten => [&iv[..], &made].concat(),
        IvMode::TokenPrepended => made,
        IvMode::TokenAppended => {
            let (body, appended) = made.split_at(plaintext + TAG_LENGTH);
            [appended, body].concat()
        }
    })
}

/// Decrypts the output of [`encrypt`]. All modes decrypt in the same way, as every token accepts an
/// initialization vector for decryption.
pub(in crate::provider::pkcs11) fn decrypt(
    session: &Session,
    key: ObjectHandle,
    associated_data: &[u8],
    ciphertext: &[u8],
) -> Result<SecretBytes, TokenError> {
    let Some((iv, body)) = ciphertext.split_first_chunk::<NONCE_LENGTH>().filter(|(_, body)| body.len() >= TAG_LENGTH)
    else {
        return Err(TokenError::new(ErrorClass::BadInput, "the ciphertext is shorter than its tag"));
    };
    let mut iv = *iv;
    let parameters = GcmParams::new(&mut iv, associated_data, tag_bits())?;
    let plaintext = SecretBytes::from_vec(session.decrypt(&Mechanism::AesGcm(parameters), key, body)?);
    trim(plaintext, body.len() - TAG_LENGTH)
}

/// Removes what a token returns beyond the end of the plaintext.
fn trim(plaintext: SecretBytes, length: usize) -> Result<SecretBytes, TokenError> {
    match plaintext.expose_secret().get(..length) {
        None => Err(TokenError::new(ErrorClass::Fatal, "the token returned a truncated plaintext")),
        Some(_) if plaintext.len() == length => Ok(plaintext),
        Some(trimmed) => Ok(SecretBytes::copy_from_slice(trimmed)),
    }
}

fn tag_bits() -> Ulong {
    Ulong::from(128)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IV: [u8; NONCE_LENGTH] = [7; NONCE_LENGTH];

    #[test]
    fn a_ciphertext_has_one_layout_wherever_its_initialization_vector_comes_from() {
        let body: Vec<u8> = (0..20).collect();
        let expected = [&IV[..], &body].concat();
        for mode in [IvMode::Caller, IvMode::TokenWritten] {
            assert_eq!(arrange(mode, IV, body.clone(), 4).ok().as_deref(), Some(&expected[..]), "{mode:?}");
            let refused = arrange(mode, [0; NONCE_LENGTH], body.clone(), 4).expect_err("it was not written");
            assert_eq!(refused.class(), ErrorClass::Fatal, "{refused}");
        }
        let none = [0; NONCE_LENGTH];
        assert_eq!(arrange(IvMode::TokenPrepended, none, expected.clone(), 4).ok().as_deref(), Some(&expected[..]));
        let appended = [&body[..], &IV].concat();
        assert_eq!(arrange(IvMode::TokenAppended, none, appended, 4).ok().as_deref(), Some(&expected[..]));
    }

    #[test]
    fn a_ciphertext_of_another_length_is_refused() {
        let modes = [
            (IvMode::Caller, 20),
            (IvMode::TokenWritten, 20),
            (IvMode::TokenPrepended, 32),
            (IvMode::TokenAppended, 32),
        ];
        for (mode, fitting) in modes {
            for length in 0..40_usize {
                let made = arrange(mode, IV, vec![1; length], 4);
                assert_eq!(made.is_ok(), length == fitting, "{mode:?} {length}");
            }
        }
    }

    #[test]
    fn a_plaintext_is_never_shorter_than_its_ciphertext_says() {
        let trimmed = |given: &[u8], length| {
            trim(SecretBytes::copy_from_slice(given), length).map(|plaintext| plaintext.expose_secret().to_vec())
        };
        assert_eq!(trimmed(b"text", 4).ok().as_deref(), Some(&b"text"[..]));
        assert_eq!(trimmed(b"", 0).ok().as_deref(), Some(&b""[..]));
        assert_eq!(trimmed(b"text and its padding", 4).ok().as_deref(), Some(&b"text"[..]));
        for given in [&b""[..], b"t", b"tex"] {
            assert_eq!(trimmed(given, 4).expect_err("too short").class(), ErrorClass::Fatal);
        }
    }
}
