//! XTS (IEEE 1619, SP 800-38E) over many data units: C\[j\] = E(K1, P\[j\] ^ T\[j\]) ^ T\[j\], with
//! T\[0\] = E(K2, IV) and T\[j+1\] = T\[j\] * x in GF(2^128).
//!
//! [`Batched`] is the portable kernel and the model of every other: the tweaks of a whole batch are computed ahead, so that
//! the cipher always gets as many blocks at once as it can use.
#![expect(
    clippy::inline_always,
    reason = "all of a pass must be compiled inside the function that the cipher has for the processor it found"
)]

use super::{PORTABLE, wipe};
use crate::units::SectorSize;
use cipher::{
    Array, Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt,
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
    ParBlocks, ParBlocksSizeUser, consts::U16, inout::InOutBuf, typenum::Unsigned,
};

/// Which way to go; both share all code but the call of the cipher.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
}

/// XTS with its keys, for many data units at once.
pub(crate) trait XtsKernel: Send + Sync {
    /// `data` holds units of `unit_bytes` (a multiple of 16), and `ivs` a 16-byte IV for each, which are overwritten.
    fn apply(&self, direction: Direction, ivs: &mut [u8], unit_bytes: usize, data: &mut [u8]);

    /// The name for people.
    fn name(&self) -> &'static str;
}

/// Bytes in one block of every cipher that XTS is defined for.
pub(crate) const BLOCK_BYTES: usize = 16;
/// So many tweaks are computed ahead: those of one large sector, or of several small ones. They and the data that they
/// belong to stay in the first cache.
const BATCH_BLOCKS: usize = SectorSize::B4096.bytes() / BLOCK_BYTES;

/// The portable kernel, for any block cipher of 16-byte blocks that takes several of them at once.
pub(crate) struct Batched<C> {
    data: C,
    tweak: C,
}

impl<C: KeyInit> Batched<C> {
    /// # Panics
    /// When the cipher takes no keys of these lengths.
    pub(crate) fn new(data_key: &[u8], tweak_key: &[u8]) -> Self {
        let expand = |key| C::new_from_slice(key).expect("the length of the key was checked");
        Self {
            data: expand(data_key),
            tweak: expand(tweak_key),
        }
    }
}

impl<C> XtsKernel for Batched<C>
where
    C: BlockCipherDecrypt + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync,
{
    fn apply(&self, direction: Direction, ivs: &mut [u8], unit_bytes: usize, data: &mut [u8]) {
        let (ivs, _) = Array::slice_as_chunks_mut(ivs);
        let (data, rest) = Array::slice_as_chunks_mut(data);
        assert!(
            rest.is_empty() && data.len() * BLOCK_BYTES == ivs.len() * unit_bytes,
            "one IV for each whole unit"
        );
        self.tweak.encrypt_blocks(ivs);
        let pass = Pass {
            seeds: ivs,
            unit_blocks: unit_bytes / BLOCK_BYTES,
            data,
        };
        match direction {
            Direction::Encrypt => self.data.encrypt_with_backend(pass),
            Direction::Decrypt => self.data.decrypt_with_backend(pass),
        }
    }

    fn name(&self) -> &'static str {
        PORTABLE
    }
}

/// One pass over some units. It runs inside the cipher's own function, so that it is compiled for the processor that the
/// cipher found, wide vectors and all; hence `inline(always)` on everything here.
struct Pass<'a> {
    /// T\[0\] of each unit.
    seeds: &'a [Block<Self>],
    unit_blocks: usize,
    data: &'a mut [Block<Self>],
}

impl BlockSizeUser for Pass<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Pass<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        self.run(&Encryptor(backend));
    }
}

impl BlockCipherDecClosure for Pass<'_> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        self.run(&Decryptor(backend));
    }
}

/// A backend of the cipher crate in one direction.
trait OneWay {
    type Backend: ParBlocksSizeUser<BlockSize = U16>;

    fn par_blocks(&self, blocks: &mut ParBlocks<Self::Backend>);
    fn tail_blocks(&self, blocks: &mut [Block<Self::Backend>]);
}

