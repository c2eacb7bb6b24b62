//! The zone that a reencryption was writing when it was cut off, where hashes tell which of its blocks are still old.

use std::io;
use std::sync::Arc;

use dmcrypt::{HashAlgorithm, SECTOR_BYTES, SectorCipher};
use volume::{HeaderLock, LockMode, Storage};

use crate::error::{Error, Unfinished};
use crate::number::to_usize;

/// Its plaintext, as a storage that is only read.
pub(super) struct Zone {
    /// What it lies in.
    pub(super) data: Arc<dyn Storage>,
    /// Where.
    pub(super) start: u64,
    /// Its length; only its last block may be cut off.
    pub(super) bytes: u64,
    /// Bytes of a block.
    pub(super) block_bytes: u64,
    /// The hashes of the old blocks.
    pub(super) sums: BlockSums,
    /// How old blocks are encrypted, if they are.
    pub(super) old: Option<ZoneCipher>,
    /// How new blocks are.
    pub(super) new: Option<ZoneCipher>,
    /// Whether a last block that is cut off is old.
    pub(super) cut_block: Option<bool>,
}

/// Hashes of blocks, one behind another.
pub(super) struct BlockSums {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) start: u64,
    pub(super) hash: HashAlgorithm,
}

/// How the bytes of the zone are encrypted, by the IV of its first sector.
pub(super) struct ZoneCipher {
    pub(super) cipher: Arc<dyn SectorCipher>,
    pub(super) first_iv_sector: u64,
}

impl Zone {
    /// Finds out which a last block is that the data does not fill. Its hash is one of more than is there: whoever made it
    /// had the bytes before it in memory, and behind them what was left there of the zone before, as it had been written.
    /// `position` is that of the zone in the volume.
    pub(super) fn judged(self, position: u64, data_bytes: u64) -> Result<Self, Error> {
        let cut = self.bytes.checked_rem(self.block_bytes).unwrap_or(0);
        if cut == 0 {
            return Ok(self);
        }
        let failed = || Error::io("read the last block that a reencryption was writing");
        let first = self.bytes.saturating_sub(cut);
        let at = self.start.saturating_add(first);
        let block = first.checked_div(self.block_bytes).unwrap_or(0);
        let sum = self.sums.read(block, 1).map_err(failed())?;
        let mut bytes = vec![0; to_usize(self.block_bytes)];
        let (head, rest) = bytes.split_at_mut(to_usize(cut));
        self.data.read_at(at, head).map_err(failed())?;
        let is_sum_of = |tail: Option<&[u8]>| {
            let tail = tail.unwrap_or(&[]);
            *self.sums.hash.digest(&[head, tail]) == *sum
        };
        let mut is_old = is_sum_of(None) || is_sum_of(Some(rest));
        // Zones are alike, so that the one before is as long as any number of them up to here is.
        let blocks = position.checked_div(self.block_bytes).unwrap_or(0);
        let mut tries = (1..=blocks.min(MOST_BLOCKS))
            .filter(|count| blocks.checked_rem(*count) == Some(0))
            .map(|count| count.saturating_mul(self.block_bytes))
            .filter(|zone| *zone > first);
        while !is_old && let Some(zone) = tries.next() {
            let Some(before) = self.start.checked_sub(zone) else {
                break;
            };
            let from = before.saturating_add(first).saturating_add(cut);
            self.data.read_at(from, rest).map_err(failed())?;
            is_old = is_sum_of(Some(rest));
        }
        let end = at.saturating_add(self.block_bytes);
        // A block that was written made the data fill it.
        if !is_old && data_bytes < end {
            let end = at.saturating_add(cut);
            return Err(Unfinished::Unprotected { start: at, end }.into());
        }
        Ok(Self {
            cut_block: Some(is_old),
            ..self
        })
    }

    /// Decrypts whole blocks from block `first` on, each as what it is.
    fn decrypt(&self, first: u64, bytes: &mut [u8]) -> io::Result<()> {
        let block_bytes = to_usize(self.block_bytes);
        let count = bytes.len().div_ceil(block_bytes);
        let sums = self.sums.read(first, count)?;
        let sums = sums.chunks_exact(self.sums.hash.digest_bytes());
        for (index, (block, sum)) in (first..).zip(bytes.chunks_mut(block_bytes).zip(sums)) {
            let is_old = match self.cut_block {
                Some(is_old) if block.len() < block_bytes => is_old,
                _ => *self.sums.hash.digest(&[block]) == *sum,
            };
            let cipher = if is_old { &self.old } else { &self.new };
            if let Some(ZoneCipher {
                cipher,
                first_iv_sector,
            }) = cipher
            {
                let sector = index
                    .saturating_mul(self.block_bytes)
                    .checked_div(SECTOR_BYTES);
                cipher.decrypt(first_iv_sector.wrapping_add(sector.unwrap_or(0)), block);
            }
        }
        Ok(())
    }
}

/// Zones are no longer than 1 GiB, which is so many blocks of 512 bytes.
const MOST_BLOCKS: u64 = 1 << 21;

/// What is read at a time, unless a block is more.
const CHUNK_BYTES: u64 = 256 << 10;

impl BlockSums {
    fn read(&self, first: u64, count: usize) -> io::Result<Vec<u8>> {
        let sum_bytes = self.hash.digest_bytes();
        let mut sums = vec![0; count.saturating_mul(sum_bytes)];
        let offset = first.saturating_mul(u64::try_from(sum_bytes).unwrap_or(u64::MAX));
        self.storage
            .read_at(self.start.saturating_add(offset), &mut sums)?;
        Ok(sums)
    }
}

impl Storage for Zone {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let length = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        let end = offset.checked_add(length).filter(|end| *end <= self.bytes);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut scratch = Vec::new();
        let mut position = offset;
        while position < end {
            let block = position.checked_div(self.block_bytes).unwrap_or(0);
            let start = block.saturating_mul(self.block_bytes);
            let chunk = CHUNK_BYTES.max(self.block_bytes);
            let until = start
                .saturating_add(chunk)
                .min(end.next_multiple_of(self.block_bytes))
                .min(self.bytes);
            scratch.resize(to_usize(until.saturating_sub(start)), 0);
            self.data
                .read_at(self.start.saturating_add(start), &mut scratch)?;
            self.decrypt(block, &mut scratch)?;
            let stop = until.min(end);
            let (from, to) = (position.saturating_sub(offset), stop.saturating_sub(offset));
            let (within, behind) = (position.saturating_sub(start), stop.saturating_sub(start));
            buf[to_usize(from)..to_usize(to)]
                .copy_from_slice(&scratch[to_usize(within)..to_usize(behind)]);
            position = stop;
        }
        Ok(())
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.data.lock(mode)
    }
}
