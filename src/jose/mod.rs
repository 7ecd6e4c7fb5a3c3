//! Public keys for verifiers of tokens: JSON Web Keys and key sets (RFC 7517), and the algorithm
//! names of JOSE.
//!
//! | item | purpose |
//! |---|---|
//! | [`Jwk`] | one public key, of a KMS key ([`to_jwk`](crate::request::GetPublicKeyResponse::to_jwk)) or of a data key pair |
//! | [`JwkSet`] | the public keys that an issuer publishes |
//! | [`JoseAlgorithm`] | the `alg` of a token or key, such as `ES256` |
//!
//! Signatures in tokens have a fixed length. Request them with
//! [`SignatureFormat::P1363`](crate::algorithm::SignatureFormat::P1363), or use the signature types
//! of [`KmsSigner`](crate::KmsSigner).
//!
//! # Examples
//! A token (RFC 7519) and the key set that its verifiers download:
//!
//! ```
//! use base64ct::{Base64UrlUnpadded, Encoding};
//! use strongroom::Kms;
//! use strongroom::algorithm::{SignatureFormat, SigningAlgorithm};
//! use strongroom::jose::JwkSet;
//! use strongroom::key::{KeySpec, KeyUsage};
//! use strongroom::request::{CreateKeyRequest, SignRequest};
//!
//! let kms = Kms::in_memory()?;
//! let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
//! kms.create_alias("alias/tokens", kms.create_key(request)?.key_id())?;
//!
//! // Read the key once, and sign with its ARN: the token names the key that signed it, even if
//! // the alias is moved in the meantime.
//! let public = kms.get_public_key("alias/tokens")?;
//! let jwk = public.to_jwk()?;
//! let header = format!(r#"{{"alg":"ES256","kid":"{}","typ":"JWT"}}"#, jwk.kid());
//! let claims = r#"{"iss":"https://issuer.example","sub":"42"}"#;
//! let [header, claims] = [header.as_bytes(), claims.as_bytes()].map(Base64UrlUnpadded::encode_string);
//! let input = format!("{header}.{claims}");
//! let request = SignRequest::new(&public.key_arn, SigningAlgorithm::EcdsaSha256, input.as_bytes());
//! let signature = kms.sign(request.signature_format(SignatureFormat::P1363))?.signature;
//! let token = format!("{input}.{}", Base64UrlUnpadded::encode_string(&signature));
//!
//! let published = JwkSet::from_iter([jwk]).to_string();
//! assert!(published.starts_with(r#"{"keys":[{"kty":"EC","crv":"P-256","x":""#));
//! assert_eq!(signature.len(), 64);
//! # Ok::<(), strongroom::Error>(())
//! ```

mod algorithm;
mod jwk;
mod jwk_set;

pub use algorithm::{JoseAlgorithm, JwkUse};
pub use jwk::Jwk;
pub use jwk_set::JwkSet;
