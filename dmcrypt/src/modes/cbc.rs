//! CBC (SP 800-38A, 6.2): C\[i\] = E(P\[i\] ^ C\[i-1\]), and C\[-1\] is the IV of the sector.

use super::{Mode, xor};
use crate::{
    cipher::{SectorCipher, assert_whole_sectors},
    ciphers::BlockCipher,
    iv::{IvGenerator, block_by_block},
    units::SectorSize,
};
use cipher::{
    Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockSizeUser, array::ArraySize,
    inout::InOutBuf,
};

pub(super) const CBC: Mode = Mode {
    name: "cbc",
    keys: 1,
    has_iv: true,
    fits: |_| true,
    build: |cipher, iv, key, options| {
        Box::new(Cbc {
            cipher: (cipher.expand)(key),
            iv: IvGenerator::new(iv, cipher, key, options, || {
                block_by_block((cipher.expand)(key))
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
/// Decryption works on this much at once, so that the copy of the ciphertext stays in the first cache.
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
        let mut ciphertext = [0; GROUP_BYTES];
        let mut ivs = [0; GROUP_SECTORS * MAX_BLOCK_BYTES];
        let mut sector = first_sector;
        for group in data.chunks_mut(GROUP_BYTES) {
            let count = group.len() / sector_bytes;
            let ciphertext = &mut ciphertext[..group.len()];
            ciphertext.copy_from_slice(group);
            let ivs = &mut ivs[..count * self.block_bytes];
            self.iv.fill(sector, ivs);
            self.cipher.decrypt_blocks(group);
            let sectors = group
                .chunks_exact_mut(sector_bytes)
                .zip(ciphertext.chunks_exact(sector_bytes));
            for ((plaintext, ciphertext), iv) in sectors.zip(ivs.chunks_exact(self.block_bytes)) {
                let (first, rest) = plaintext.split_at_mut(self.block_bytes);
                xor(first, iv);
                xor(rest, ciphertext);
            }
            sector = sector.wrapping_add(self.sector_size.units() * count as u64);
        }
    }

    fn kernel(&self) -> &'static str {
        "cbc (block cipher crate)"
    }
}

/// The encryption of several chains side by side. It runs inside the cipher's own function, so that the keys are set up
/// once for all blocks.
pub(crate) struct Chains<'a, B: ArraySize> {
    /// The IV of each chain, and then its last block of ciphertext.
    pub(crate) links: &'a mut [Array<u8, B>],
    /// The length of each chain in bytes.
    pub(crate) chain_bytes: usize,
    /// The chains, one after the other.
    pub(crate) data: &'a mut [u8],
}

impl<B: ArraySize> BlockSizeUser for Chains<'_, B> {
    type BlockSize = B;
}

impl<B: ArraySize> BlockCipherEncClosure for Chains<'_, B> {
    #[expect(
        clippy::inline_always,
        reason = "it must be compiled for the processor that the cipher found"
    )]
    #[inline(always)]
    fn call<E: BlockCipherEncBackend<BlockSize = B>>(self, backend: &E) {
        for at in (0..self.chain_bytes).step_by(B::USIZE) {
            for (link, chain) in self
                .links
                .iter_mut()
                .zip(self.data.chunks_exact(self.chain_bytes))
            {
                xor(link, &chain[at..at + B::USIZE]);
            }
            let (wide, tail) = InOutBuf::from(&mut *self.links).into_chunks();
            for blocks in wide {
                backend.encrypt_par_blocks(blocks);
            }
            backend.encrypt_tail_blocks(tail);
            for (link, chain) in self
                .links
                .iter()
                .zip(self.data.chunks_exact_mut(self.chain_bytes))
            {
                chain[at..at + B::USIZE].copy_from_slice(link);
            }
        }
    }
}
