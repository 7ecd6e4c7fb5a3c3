//! The HMAC chain, which makes tampering with a trail detectable.
//!
//! Record `n` of a chain carries `MAC(n) = HMAC-SHA-256(K(n), MAC(n-1) ‖ line)`, and the key of the
//! next record is `K(n+1) = HMAC-SHA-256(K(n), "strongroom audit ratchet v1")`. A record that was
//! changed, removed, or moved is therefore detected. An attacker who reads the current key from a
//! process cannot forge earlier records, because the ratchet cannot be reversed.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::codec::{CodecError, Reader, Writer};
use crate::crypto::{CryptoBackend, CryptoError, DigestAlgorithm};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

const RATCHET: &[u8] = b"strongroom audit ratchet v1";
/// The version of the serialized state.
const STATE_VERSION: u8 = 1;
/// The maximum number of pending changes, which bounds the size of a parsed state.
const MAX_PENDING: usize = 4_096;

/// The identifier of a chain: 8 random bytes, displayed as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub [u8; 8]);

impl ChainId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        decode_hex(text).map(Self)
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// Links the intent of a change to its outcome: 16 random bytes, displayed as 32 hexadecimal
/// digits.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::Kms;
/// use strongroom::audit::{ChangeId, MemoryTrail, Outcome};
/// use strongroom::crypto::CryptoBackend;
///
/// let trail = Arc::new(MemoryTrail::default());
/// let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
/// kms.create_key(Default::default())?;
/// let (intent, outcome) = (&trail.events()[0], &trail.events()[1]);
/// assert_eq!((&intent.outcome, &outcome.outcome), (&Outcome::Intent, &Outcome::Success));
/// assert!(intent.change.is_some() && intent.change == outcome.change);
///
/// let id = ChangeId::generate(&CryptoBackend::default())?; // for events in tests of a sink
/// assert_eq!(id.to_string().len(), 32);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId(pub [u8; 16]);

impl ChangeId {
    /// Generates a random id.
    ///
    /// # Errors
    /// - [`CryptoError::RandomFailed`] if random bytes cannot be generated
    pub fn generate(backend: &CryptoBackend) -> Result<Self, CryptoError> {
        let mut bytes = [0; 16];
        backend.random().fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        decode_hex(text).map(Self)
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

pub(super) type RecordMac = [u8; 32];

/// A position in a chain: the number of the next record and the inputs of its MAC.
pub(super) struct Position {
    pub(super) next: u64,
    pub(super) mac: RecordMac,
    key: Zeroizing<[u8; 32]>,
}

impl Position {
    /// Returns the start of the chain with this secret.
    pub(super) fn start(secret: &[u8; 32]) -> Self {
        Self { next: 1, mac: [0; 32], key: Zeroizing::new(*secret) }
    }

    pub(super) fn copy(&self) -> Self {
        Self { next: self.next, mac: self.mac, key: self.key.clone() }
    }

    /// Advances past the record `line` and returns its MAC.
    pub(super) fn advance(&mut self, backend: &CryptoBackend, line: &[u8]) -> RecordMac {
        let key = backend.mac().bind(DigestAlgorithm::Sha256, self.key.as_slice());
        let mac = key.authenticate(&[&self.mac, line]);
        self.mac.copy_from_slice(mac.expose_secret());
        self.key.copy_from_slice(key.authenticate(&[RATCHET]).expose_secret());
        self.next += 1;
        self.mac
    }
}

/// A change whose outcome is not yet in the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingChange {
    /// The id of the change.
    pub id: ChangeId,
    /// `true` if the change is known to be committed.
    pub committed: bool,
}

/// The part of a chain that is kept outside of its trail, in the sealed store: its secret and its
/// latest known position.
///
/// The state makes a truncated trail detectable and allows a chain to be resumed after a restart.
/// It also records whether a change in progress when the process ended was committed.
///
/// # Examples
/// ```
/// use strongroom::audit::ChainState;
/// use strongroom::crypto::CryptoBackend;
///
/// let state = ChainState::generate(&CryptoBackend::default())?;
/// assert_eq!((state.records(), state.pending().len()), (0, 0));
/// let sealed = state.to_bytes()?; // contains secrets: seal it before you store it
/// assert_eq!(ChainState::from_bytes(sealed.expose_secret())?.id(), state.id());
/// assert!(ChainState::from_bytes(b"no state").is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct ChainState {
    id: ChainId,
    secret: SecretBytes,
    position: Position,
    pending: Vec<PendingChange>,
}

impl ChainState {
    /// Starts a chain with a newly generated secret.
    ///
    /// # Errors
    /// - [`CryptoError::RandomFailed`] if random bytes cannot be generated
    pub fn generate(backend: &CryptoBackend) -> Result<Self, CryptoError> {
        let mut id = [0; 8];
        backend.random().fill(&mut id)?;
        let mut secret = Zeroizing::new([0; 32]);
        backend.random().fill(secret.as_mut_slice())?;
        let position = Position::start(&secret);
        Ok(Self {
            id: ChainId(id),
            secret: SecretBytes::copy_from_slice(secret.as_slice()),
            position,
            pending: Vec::new(),
        })
    }

    /// Returns the id of the chain.
    pub const fn id(&self) -> ChainId {
        self.id
    }

    /// Returns the minimum number of records in the trail.
    pub const fn records(&self) -> u64 {
        self.position.next - 1
    }

    /// Returns the changes whose outcome is not among those records.
    pub fn pending(&self) -> &[PendingChange] {
        &self.pending
    }

    pub(super) fn position(&self) -> Position {
        self.position.copy()
    }

