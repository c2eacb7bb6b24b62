//! Every reference that an image has, once.

use std::io;
use std::ops::Range;

use super::count::Counts;
use super::{Checked, PIECE, Problem, Use, is_copied};
use crate::header::{Crypt, Header};
use crate::image::Image;
use crate::table::{self, Place};

/// Bits 9 to 63.
const REFCOUNT_BLOCK: u64 = !0x1ff;

pub(super) struct Walk<'a> {
    pub(super) image: &'a Image,
    pub(super) len: u64,
    /// Entries are judged once, however often they are counted.
    pub(super) is_first: bool,
    /// How many bytes of tables may still be looked at.
    pub(super) work: &'a mut u64,
    pub(super) counts: &'a mut Counts,
    pub(super) checked: &'a mut Checked,
}

impl Walk<'_> {
    /// All of them; `false` where that would be too many.
    pub(super) fn all(&mut self) -> io::Result<bool> {
        let header = self.image.header().clone();
        let cluster = header.cluster_bytes();
        self.add(0..1, Use::Header);
        let end = u64::from(header.refcount_table_clusters) * cluster;
        let table = header.refcount_table_offset..header.refcount_table_offset + end;
        self.add(table.clone(), Use::RefcountTable);
        if let Crypt::Luks(range) = &header.crypt {
            self.add(range.clone(), Use::Luks);
        }
        self.add(self.image.snapshot_table(), Use::Snapshots);
        if !self.refcounts(&header, table)? {
            return Ok(false);
        }
        if !self.disk()? {
            return Ok(false);
        }
        for snapshot in self.image.snapshots() {
            let table = (snapshot.l1_offset, snapshot.l1_entries, snapshot.size);
            if !self.l1(&header, table, false)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Those of the disk as it is now.
    pub(super) fn disk(&mut self) -> io::Result<bool> {
        let header = self.image.header().clone();
        if self.is_first {
            self.checked.clusters.total = header.size.div_ceil(header.cluster_bytes());
        }
        let active = (header.l1_offset, header.l1_entries, header.size);
        if !self.l1(&header, active, true)? {
            return Ok(false);
        }
        if self.is_first {
            let found = &mut self.checked.clusters;
            let there = found.data + found.compressed + found.zeros;
            found.absent = found.total.saturating_sub(there);
        }
        Ok(true)
    }

    /// Refcounts of the clusters that are counted, and the blocks that have them.
    fn refcounts(&mut self, header: &Header, table: Range<u64>) -> io::Result<bool> {
        let cluster = header.cluster_bytes();
        let per_block = (cluster * 8) >> header.refcount_order;
        let wanted = self.counts.clusters();
        let mut at = table.start;
        let mut buffer = vec![0; PIECE];
        while at < table.end {
            let piece = self.piece(&mut buffer, at, table.end)?;
            if !self.spend(piece.len()) {
                return Ok(false);
            }
            for (index, word) in (0_u64..).zip(piece.chunks_exact(8)) {
                let entry = be64(word);
                let place = at + index * 8;
                let block = entry & REFCOUNT_BLOCK;
                if block == 0 {
                    continue;
                }
                if !self.is_cluster(header, block) || block + cluster > self.len {
                    self.entry("refcount table", place, entry, NOWHERE);
                    continue;
                }
                self.add(block..block + cluster, Use::RefcountBlock);
                let first = (place - table.start) / 8 * per_block;
                if first < wanted.end && first.saturating_add(per_block) > wanted.start {
                    if !self.spend(usize::try_from(cluster).unwrap_or(usize::MAX)) {
                        return Ok(false);
                    }
                    self.block(header, block, first)?;
                }
            }
            at += piece.len() as u64;
        }
        Ok(true)
    }

    fn block(&mut self, header: &Header, block: u64, first: u64) -> io::Result<()> {
        let bytes = usize::try_from(header.cluster_bytes()).unwrap_or(0);
        let mut all = vec![0; bytes];
        self.image.storage().read_at(block, &mut all)?;
        let bits = 1_usize << header.refcount_order;
        let mut cluster = first;
        if bits >= 8 {
            for entry in all.chunks_exact(bits / 8) {
                let value = entry
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                self.counts.set_refcount(cluster, value);
                cluster += 1;
            }
            return Ok(());
        }
        let mask = (1_u8 << bits) - 1;
        for byte in all {
            // The first of a byte's has its lowest bits.
            for shift in (0..8).step_by(bits) {
                self.counts
                    .set_refcount(cluster, (byte >> shift & mask).into());
                cluster += 1;
            }
        }
        Ok(())
    }

    /// An L1 table and all that it leads to.
    fn l1(
        &mut self,
        header: &Header,
        (offset, entries, size): (u64, u32, u64),
        is_active: bool,
    ) -> io::Result<bool> {
        let end = offset + u64::from(entries) * 8;
        self.add(offset..end, Use::L1);
        let covered = header.l2_entries() << header.cluster_bits;
        let mut at = offset;
        let mut buffer = vec![0; PIECE];
        while at < end {
            let piece = self.piece(&mut buffer, at, end)?.to_vec();
            if !self.spend(piece.len()) {
                return Ok(false);
            }
            for (index, word) in (0_u64..).zip(piece.chunks_exact(8)) {
                let (entry, place) = (be64(word), at + index * 8);
                let Some(l2) = table::l2_offset(entry) else {
                    continue;
                };
                if !self.is_cluster(header, l2) || l2 + header.cluster_bytes() > self.len {
                    self.entry("L1", place, entry, NOWHERE);
                    continue;
                }
                self.add(l2..l2 + header.cluster_bytes(), Use::L2);
                if is_active {
                    self.copied("L1", place, entry, l2 >> header.cluster_bits);
                }
                let first = (place - offset) / 8;
                let left = size.saturating_sub(first.saturating_mul(covered));
                if !self.l2(header, l2, left.div_ceil(header.cluster_bytes()), is_active)? {
                    return Ok(false);
                }
            }
            at += piece.len() as u64;
        }
        Ok(true)
    }

    /// An L2 table, of which the first `within` entries are about the disk.
    fn l2(&mut self, header: &Header, l2: u64, within: u64, is_active: bool) -> io::Result<bool> {
        let cluster = header.cluster_bytes();
        let end = l2 + cluster;
        // Nothing is in a hole, which costs no more than to be looked for.
        let data = self.image.storage().data_extent(l2)?;
        if data.is_none_or(|data| data.start >= end) {
            return Ok(self.spend(512));
        }
        let step = usize::try_from(header.l2_entry_bytes()).unwrap_or(8);
        let has_data_file = header.data_file.is_some();
        let mut at = l2;
        let mut buffer = vec![0; PIECE];
        while at < end {
            let piece = self.piece(&mut buffer, at, end)?.to_vec();
            if !self.spend(piece.len()) {
                return Ok(false);
            }
            for (index, words) in (0_u64..).zip(piece.chunks_exact(step)) {
                let place = at + index * step as u64;
                let entry = be64(words);
                let bitmap = if step == 16 { be64(&words[8..]) } else { 0 };
                let counts = is_active && (place - l2) / (step as u64) < within;
                self.cluster(header, place, (entry, bitmap), counts, is_active);
                if let Some(host) = table::host(header, entry).filter(|_| !has_data_file) {
                    if !self.is_cluster(header, host) {
                        self.entry("L2", place, entry, NOWHERE);
                        continue;
                    }
                    self.add(host..host + cluster, Use::Data);
                    if is_active {
                        self.copied("L2", place, entry, host >> header.cluster_bits);
                    }
                }
            }
            at += piece.len() as u64;
        }
        Ok(true)
    }

    /// What an L2 entry says of its cluster.
    fn cluster(
        &mut self,
        header: &Header,
        place: u64,
        (entry, bitmap): (u64, u64),
        counts: bool,
        is_active: bool,
    ) {
        let parts = if header.has_extended_l2 { 32 } else { 1 };
        let mut seen = [false; 4];
        for part in 0..parts {
            match table::place(header, entry, bitmap, part) {
                Ok(Place::At(_)) => seen[0] = true,
                Ok(Place::Compressed(offset, bytes)) => {
                    if seen[1] {
                        continue;
                    }
                    seen[1] = true;
                    let end = offset.saturating_add(bytes as u64);
                    if offset >= self.len {
                        self.entry("L2", place, entry, NOWHERE);
                    } else {
                        self.add(offset..end.min(self.len), Use::Compressed);
                    }
                    if is_active && is_copied(entry) {
                        self.entry(
                            "L2",
                            place,
                            entry,
                            "is compressed, and is said to have one user",
                        );
                    }
                }
                Ok(Place::Zero) => seen[2] = true,
                Ok(Place::Unallocated) => {}
                Err(reason) => {
                    self.entry("L2", place, entry, reason);
                    return;
                }
            }
        }
        if !counts || !self.is_first {
            return;
        }
        let clusters = &mut self.checked.clusters;
        match seen {
            [true, ..] => clusters.data += 1,
            [_, true, ..] => clusters.compressed += 1,
            [_, _, true, _] => clusters.zeros += 1,
            _ => {}
        }
    }

    /// The mark of what has one user, held against the refcount.
    fn copied(&mut self, table: &'static str, at: u64, entry: u64, cluster: u64) {
        let Some(refcount) = self.counts.refcount(cluster) else {
            return;
        };
        let reason = match (is_copied(entry), refcount) {
            // That its refcount is too small is told of the cluster.
            (true, 0 | 1) | (false, 0 | 2..) => return,
            (true, _) => "is said to have one user, and its refcount is more",
            (false, 1) => "is not said to have one user, and its refcount is 1",
        };
        // The clusters are each in one window.
        self.checked.add(Problem::Entry {
            table,
            at,
            entry,
            reason,
        });
    }

    fn entry(&mut self, table: &'static str, at: u64, entry: u64, reason: &'static str) {
        if self.is_first {
            self.checked.add(Problem::Entry {
                table,
                at,
                entry,
                reason,
            });
        }
    }

    /// Whether a cluster of the file begins there.
    fn is_cluster(&self, header: &Header, offset: u64) -> bool {
        offset.is_multiple_of(header.cluster_bytes()) && offset < self.len
    }

    fn add(&mut self, range: Range<u64>, as_what: Use) {
        let bits = self.image.header().cluster_bits;
        if range.start >= range.end {
            return;
        }
        let wanted = self.counts.clusters();
        let first = (range.start >> bits).max(wanted.start);
        let last = ((range.end - 1) >> bits).saturating_add(1).min(wanted.end);
        for cluster in first..last {
            self.counts.add(cluster, as_what);
        }
    }

    fn piece<'b>(&self, buffer: &'b mut [u8], at: u64, end: u64) -> io::Result<&'b [u8]> {
        let bytes = (end - at).min(buffer.len() as u64);
        let piece = &mut buffer[..usize::try_from(bytes).unwrap_or(0)];
        self.image.storage().read_at(at, piece)?;
        Ok(piece)
    }

    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.work.checked_sub(bytes as u64);
        *self.work = left.unwrap_or(0);
        left.is_some()
    }
}

const NOWHERE: &str = "leads to no cluster of the file";

fn be64(bytes: &[u8]) -> u64 {
    bytes[..8]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
