//! Keys from passphrases, and the root key that one holds.

use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};

use super::committing::{CommittingKey, OVERHEAD};
use super::error::SealError;
use super::holder::RootKeyHolder;
use super::root_key::{self, Recipe, RootKey};
use crate::codec::{Reader, Writer};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

const FORMAT: u8 = 1;

/// Bytes of a salt (RFC 9106, section 3.1: 16 are recommended for passwords).
const SALT_LENGTH: usize = 16;

/// Bytes before the body: format, cost and salt.
const HEADER_LENGTH: usize = 1 + 3 * 4 + SALT_LENGTH;

/// Bytes of a derived key.
const KEY_LENGTH: usize = 32;

/// The most that a stored cost may ask of whoever reads it: 2 GiB, and as many passes and lanes as anybody has use for.
const MAX_MEMORY_KIB: u32 = 2 << 20;
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 64;

/// Separates root keys under a passphrase from everything else under the same one.
const ROOT_LABEL: &[u8] = b"strongroom root passphrase v1";

/// How much work one guess at a passphrase is: the parameters of Argon2id.
///
/// The default is the second recommendation of RFC 9106, section 4: 64 MiB, three passes, four lanes. The first one takes
/// 2 GiB, which not every machine has to spare.
///
/// # Examples
/// ```
/// use strongroom::seal::PassphraseCost;
///
/// assert_eq!(PassphraseCost::default(), PassphraseCost::new(64 * 1024, 3, 4)?);
/// assert!(PassphraseCost::new(4, 1, 1).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassphraseCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl PassphraseCost {
    /// Takes `memory_kib` KiB of memory, at least 8 for each lane and at most 2 GiB; `passes` over it, from 1 to 64;
    /// and `lanes`, from 1 to 64, which can be worked on side by side.
    ///
    /// # Errors
    /// [`Validation`](ErrorKind::Validation) outside of that.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self> {
        let cost = Self { memory_kib, passes, lanes };
        cost.parameters().map(|_| cost).ok_or_else(|| {
            Error::new(ErrorKind::Validation, "a cost of passphrases is outside the range that is documented for it")
        })
    }

    fn parameters(self) -> Option<Params> {
        let is_bounded = self.memory_kib <= MAX_MEMORY_KIB && self.passes <= MAX_PASSES && self.lanes <= MAX_LANES;
        Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_LENGTH)).ok().filter(|_| is_bounded)
    }

    fn derive(self, passphrase: &SecretBytes, salt: &[u8; SALT_LENGTH]) -> Option<SecretBytes> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.parameters()?);
        let mut key = SecretBytes::zeroed(KEY_LENGTH);
        argon2.hash_password_into(passphrase.expose_secret(), salt, key.expose_secret_mut()).ok()?;
        Some(key)
    }
}

impl Default for PassphraseCost {
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 }
    }
}

