//! The interface to the encryption of sectors.

use crate::{low::pages::Locked, units::SectorSize};

/// How a volume is cut into sectors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SectorOptions {
    /// The size of an encryption sector.
    pub sector_size: SectorSize,
    /// dm-crypt's `iv_large_sectors`: IV numbers count encryption sectors instead of 512-byte units.
    pub iv_large_sectors: bool,
}

impl Default for SectorOptions {
    /// Sectors of 512 bytes, which dm-crypt has unless it is told otherwise.
    fn default() -> Self {
        Self {
            sector_size: SectorSize::B512,
            iv_large_sectors: false,
        }
    }
}

/// Encrypts and decrypts sectors in place, a whole batch with each call.
///
/// `first_sector` is the IV number of the first byte of `data` in 512-byte units, whatever the sector size is (and also
/// with [`iv_large_sectors`](SectorOptions::iv_large_sectors)); what LUKS2 calls `iv_tweak` and cryptsetup `--skip` is
/// already added. The numbers of the sectors that follow wrap around at 2^64.
///
/// # Panics
/// [`encrypt`](Self::encrypt) and [`decrypt`](Self::decrypt) panic unless `data` is a whole number of sectors.
pub trait SectorCipher: Send + Sync {
    /// The size of an encryption sector.
    fn sector_size(&self) -> SectorSize;

    /// Plaintext to ciphertext.
    fn encrypt(&self, first_sector: u64, data: &mut [u8]);

    /// Ciphertext to plaintext.
    fn decrypt(&self, first_sector: u64, data: &mut [u8]);

    /// Which implementation was chosen at construction, for people: `vaes-avx512`, and `portable` where
    /// there is nothing special for the processor.
    fn kernel(&self) -> &'static str;
}

/// What is locked is its keys.
impl<C: SectorCipher> SectorCipher for Locked<C> {
    fn sector_size(&self) -> SectorSize {
        (**self).sector_size()
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        (**self).encrypt(first_sector, data);
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        (**self).decrypt(first_sector, data);
    }

    fn kernel(&self) -> &'static str {
        (**self).kernel()
    }
}

/// # Panics
/// Unless `data` is a whole number of sectors.
#[track_caller]
pub(crate) fn assert_whole_sectors(data: &[u8], sector_size: SectorSize) {
    assert!(
        data.len().is_multiple_of(sector_size.bytes()),
        "{} bytes are no whole number of sectors of {} bytes",
        data.len(),
        sector_size.bytes()
    );
}
