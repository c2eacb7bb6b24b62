//! Argon2 (RFC 9106), version 1.3, without secret and associated data: lanes on threads, cancelled between blocks.
//!
//! The memory lies slice by slice, and in a slice lane by lane, so that the segments which are filled at the same time are
//! neighbours and everything they may read lies before and behind them.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "costs are checked first: no count of blocks exceeds 2^32, and indices stay within the memory"
)]

use blake2::Blake2bVarCore;
use digest::Output;
use digest::block_api::{UpdateCore, VariableOutputCore};
use digest::block_buffer::LazyBuffer;
use zeroize::{Zeroize, Zeroizing, optimization_barrier};

use super::{Argon2Variant, Effort, KdfError};
use crate::low::mixing::{Block, Mixer};
use crate::low::pages::Pages;
use crate::number::{to_u64, to_usize};

/// Slices of each pass.
const SLICES: usize = 4;
const BLOCK_BYTES: usize = 1024;
/// Words of a block.
const WORDS: usize = BLOCK_BYTES / 8;
const VERSION: u32 = 0x13;

/// Blocks between two looks at the caller's cancellation: about a millisecond.
const BLOCKS_PER_LOOK: usize = 1024;

/// Blocks of a slice below which another thread takes longer to start than it saves.
const BLOCKS_FOR_A_THREAD: usize = 256;

/// The costs of one derivation.
#[derive(Clone, Copy)]
pub(super) struct Costs {
    pub(super) variant: Argon2Variant,
    pub(super) time: u32,
    pub(super) memory_kib: u32,
    pub(super) lanes: u32,
}

/// Fills `out`. The caller wipes the stack.
#[inline(never)]
pub(super) fn argon2(
    costs: Costs,
    secret: &[u8],
    salt: &[u8],
    out: &mut [u8],
    effort: Effort<'_>,
) -> Result<(), KdfError> {
    check(costs, salt, out)?;
    let lanes = to_usize(costs.lanes);
    let segment = to_usize(costs.memory_kib) / (SLICES * lanes);
    let out_of_memory = KdfError::OutOfMemory {
        need_kib: costs.memory_kib,
    };
    let mut memory = Pages::new(segment * SLICES * lanes).ok_or(out_of_memory)?;
    let shape = Shape {
        costs,
        lanes,
        segment,
        mixer: Mixer::new(),
    };

    let effort = Effort {
        threads: if segment * lanes < BLOCKS_FOR_A_THREAD {
            1
        } else {
            effort.threads.clamp(1, lanes)
        },
        ..effort
    };
    shape.start(&mut memory, secret, salt, out.len());
    let outcome = shape.fill(&mut memory, effort);
    if outcome.is_ok() {
        shape.finish(&memory, out);
    }
    wipe(&mut memory, effort.threads);
    outcome
}

/// What an early end left as it was is not touched: the kernel would first have to find memory for it.
fn wipe(memory: &mut [Block], threads: usize) {
    let to_the_end = Effort {
        threads,
        cancel: &|| false,
    };
    let share = memory.len().div_ceil(threads);
    let wiped = to_the_end.share_out(memory.chunks_mut(share), |blocks, _| {
        for block in &mut *blocks {
            if block.0 != Block::ZERO.0 {
                block.0.fill(0);
            }
        }
        optimization_barrier(blocks);
    });
    wiped.expect("nobody cancels it");
}

/// What RFC 9106 3.1 allows, and what the reference does: salts of 8 bytes at least.
fn check(costs: Costs, salt: &[u8], out: &[u8]) -> Result<(), KdfError> {
    let problem = if costs.time == 0 {
        "0 Argon2 passes".into()
    } else if !(1..1 << 24).contains(&costs.lanes) {
        format!("{} Argon2 lanes", costs.lanes)
    } else if u64::from(costs.memory_kib) < 8 * u64::from(costs.lanes) {
        format!(
            "{} KiB of Argon2 memory for {} lanes",
            costs.memory_kib, costs.lanes
        )
    } else if salt.len() < 8 {
        format!("an Argon2 salt of {} bytes", salt.len())
    } else if out.len() < 4 {
        format!("an Argon2 key of {} bytes", out.len())
    } else {
        return Ok(());
    };
    Err(KdfError::Parameters(problem))
}

/// How the memory is divided, and what fills it.
struct Shape {
    costs: Costs,
    lanes: usize,
    /// Blocks of a lane in one slice.
    segment: usize,
    mixer: Mixer,
}

