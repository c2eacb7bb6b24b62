//! How often clusters of the file are used: `docs/interop/qcow2.txt` of QEMU, "Host cluster management".

use std::io;
use std::ops::Range;

use volume::Storage;

use crate::header::Header;
use crate::view::bad;

/// Bits 9 to 63.
const BLOCK: u64 = !0x1ff;

/// Where the refcounts lie.
#[derive(Clone)]
pub(super) struct Refcounts {
    /// Where their table lies.
    pub(super) table: Range<u64>,
    cluster_bits: u32,
    order: u32,
}

impl Refcounts {
    pub(super) fn new(header: &Header) -> Self {
        let start = header.refcount_table_offset;
        let bytes = u64::from(header.refcount_table_clusters) << header.cluster_bits;
        Self {
            table: start..start + bytes,
            cluster_bits: header.cluster_bits,
            order: header.refcount_order,
        }
    }

    /// Entries of the table.
    pub(super) fn entries(&self) -> u64 {
        (self.table.end - self.table.start) / 8
    }

    /// Clusters that a block counts.
    pub(super) fn per_block(&self) -> u64 {
        (8 << self.cluster_bits) >> self.order
    }

    /// Where the block of this number lies, if there is one.
    pub(super) fn block(&self, storage: &dyn Storage, number: u64) -> io::Result<Option<u64>> {
        if number >= self.entries() {
            return Ok(None);
        }
        let at = self.table.start + number * 8;
        let mut word = [0; 8];
        storage.read_at(at, &mut word)?;
        let entry = u64::from_be_bytes(word);
        match entry & BLOCK {
            0 => Ok(None),
            block if block.is_multiple_of(1 << self.cluster_bits) => Ok(Some(block)),
            _ => Err(bad(format!(
                "refcount table entry {entry:#x} at byte {at} leads to no cluster"
            ))),
        }
    }

    /// Says in the block at `block` that `clusters` of those that it counts are used once.
    pub(super) fn use_once(
        &self,
        storage: &dyn Storage,
        block: u64,
        clusters: Range<u64>,
    ) -> io::Result<()> {
        let at = |index: u64| (index << self.order) / 8;
        let (first, end) = (at(clusters.start), (clusters.end << self.order).div_ceil(8));
        let mut bytes = vec![0; usize::try_from(end - first).unwrap_or(0)];
        if self.order < 3 {
            storage.read_at(block + first, &mut bytes)?;
        }
        for index in clusters {
            let within = usize::try_from(at(index) - first).unwrap_or(0);
            self.put(&mut bytes[within..], index, 1);
        }
        storage.write_at(block + first, &bytes)
    }

    /// One user less of a cluster: how many are left. `None` where nobody was said to use it.
    pub(super) fn lower(&self, storage: &dyn Storage, cluster: u64) -> io::Result<Option<u64>> {
        let Some(block) = self.block(storage, cluster / self.per_block())? else {
            return Ok(None);
        };
        let index = cluster % self.per_block();
        let at = block + (index << self.order) / 8;
        let mut bytes = vec![0; (1 << self.order) / 8_usize];
        if bytes.is_empty() {
            bytes.push(0);
        }
        storage.read_at(at, &mut bytes)?;
        let Some(left) = self.get(&bytes, index).checked_sub(1) else {
            return Ok(None);
        };
        self.put(&mut bytes, index, left);
        storage.write_at(at, &bytes)?;
        Ok(Some(left))
    }

    /// The cluster behind the last one that is used.
    pub(super) fn end(&self, storage: &dyn Storage) -> io::Result<u64> {
        let mut bytes = vec![0; 1 << self.cluster_bits];
        for number in (0..self.entries()).rev() {
            let Some(block) = self.block(storage, number)? else {
                continue;
            };
            storage.read_at(block, &mut bytes)?;
            let mut indices = (0..self.per_block()).rev();
            let used = indices.find(|index| {
                let at = usize::try_from((index << self.order) / 8).unwrap_or(0);
                self.get(&bytes[at..], *index) != 0
            });
            if let Some(index) = used {
                return Ok(number * self.per_block() + index + 1);
            }
        }
        Ok(0)
    }

    /// The refcount at the start of `bytes`; of those that share a byte the one of this index.
    fn get(&self, bytes: &[u8], index: u64) -> u64 {
        if self.order < 3 {
            return u64::from(bytes[0] >> self.shift(index) & self.mask());
        }
        let bytes = &bytes[..(1 << self.order) / 8];
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn put(&self, bytes: &mut [u8], index: u64, refcount: u64) {
        let all = refcount.to_be_bytes();
        if self.order < 3 {
            let (mask, shift) = (self.mask(), self.shift(index));
            bytes[0] = bytes[0] & !(mask << shift) | (all[7] & mask) << shift;
            return;
        }
        let width = (1 << self.order) / 8;
        bytes[..width].copy_from_slice(&all[8 - width..]);
    }

    fn mask(&self) -> u8 {
        u8::MAX >> (8 - (1 << self.order))
    }

    /// The first of a byte's has its lowest bits.
    fn shift(&self, index: u64) -> u32 {
        let in_byte = index % (8 >> self.order);
        u32::try_from(in_byte << self.order).unwrap_or(0)
    }
}
