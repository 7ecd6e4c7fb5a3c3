//! Keys derived from passphrases, and root keys that a passphrase protects.

mod text;

use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

pub(crate) use self::text::Passphrase;
pub use self::text::UnsuitablePassphrase;
use super::committing::{CommittingKey, OVERHEAD};
use super::error::SealError;
use super::holder::RootKeyHolder;
use super::root_key::{RootKey, RootKeySource};
use crate::codec::{Reader, Writer};
use crate::crypto::{CryptoBackend, CryptoError};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// The key is derived from the passphrase as typed.
const FORMAT_TYPED: u8 = 1;

/// The key is derived from the normalized passphrase.
const FORMAT_PREPARED: u8 = 2;

/// Length of a salt in bytes (RFC 9106, section 3.1, recommends 16 for passwords).
const SALT_LENGTH: usize = 16;

/// Number of bytes before the body: format, cost, and salt.
const HEADER_LENGTH: usize = 1 + 3 * 4 + SALT_LENGTH;

/// Length of a derived key in bytes.
const KEY_LENGTH: usize = 32;

/// The upper bounds of a cost: 2 GiB of memory, and more passes and lanes than any application
/// needs.
const MAX_MEMORY_KIB: u32 = 2 << 20;
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 64;

/// Separates root keys under a passphrase from other data sealed under the same passphrase.
const ROOT_LABEL: &[u8] = b"strongroom root passphrase v1";

/// The Argon2id parameters, which determine how much work each guess at a passphrase takes.
///
/// The default is the second recommended option of RFC 9106, section 4: 64 MiB, three passes, four
/// lanes. The first option needs 2 GiB, which not every machine can spare.
///
/// # Examples
/// ```
/// use strongroom::seal::PassphraseCost;
///
/// assert_eq!(PassphraseCost::default(), PassphraseCost::new(64 * 1024, 3, 4)?);
/// let default = PassphraseCost::default();
/// assert_eq!((default.memory_kib(), default.passes(), default.lanes()), (65_536, 3, 4));
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
    /// The default limit on the cost of opening sealed data: 256 MiB and ten passes, with any
    /// number of lanes. Callers can allow more.
    ///
    /// The cost is recorded in the store or export, so its author chose it. This limit accepts the
    /// second recommended option of RFC 9106 and the moderate parameters of libsodium (256 MiB,
    /// three passes).
    pub const DEFAULT_LIMIT: Self = Self { memory_kib: 256 * 1024, passes: 10, lanes: MAX_LANES };

    /// Creates a cost of `memory_kib` KiB, at least 8 per lane and at most 2 GiB. `passes` is the
    /// number of passes over the memory, from 1 to 64. `lanes` is the degree of parallelism, from 1
    /// to 64.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if a parameter is out of range.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::seal::PassphraseCost;
    ///
    /// // The moderate parameters of libsodium: 256 MiB, three passes.
    /// let moderate = PassphraseCost::new(256 * 1024, 3, 1)?;
    /// assert_eq!((moderate.memory_kib(), moderate.passes(), moderate.lanes()), (262_144, 3, 1));
    /// assert_eq!(PassphraseCost::new(1_024, 0, 1).unwrap_err().kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self> {
        let cost = Self { memory_kib, passes, lanes };
        cost.parameters()
            .map(|_| cost)
            .ok_or_else(|| Error::new(ErrorKind::Validation, "the passphrase cost is outside of its documented range"))
    }

    fn parameters(self) -> Option<Params> {
        let is_bounded = self.memory_kib <= MAX_MEMORY_KIB && self.passes <= MAX_PASSES && self.lanes <= MAX_LANES;
        Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_LENGTH)).ok().filter(|_| is_bounded)
    }

    /// Returns the memory in KiB.
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Returns the number of passes over the memory.
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Returns the number of lanes.
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    const fn is_within(self, limit: Self) -> bool {
        self.memory_kib <= limit.memory_kib && self.passes <= limit.passes && self.lanes <= limit.lanes
    }

    /// Returns the component-wise maximum of two costs.
    fn or_more(self, other: Self) -> Self {
        Self {
            memory_kib: self.memory_kib.max(other.memory_kib),
            passes: self.passes.max(other.passes),
            lanes: self.lanes.max(other.lanes),
        }
    }

    fn derive(self, passphrase: &SecretBytes, salt: &[u8; SALT_LENGTH]) -> Result<SecretBytes, PassphraseError> {
        let parameters = self.parameters().ok_or(PassphraseError::Wrong)?;
        // The library would allocate this memory itself without wiping it, but the key is computed
        // from its last blocks.
        let mut blocks = Zeroizing::new(Vec::<Block>::new());
        let count = parameters.block_count();
        blocks.try_reserve_exact(count).map_err(|_| PassphraseError::OutOfMemory { memory_kib: self.memory_kib })?;
        blocks.resize(count, Block::new());
        let mut key = SecretBytes::zeroed(KEY_LENGTH);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into_with_memory(
                passphrase.expose_secret(),
                salt,
                key.expose_secret_mut(),
                blocks.as_mut_slice(),
            )
            .map_err(|_| PassphraseError::Wrong)?;
        Ok(key)
    }
}