/// Encrypts under a passphrase, bound to a label and a context. Everything that is needed to open it but the passphrase
/// stands in the result.
///
/// ```text
/// sealed = u8 format = 1 ‖ u32 memory in KiB ‖ u32 passes ‖ u32 lanes ‖ 16 salt ‖ body
/// key = Argon2id version 1.3 (RFC 9106) of the passphrase in UTF-8, without secret and associated data, 32 bytes
/// ```
///
/// The body is that of a [`CommittingKey`] with the bytes before it as the prefix.
pub(crate) fn seal(
    backend: &CryptoBackend,
    (passphrase, cost): (&SecretBytes, PassphraseCost),
    label: &[u8],
    context: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>> {
    let mut salt = [0; SALT_LENGTH];
    backend.random().fill(&mut salt)?;
    let mut writer = Writer::with_capacity(HEADER_LENGTH + OVERHEAD + plaintext.len());
    writer.u8(FORMAT).u32(cost.memory_kib).u32(cost.passes).u32(cost.lanes).bytes(&salt);
    let mut sealed = writer.into_bytes();
    let header = sealed.clone();
    let failed = || Error::new(ErrorKind::Internal, "there is not enough memory for the passphrase");
    let key = cost.derive(passphrase, &salt).ok_or_else(failed)?;
    CommittingKey::new(backend, key.expose_secret())?.seal(label, &header, context, plaintext, &mut sealed)?;
    Ok(sealed)
}

/// Decrypts what [`seal`] made with the same passphrase, label and context. `None`, whatever does not fit; a cost that is
/// out of bounds is not even tried.
pub(crate) fn open(
    backend: &CryptoBackend,
    passphrase: &SecretBytes,
    label: &[u8],
    context: &[u8],
    sealed: &[u8],
) -> Option<SecretBytes> {
    let mut reader = Reader::new(sealed);
    let format = reader.u8("format").ok()?;
    let memory_kib = reader.u32("memory").ok()?;
    let cost = PassphraseCost { memory_kib, passes: reader.u32("passes").ok()?, lanes: reader.u32("lanes").ok()? };
    let salt = reader.array("salt").ok()?;
    if format != FORMAT || reader.remaining() < OVERHEAD {
        return None;
    }
    let (header, body) = sealed.split_at(reader.position());
    let key = cost.derive(passphrase, &salt)?;
    CommittingKey::new(backend, key.expose_secret()).ok()?.open(label, header, context, body).ok()
}

impl RootKey {
    /// Takes the root key from a passphrase, at the default [`PassphraseCost`]. Salt and cost are kept in the store.
    ///
    /// Opening the store takes a good part of a second, and what a passphrase is worth against somebody who has the file is
    /// what it takes to guess it: six or more words drawn at random, say. A file with random bytes has no such limit.
    ///
    /// # Errors
    /// [`Validation`](ErrorKind::Validation) for an empty passphrase.
    pub fn from_passphrase(passphrase: &str) -> Result<Self> {
        Self::from_passphrase_with_cost(passphrase, PassphraseCost::default())
    }

    /// Takes the root key from a passphrase, at a cost of one's own. It counts when the store is made and when its root key
    /// is rotated; a store that is there is opened at the cost that it was made with.
    ///
    /// # Errors
    /// [`Validation`](ErrorKind::Validation) for an empty passphrase.
    ///
    /// # Examples
    /// ```
    /// use strongroom::seal::{PassphraseCost, RootKey};
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let store = std::sync::Arc::new(MemoryStore::new(&Default::default())?);
    /// let open = |passphrase: &str| {
    ///     let cost = PassphraseCost::new(64, 1, 1)?; // for an example; use the default in earnest
    ///     let root = RootKey::from_passphrase_with_cost(passphrase, cost)?;
    ///     Kms::builder().store(store.clone(), root).build()
    /// };
    /// let key = open("correct horse")?.create_key(Default::default())?;
    /// open("correct horse")?.describe_key(key.key_id())?;
    /// assert_eq!(open("correct hose").unwrap_err().kind(), ErrorKind::RootKey);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn from_passphrase_with_cost(passphrase: &str, cost: PassphraseCost) -> Result<Self> {
        if passphrase.is_empty() {
            return Err(root_key::invalid("the passphrase of a root key is empty".to_owned()));
        }
        Ok(Self::from_recipe(Passphrase(SecretBytes::copy_of(passphrase.as_bytes()), cost)))
    }
}

#[derive(Debug)]
struct Passphrase(SecretBytes, PassphraseCost);

impl Recipe for Passphrase {
    fn holder(self: Box<Self>, backend: &CryptoBackend) -> Result<Arc<dyn RootKeyHolder>> {
        Ok(Arc::new(PassphraseHolder { passphrase: self.0, cost: self.1, backend: *backend }))
    }
}

