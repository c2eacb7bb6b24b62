//! XTS over the aes crate as a careful user writes it: all of an area in a closure, which the crate compiles for the
//! processor that it found, so that no call lies between blocks and tweaks.
#![expect(
    clippy::inline_always,
    reason = "what is not inlined into the crate's function is compiled for any processor"
)]

use aes::cipher::consts::U16;
use aes::cipher::inout::InOutBuf;
use aes::cipher::typenum::Unsigned;
use aes::cipher::{
    Array, Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockSizeUser, ParBlocks, ParBlocksSizeUser,
};

use super::aes_keys::{Aes, Xts};
use super::{CipherWork, Pass};

/// Blocks whose tweaks are computed ahead, 4 KiB: one sector or eight.
const BATCH: usize = 256;

pub struct AesCrate;

impl Xts for AesCrate {
    fn pass<C: Aes>(data: C, tweak: C, work: CipherWork<'_>) -> Pass {
        let CipherWork {
            sector_bytes,
            encrypts,
            ..
        } = work;
        let mut seeds = Vec::new();
        Box::new(move |area| {
            seeds.clear();
            seeds.extend(
                (0..area.len() / sector_bytes)
                    .map(|index| Array::from(CipherWork::iv(sector_bytes, index))),
            );
            tweak.encrypt_blocks(&mut seeds);
            let (blocks, _) = Array::slice_as_chunks_mut(area);
            let area = Area {
                seeds: &seeds,
                sector_blocks: sector_bytes / 16,
                blocks,
            };
            if encrypts {
                data.encrypt_with_backend(area);
            } else {
                data.decrypt_with_backend(area);
            }
        })
    }
}

/// Sectors, and the first tweak of each.
struct Area<'a> {
    seeds: &'a [Block<Self>],
    sector_blocks: usize,
    blocks: &'a mut [Block<Self>],
}

impl BlockSizeUser for Area<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Area<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        self.run(&Encryption(backend));
    }
}

impl BlockCipherDecClosure for Area<'_> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        self.run(&Decryption(backend));
    }
}

/// One direction of the cipher.
trait Backend {
    type Width: ParBlocksSizeUser<BlockSize = U16>;

    fn wide(&self, blocks: &mut ParBlocks<Self::Width>);
    fn rest(&self, blocks: &mut [Block<Self::Width>]);
}

struct Encryption<'a, B>(&'a B);

impl<B: BlockCipherEncBackend<BlockSize = U16>> Backend for Encryption<'_, B> {
    type Width = B;

    #[inline(always)]
    fn wide(&self, blocks: &mut ParBlocks<B>) {
        self.0.encrypt_par_blocks(blocks.into());
    }

    #[inline(always)]
    fn rest(&self, blocks: &mut [Block<B>]) {
        self.0.encrypt_tail_blocks(InOutBuf::from(blocks));
    }
}

struct Decryption<'a, B>(&'a B);

impl<B: BlockCipherDecBackend<BlockSize = U16>> Backend for Decryption<'_, B> {
    type Width = B;

    #[inline(always)]
    fn wide(&self, blocks: &mut ParBlocks<B>) {
        self.0.decrypt_par_blocks(blocks.into());
    }

    #[inline(always)]
    fn rest(&self, blocks: &mut [Block<B>]) {
        self.0.decrypt_tail_blocks(InOutBuf::from(blocks));
    }
}

impl Area<'_> {
    #[inline(always)]
    fn run<B: Backend>(self, backend: &B) {
        let mut tweaks = [0; BATCH];
        let width = <B::Width as ParBlocksSizeUser>::ParBlocksSize::USIZE;
        let batches = self.blocks.chunks_mut(BATCH);
        for (batch, seeds) in batches.zip(self.seeds.chunks(BATCH / self.sector_blocks)) {
            for (sector, seed) in tweaks.chunks_mut(self.sector_blocks).zip(seeds) {
                let mut next = u128::from_le_bytes(seed.0);
                for tweak in sector {
                    *tweak = next;
                    next = (next << 1) ^ ((next >> 127) * 0x87);
                }
            }
            let (wide, rest) = ParBlocks::<B::Width>::slice_as_chunks_mut(batch);
            let (wide_tweaks, rest_tweaks) = tweaks.split_at(wide.len() * width);
            for (blocks, tweaks) in wide.iter_mut().zip(wide_tweaks.chunks_exact(width)) {
                add(blocks, tweaks);
                backend.wide(blocks);
                add(blocks, tweaks);
            }
            add(rest, rest_tweaks);
            backend.rest(rest);
            add(rest, rest_tweaks);
        }
    }
}

#[inline(always)]
fn add(blocks: &mut [Array<u8, U16>], tweaks: &[u128]) {
    for (block, tweak) in blocks.iter_mut().zip(tweaks) {
        block.0 = (u128::from_le_bytes(block.0) ^ tweak).to_le_bytes();
    }
}