impl Default for PassphraseCost {
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 }
    }
}

/// The reason why data sealed under a passphrase cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PassphraseError {
    /// The passphrase, label, or context is wrong, or the data was altered.
    Wrong,
    /// The text is not suitable as a passphrase, so nothing can be sealed under it.
    Unsuitable(UnsuitablePassphrase),
    /// The recorded cost exceeds the limit.
    TooCostly {
        /// The recorded cost.
        cost: PassphraseCost,
        /// The limit.
        limit: PassphraseCost,
    },
    /// Too little memory is available.
    OutOfMemory { memory_kib: u32 },
    /// The data was sealed by a later release.
    NewerFormat { found: u8 },
    /// The backend rejects Argon2id.
    Rejected(CryptoError),
}

/// The latest supported format.
pub(crate) const LATEST_FORMAT: u8 = FORMAT_PREPARED;

/// Encrypts under a passphrase, bound to a label and a context. The result contains everything that
/// is needed to open it except the passphrase.
///
/// ```text
/// sealed = u8 format ‖ u32 memory in KiB ‖ u32 passes ‖ u32 lanes ‖ 16 salt ‖ body
/// key = Argon2id version 1.3 (RFC 9106) of the passphrase in UTF-8, without secret and associated data, 32 bytes
/// format = 2: of the passphrase as the OpaqueString profile (RFC 8265, section 4.2) maps and normalizes it
///          1: of the passphrase as it was typed
/// ```
///
/// The body is that of a [`CommittingKey`]. Its prefix consists of the bytes before the body.
pub(crate) fn seal(
    backend: &CryptoBackend,
    (passphrase, cost): (&Passphrase, PassphraseCost),
    label: &[u8],
    context: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>> {
    backend.check_allowed(ARGON2ID)?;
    let (format, text) = match passphrase.prepared() {
        Some(prepared) => (FORMAT_PREPARED, prepared?),
        None => (FORMAT_TYPED, passphrase.typed()),
    };
    let mut salt = [0; SALT_LENGTH];
    backend.random().fill(&mut salt)?;
    let mut writer = Writer::with_capacity(HEADER_LENGTH + OVERHEAD + plaintext.len());
    writer.u8(format).u32(cost.memory_kib).u32(cost.passes).u32(cost.lanes).bytes(&salt);
    let mut sealed = writer.into_bytes();
    let header = sealed.clone();
    let key = cost.derive(text, &salt).map_err(SealError::from)?;
    CommittingKey::new(backend, key.expose_secret())?.seal(label, &header, context, plaintext, &mut sealed)?;
    Ok(sealed)
}

/// Decrypts data that [`seal`] returned for the same passphrase, label, and context. Rejects a cost
/// above `limit` without deriving a key.
pub(crate) fn open(
    backend: &CryptoBackend,
    (passphrase, limit): (&Passphrase, PassphraseCost),
    label: &[u8],
    context: &[u8],
    sealed: &[u8],
) -> Result<SecretBytes, PassphraseError> {
    backend.check_allowed(ARGON2ID).map_err(PassphraseError::Rejected)?;
    let mut reader = Reader::new(sealed);
    let wrong = |_| PassphraseError::Wrong;
    let text = match reader.u8("format").map_err(wrong)? {
        FORMAT_TYPED => passphrase.typed(),
        FORMAT_PREPARED => match passphrase.prepared() {
            Some(prepared) => prepared.map_err(PassphraseError::Unsuitable)?,
            None => return Err(PassphraseError::Wrong),
        },
        0 => return Err(PassphraseError::Wrong),
        found => return Err(PassphraseError::NewerFormat { found }),
    };
    let mut number = |field| reader.u32(field).map_err(wrong);
    let cost = PassphraseCost { memory_kib: number("memory")?, passes: number("passes")?, lanes: number("lanes")? };
    let salt = reader.array("salt").map_err(wrong)?;
    if reader.remaining() < OVERHEAD {
        return Err(PassphraseError::Wrong);
    }
    if !cost.is_within(limit) {
        return Err(PassphraseError::TooCostly { cost, limit });
    }
    let (header, body) = sealed.split_at(reader.position());
    let key = cost.derive(text, &salt)?;
    let key = CommittingKey::new(backend, key.expose_secret()).map_err(|_| PassphraseError::Wrong)?;
    key.open(label, header, context, body).map_err(|_| PassphraseError::Wrong)
}

impl From<UnsuitablePassphrase> for Error {
    fn from(reason: UnsuitablePassphrase) -> Self {
        Self::new(ErrorKind::Validation, reason.to_string()).with_source(reason)
    }
}

impl From<PassphraseError> for SealError {
    fn from(error: PassphraseError) -> Self {
        match error {
            PassphraseError::Wrong | PassphraseError::Unsuitable(_) => Self::WrongRootKey { holder: NAME.to_owned() },
            PassphraseError::TooCostly { cost, limit } => Self::TooCostly {
                memory_kib: cost.memory_kib,
                passes: cost.passes,
                lanes: cost.lanes,
                memory_limit_kib: limit.memory_kib,
                pass_limit: limit.passes,
                lane_limit: limit.lanes,
            },
            PassphraseError::OutOfMemory { memory_kib } => Self::OutOfMemory { memory_kib },
            PassphraseError::NewerFormat { found } => Self::NewerFormat { found, known: LATEST_FORMAT },
            PassphraseError::Rejected(reason) => Self::Rejected { reason },
        }
    }
}

/// The algorithm that derives keys, as reports name it.
const ARGON2ID: &str = "Argon2id";

/// All passphrases share one name. A name derived from the passphrase would let an attacker test
/// guesses at no cost.
const NAME: &str = "passphrase";

impl RootKey {
    /// Derives the root key from a passphrase at the default [`PassphraseCost`]. The store records
    /// the salt and the cost.
    ///
    /// Opening the store takes a good part of a second. An attacker who has the file can try to
    /// guess the passphrase, so choose six or more words drawn at random. A file of random bytes
    /// has no such weakness.
    ///
    /// The passphrase is normalized with the OpaqueString profile of RFC 8265. For example, an `ü`
    /// as one code point or as two is the same character, and all kinds of space are equivalent. A
    /// store of an earlier build opens with the passphrase as it was typed, and switches to the
    /// normalized form when its root key is rotated.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the passphrase is empty, or contains control
    ///   characters, invisible characters, or characters that Unicode does not define. The source
    ///   is an [`UnsuitablePassphrase`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::seal::{RootKey, UnsuitablePassphrase};
    ///
    /// assert!(RootKey::from_passphrase("wander sulfur linen eclipse tunnel moss").is_ok());
    /// let refused = RootKey::from_passphrase("from a file, with its line break\n").unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation);
    /// assert!(refused.downcast_ref::<UnsuitablePassphrase>().is_some());
    /// ```
    pub fn from_passphrase(passphrase: &str) -> Result<Self> {
        Self::from_passphrase_with_cost(passphrase, PassphraseCost::default())
    }

    /// Derives the root key from a passphrase at the specified cost. The cost applies when the
    /// store is created and when its root key is rotated. An existing store is opened at its
    /// recorded cost, up to the larger of `cost` and [`PassphraseCost::DEFAULT_LIMIT`].
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) as for [`RootKey::from_passphrase`].
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
        let passphrase = Passphrase::new(passphrase).map_err(|reason| {
            let text = format!(
                "{reason}; if an earlier release created a store with it, open that store with \
                 RootKey::from_unnormalized_passphrase and move its root key"
            );
            Error::new(ErrorKind::Validation, text).with_source(reason)
        })?;
        Ok(Self::from_source(PassphraseSource(passphrase, cost)))
    }

    /// Derives the root key from the exact bytes of a passphrase, without normalization.
    ///
    /// Use this only for stores of earlier builds whose passphrase [`RootKey::from_passphrase`]
    /// rejects, such as one that contains a line ending. Then move them to another root key with
    /// [`Kms::move_root_key`](crate::Kms::move_root_key).
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the passphrase is empty.
    ///
    /// # Examples
    /// ```
    /// use strongroom::seal::{PassphraseCost, RootKey};
    ///
    /// assert!(RootKey::from_unnormalized_passphrase("old passphrase\n", PassphraseCost::default()).is_ok());
    /// assert!(RootKey::from_unnormalized_passphrase("", PassphraseCost::default()).is_err());
    /// ```
    pub fn from_unnormalized_passphrase(passphrase: &str, cost: PassphraseCost) -> Result<Self> {
        Ok(Self::from_source(PassphraseSource(Passphrase::unnormalized(passphrase)?, cost)))
    }
}

#[derive(Debug)]
struct PassphraseSource(Passphrase, PassphraseCost);

impl RootKeySource for PassphraseSource {
    fn holder(self: Box<Self>, backend: &CryptoBackend) -> Result<Arc<dyn RootKeyHolder>> {
        backend.check_allowed(ARGON2ID)?;
        Ok(Arc::new(PassphraseHolder { passphrase: self.0, cost: self.1, backend: *backend }))
    }
}

struct PassphraseHolder {
    passphrase: Passphrase,
    cost: PassphraseCost,
    backend: CryptoBackend,
}

impl RootKeyHolder for PassphraseHolder {
    fn id(&self) -> &'static str {
        NAME
    }

    fn wrap(&self, binding: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
        seal(&self.backend, (&self.passphrase, self.cost), ROOT_LABEL, binding, key.expose_secret())
    }

    fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
        let limit = self.cost.or_more(PassphraseCost::DEFAULT_LIMIT);
        let opened = open(&self.backend, (&self.passphrase, limit), ROOT_LABEL, binding, wrapped);
        Ok(opened.map_err(SealError::from)?)
    }
}

impl fmt::Debug for PassphraseHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassphraseHolder").field("cost", &self.cost).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
