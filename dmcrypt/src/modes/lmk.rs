//! loop-AES's IVs, `lmk`: the IV of a sector is a digest of all of its plaintext but the first block, and of its number.
//!
//! In CBC an IV is added to the first block of plaintext, and that block is no part of the digest. So the sector is
//! encrypted with an IV of zeros after, and decrypted with it before, the digest is added to its first block.
//!
//! The digest is the state of MD5 (RFC 1321) after \[seed ||\] plaintext\[16..512\] || le32(n) || le32(n >> 32 & 0xffffff
//! | 0x80000000) || le32(4024) || le32(0), without MD5's padding. The seed, 16 bytes of the key and 48 zeros, is there where
//! the key has a part more than there are keys (loop-AES version 3).

use crate::{
    cipher::{SectorCipher, assert_whole_sectors},
    kernels::xor,
    low::pages::Locked,
    units::SectorSize,
};
use md5::block_api::compress;
use zeroize::Zeroizing;

/// The seed's bytes in the key, and after which padding.
const SEED_BYTES: usize = 16;
const SEED_BLOCK_BYTES: usize = 64;

/// The ways in which a key may hold a seed: not, or, where there are several keys, as one part more.
pub(super) fn extra_bytes(keys: usize, mode_key_bytes: usize) -> Vec<usize> {
    if keys > 1 && mode_key_bytes >= SEED_BYTES {
        vec![0, mode_key_bytes]
    } else {
        vec![0]
    }
}

/// `inner` is CBC with IVs of zeros and sectors of 512 bytes.
pub(super) fn wrap(
    inner: Box<dyn SectorCipher>,
    block_bytes: usize,
    seed: &[u8],
) -> Box<dyn SectorCipher> {
    let seed = (!seed.is_empty()).then(|| {
        let mut block = Zeroizing::new([0; SEED_BLOCK_BYTES]);
        block[..SEED_BYTES].copy_from_slice(&seed[..SEED_BYTES]);
        block
    });
    Box::new(Locked::new(Lmk {
        inner,
        block_bytes,
        seed,
    }))
}

struct Lmk {
    inner: Box<dyn SectorCipher>,
    block_bytes: usize,
    seed: Option<Zeroizing<[u8; SEED_BLOCK_BYTES]>>,
}

impl Lmk {
    fn add_digests(&self, first_sector: u64, data: &mut [u8]) {
        let mut number = first_sector;
        for sector in data.chunks_exact_mut(SectorSize::B512.bytes()) {
            let (first, rest) = sector.split_at_mut(16);
            xor(&mut first[..self.block_bytes], &self.digest(number, rest));
            number = number.wrapping_add(1);
        }
    }

    fn digest(&self, number: u64, rest: &[u8]) -> [u8; 16] {
        let [low, high] = [number, number >> 32].map(|half| {
            let [a, b, c, d, ..] = half.to_le_bytes();
            [a, b, c, d]
        });
        let mut message = Zeroizing::new([0; 512]);
        let (plaintext, tail) = message.split_at_mut(rest.len());
        plaintext.copy_from_slice(rest);
        tail[..4].copy_from_slice(&low);
        tail[4..8].copy_from_slice(&high);
        // The number has 56 bits, and what follows is loop-AES's mark.
        tail[7] = 0x80;
        tail[8..12].copy_from_slice(&4024_u32.to_le_bytes());
        let mut state = MD5_START;
        if let Some(seed) = &self.seed {
            compress(&mut state, &[**seed]);
        }
        compress(&mut state, message.as_chunks().0);
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }
}

/// The words A, B, C and D of RFC 1321, 3.3.
const MD5_START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

impl SectorCipher for Lmk {
    fn sector_size(&self) -> SectorSize {
        SectorSize::B512
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, SectorSize::B512);
        self.add_digests(first_sector, data);
        self.inner.encrypt(first_sector, data);
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.inner.decrypt(first_sector, data);
        self.add_digests(first_sector, data);
    }

    fn kernel(&self) -> &'static str {
        self.inner.kernel()
    }
}
