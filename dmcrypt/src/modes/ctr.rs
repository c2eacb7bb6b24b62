//! CTR (SP 800-38A, 6.5): C\[i\] = P\[i\] ^ E(IV + i), where the IV is a big-endian number of one block.

use super::{IvShape, Mode};
use crate::{
    cipher::{SectorCipher, assert_whole_sectors},
    iv::IvGenerator,
    kernels::{block::BlockCipher, wipe, xor},
    units::SectorSize,
};

pub(super) const CTR: Mode = Mode {
    name: "ctr",
    stream: "",
    key_bytes: |cipher_key_bytes| cipher_key_bytes,
    iv: Some(IvShape::BlockOfStream),
    fits: |_| true,
    build: |cipher, iv, keys, options| {
        Box::new(Ctr {
            cipher: (cipher.expand)(keys.data),
            iv: IvGenerator::new(iv, cipher, IvShape::BlockOfStream, keys, options, || {
                unreachable!("a stream is refused eboiv, which wants blocks")
            }),
            block_bytes: cipher.block_bytes,
            sector_size: options.sector_size,
        })
    },
};

struct Ctr {
    cipher: Box<dyn BlockCipher>,
    iv: IvGenerator,
    block_bytes: usize,
    sector_size: SectorSize,
}

impl Ctr {
    fn apply(&self, first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, self.sector_size);
        let mut stream = [0; SectorSize::B4096.bytes()];
        let stream = &mut stream[..self.sector_size.bytes()];
        let mut iv = [0; 16];
        let iv = &mut iv[16 - self.block_bytes..];
        let mut number = first_sector;
        for sector in data.chunks_mut(self.sector_size.bytes()) {
            self.iv.fill(number, iv);
            self.count(iv, stream);
            self.cipher.encrypt_blocks(stream);
            xor(sector, stream);
            number = number.wrapping_add(self.sector_size.units());
        }
        wipe(stream, 0);
    }

    /// IV, IV + 1, ..., modulo 2 to the bits of a block.
    fn count(&self, iv: &[u8], counters: &mut [u8]) {
        let mut wide = [0; 16];
        wide[16 - iv.len()..].copy_from_slice(iv);
        let mut counter = u128::from_be_bytes(wide);
        for block in counters.chunks_exact_mut(self.block_bytes) {
            block.copy_from_slice(&counter.to_be_bytes()[16 - self.block_bytes..]);
            counter = counter.wrapping_add(1);
        }
    }
}

impl SectorCipher for Ctr {
    fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.apply(first_sector, data);
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.apply(first_sector, data);
    }

    fn kernel(&self) -> &'static str {
        self.cipher.kernel()
    }
}
