//! The algorithms of the key model by their wire names: what a key encrypts, signs, authenticates or agrees with.
//!
//! Pure names and facts; how an algorithm is computed is the business of [`crate::crypto`].

use crate::error::{Error, ErrorKind, Result};

/// Gives a type with `parse` and `Display` the traits by which text comes in and goes out.
macro_rules! text_form {
    ($($name:ident),+ $(,)?) => {$(
        impl std::str::FromStr for $name {
            type Err = $crate::error::Error;

            fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

/// Declares an enum whose variants have names on the wire: `as_str`, `parse`, `ALL`, `Display`, `FromStr` and serde all
/// come from the one list.
macro_rules! wire_names {
    (
        $(#[$doc:meta])*
        pub enum $name:ident as $what:literal {
            $($(#[$variant_doc:meta])* $variant:ident => $wire:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire,)+ }
            }

            /// Reads the name on the wire; case matters.
            ///
            /// # Errors
            /// Of kind [`Validation`](crate::ErrorKind::Validation) for any other text.
            pub fn parse(text: &str) -> $crate::error::Result<Self> {
                match text {
                    $($wire => Ok(Self::$variant),)+
                    _ => Err($crate::algorithm::unknown_name($what, text, &[$($wire,)+])),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        $crate::algorithm::text_form!($name);
    };
}

pub(crate) use {text_form, wire_names};

/// The error for a name that is none of a fixed set.
pub(crate) fn unknown_name(what: &str, text: &str, known: &[&str]) -> Error {
    let message = format!("'{}' is no {what}: it must be one of {}", excerpt(text), known.join(", "));
    Error::new(ErrorKind::Validation, message)
}

/// Text from outside, made fit for an error message: control characters escaped, and not longer than any identifier.
pub(crate) fn excerpt(text: &str) -> String {
    const MOST: usize = 320;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

wire_names! {
    /// How a key encrypts.
    pub enum EncryptionAlgorithm as "encryption algorithm" {
        /// AES-256-GCM under a symmetric key; the ciphertext names its key.
        SymmetricDefault => "SYMMETRIC_DEFAULT",
        /// RSA-OAEP with SHA-1 for label and mask (RFC 8017, section 7.1). For systems that know no better.
        RsaesOaepSha1 => "RSAES_OAEP_SHA_1",
        /// RSA-OAEP with SHA-256 for label and mask.
        RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
    }
}

wire_names! {
    /// How a key signs.
    pub enum SigningAlgorithm as "signing algorithm" {
        /// RSASSA-PSS with SHA-256, salt as long as the hash (RFC 8017, section 8.1).
        RsassaPssSha256 => "RSASSA_PSS_SHA_256",
        /// RSASSA-PSS with SHA-384.
        RsassaPssSha384 => "RSASSA_PSS_SHA_384",
        /// RSASSA-PSS with SHA-512.
        RsassaPssSha512 => "RSASSA_PSS_SHA_512",
        /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2).
        RsassaPkcs1V15Sha256 => "RSASSA_PKCS1_V1_5_SHA_256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        RsassaPkcs1V15Sha384 => "RSASSA_PKCS1_V1_5_SHA_384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        RsassaPkcs1V15Sha512 => "RSASSA_PKCS1_V1_5_SHA_512",
        /// ECDSA with SHA-256 (FIPS 186-5, section 6), signature in DER.
        EcdsaSha256 => "ECDSA_SHA_256",
        /// ECDSA with SHA-384.
        EcdsaSha384 => "ECDSA_SHA_384",
        /// ECDSA with SHA-512.
        EcdsaSha512 => "ECDSA_SHA_512",
        /// Ed25519 over the message itself (RFC 8032, section 5.1).
        Ed25519Sha512 => "ED25519_SHA_512",
        /// Ed25519ph, over the SHA-512 of the message.
        Ed25519PhSha512 => "ED25519_PH_SHA_512",
    }
}

impl SigningAlgorithm {
    /// In which forms the message may be given.
    pub const fn message_types(self) -> &'static [MessageType] {
        match self {
            Self::Ed25519Sha512 => &[MessageType::Raw],
            Self::Ed25519PhSha512 => &[MessageType::Digest],
            Self::RsassaPssSha256
            | Self::RsassaPssSha384
            | Self::RsassaPssSha512
            | Self::RsassaPkcs1V15Sha256
            | Self::RsassaPkcs1V15Sha384
            | Self::RsassaPkcs1V15Sha512
            | Self::EcdsaSha256
            | Self::EcdsaSha384
            | Self::EcdsaSha512 => &[MessageType::Raw, MessageType::Digest],
        }
    }

    /// How long, in bytes, the digest of a [`MessageType::Digest`] must be.
    pub const fn digest_length(self) -> usize {
        match self {
            Self::RsassaPssSha256 | Self::RsassaPkcs1V15Sha256 | Self::EcdsaSha256 => 32,
            Self::RsassaPssSha384 | Self::RsassaPkcs1V15Sha384 | Self::EcdsaSha384 => 48,
            Self::RsassaPssSha512
            | Self::RsassaPkcs1V15Sha512
            | Self::EcdsaSha512
            | Self::Ed25519Sha512
            | Self::Ed25519PhSha512 => 64,
        }
    }

    /// Refuses a message form that the algorithm does not take, and a digest of the wrong length.
    ///
    /// # Errors
    /// Of kind [`Validation`](ErrorKind::Validation).
    pub fn check_message(self, form: MessageType, length: usize) -> Result<()> {
        if !self.message_types().contains(&form) {
            let message = format!("message type {form} is not valid for algorithm {self}");
            return Err(Error::new(ErrorKind::Validation, message));
        }
        if form == MessageType::Digest && length != self.digest_length() {
            let message = format!("Digest is invalid length for algorithm {self}.");
            return Err(Error::new(ErrorKind::Validation, message));
        }
        Ok(())
    }
}

wire_names! {
    /// How a key computes message authentication codes (RFC 2104). Each HMAC key spec has exactly one.
    pub enum MacAlgorithm as "MAC algorithm" {
        /// HMAC with SHA-224.
        HmacSha224 => "HMAC_SHA_224",
        /// HMAC with SHA-256.
        HmacSha256 => "HMAC_SHA_256",
        /// HMAC with SHA-384.
        HmacSha384 => "HMAC_SHA_384",
        /// HMAC with SHA-512.
        HmacSha512 => "HMAC_SHA_512",
    }
}

impl MacAlgorithm {
    /// How long, in bytes, the code is.
    pub const fn tag_length(self) -> usize {
        match self {
            Self::HmacSha224 => 28,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

wire_names! {
    /// How a key agrees on a secret with another.
    pub enum KeyAgreementAlgorithm as "key agreement algorithm" {
        /// Elliptic-curve cofactor Diffie-Hellman (NIST SP 800-56A, section 5.7.1.2); the raw secret comes out.
        Ecdh => "ECDH",
    }
}

wire_names! {
    /// How imported key material is wrapped for its way in.
    pub enum WrappingAlgorithm as "wrapping algorithm" {
        /// RSA-OAEP with SHA-1 around the material itself.
        RsaesOaepSha1 => "RSAES_OAEP_SHA_1",
        /// RSA-OAEP with SHA-256 around the material itself.
        RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
        /// RSA-OAEP with SHA-1 around an AES key, and the material under that key (AES-KWP, RFC 5649).
        RsaAesKeyWrapSha1 => "RSA_AES_KEY_WRAP_SHA_1",
        /// RSA-OAEP with SHA-256 around an AES key, and the material under that key (AES-KWP, RFC 5649).
        RsaAesKeyWrapSha256 => "RSA_AES_KEY_WRAP_SHA_256",
    }
}

wire_names! {
    /// The kind of key that wraps imported key material.
    pub enum WrappingKeySpec as "wrapping key spec" {
        /// RSA with 2048 bits.
        Rsa2048 => "RSA_2048",
        /// RSA with 3072 bits.
        Rsa3072 => "RSA_3072",
        /// RSA with 4096 bits.
        Rsa4096 => "RSA_4096",
    }
}

wire_names! {
    /// What the bytes given to sign or verify are.
    pub enum MessageType as "message type" {
        /// The message; it is hashed as the algorithm says.
        Raw => "RAW",
        /// The digest of the message; it is not hashed again.
        Digest => "DIGEST",
    }
}

#[cfg(test)]
mod tests;
