//! Hashes of blocks, one behind another, by several threads: what tells later which blocks are still as they were.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use dmcrypt::HashAlgorithm;

use crate::buffer::AlignedBuffer;
use crate::error::CopyError;
use crate::span::bytes_of;
use crate::storage::Storage;

/// What is hashed, and how.
pub struct BlockHashes<'a> {
    /// What holds the blocks.
    pub from: &'a dyn Storage,
    /// Their bytes; the last block may be cut off.
    pub range: Range<u64>,
    /// Bytes of a block, above 0.
    pub block_bytes: u64,
    /// The hash.
    pub hash: HashAlgorithm,
    /// Threads that work, this one included.
    pub threads: usize,
}

impl BlockHashes<'_> {
    /// Writes the hashes to `to`, from `at` on. Nothing is synced.
    ///
    /// # Errors
    ///
    /// [`CopyError::Read`] and [`CopyError::Write`], the first that came.
    ///
    /// # Panics
    ///
    /// With blocks of 0 bytes.
    pub fn write(&self, to: &dyn Storage, at: u64) -> Result<(), CopyError> {
        assert!(self.block_bytes > 0, "blocks have bytes");
        let piece = CHUNK_BYTES.next_multiple_of(self.block_bytes);
        let length = self.range.end.saturating_sub(self.range.start);
        let pieces = length.div_ceil(piece);
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let failed = Mutex::new(None);
        let work = || {
            let mut buffer = AlignedBuffer::new(bytes_of(piece.min(length)));
            let mut sums = Vec::new();
            while !stop.load(Ordering::Acquire) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= pieces {
                    break;
                }
                let first = number * piece;
                let bytes = &mut buffer.bytes()[..bytes_of(piece.min(length - first))];
                if let Err(error) = self.piece(first, bytes, &mut sums, to, at) {
                    stop.store(true, Ordering::Release);
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.get_or_insert(error);
                }
            }
        };
        let threads = u64::try_from(self.threads).unwrap_or(1).min(pieces);
        thread::scope(|scope| {
            for _ in 1..threads {
                // Without another thread it only takes longer.
                let _ = thread::Builder::new()
                    .name("block hashes".into())
                    .spawn_scoped(scope, work);
            }
            work();
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Blocks from byte `first` of the range on.
    fn piece(
        &self,
        first: u64,
        bytes: &mut [u8],
        sums: &mut Vec<u8>,
        to: &dyn Storage,
        at: u64,
    ) -> Result<(), CopyError> {
        let offset = self.range.start + first;
        let read = self.from.read_at(offset, bytes);
        read.map_err(|error| CopyError::Read { offset, error })?;
        sums.clear();
        for block in bytes.chunks(bytes_of(self.block_bytes)) {
            sums.extend_from_slice(&self.hash.digest(&[block]));
        }
        let sum_bytes = self.hash.digest_bytes() as u64;
        let offset = (first / self.block_bytes)
            .checked_mul(sum_bytes)
            .and_then(|behind| behind.checked_add(at));
        let offset = offset.ok_or_else(|| CopyError::Write {
            offset: at,
            error: io::ErrorKind::InvalidInput.into(),
        })?;
        let written = to.write_at(offset, sums);
        written.map_err(|error| CopyError::Write { offset, error })
    }
}

/// What a thread hashes at a time, unless a block is more.
const CHUNK_BYTES: u64 = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn hashes_lie_one_behind_another_whatever_the_threads() {
        let data: Vec<u8> = (0..3_000_001u32).map(|byte| (byte % 251) as u8).collect();
        let from = MemoryStorage::from_vec(data.clone());
        for (block_bytes, threads) in [(512, 1), (4096, 3), (1 << 20, 2)] {
            let to = MemoryStorage::new(1 << 20);
            let hashes = BlockHashes {
                from: &from,
                range: 1000..3_000_001,
                block_bytes,
                hash: HashAlgorithm::Sha256,
                threads,
            };
            hashes.write(&to, 100).unwrap();
            for (index, block) in data[1000..].chunks(bytes_of(block_bytes)).enumerate() {
                let mut sum = [0; 32];
                to.read_at(100 + 32 * index as u64, &mut sum).unwrap();
                assert_eq!(sum[..], HashAlgorithm::Sha256.digest(&[block])[..]);
            }
        }
    }
}
