//! The record of a volume as a token of LUKS2.

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};

use super::error::VolumeError;
use super::geometry::{SectorSize, VolumeGeometry};
use super::header::{VolumeHeader, VolumeId};
use crate::key::KeyArn;

/// The type of the token. `cryptsetup` ignores tokens of types that it does not know.
pub const LUKS_TOKEN_TYPE: &str = "strongroom-volume";

/// The maximum length of a token in bytes.
pub const MAX_LUKS_TOKEN_BYTES: usize = 32 << 10;

/// The number of key slots of LUKS2.
const KEY_SLOTS: u32 = 32;

const FORMAT: u8 = 1;

/// A [`VolumeHeader`] as a token in the header of a LUKS2 volume. It is not secret.
///
/// `cryptsetup token import --json-file` stores the JSON in the header, and `cryptsetup token
/// export` returns it. The token contains the ID of the volume, the ARN of the KMS key and the
/// wrapped key, so that the disk and the KMS suffice to unlock the volume. The order of its members
/// is that of [`to_json`](Self::to_json), and may change when `cryptsetup` stores it.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::volumes::{
///     LUKS_TOKEN_TYPE, LuksToken, SectorSize, VolumeError, VolumeGeometry, VolumeId, VolumeKeys,
/// };
///
/// let kms = Kms::in_memory()?;
/// let keys = VolumeKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
/// let id = VolumeId::parse("vol-1")?;
/// let header = keys.create(&id, VolumeGeometry::new(SectorSize::Bytes4096, 1 << 30)?)?;
/// let token = LuksToken::new(header.clone(), [0])?; // for key slot 0
/// let json = token.to_json();
/// assert!(json.contains(LUKS_TOKEN_TYPE));
///
/// let stored = LuksToken::parse(&json)?;
/// assert_eq!((stored.header(), stored.key_slots()), (&header, &[0][..]));
/// assert!(keys.attach(stored.header(), &id).is_ok());
/// assert!(matches!(LuksToken::parse(r#"{"type":"luks2-keyring"}"#), Err(VolumeError::Token { .. })));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LuksToken {
    header: VolumeHeader,
    key_slots: Vec<u32>,
}

/// The members of the JSON, of which LUKS2 requires the first two.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Members {
    r#type: String,
    keyslots: Vec<String>,
    format: u8,
    volume_id: String,
    key_arn: String,
    wrapped_key: String,
    cipher: String,
    sector_size: u64,
    size: u64,
}

/// The cipher, as `cryptsetup` names it.
const CIPHER: &str = "aes-xts-plain64";

impl LuksToken {
    /// Creates a token for key slots, whose passphrase is the volume key or depends on it.
    ///
    /// # Errors
    /// - [`VolumeError::Token`] if a key slot is not from 0 to 31, or occurs twice.
    pub fn new(header: VolumeHeader, key_slots: impl IntoIterator<Item = u32>) -> Result<Self, VolumeError> {
        // Different slots from 0 to 31: more than 32 are impossible.
        let mut accepted = Vec::new();
        for slot in key_slots {
            if slot >= KEY_SLOTS {
                return Err(rejected("LUKS2 has the key slots 0 to 31"));
            }
            if accepted.contains(&slot) {
                return Err(rejected("a key slot occurs twice"));
            }
            accepted.push(slot);
        }
        Ok(Self { header, key_slots: accepted })
    }

    /// Parses the JSON of a token.
    ///
    /// # Errors
    /// - [`VolumeError::Token`] if the text is too long, no JSON, of another type, or has missing
    ///   or unknown members.
    /// - The errors of [`VolumeHeader::parse`] for the values of its members.
    pub fn parse(json: &str) -> Result<Self, VolumeError> {
        if json.len() > MAX_LUKS_TOKEN_BYTES {
            return Err(rejected("it is longer than 32 KiB"));
        }
        let members: Members = serde_json::from_str(json)
            .map_err(|_| rejected("it is not JSON with exactly the members of a token of this crate"))?;
        if members.r#type != LUKS_TOKEN_TYPE {
            return Err(rejected("its type is not strongroom-volume"));
        }
        if members.format != FORMAT {
            return Err(rejected("its format is not 1, the only format that is supported"));
        }
        if members.cipher != CIPHER {
            return Err(rejected("its cipher is not aes-xts-plain64"));
        }
        let wrapped = Base64::decode_vec(&members.wrapped_key);
        let slots = members.keyslots.iter().map(|slot| slot.parse()).collect::<Result<Vec<u32>, _>>();
        let header = VolumeHeader::new(
            VolumeId::parse(&members.volume_id)?,
            KeyArn::parse(&members.key_arn).map_err(|_| VolumeError::KeyArn)?,
            wrapped.map_err(|_| rejected("its wrapped key is not Base64"))?,
            VolumeGeometry::new(SectorSize::from_bytes(members.sector_size)?, members.size)?,
        )?;
        Self::new(header, slots.map_err(|_| rejected("a key slot is not a number"))?)
    }

    /// Returns the JSON of the token, for `cryptsetup token import`.
    #[expect(clippy::missing_panics_doc, reason = "text and numbers are valid JSON")]
    pub fn to_json(&self) -> String {
        let geometry = self.header.geometry();
        let members = Members {
            r#type: LUKS_TOKEN_TYPE.to_owned(),
            keyslots: self.key_slots.iter().map(u32::to_string).collect(),
            format: FORMAT,
            volume_id: self.header.volume_id().to_string(),
            key_arn: self.header.key_arn().to_string(),
            wrapped_key: Base64::encode_string(self.header.wrapped_key()),
            cipher: CIPHER.to_owned(),
            sector_size: geometry.sector_size().wide(),
            size: geometry.size(),
        };
        serde_json::to_string(&members).expect("text and numbers are valid JSON")
    }

    /// Returns the record of the volume.
    pub const fn header(&self) -> &VolumeHeader {
        &self.header
    }

    /// Returns the key slots that the token is for. `cryptsetup` removes slots that no longer
    /// exist.
    pub fn key_slots(&self) -> &[u32] {
        &self.key_slots
    }
}

const fn rejected(problem: &'static str) -> VolumeError {
    VolumeError::Token { problem }
}
