//! What is mapped: a run of bytes, and how they are encrypted.

use crate::{CipherSpec, Error, SECTOR_BYTES, SectorCipher, SectorOptions};

/// What dm-crypt is told of a mapping, but for its key and its device: said once, so that whoever decrypts by itself and
/// whoever has the kernel do it mean the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapped {
    /// How each sector is encrypted.
    pub cipher: CipherSpec,
    /// How it is cut into sectors.
    pub sectors: SectorOptions,
    /// The IV number of its first byte, in units of 512 bytes.
    pub first_iv_sector: u64,
    /// Where it starts in its device or file, in bytes.
    pub offset_bytes: u64,
    /// How long it is, in bytes.
    pub length_bytes: u64,
}

impl Mapped {
    /// What encrypts its sectors under a key.
    ///
    /// # Errors
    ///
    /// As [`CipherSpec::sector_cipher`].
    pub fn sector_cipher(&self, key: &[u8]) -> Result<Box<dyn SectorCipher>, Error> {
        self.cipher.sector_cipher(key, self.sectors)
    }

    /// Where it starts, in units of 512 bytes; `None` where that is no whole number of them.
    pub fn offset_sectors(&self) -> Option<u64> {
        whole(self.offset_bytes)
    }

    /// How long it is, in units of 512 bytes; `None` where that is no whole number of its sectors.
    pub fn length_sectors(&self) -> Option<u64> {
        let sectors = whole(self.length_bytes)?;
        let units = self.sectors.sector_size.units();
        sectors.is_multiple_of(units).then_some(sectors)
    }
}

fn whole(bytes: u64) -> Option<u64> {
    bytes
        .is_multiple_of(SECTOR_BYTES)
        .then_some(bytes / SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SectorSize;

    #[test]
    fn sectors_are_whole() {
        let mapped = |offset_bytes, length_bytes| Mapped {
            cipher: "aes-xts-plain64".parse().expect("a cipher"),
            sectors: SectorOptions {
                sector_size: SectorSize::B4096,
                iv_large_sectors: false,
            },
            first_iv_sector: 0,
            offset_bytes,
            length_bytes,
        };
        let whole = mapped(512, 8192);
        assert_eq!(whole.offset_sectors(), Some(1));
        assert_eq!(whole.length_sectors(), Some(16));
        assert_eq!(mapped(513, 0).offset_sectors(), None);
        assert_eq!(mapped(0, 512).length_sectors(), None);
        assert!(whole.sector_cipher(&[7; 64]).is_ok());
    }
}