struct Encryptor<'a, B>(&'a B);

impl<B: BlockCipherEncBackend<BlockSize = U16>> OneWay for Encryptor<'_, B> {
    type Backend = B;

    #[inline(always)]
    fn par_blocks(&self, blocks: &mut ParBlocks<B>) {
        self.0.encrypt_par_blocks(blocks.into());
    }

    #[inline(always)]
    fn tail_blocks(&self, blocks: &mut [Block<B>]) {
        self.0.encrypt_tail_blocks(InOutBuf::from(blocks));
    }
}

struct Decryptor<'a, B>(&'a B);

impl<B: BlockCipherDecBackend<BlockSize = U16>> OneWay for Decryptor<'_, B> {
    type Backend = B;

    #[inline(always)]
    fn par_blocks(&self, blocks: &mut ParBlocks<B>) {
        self.0.decrypt_par_blocks(blocks.into());
    }

    #[inline(always)]
    fn tail_blocks(&self, blocks: &mut [Block<B>]) {
        self.0.decrypt_tail_blocks(InOutBuf::from(blocks));
    }
}

impl Pass<'_> {
    #[inline(always)]
    fn run<W: OneWay>(self, cipher: &W) {
        let mut scratch = [0; BATCH_BLOCKS];
        let mut seeds = self.seeds.iter().map(|seed| u128::from_le_bytes(seed.0));
        // Whole units go into a batch together; a unit that is longer than a batch continues in the next one.
        let group_blocks = (BATCH_BLOCKS / self.unit_blocks).max(1) * self.unit_blocks;
        for group in self.data.chunks_mut(group_blocks) {
            let mut continued = None;
            for batch in group.chunks_mut(BATCH_BLOCKS) {
                let tweaks = &mut scratch[..batch.len()];
                for unit in tweaks.chunks_mut(self.unit_blocks) {
                    let first =
                        continued.unwrap_or_else(|| seeds.next().expect("an IV for each unit"));
                    let next = fill_tweaks(first, unit);
                    continued = (self.unit_blocks > BATCH_BLOCKS).then_some(next);
                }
                whiten_around(cipher, tweaks, batch);
            }
        }
        wipe(&mut scratch, 0);
    }
}

/// E(block ^ tweak) ^ tweak for each block.
#[inline(always)]
fn whiten_around<W: OneWay>(cipher: &W, tweaks: &[u128], blocks: &mut [Block<W::Backend>]) {
    let width = <W::Backend as ParBlocksSizeUser>::ParBlocksSize::USIZE;
    let (par_blocks, tail) = ParBlocks::<W::Backend>::slice_as_chunks_mut(blocks);
    let (par_tweaks, tail_tweaks) = tweaks.split_at(par_blocks.len() * width);
    for (blocks, tweaks) in par_blocks.iter_mut().zip(par_tweaks.chunks_exact(width)) {
        whiten(blocks, tweaks);
        cipher.par_blocks(blocks);
        whiten(blocks, tweaks);
    }
    whiten(tail, tail_tweaks);
    cipher.tail_blocks(tail);
    whiten(tail, tail_tweaks);
}

#[inline(always)]
fn whiten(blocks: &mut [Array<u8, U16>], tweaks: &[u128]) {
    for (block, tweak) in blocks.iter_mut().zip(tweaks) {
        block.0 = (u128::from_le_bytes(block.0) ^ tweak).to_le_bytes();
    }
}

/// T\[0\], T\[1\], ... and the tweak after the last.
#[inline(always)]
fn fill_tweaks(first: u128, tweaks: &mut [u128]) -> u128 {
    let mut next = first;
    for tweak in tweaks {
        *tweak = next;
        next = double(next);
    }
    next
}

/// t * x modulo x^128 + x^7 + x^2 + x + 1, without a branch on the secret.
#[inline(always)]
pub(crate) fn double(t: u128) -> u128 {
    (t << 1) ^ (0x87 & 0_u128.wrapping_sub(t >> 127))
}
