//! Signs certificate requests (PKCS#10, RFC 2986) and a token with keys that never leave the KMS.
//!
//! ```text
//! cargo run --example certificate_request | openssl req -verify -noout -text
//! ```
//!
//! The requests are written to standard output, and progress messages to standard error.

use std::error::Error;
use std::io::IsTerminal;
use std::str::FromStr;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use signature::{Keypair, Signer, Verifier};
use strongroom::jose::JwkSet;
use strongroom::key::{KeyMetadata, KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;
use strongroom::{Kms, KmsSigner};
use x509_cert::builder::Builder;
use x509_cert::der::EncodePem;
use x509_cert::der::pem::LineEnding;
use x509_cert::name::Name;
use x509_cert::request::RequestBuilder;

/// ECDSA over P-256 with SHA-256. Certificates contain its signatures in DER.
type P256 = p256::ecdsa::VerifyingKey;

/// RSA with PKCS#1 v1.5, which every certificate authority accepts. RSASSA-PSS would work as well.
type Rsa = rsa::pkcs1v15::VerifyingKey<sha2::Sha256>;

fn main() -> Result<(), Box<dyn Error>> {
    let kms = Kms::in_memory()?;
    let subject = Name::from_str("CN=service.example,O=Example")?;

    let key = make(&kms, KeySpec::EccNistP256)?;
    let p256_signer = KmsSigner::<P256>::new(&kms, key.key_id())?;
    let request = RequestBuilder::new(subject.clone())?.build::<_, p256::ecdsa::DerSignature>(&p256_signer)?;
    println!("{}", request.to_pem(LineEnding::LF)?.trim_end());
    eprintln!("   signed a certificate request with the key");

    let token = token(&p256_signer, r#"{"iss":"service.example","sub":"42"}"#)?;
    eprintln!("   and a JSON Web Token (ES256): {token}");
    eprintln!("   which verifiers check with this key set: {}", JwkSet::from_iter([p256_signer.to_jwk()?]));

    let rsa_key = make(&kms, KeySpec::Rsa3072)?;
    let rsa_signer = KmsSigner::<Rsa>::new(&kms, rsa_key.key_id())?;
    let request = RequestBuilder::new(subject)?.build::<_, rsa::pkcs1v15::Signature>(&rsa_signer)?;
    println!("{}", request.to_pem(LineEnding::LF)?.trim_end());
    eprintln!("   signed a certificate request with the key");

    kms.disable_key(key.key_id())?;
    let refused: Result<p256::ecdsa::Signature, _> = p256_signer.try_sign(b"after the key was disabled");
    match refused {
        Err(refusal) => eprintln!("the P-256 key was disabled and can no longer sign: {}", reason(&refusal)),
        Ok(_) => return Err("a disabled key signed".into()),
    }
    Ok(())
}

/// Creates a signing key. The duration of RSA key generation is unpredictable, as primes are found
/// by trial. The spinner therefore shows the elapsed time and no percentage.
fn make(kms: &Kms, spec: KeySpec) -> Result<KeyMetadata, strongroom::Error> {
    let start = Instant::now();
    let spinner = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.set_message(format!("creating an {spec} key"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    let key = kms.create_key(CreateKeyRequest::default().spec(spec).usage(KeyUsage::SignVerify));
    spinner.finish_and_clear();
    let key = key?;
    eprintln!("{} is an {spec} key, created in {} ms", key.arn(), start.elapsed().as_millis());
    Ok(key)
}

/// Returns the reason why signing failed, which the traits of `signature` expose as the source of
/// their error.
fn reason(error: &signature::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Creates a token in the compact form (RFC 7515, section 3.1), signed with ES256. Its header names
/// the key. The signature is the concatenation of its two numbers (RFC 7518, section 3.4), which is
/// the format of `p256::ecdsa::Signature`.
fn token(signer: &KmsSigner<P256>, claims: &str) -> Result<String, Box<dyn Error>> {
    use base64ct::{Base64UrlUnpadded, Encoding};

    let header = format!(r#"{{"alg":"ES256","kid":"{}","typ":"JWT"}}"#, signer.to_jwk()?.kid());
    let header = Base64UrlUnpadded::encode_string(header.as_bytes());
    let input = format!("{header}.{}", Base64UrlUnpadded::encode_string(claims.as_bytes()));
    let signature: p256::ecdsa::Signature = signer.try_sign(input.as_bytes())?;
    signer.verifying_key().verify(input.as_bytes(), &signature)?;
    Ok(format!("{input}.{}", Base64UrlUnpadded::encode_string(&signature.to_bytes())))
}