impl Shape {
    /// `H_0` (3.2), and the first two blocks of each lane from it.
    fn start(&self, memory: &mut [Block], secret: &[u8], salt: &[u8], out_bytes: usize) {
        let Costs {
            time,
            memory_kib,
            lanes,
            ..
        } = self.costs;
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let numbers = [
            lanes,
            length(out_bytes),
            memory_kib,
            time,
            VERSION,
            self.kind(),
            length(secret.len()),
        ]
        .map(u32::to_le_bytes);
        let salt_length = length(salt.len()).to_le_bytes();
        let mut first = Zeroizing::new([0; 64]);
        // Neither a secret key nor associated data: two lengths of 0.
        let parts = [numbers.as_flattened(), secret, &salt_length, salt, &[0; 8]];
        hash(&parts, &mut *first);
        let mut bytes = Zeroizing::new([0; BLOCK_BYTES]);
        for (lane, segment) in
            (0_u32..).zip(memory[..self.lanes * self.segment].chunks_mut(self.segment))
        {
            for (index, block) in (0_u32..).zip(&mut segment[..2]) {
                let parts = [&first[..], &index.to_le_bytes(), &lane.to_le_bytes()];
                long_hash(&parts, &mut *bytes);
                for (word, bytes) in block.0.iter_mut().zip(bytes.as_chunks().0) {
                    *word = u64::from_le_bytes(*bytes);
                }
            }
        }
    }

    fn fill(&self, memory: &mut [Block], effort: Effort<'_>) -> Result<(), KdfError> {
        let slice_blocks = self.lanes * self.segment;
        for pass in 0..self.costs.time {
            for slice in 0..SLICES {
                let (before, rest) = memory.split_at_mut(slice * slice_blocks);
                let (current, after) = rest.split_at_mut(slice_blocks);
                let turn = Turn {
                    shape: self,
                    pass,
                    slice,
                    before,
                    after,
                };
                let segments = current.chunks_mut(self.segment).enumerate();
                effort.share_out(segments, |(lane, segment), is_over| {
                    turn.fill(lane, segment, is_over);
                })?;
            }
        }
        Ok(())
    }

    /// The XOR of the last blocks of all lanes, hashed.
    fn finish(&self, memory: &[Block], out: &mut [u8]) {
        let mut last = Zeroizing::new(Block::ZERO);
        let slice = &memory[(SLICES - 1) * self.lanes * self.segment..];
        for lane in slice.chunks(self.segment) {
            for (sum, word) in last.0.iter_mut().zip(&lane[self.segment - 1].0) {
                *sum ^= word;
            }
        }
        let mut bytes = Zeroizing::new([0; BLOCK_BYTES]);
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(&last.0) {
            *bytes = word.to_le_bytes();
        }
        long_hash(&[&*bytes], out);
    }

    fn kind(&self) -> u32 {
        match self.costs.variant {
            Argon2Variant::I => 1,
            Argon2Variant::Id => 2,
        }
    }
}

/// One slice in one pass. Its segments are filled independently of each other.
struct Turn<'a> {
    shape: &'a Shape,
    pass: u32,
    slice: usize,
    /// The slices before this one and behind it.
    before: &'a [Block],
    after: &'a [Block],
}

impl Turn<'_> {
    fn fill(&self, lane: usize, segment: &mut [Block], is_over: &(dyn Fn() -> bool + Sync)) {
        let mixer = self.shape.mixer;
        let mut addresses = self.is_independent().then(|| Addresses::new(self, lane));
        let start = if self.pass == 0 && self.slice == 0 {
            2
        } else {
            0
        };
        for index in start..segment.len() {
            if index.is_multiple_of(BLOCKS_PER_LOOK) && is_over() {
                break;
            }
            let (done, rest) = segment.split_at_mut(index);
            let (block, rest) = rest
                .split_first_mut()
                .expect("the index is below the length");
            let previous = match done.last() {
                Some(previous) => previous,
                None => self.elsewhere(
                    (self.slice + SLICES - 1) % SLICES,
                    lane,
                    self.shape.segment - 1,
                ),
            };
            let random = match &mut addresses {
                Some(addresses) => addresses.word(index, mixer),
                None => previous.0[0],
            };
            let (slice, of_lane, place) = self.reference(lane, index, random);
            let reference = if slice != self.slice {
                self.elsewhere(slice, of_lane, place)
            } else if place < index {
                &done[place]
            } else {
                &rest[place - index - 1]
            };
            mixer.mix(previous, reference, block, self.pass > 0);
        }
    }

    /// Whether blocks are addressed independently of the secret (3.4.1).
    fn is_independent(&self) -> bool {
        match self.shape.costs.variant {
            Argon2Variant::I => true,
            Argon2Variant::Id => self.pass == 0 && self.slice < SLICES / 2,
        }
    }

    /// A block of another slice than this.
    fn elsewhere(&self, slice: usize, lane: usize, place: usize) -> &Block {
        let index = |slice| (slice * self.shape.lanes + lane) * self.shape.segment + place;
        if slice < self.slice {
            &self.before[index(slice)]
        } else {
            &self.after[index(slice - self.slice - 1)]
        }
    }

    /// Slice, lane and place of the block that `random` refers to (3.4.2).
    fn reference(&self, lane: usize, index: usize, random: u64) -> (usize, usize, usize) {
        let segment = self.shape.segment;
        let of_lane = if self.pass == 0 && self.slice == 0 {
            lane
        } else {
            to_usize(random >> 32) % self.shape.lanes
        };
        // The slices that are finished, in this pass or the one before.
        let finished = if self.pass == 0 {
            self.slice
        } else {
            SLICES - 1
        } * segment;
        let candidates = if of_lane == lane {
            finished + index - 1
        } else {
            finished - usize::from(index == 0)
        };
        let x = random & u64::from(u32::MAX);
        let x = (x * x) >> 32;
        let back = to_usize((to_u64(candidates) * x) >> 32);
        let oldest = if self.pass == 0 {
            0
        } else {
            (self.slice + 1) * segment
        };
        let place = (oldest + candidates - 1 - back) % (SLICES * segment);
        (place / segment, of_lane, place % segment)
    }
}