    pub(super) fn start(&self) -> Result<Position> {
        let secret = self.secret.expose_secret().try_into().map_err(|_| malformed())?;
        Ok(Position::start(secret))
    }

    pub(super) fn at(&self, position: Position, pending: Vec<PendingChange>) -> Self {
        Self { id: self.id, secret: SecretBytes::copy_from_slice(self.secret.expose_secret()), position, pending }
    }

    pub(super) fn copy(&self) -> Self {
        self.at(self.position(), self.pending.clone())
    }

    /// Serializes the state, including its secrets, for sealing:
    /// `u8 version=1 ‖ 8 id ‖ 32 secret ‖ u64 next record ‖ 32 last MAC ‖ 32 present key ‖ u16 count ‖ (16 id ‖ u8 committed)*`.
    ///
    /// # Errors
    /// - [`CodecError::TooLong`] if more than 4,096 changes are pending
    pub fn to_bytes(&self) -> Result<SecretBytes, CodecError> {
        let mut writer = Writer::with_capacity(128 + 17 * self.pending.len());
        writer.u8(STATE_VERSION).bytes(&self.id.0).bytes(self.secret.expose_secret());
        writer.u64(self.position.next).bytes(&self.position.mac).bytes(self.position.key.as_slice());
        let too_many = CodecError::TooLong { field: "pending changes", length: self.pending.len(), limit: MAX_PENDING };
        if self.pending.len() > MAX_PENDING {
            return Err(too_many);
        }
        writer.u16(u16::try_from(self.pending.len()).map_err(|_| too_many)?);
        for change in &self.pending {
            writer.bytes(&change.id.0).u8(change.committed.into());
        }
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }

    /// Parses the output of [`ChainState::to_bytes`].
    ///
    /// # Errors
    /// - [`Internal`](ErrorKind::Internal) if `bytes` are anything else
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes).map_err(|error| malformed().with_source(error))
    }

    fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("version")? != STATE_VERSION {
            return Err(CodecError::Invalid { field: "version" });
        }
        let id = ChainId(reader.array("chain id")?);
        let mut secret: [u8; 32] = reader.array("secret")?;
        let kept = SecretBytes::copy_from_slice(&secret);
        secret.zeroize();
        let next = reader.u64("next record")?;
        let position = Position { next, mac: reader.array("last MAC")?, key: Zeroizing::new(reader.array("key")?) };
        let count = usize::from(reader.u16("pending changes")?);
        if next == 0 || count > MAX_PENDING {
            return Err(CodecError::Invalid { field: "counts" });
        }
        let mut pending = Vec::with_capacity(count);
        for _ in 0..count {
            let id = ChangeId(reader.array("change id")?);
            let committed = match reader.u8("committed")? {
                0 => false,
                1 => true,
                _ => return Err(CodecError::Invalid { field: "committed" }),
            };
            pending.push(PendingChange { id, committed });
        }
        reader.finish()?;
        Ok(Self { id, secret: kept, position, pending })
    }
}

impl fmt::Debug for ChainState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ChainState");
        out.field("id", &self.id).field("records", &self.records()).field("pending", &self.pending.len());
        out.finish_non_exhaustive()
    }
}

fn malformed() -> Error {
    Error::new(ErrorKind::Internal, "the state of an audit chain is malformed")
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Decodes exactly `N` bytes of lowercase hexadecimal digits.
pub(super) fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let read = base16ct::lower::decode(text, &mut bytes).ok()?.len();
    (read == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_comes_back_and_every_truncation_is_refused() -> Result<()> {
        let backend = CryptoBackend::default();
        let fresh = ChainState::generate(&backend)?;
        let mut position = fresh.position();
        position.advance(&backend, b"line");
        let pending = [true, false].map(|committed| PendingChange { id: ChangeId([7; 16]), committed });
        let state = fresh.at(position, pending.to_vec());
        let bytes = state.to_bytes()?;
        let back = ChainState::from_bytes(bytes.expose_secret())?;
        assert_eq!(back.to_bytes()?, bytes);
        assert_eq!((back.id(), back.records(), back.pending()), (fresh.id(), 1, &pending[..]));
        for length in 0..bytes.len() {
            assert!(ChainState::from_bytes(&bytes.expose_secret()[..length]).is_err());
        }
        assert!(ChainState::from_bytes(&[bytes.expose_secret(), &[0]].concat()).is_err());
        assert!(!format!("{state:?}").contains("secret"));
        Ok(())
    }

    #[test]
    fn codes_follow_the_documented_construction() -> Result<(), Box<dyn std::error::Error>> {
        use hmac::{Hmac, KeyInit, Mac};
        let mac = |key: &[u8], parts: &[&[u8]]| -> Result<Vec<u8>, Box<dyn std::error::Error>> {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key)?;
            parts.iter().for_each(|part| mac.update(part));
            Ok(mac.finalize().into_bytes().to_vec())
        };
        let backend = CryptoBackend::default();
        let mut position = Position::start(&[9; 32]);
        let first = mac(&[9; 32], &[&[0; 32], b"one"])?;
        let second_key = mac(&[9; 32], &[b"strongroom audit ratchet v1"])?;
        let second = mac(&second_key, &[&first, b"two"])?;
        assert_eq!(position.advance(&backend, b"one")[..], first);
        assert_eq!(position.advance(&backend, b"two")[..], second);
        Ok(())
    }

    #[test]
    fn hexadecimal_text_is_read_strictly() {
        assert_eq!(decode_hex::<2>("0aff"), Some([10, 255]));
        for wrong in ["0aF0", "0af", "0aff0", "0ag0", ""] {
            assert_eq!(decode_hex::<2>(wrong), None, "{wrong}");
        }
    }
}