/// A passphrase. Every one has the same name: a name of its own would be a test of guesses that costs nothing.
struct PassphraseHolder {
    passphrase: SecretBytes,
    cost: PassphraseCost,
    backend: CryptoBackend,
}

impl RootKeyHolder for PassphraseHolder {
    fn id(&self) -> &'static str {
        "passphrase"
    }

    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
        seal(&self.backend, (&self.passphrase, self.cost), ROOT_LABEL, binding, key.expose_secret())
    }

    fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
        open(&self.backend, &self.passphrase, ROOT_LABEL, binding, wrapped)
            .ok_or_else(|| SealError::WrongRootKey { holder: self.id().to_owned() }.into())
    }
}

impl fmt::Debug for PassphraseHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassphraseHolder").field("cost", &self.cost).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::FASTEST;

    const COST: PassphraseCost = PassphraseCost { memory_kib: 32, passes: 1, lanes: 2 };

    fn secret(text: &str) -> SecretBytes {
        SecretBytes::copy_of(text.as_bytes())
    }

    /// A key of the reference implementation (its `test.c`, version 0x13, Argon2id).
    #[test]
    fn keys_are_those_of_the_reference_implementation() -> Result<()> {
        let expected = "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe";
        let parameters = PassphraseCost::new(256, 2, 1)?.parameters().expect("in range");
        let mut key = [0; KEY_LENGTH];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(b"password", b"somesalt", &mut key)
            .expect("in range");
        assert_eq!(hex::encode(key), expected);
        Ok(())
    }

    #[test]
    fn only_the_same_passphrase_label_and_context_open() -> Result<()> {
        let sealed = seal(&FASTEST, (&secret("words"), COST), b"label", b"context", b"plain")?;
        let open = |passphrase, label, context| open(&FASTEST, &secret(passphrase), label, context, &sealed);
        assert_eq!(open("words", b"label", b"context"), Some(secret("plain")));
        assert_eq!(open("word", b"label", b"context"), None);
        assert_eq!(open("words", b"labeL", b"context"), None);
        assert_eq!(open("words", b"label", b"contexT"), None);
        Ok(())
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_refused() -> Result<()> {
        let sealed = seal(&FASTEST, (&secret("words"), COST), b"label", b"context", b"plain")?;
        let open = |sealed: &[u8]| open(&FASTEST, &secret("words"), b"label", b"context", sealed);
        for place in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[place] ^= 1;
            assert_eq!(open(&flipped), None, "byte {place}");
        }
        assert!((0..sealed.len()).all(|end| open(&sealed[..end]).is_none()));
        Ok(())
    }

    #[test]
    fn a_stored_cost_is_bounded() -> Result<()> {
        let sealed = seal(&FASTEST, (&secret("words"), COST), b"label", b"context", b"plain")?;
        for (place, limit) in [(1, MAX_MEMORY_KIB), (5, MAX_PASSES), (9, MAX_LANES)] {
            for value in [0, limit + 1, u32::MAX] {
                let mut altered = sealed.clone();
                altered[place..place + 4].copy_from_slice(&value.to_be_bytes());
                let mut reader = Reader::new(&altered[1..13]);
                let mut next = || reader.u32("cost").expect("there");
                let cost = PassphraseCost { memory_kib: next(), passes: next(), lanes: next() };
                assert!(cost.parameters().is_none(), "{cost:?}");
                assert_eq!(open(&FASTEST, &secret("words"), b"label", b"context", &altered), None);
            }
        }
        Ok(())
    }

    #[test]
    fn an_empty_passphrase_is_refused_and_none_is_shown() -> Result<()> {
        assert_eq!(RootKey::from_passphrase("").expect_err("empty").kind(), ErrorKind::Validation);
        let root = RootKey::from_passphrase_with_cost("words", COST)?;
        assert!(!format!("{root:?}").contains("words"));
        assert!(!format!("{:?}", root.into_holder(&FASTEST)?).contains("words"));
        Ok(())
    }
}
