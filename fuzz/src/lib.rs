//! Shared by the fuzz targets: reproducible randomness, edits that damage a ciphertext, and a model
//! of a KMS.

pub mod keys;
pub mod model;

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use strongroom::crypto::{CryptoBackend, CryptoError, RUST_CRYPTO, SecureRandom};
use strongroom::envelope::{CommitmentPolicy, RawAesKeyring, SignaturePolicy};
use strongroom::message::AlgorithmSuite;
use strongroom::{EncryptionContext, Envelope, SecretBytes};

/// "Random" bytes that are the same in every run, so that an input always has the same effect.
#[derive(Debug)]
struct Repeatable(AtomicU64);

static REPEATABLE: Repeatable = Repeatable(AtomicU64::new(0));

impl SecureRandom for Repeatable {
    fn library(&self) -> &'static str {
        "fuzzing"
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        for chunk in output.chunks_mut(8) {
            // SplitMix64, a public-domain generator: no two outputs of a run are equal.
            let mut state = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let bytes = (state ^ (state >> 31)).to_be_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

/// Returns the backend of all targets, and restarts its randomness.
pub fn backend() -> CryptoBackend {
    REPEATABLE.0.store(0, Ordering::Relaxed);
    RUST_CRYPTO.with_random(&REPEATABLE)
}

/// Returns an envelope with the wrapping key of the worked examples of the message format: the
/// bytes 00 to 1f. It reads every suite and writes the given one.
pub fn envelope(frame_length: u32, suite: AlgorithmSuite) -> Envelope {
    let backend = backend();
    let key = SecretBytes::copy_from_slice(&std::array::from_fn::<u8, 32, _>(|index| index as u8));
    let keyring = RawAesKeyring::new("ns", "kn", key)
        .and_then(|keyring| keyring.with_backend(backend))
        .expect("the key has 32 bytes");
    let policy = match suite.is_committing() {
        true => CommitmentPolicy::RequireEncryptAllowDecrypt,
        false => CommitmentPolicy::ForbidEncryptAllowDecrypt,
    };
    let builder = Envelope::builder(keyring).algorithm_suite(suite).commitment_policy(policy);
    let builder = builder.signature_policy(SignaturePolicy::ReleaseBeforeVerification);
    builder.backend(backend).frame_length(frame_length).build().expect("the length is allowed")
}

/// Creates a context from pairs. If a name occurs twice, its last value is used.
pub fn context(pairs: &[(String, String)]) -> EncryptionContext {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// A modification of a ciphertext in transit. Positions wrap around.
#[derive(Arbitrary, Clone, Debug)]
pub enum Edit {
    /// Flips bits of one byte.
    Flip { at: u16, bits: u8 },
    /// Inserts a byte.
    Insert { at: u16, byte: u8 },
    /// Removes bytes.
    Remove { at: u16, length: u8 },
    /// Truncates the data.
    Cut { length: u16 },
    /// Appends bytes.
    Append { bytes: Vec<u8> },
    /// Swaps two ranges of the same length, as if frames changed places.
    Swap { first: u16, second: u16, length: u8 },
    /// Duplicates a range.
    Repeat { at: u16, length: u8 },
}

impl Edit {
    /// Applies the edit.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: u16| usize::from(at) % bytes.len().max(1);
        let stretch = |at: u16, length: u8| place(at)..(place(at) + usize::from(length)).min(bytes.len());
        match self {
            _ if bytes.is_empty() => {}
            Self::Flip { at, bits } => {
                let at = place(*at);
                bytes[at] ^= bits;
            }
            Self::Insert { at, byte } => bytes.insert(place(*at), *byte),
            Self::Remove { at, length } => drop(bytes.drain(stretch(*at, *length))),
            Self::Cut { length } => bytes.truncate(place(*length)),
            Self::Append { bytes: more } => bytes.extend_from_slice(more),
            Self::Swap { first, second, length } => {
                let (first, second) = (place(*first), place(*second));
                for offset in 0..usize::from(*length) {
                    if first.max(second) + offset < bytes.len() {
                        bytes.swap(first + offset, second + offset);
                    }
                }
            }
            Self::Repeat { at, length } => {
                let copy = bytes[stretch(*at, *length)].to_vec();
                let at = place(*at);
                bytes.splice(at..at, copy);
            }
        }
    }
}

/// Reads to the end, `step` bytes at a time. Returns the released data, and `true` if the end was
/// reached.
pub fn read_in_steps(mut reader: impl Read, step: usize) -> (Vec<u8>, bool) {
    let mut released = Vec::new();
    let mut buffer = vec![0; step];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return (released, true),
            Ok(count) => released.extend_from_slice(&buffer[..count]),
            Err(_) => return (released, false),
        }
    }
}