/// The numbers of Argon2i, 128 from each block (3.4.1.1).
struct Addresses {
    input: Block,
    output: Zeroizing<Block>,
}

impl Addresses {
    fn new(turn: &Turn<'_>, lane: usize) -> Self {
        let shape = turn.shape;
        let mut input = Block::ZERO;
        input.0[..6].copy_from_slice(&[
            turn.pass.into(),
            to_u64(lane),
            to_u64(turn.slice),
            to_u64(SLICES * shape.lanes * shape.segment),
            shape.costs.time.into(),
            shape.kind().into(),
        ]);
        Self {
            input,
            output: Zeroizing::new(Block::ZERO),
        }
    }

    fn word(&mut self, index: usize, mixer: Mixer) -> u64 {
        // The first segment starts behind its two given blocks, in the middle of the first 128.
        if index.is_multiple_of(WORDS) || self.input.0[6] == 0 {
            self.input.0[6] += 1;
            let mut once = Block::ZERO;
            mixer.mix(&Block::ZERO, &self.input, &mut once, false);
            mixer.mix(&Block::ZERO, &once, &mut self.output, false);
        }
        self.output.0[index % WORDS]
    }
}

/// BLAKE2b of as many bytes as `out` has, 64 at most.
fn hash(parts: &[&[u8]], out: &mut [u8]) {
    let mut core = Blake2bVarCore::new(out.len()).expect("1 to 64 bytes are asked for");
    let mut buffer = LazyBuffer::new(&[]);
    for part in parts {
        buffer.digest_blocks(part, |blocks| core.update_blocks(blocks));
    }
    let mut digest = Output::<Blake2bVarCore>::default();
    core.finalize_variable_core(&mut buffer, &mut digest);
    out.copy_from_slice(&digest[..out.len()]);
    digest.zeroize();
}

/// `H'` (3.3): half of each of a chain of digests, and the whole last one.
fn long_hash(parts: &[&[u8]], out: &mut [u8]) {
    let length = u32::try_from(out.len()).unwrap_or(u32::MAX).to_le_bytes();
    let parts: Vec<_> = std::iter::once(&length[..])
        .chain(parts.iter().copied())
        .collect();
    if out.len() <= 64 {
        return hash(&parts, out);
    }
    let mut v = Zeroizing::new([0; 64]);
    hash(&parts, &mut *v);
    let mut rest = out;
    loop {
        let (half, behind) = rest.split_at_mut(32);
        half.copy_from_slice(&v[..32]);
        rest = behind;
        let last = v.clone();
        if rest.len() <= 64 {
            return hash(&[&*last], rest);
        }
        hash(&[&*last], &mut *v);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// What is given back looks at that: of a derivation that ended, and of one that was ended.
    #[test]
    fn its_memory_is_wiped() {
        for threads in [1, 2] {
            for is_cancelled in [false, true] {
                let costs = Costs {
                    variant: Argon2Variant::Id,
                    time: 2,
                    memory_kib: 16 << 10,
                    lanes: 2,
                };
                let looks = AtomicU32::new(0);
                let cancel = || {
                    let look = looks.fetch_add(1, Ordering::Relaxed);
                    is_cancelled && look > 4
                };
                let effort = Effort {
                    threads,
                    cancel: &cancel,
                };
                let outcome = argon2(costs, b"secret", &[1; 16], &mut [0; 32], effort);
                assert_eq!(outcome.is_err(), is_cancelled);
            }
        }
    }
}
