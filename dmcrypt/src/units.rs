//! Sectors and their sizes.

/// dm-crypt's unit of offsets and of IV numbers in bytes, whatever the encryption sector size is.
pub const SECTOR_BYTES: u64 = 512;

/// The size of an encryption sector: 512, 1024, 2048 or 4096 bytes, the four that dm-crypt takes.
///
/// An encryption sector is what one IV belongs to. Offsets and IV numbers count 512-byte units all the same.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SectorSize(u32);

impl SectorSize {
    /// 512 bytes, the only size of LUKS1 and the default of plain mode.
    pub const B512: Self = Self(512);
    /// 1024 bytes.
    pub const B1024: Self = Self(1024);
    /// 2048 bytes.
    pub const B2048: Self = Self(2048);
    /// 4096 bytes, the largest.
    pub const B4096: Self = Self(4096);

    /// The sector size of `bytes` bytes; `None` unless that is 512, 1024, 2048 or 4096.
    pub fn new(bytes: u32) -> Option<Self> {
        matches!(bytes, 512 | 1024 | 2048 | 4096).then_some(Self(bytes))
    }

    /// Bytes in one sector.
    pub const fn bytes(self) -> usize {
        self.0 as usize
    }

    /// 512-byte units in one sector: 1, 2, 4 or 8.
    pub const fn units(self) -> u64 {
        self.0 as u64 / SECTOR_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::SectorSize;

    #[test]
    fn only_four_sizes_exist() {
        let sizes: Vec<u32> = (0..=65536)
            .filter(|&bytes| SectorSize::new(bytes).is_some())
            .collect();
        assert_eq!(sizes, [512, 1024, 2048, 4096]);
    }

    #[test]
    fn units_count_512_bytes() {
        assert_eq!(
            [
                SectorSize::B512,
                SectorSize::B1024,
                SectorSize::B2048,
                SectorSize::B4096
            ]
            .map(SectorSize::units),
            [1, 2, 4, 8]
        );
    }
}
