//! AES-256-XTS over sectors.

use std::fmt;

use aes::Aes256;
use aes::cipher::KeyInit;
use xts_mode::{Xts128, get_tweak_default};

use super::error::VolumeError;
use super::geometry::SectorSize;
use super::key::VolumeKey;

/// The maximum length of a data unit in bytes: 2^20 blocks (NIST SP 800-38E, section 4).
pub const MAX_DATA_UNIT_BYTES: usize = 16 << 20;

/// The unit in which `dm-crypt` counts, whatever the sector size is.
const TWEAK_UNIT: u16 = 512;

/// Encrypts and decrypts sectors with AES-256-XTS (IEEE 1619, NIST SP 800-38E).
///
/// The tweak of a sector is its position in units of 512 bytes, as 128 bits in little-endian order.
/// `cryptsetup` calls this `aes-xts-plain64`: volumes of `dm-crypt`, LUKS1 and LUKS2 have the same
/// bytes, for both sector sizes.
///
/// XTS does not authenticate. Decryption of modified sectors succeeds, with other plaintext.
///
/// # Examples
/// ```
/// use strongroom::SecretBytes;
/// use strongroom::volumes::{SectorCipher, SectorSize, VolumeError, VolumeKey};
///
/// let key = VolumeKey::from_secret(SecretBytes::from_vec((0..64).collect()))?;
/// let cipher = SectorCipher::new(&key, SectorSize::Bytes512);
/// let mut sectors = vec![7; 3 * 512];
/// cipher.encrypt_sectors(40, &mut sectors)?; // the sectors 40, 41 and 42
/// assert_ne!(sectors[..512], sectors[512..1_024]);
/// cipher.decrypt_sectors(41, &mut sectors[512..1_024])?;
/// assert_eq!(sectors[512..1_024], [7; 512]);
///
/// let mut unit = [7; 48];
/// cipher.encrypt_data_unit(u128::MAX, &mut unit)?;
/// cipher.decrypt_data_unit(u128::MAX, &mut unit)?;
/// assert_eq!(unit, [7; 48]);
/// assert_eq!(cipher.encrypt_data_unit(0, &mut [0; 15]), Err(VolumeError::DataUnit { bytes: 15 }));
/// # Ok::<(), VolumeError>(())
/// ```
pub struct SectorCipher {
    xts: Xts128<Aes256>,
    sector_size: SectorSize,
}

impl SectorCipher {
    /// Expands a key. The round keys are wiped when the cipher is dropped.
    pub fn new(key: &VolumeKey, sector_size: SectorSize) -> Self {
        let (data, tweak) = key.expose_secret().split_at(32);
        Self { xts: Xts128::new(expand(data), expand(tweak)), sector_size }
    }

    /// Returns the size of a sector.
    pub(super) const fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    /// Encrypts consecutive sectors in place, of which the first has the number `first`.
    ///
    /// # Errors
    /// - [`VolumeError::PartialSector`] if the data are not complete sectors. The data are
    ///   unchanged.
    pub fn encrypt_sectors(&self, first: u64, sectors: &mut [u8]) -> Result<(), VolumeError> {
        self.check_sectors(sectors)?;
        for (tweak, sector) in self.tweaks(first).zip(sectors.chunks_exact_mut(self.sector_size.bytes())) {
            self.xts.encrypt_sector(sector, get_tweak_default(tweak));
        }
        Ok(())
    }

    /// Decrypts consecutive sectors in place, of which the first has the number `first`.
    ///
    /// # Errors
    /// - [`VolumeError::PartialSector`] if the data are not complete sectors. The data are
    ///   unchanged.
    pub fn decrypt_sectors(&self, first: u64, sectors: &mut [u8]) -> Result<(), VolumeError> {
        self.decrypt_where(first, sectors, |_| true)
    }

    /// Decrypts consecutive sectors in place, and leaves sectors of zeros unchanged: they were
    /// never written, or discarded.
    pub(super) fn decrypt_written_sectors(&self, first: u64, sectors: &mut [u8]) -> Result<(), VolumeError> {
        self.decrypt_where(first, sectors, is_written)
    }

    fn decrypt_where(&self, first: u64, sectors: &mut [u8], wanted: fn(&[u8]) -> bool) -> Result<(), VolumeError> {
        self.check_sectors(sectors)?;
        for (tweak, sector) in self.tweaks(first).zip(sectors.chunks_exact_mut(self.sector_size.bytes())) {
            if wanted(sector) {
                self.xts.decrypt_sector(sector, get_tweak_default(tweak));
            }
        }
        Ok(())
    }

    /// Encrypts one data unit of any length with any tweak in place, for formats that number
    /// sectors in another way. A tweak must never repeat for different data units.
    ///
    /// # Errors
    /// - [`VolumeError::DataUnit`] if the length is zero, no multiple of 16 bytes, or exceeds
    ///   [`MAX_DATA_UNIT_BYTES`]. The data are unchanged.
    pub fn encrypt_data_unit(&self, tweak: u128, data: &mut [u8]) -> Result<(), VolumeError> {
        check_data_unit(data)?;
        self.xts.encrypt_sector(data, get_tweak_default(tweak));
        Ok(())
    }

    /// Decrypts one data unit in place.
    ///
    /// # Errors
    /// - [`VolumeError::DataUnit`] as for [`encrypt_data_unit`](Self::encrypt_data_unit).
    pub fn decrypt_data_unit(&self, tweak: u128, data: &mut [u8]) -> Result<(), VolumeError> {
        check_data_unit(data)?;
        self.xts.decrypt_sector(data, get_tweak_default(tweak));
        Ok(())
    }

    /// Returns the tweaks of consecutive sectors.
    fn tweaks(&self, first: u64) -> impl Iterator<Item = u128> {
        let units = self.sector_size.code() / TWEAK_UNIT;
        (u128::from(first) * u128::from(units)..).step_by(usize::from(units))
    }

    const fn check_sectors(&self, sectors: &[u8]) -> Result<(), VolumeError> {
        if sectors.len().is_multiple_of(self.sector_size.bytes()) {
            Ok(())
        } else {
            Err(VolumeError::PartialSector { bytes: sectors.len() })
        }
    }
}

fn expand(key: &[u8]) -> Aes256 {
    Aes256::new_from_slice(key).expect("a volume key consists of two AES-256 keys")
}

const fn check_data_unit(data: &[u8]) -> Result<(), VolumeError> {
    match data.len() {
        bytes @ 16..=MAX_DATA_UNIT_BYTES if bytes.is_multiple_of(16) => Ok(()),
        bytes => Err(VolumeError::DataUnit { bytes }),
    }
}

/// Returns `true` if stored bytes are not all zero. Encryption never produces a sector of zeros:
/// the probability is 2^-4096.
pub(super) fn is_written(stored: &[u8]) -> bool {
    stored.iter().any(|byte| *byte != 0)
}

impl fmt::Debug for SectorCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SectorCipher").field("sector_size", &self.sector_size).finish_non_exhaustive()
    }
}
