//! Signed checkpoints of the audit trail.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use strongroom::ErrorKind;
use strongroom::algorithm::SigningAlgorithm;
use strongroom::audit::{CheckpointSigner, CheckpointVerifier, FileTrail};
use strongroom::crypto::{CryptoBackend, CryptoError, KeyPairKind, PublicKey, SignatureInput};

use super::arguments::{CheckpointArguments, CheckpointKeyArguments, StoreArguments};
use super::postgres::PASSWORD;
use super::signer::SigningProgram;
use crate::error::{Error, Result};

/// The maximum size of a file with a public key.
const MAX_KEY: u64 = 1 << 16;

/// The time in which a program must sign.
const SIGNING_TIME: Duration = Duration::from_secs(20);

/// The public key of checkpoints.
pub(super) struct CheckpointKey {
    key: Box<dyn PublicKey>,
    algorithm: SigningAlgorithm,
}

impl CheckpointKey {
    /// Reads the key, if the arguments name one.
    pub(super) fn of(arguments: &CheckpointKeyArguments) -> Result<Option<Self>> {
        let Some(path) = &arguments.checkpoint_public_key else { return Ok(None) };
        let key = read_key(path)?;
        let algorithms = key.kind().signing_algorithms();
        let usual = match key.kind() {
            KeyPairKind::Rsa2048 | KeyPairKind::Rsa3072 | KeyPairKind::Rsa4096 => SigningAlgorithm::RsassaPssSha256,
            _ => algorithms[0],
        };
        let algorithm = arguments.checkpoint_algorithm.unwrap_or(usual);
        if !algorithms.contains(&algorithm) {
            let text = format!("the key in {} cannot verify signatures with {algorithm}", path.display());
            return Err(Error::new(text));
        }
        Ok(Some(Self { key, algorithm }))
    }
}

fn read_key(path: &Path) -> Result<Box<dyn PublicKey>> {
    let shown = path.display();
    let cannot = |error| Error::new(format!("cannot read the public key {shown}")).with_source(error);
    let mut pem = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_KEY).read_to_end(&mut pem)).map_err(cannot)?;
    let key = SubjectPublicKeyInfoDer::from_pem_slice(&pem)
        .map_err(|error| Error::new(format!("{shown} does not contain a public key in PEM")).with_source(error))?;
    let backend = CryptoBackend::default();
    let mut kinds = KeyPairKind::ALL.into_iter().filter(|kind| !kind.signing_algorithms().is_empty());
    kinds.find_map(|kind| backend.key_pairs().public_key(kind, &key).ok()).ok_or_else(|| {
        Error::new(format!("the key in {shown} is not a supported key of RSA, ECDSA, Ed25519 or ML-DSA"))
    })
}

impl CheckpointVerifier for CheckpointKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> strongroom::Result<bool> {
        match self.key.verify(self.algorithm, SignatureInput::Message(message), signature) {
            Ok(()) => Ok(true),
            Err(CryptoError::InvalidSignature) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A trail, and what signs its checkpoints.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints {
    trail: Arc<FileTrail>,
    program: SigningProgram,
    key: Arc<CheckpointKey>,
    pub(super) interval: Duration,
}

impl Checkpoints {
    /// Returns the checkpoints that the arguments of a server configure, if any.
    pub(super) fn of(
        arguments: &CheckpointArguments,
        store: &StoreArguments,
        trail: Option<&Arc<FileTrail>>,
    ) -> Result<Option<Self>> {
        let key = CheckpointKey::of(&arguments.key)?;
        let (Some(path), Some(key)) = (&arguments.checkpoint_signer, key) else {
            return match arguments.key.checkpoint_public_key {
                None => Ok(None),
                Some(_) => Err(Error::new("pass the --checkpoint-signer that belongs to the public key")),
            };
        };
        let trail = trail.ok_or_else(|| Error::new("checkpoints need an audit trail in files: pass --audit"))?;
        let program = SigningProgram::new(path, secrets(store), SIGNING_TIME);
        let interval = Duration::from_secs(arguments.checkpoint_interval);
        Ok(Some(Self { trail: Arc::clone(trail), program, key: Arc::new(key), interval }))
    }

    /// Signs the current end of the trail. A signature that the public key does not verify is an
    /// error, and is not written.
    pub(super) fn sign(&self) -> Result<()> {
        self.trail.checkpoint(self).map_err(|error| Error::new("cannot sign the audit trail").with_source(error))
    }
}

impl CheckpointSigner for Checkpoints {
    fn sign(&self, message: &[u8]) -> strongroom::Result<Vec<u8>> {
        let failed = |text: String| strongroom::Error::new(ErrorKind::Audit, text);
        let signature = self.program.sign(message).map_err(|error| failed(error.to_string()))?;
        if self.key.verify(message, &signature)? {
            return Ok(signature);
        }
        Err(failed("the signature of the signer does not match the public key of the checkpoints".to_owned()))
    }
}

/// Returns the names of environment variables with secrets.
fn secrets(arguments: &StoreArguments) -> Vec<String> {
    let root = &arguments.root_key;
    let named = [&root.root_key_environment, &root.passphrase_environment];
    named.into_iter().flatten().cloned().chain([PASSWORD.to_owned()]).collect()
}
