//! TrueCrypt's old CBC, `tcw`: besides the IV, 8 bytes that depend on the sector are added to all of its ciphertext.
//!
//! The key of a volume ends in the IV's part and in 16 bytes of whitening w. With n the number of the sector as 8 bytes,
//! little-endian, and c\[0..4\] the CRC-32 of each quarter of w ^ (n || n), sector bytes are added c\[0\] ^ c\[3\] ||
//! c\[1\] ^ c\[2\], over and over. The CRC is without the customary inversions.

use crate::{
    cipher::{SectorCipher, assert_whole_sectors},
    kernels::xor,
    low::pages::Locked,
    units::SectorSize,
};
use zeroize::Zeroizing;

const WHITENING_BYTES: usize = 16;

/// Bytes of the key that are no key of the cipher.
pub(super) fn extra_bytes(iv_bytes: usize) -> usize {
    iv_bytes + WHITENING_BYTES
}

/// `inner` makes its IVs itself, and has sectors of 512 bytes.
pub(super) fn wrap(inner: Box<dyn SectorCipher>, whitening: &[u8]) -> Box<dyn SectorCipher> {
    let mut key = Zeroizing::new([0; WHITENING_BYTES]);
    key.copy_from_slice(whitening);
    Box::new(Locked::new(Tcw {
        inner,
        whitening: key,
    }))
}

struct Tcw {
    inner: Box<dyn SectorCipher>,
    whitening: Zeroizing<[u8; WHITENING_BYTES]>,
}

impl Tcw {
    fn whiten(&self, first_sector: u64, data: &mut [u8]) {
        let mut number = first_sector;
        for sector in data.chunks_exact_mut(SectorSize::B512.bytes()) {
            let mask = self.mask(number);
            for eight in sector.chunks_exact_mut(mask.len()) {
                xor(eight, &mask);
            }
            number = number.wrapping_add(1);
        }
    }

    fn mask(&self, number: u64) -> [u8; 8] {
        let mut block = Zeroizing::new(*self.whitening);
        for eight in block.chunks_exact_mut(8) {
            xor(eight, &number.to_le_bytes());
        }
        let quarter = |index: usize| crc32(&block[4 * index..4 * index + 4]);
        let low = quarter(0) ^ quarter(3);
        let high = quarter(1) ^ quarter(2);
        (u64::from(low) | u64::from(high) << 32).to_le_bytes()
    }
}

/// The remainder of the polynomial of Ethernet's CRC-32, lowest bit first, started from 0 and not inverted.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}

impl SectorCipher for Tcw {
    fn sector_size(&self) -> SectorSize {
        SectorSize::B512
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.inner.encrypt(first_sector, data);
        self.whiten(first_sector, data);
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, SectorSize::B512);
        self.whiten(first_sector, data);
        self.inner.decrypt(first_sector, data);
    }

    fn kernel(&self) -> &'static str {
        self.inner.kernel()
    }
}
