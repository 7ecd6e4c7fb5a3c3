//! The default backend, with the faster of two libraries for each part.

use super::{AWS_LC, CryptoBackend, RUST_CRYPTO};

/// The default backend, which uses the faster library for each part: AWS-LC for bulk encryption and
/// signatures, RustCrypto for hashes and key derivation of short input. Random bytes come from the
/// operating system.
//
// Time of RustCrypto divided by time of AWS-LC (1.19), measured in one run on one core with SHA
// extensions: AES-256-GCM of 1 MiB 4.3, of 4 KiB with key setup 3.6, of 64 bytes with key setup
// 1.8; SHA-256 of three short parts 0.75; HMAC-SHA-256 with a prepared key 0.53; HKDF-SHA-256
// expand to 64 bytes 0.79; HKDF-SHA-512 extract and two expands 0.59; hashes of 64 KiB 0.95 to 1.1;
// P-256 key 4.6, signature 5.7, verification 5.6; P-384 key 3.0, signature 3.0, verification 4.8;
// random 32 bytes 1.1, 1 KiB 6. But the first random byte of a process costs AWS-LC 40 ms of
// processor time, in which it collects entropy from the jitter of the processor.
pub const FASTEST: CryptoBackend = CryptoBackend {
    name: "fastest",
    aead: AWS_LC.aead,
    signature: AWS_LC.signature,
    key_pairs: AWS_LC.key_pairs,
    ..RUST_CRYPTO
};
