//! AES and AES-XTS over the kernels of one [`Width`].

use super::{
    cpu::AesNi,
    schedule::Schedule,
    width::{PIECE_BYTES, Width},
};
use crate::kernels::{
    block::BlockCipher,
    wipe, xor,
    xts::{BLOCK_BYTES, Direction, XtsKernel},
};

/// AES with a key.
pub(crate) struct Aes<W> {
    width: W,
    encrypt: Schedule,
    decrypt: Schedule,
}

impl<W: Width> Aes<W> {
    /// # Panics
    /// When AES has no such key.
    pub(crate) fn new(width: W, key: &[u8]) -> Self {
        assert!(
            matches!(key.len(), 16 | 24 | 32),
            "AES has no key of {} bytes",
            key.len()
        );
        let [encrypt, decrypt] = Schedule::pair(width.narrow(), key);
        Self {
            width,
            encrypt,
            decrypt,
        }
    }

    fn schedule(&self, direction: Direction) -> &Schedule {
        match direction {
            Direction::Encrypt => &self.encrypt,
            Direction::Decrypt => &self.decrypt,
        }
    }

    /// Each block on its own.
    fn blocks(&self, direction: Direction, blocks: &mut [u8]) {
        apply_blocks(self.width, direction, self.schedule(direction), blocks);
    }
}

/// Each block on its own: wide vectors, what is left narrow ones, which a schedule serves as well, and what is less than
/// a batch of these padded to one.
fn apply_blocks<W: Width>(width: W, direction: Direction, schedule: &Schedule, blocks: &mut [u8]) {
    assert!(
        blocks.len().is_multiple_of(BLOCK_BYTES),
        "a whole number of blocks"
    );
    let rest = whole_batches(width, direction, schedule, blocks);
    let rest = whole_batches(width.narrow(), direction, schedule, rest);
    if !rest.is_empty() {
        let mut padded = [0; AesNi::BATCH_BYTES];
        padded[..rest.len()].copy_from_slice(rest);
        whole_batches(width.narrow(), direction, schedule, &mut padded);
        rest.copy_from_slice(&padded[..rest.len()]);
        wipe(&mut padded, 0);
    }
}

/// As many blocks as fill batches; the others.
fn whole_batches<'a, W: Width>(
    width: W,
    direction: Direction,
    schedule: &Schedule,
    blocks: &'a mut [u8],
) -> &'a mut [u8] {
    let whole = blocks.len() / W::BATCH_BYTES * W::BATCH_BYTES;
    let (batches, rest) = blocks.split_at_mut(whole);
    if !batches.is_empty() {
        width.masked(direction, schedule, None, None, batches);
    }
    rest
}

impl<W: Width> BlockCipher for Aes<W> {
    fn kernel(&self) -> &'static str {
        W::NAME
    }

    fn encrypt_blocks(&self, blocks: &mut [u8]) {
        self.blocks(Direction::Encrypt, blocks);
    }

    fn decrypt_blocks(&self, blocks: &mut [u8]) {
        self.blocks(Direction::Decrypt, blocks);
    }

    fn decrypt_under(&self, masks: &[u8], blocks: &mut [u8]) {
        assert_eq!(masks.len(), blocks.len(), "a mask for each block");
        let whole = blocks.len() / W::BATCH_BYTES * W::BATCH_BYTES;
        let (batches, rest) = blocks.split_at_mut(whole);
        let (batch_masks, rest_masks) = masks.split_at(whole);
        if !batches.is_empty() {
            self.width.masked(
                Direction::Decrypt,
                &self.decrypt,
                None,
                Some(batch_masks),
                batches,
            );
        }
        self.blocks(Direction::Decrypt, rest);
        xor(rest, rest_masks);
    }

    fn encrypt_chains(&self, links: &mut [u8], chain_bytes: usize, data: &mut [u8]) {
        let chains = links.len() / BLOCK_BYTES;
        assert!(
            links.len().is_multiple_of(BLOCK_BYTES) && data.len() == chains * chain_bytes,
            "one IV for each chain"
        );
        for at in (0..chain_bytes).step_by(BLOCK_BYTES) {
            for (link, chain) in links
                .chunks_exact_mut(BLOCK_BYTES)
                .zip(data.chunks_exact(chain_bytes))
            {
                xor(link, &chain[at..at + BLOCK_BYTES]);
            }
            // The few links of a step fill a batch of narrow vectors, and a quarter of one of wide ones.
            apply_blocks(
                self.width.narrow(),
                Direction::Encrypt,
                &self.encrypt,
                links,
            );
            for (link, chain) in links
                .chunks_exact(BLOCK_BYTES)
                .zip(data.chunks_exact_mut(chain_bytes))
            {
                chain[at..at + BLOCK_BYTES].copy_from_slice(link);
            }
        }
    }
}

/// AES-XTS with both keys.
pub(crate) struct AesXts<W> {
    data: Aes<W>,
    tweak: Aes<W>,
}

impl<W: Width> AesXts<W> {
    /// # Panics
    /// When AES has no such keys.
    pub(crate) fn new(width: W, data_key: &[u8], tweak_key: &[u8]) -> Self {
        Self {
            data: Aes::new(width, data_key),
            tweak: Aes::new(width, tweak_key),
        }
    }

    fn whole_pieces(
        &self,
        direction: Direction,
        seeds: &[[u8; BLOCK_BYTES]],
        unit_bytes: usize,
        data: &mut [u8],
    ) {
        if !data.is_empty() {
            let schedule = self.data.schedule(direction);
            self.data
                .width
                .xts(direction, schedule, seeds, unit_bytes, data);
        }
    }

    /// A unit that is no whole number of pieces: its end is padded to one.
    fn odd_unit(&self, direction: Direction, mut seed: [u8; BLOCK_BYTES], unit: &mut [u8]) {
        let pieces = unit.len() / PIECE_BYTES;
        let (whole, rest) = unit.split_at_mut(pieces * PIECE_BYTES);
        self.whole_pieces(direction, &[seed], whole.len(), whole);
        for _ in 0..pieces {
            seed = next_piece(u128::from_le_bytes(seed)).to_le_bytes();
        }
        let mut padded = [0; PIECE_BYTES];
        padded[..rest.len()].copy_from_slice(rest);
        self.whole_pieces(direction, &[seed], PIECE_BYTES, &mut padded);
        rest.copy_from_slice(&padded[..rest.len()]);
        wipe(&mut padded, 0);
        wipe(&mut seed, 0);
    }
}

impl<W: Width> XtsKernel for AesXts<W> {
    fn apply(&self, direction: Direction, ivs: &mut [u8], unit_bytes: usize, data: &mut [u8]) {
        self.tweak.blocks(Direction::Encrypt, ivs);
        let (seeds, _) = ivs.as_chunks();
        assert!(
            data.len() == seeds.len() * unit_bytes,
            "one IV for each whole unit"
        );
        if unit_bytes.is_multiple_of(PIECE_BYTES) {
            self.whole_pieces(direction, seeds, unit_bytes, data);
        } else {
            for (&seed, unit) in seeds.iter().zip(data.chunks_exact_mut(unit_bytes)) {
                self.odd_unit(direction, seed, unit);
            }
        }
    }

    fn name(&self) -> &'static str {
        W::NAME
    }
}

/// t * x^32 modulo x^128 + x^7 + x^2 + x + 1: the first tweak of the next [`PIECE_BYTES`].
fn next_piece(t: u128) -> u128 {
    let over = t >> 96;
    (t << 32) ^ over ^ (over << 1) ^ (over << 2) ^ (over << 7)
}
