//! What the targets about key pairs share: two backends, and a key of each kind.

use std::sync::LazyLock;

use strongroom::crypto::{AWS_LC, CryptoBackend, KeyPairKind, PrivateKey, PublicKey, RUST_CRYPTO};

/// Which backends are compared: they must agree on everything.
pub const BACKENDS: [CryptoBackend; 2] = [RUST_CRYPTO, AWS_LC];

/// A key of each kind in PKCS#8, made by OpenSSL for these targets only. RSA keys of other sizes follow the same path.
pub const KEYS: [(KeyPairKind, &[u8]); 6] = [
    (KeyPairKind::Rsa2048, include_bytes!("../keys/rsa_2048.der")),
    (KeyPairKind::EccP256, include_bytes!("../keys/p256.der")),
    (KeyPairKind::EccP384, include_bytes!("../keys/p384.der")),
    (KeyPairKind::EccP521, include_bytes!("../keys/p521.der")),
    (KeyPairKind::EccSecp256k1, include_bytes!("../keys/secp256k1.der")),
    (KeyPairKind::Ed25519, include_bytes!("../keys/ed25519.der")),
];

/// One key in one backend.
pub struct Pair {
    /// What it is.
    pub kind: KeyPairKind,
    /// The private half.
    pub private: Box<dyn PrivateKey>,
    /// The public half.
    pub public: Box<dyn PublicKey>,
}

/// Each of [`KEYS`] in each of [`BACKENDS`].
pub static PAIRS: LazyLock<Vec<[Pair; 2]>> = LazyLock::new(|| {
    let open = |kind, der| {
        BACKENDS.map(|backend| {
            let private = backend.key_pairs().private_key(kind, der).expect("the key is good");
            let public = backend.key_pairs().public_key(kind, &private.public_key_der()).expect("the key is good");
            Pair { kind, private, public }
        })
    };
    KEYS.iter().map(|(kind, der)| open(*kind, der)).collect()
});
