//! CBC (SP 800-38A, 6.2): C\[i\] = E(P\[i\] ^ C\[i-1\]), and C\[-1\] is the IV of the sector.

use super::{IvShape, Mode};
use crate::{
    cipher::{SectorCipher, assert_whole_sectors},
    iv::{IvGenerator, block_by_block},
    kernels::block::BlockCipher,
    units::SectorSize,
};

pub(super) const CBC: Mode = Mode {
    name: "cbc",
    stream: "",
    key_bytes: |cipher_key_bytes| cipher_key_bytes,
    iv: Some(IvShape::Block),
    fits: |_| true,
    build: |cipher, iv, keys, options| {
        Box::new(Cbc {
            cipher: (cipher.expand)(keys.data),
            iv: IvGenerator::new(iv, cipher, IvShape::Block, keys, options, || {
                block_by_block((cipher.expand)(keys.first))
            }),
            block_bytes: cipher.block_bytes,
            sector_size: options.sector_size,
        })
    },
};

struct Cbc {
    cipher: Box<dyn BlockCipher>,
    iv: IvGenerator,
    block_bytes: usize,
    sector_size: SectorSize,
}

/// A chain cannot be encrypted in parallel, but the chains of several sectors can: this many keep the cipher busy.
const LANES: usize = 8;
/// Decryption works on this much at once, so that the masks, which are what the ciphertext was, stay in the
/// first cache.
const GROUP_BYTES: usize = SectorSize::B4096.bytes();
/// The most sectors in such a group.
const GROUP_SECTORS: usize = GROUP_BYTES / SectorSize::B512.bytes();
const MAX_BLOCK_BYTES: usize = 16;

impl SectorCipher for Cbc {
    fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, self.sector_size);
        let sector_bytes = self.sector_size.bytes();
        let mut chains = [0; LANES * MAX_BLOCK_BYTES];
        let mut sector = first_sector;
        for lanes in data.chunks_mut(LANES * sector_bytes) {
            let count = lanes.len() / sector_bytes;
            let chains = &mut chains[..count * self.block_bytes];
            self.iv.fill(sector, chains);
            self.cipher.encrypt_chains(chains, sector_bytes, lanes);
            sector = sector.wrapping_add(self.sector_size.units() * count as u64);
        }
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, self.sector_size);
        let sector_bytes = self.sector_size.bytes();
        let mut masks = [0; GROUP_BYTES];
        let mut ivs = [0; GROUP_SECTORS * MAX_BLOCK_BYTES];
        let mut sector = first_sector;
        for group in data.chunks_mut(GROUP_BYTES) {
            let count = group.len() / sector_bytes;
            let ivs = &mut ivs[..count * self.block_bytes];
            self.iv.fill(sector, ivs);
            let masks = &mut masks[..group.len()];
            for ((mask, ciphertext), iv) in masks
                .chunks_exact_mut(sector_bytes)
                .zip(group.chunks_exact(sector_bytes))
                .zip(ivs.chunks_exact(self.block_bytes))
            {
                let (first, rest) = mask.split_at_mut(self.block_bytes);
                first.copy_from_slice(iv);
                rest.copy_from_slice(&ciphertext[..rest.len()]);
            }
            self.cipher.decrypt_under(masks, group);
            sector = sector.wrapping_add(self.sector_size.units() * count as u64);
        }
    }

    fn kernel(&self) -> &'static str {
        self.cipher.kernel()
    }
}
