//! What was changed is told to the tables: in which order, and what is waited for.

use std::io;
use std::ops::Range;

use volume::Storage;

use super::refcounts::Refcounts;
use super::{Live, MOST_WAITING, bytes_of};
use crate::header::{Header, MAX_REFCOUNT_TABLE_BYTES};
use crate::lock;
use crate::table::{COPIED, Entry};

/// What is known of the refcounts on the disk.
pub(super) struct Committer {
    refcounts: Refcounts,
    /// Clusters of the file below this one have theirs.
    counted: u64,
    /// A sync has failed: what was written before it may be lost, whatever a later one says.
    is_lost: bool,
}

/// What leads to new places, once it is written.
#[derive(Default)]
struct Tables {
    /// Entries of L2 tables, by where they lie.
    entries: Vec<(u64, Entry)>,
    /// The same of the L1 table.
    links: Vec<(u64, u64)>,
    /// Clusters that lose a user.
    left: Vec<u64>,
}

/// New parts of the refcounts.
#[derive(Default)]
struct Counting {
    /// The blocks, by their numbers.
    blocks: Vec<(u64, u64)>,
    /// A longer table.
    table: Option<Range<u64>>,
}

impl Committer {
    pub(super) fn new(header: &Header, storage: &dyn Storage) -> io::Result<Self> {
        let refcounts = Refcounts::new(header);
        Ok(Self {
            counted: refcounts.end(storage)?,
            refcounts,
            is_lost: false,
        })
    }

    pub(super) fn counted(&self) -> u64 {
        self.counted
    }

    fn sync(&mut self, storage: &dyn Storage) -> io::Result<()> {
        storage.sync().inspect_err(|_| self.is_lost = true)
    }
}

impl Live {
    /// Tells the tables of so many changes that memory does not grow.
    pub(super) fn commit_if_much(&self) -> io::Result<()> {
        if self.changes.waiting() < MOST_WAITING {
            return Ok(());
        }
        let mut committer = lock(&self.committer);
        if self.changes.waiting() < MOST_WAITING {
            return Ok(());
        }
        self.commit_with(&mut committer)
    }

    /// Makes all that was written durable, and has the tables lead there.
    pub(super) fn commit(&self) -> io::Result<()> {
        self.commit_with(&mut lock(&self.committer))
    }

    fn commit_with(&self, committer: &mut Committer) -> io::Result<()> {
        if committer.is_lost {
            let message = "an earlier sync has failed: what was written before it may be lost";
            return Err(io::Error::other(message));
        }
        let going = self.changes.go();
        let mut left = going.left;
        if going.entries.is_empty() && left.is_empty() {
            return committer.sync(&*self.storage);
        }
        match self.write_all(&going.entries, committer) {
            Ok(also) => {
                self.changes.done();
                left.extend(also);
            }
            Err(error) => {
                self.changes.failed(left);
                return Err(error);
            }
        }
        self.lower(&left, committer)
    }

    /// The refcounts and all tables: what is left then.
    fn write_all(
        &self,
        entries: &[(u64, Entry)],
        committer: &mut Committer,
    ) -> io::Result<Vec<u64>> {
        let storage = &*self.storage;
        let mut taken = Vec::new();
        let prepared = self
            .write_tables(entries, &mut taken)
            .and_then(|tables| Ok((tables, self.write_counts(committer, &mut taken)?)));
        // Nothing leads to any of that yet.
        let (mut tables, (counting, end)) = prepared.inspect_err(|_| {
            while let Some(clusters) = taken.pop() {
                self.changes.give_up(clusters);
            }
        })?;
        committer.sync(storage)?;
        self.link_counts(committer, counting, &mut tables.left)?;
        committer.counted = end;

        self.write_entries(&tables.entries)?;
        for (at, entry) in &tables.links {
            storage.write_at(*at, &entry.to_be_bytes())?;
            self.view.forget(*at..at + 8);
        }
        committer.sync(storage)?;
        Ok(tables.left)
    }

    fn take(&self, clusters: u64, taken: &mut Vec<Range<u64>>) -> u64 {
        let first = self.changes.take(clusters);
        taken.push(first..first + clusters);
        first << self.header().cluster_bits
    }

    /// Writes whole L2 tables where there is none yet, or one that snapshots have too: the rest is still to be written.
    fn write_tables(
        &self,
        entries: &[(u64, Entry)],
        taken: &mut Vec<Range<u64>>,
    ) -> io::Result<Tables> {
        let header = self.header();
        let (per_table, entry_bytes) = (header.l2_entries(), header.l2_entry_bytes());
        let mut tables = Tables::default();
        for group in entries.chunk_by(|one, other| one.0 / per_table == other.0 / per_table) {
            let (l1_at, l1) = self.view.l1(group[0].0)?;
            let old = self.view.l2(group[0].0)?;
            let within = |cluster: u64| cluster % per_table * entry_bytes;
            if let Some(l2) = old.filter(|_| l1 & COPIED != 0) {
                let places = group.iter().map(|(at, entry)| (l2 + within(*at), *entry));
                tables.entries.extend(places);
                continue;
            }
            let mut bytes = vec![0; bytes_of(header.cluster_bytes())];
            if let Some(l2) = old {
                self.storage.read_at(l2, &mut bytes)?;
                tables.left.push(l2 >> header.cluster_bits);
            }
            for (at, entry) in group {
                self.put_entry(&mut bytes[bytes_of(within(*at))..], *entry);
            }
            let l2 = self.take(1, taken);
            self.storage.write_at(l2, &bytes)?;
            self.view.grow(l2 + header.cluster_bytes());
            self.view.forget(l2..l2 + header.cluster_bytes());
            tables.links.push((l1_at, l2 | COPIED));
        }
        Ok(tables)
    }

    fn put_entry(&self, bytes: &mut [u8], entry: Entry) {
        bytes[..8].copy_from_slice(&entry.word.to_be_bytes());
        if self.header().has_extended_l2 {
            bytes[8..16].copy_from_slice(&entry.bitmap.to_be_bytes());
        }
    }

    /// Writes entries into tables that nobody else has, those that lie side by side as one.
    fn write_entries(&self, entries: &[(u64, Entry)]) -> io::Result<()> {
        let bytes = self.header().l2_entry_bytes();
        for run in entries.chunk_by(|one, other| one.0 + bytes == other.0) {
            let mut data = vec![0; bytes_of(run.len() as u64 * bytes)];
            for (place, (_, entry)) in data.chunks_exact_mut(bytes_of(bytes)).zip(run) {
                self.put_entry(place, *entry);
            }
            let start = run[0].0;
            self.storage.write_at(start, &data)?;
            self.view.forget(start..start + data.len() as u64);
        }
        Ok(())
    }

    /// Says of all clusters that were taken that they are used, up to one that is told. Blocks and tables for that are
    /// taken too, and nothing leads to those yet.
    fn write_counts(
        &self,
        committer: &Committer,
        taken: &mut Vec<Range<u64>>,
    ) -> io::Result<(Counting, u64)> {
        let (storage, header) = (&*self.storage, self.header());
        let (counts, counted) = (&committer.refcounts, committer.counted);
        let per_block = counts.per_block();
        let mut counting = Counting::default();
        let mut entries = counts.entries();
        let mut number = counted / per_block;
        let end = loop {
            let end = self.changes.next().max(counted);
            // Blocks that are needed for those that were taken for blocks come later, if not now.
            if number * per_block >= end {
                break end;
            }
            if counts.block(storage, number)?.is_none() {
                if number >= entries {
                    entries = self.longer(number, entries)?;
                    let clusters = (entries * 8) >> header.cluster_bits;
                    let table = self.take(clusters, taken);
                    counting.table = Some(table..table + entries * 8);
                }
                let block = self.take(1, taken);
                counting.blocks.push((number, block));
            }
            number += 1;
        };
        for number in counted / per_block..number {
            let first = number * per_block;
            let used = counted.max(first) - first..end.min(first + per_block) - first;
            if used.is_empty() {
                continue;
            }
            let new = counting.blocks.iter().find(|(one, _)| *one == number);
            let block = match new {
                Some((_, block)) => {
                    let zeros = vec![0; bytes_of(header.cluster_bytes())];
                    storage.write_at(*block, &zeros)?;
                    Some(*block)
                }
                None => counts.block(storage, number)?,
            };
            if let Some(block) = block {
                counts.use_once(storage, block, used)?;
            }
        }
        if let Some(table) = &counting.table {
            let mut bytes = vec![0; bytes_of(table.end - table.start)];
            let old = bytes_of(counts.table.end - counts.table.start);
            storage.read_at(counts.table.start, &mut bytes[..old])?;
            for (number, block) in &counting.blocks {
                let at = bytes_of(number * 8);
                bytes[at..at + 8].copy_from_slice(&block.to_be_bytes());
            }
            storage.write_at(table.start, &bytes)?;
        }
        Ok((counting, end))
    }

    /// How many entries a refcount table gets that has to have number `number`.
    fn longer(&self, number: u64, entries: u64) -> io::Result<u64> {
        let cluster = self.header().cluster_bytes();
        let most = MAX_REFCOUNT_TABLE_BYTES.max(cluster) / 8;
        // It has to have the blocks that count itself too.
        let wanted = (number + 1 + number / 8).max(entries * 2);
        let longer = (wanted * 8).next_multiple_of(cluster) / 8;
        if number >= most {
            let message =
                "no more clusters can be counted: the refcount table is as long as it may be";
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        Ok(longer.min(most))
    }

    /// Has the refcount table lead to new blocks, or the header to a new table, and waits for that.
    fn link_counts(
        &self,
        committer: &mut Committer,
        counting: Counting,
        left: &mut Vec<u64>,
    ) -> io::Result<()> {
        let storage = &*self.storage;
        let bits = self.header().cluster_bits;
        if let Some(table) = counting.table {
            let clusters = u32::try_from((table.end - table.start) >> bits).unwrap_or(u32::MAX);
            let mut field = [0; 12];
            field[..8].copy_from_slice(&table.start.to_be_bytes());
            field[8..].copy_from_slice(&clusters.to_be_bytes());
            storage.write_at(REFCOUNT_TABLE_FIELD, &field)?;
            committer.sync(storage)?;
            let old = std::mem::replace(&mut committer.refcounts.table, table);
            left.extend(old.start >> bits..old.end >> bits);
        } else if !counting.blocks.is_empty() {
            for (number, block) in counting.blocks {
                let at = committer.refcounts.table.start + number * 8;
                storage.write_at(at, &block.to_be_bytes())?;
            }
            committer.sync(storage)?;
        }
        Ok(())
    }

    /// Says that clusters have lost a user. What nobody uses any more gives its room back.
    fn lower(&self, left: &[u64], committer: &Committer) -> io::Result<()> {
        let (storage, header) = (&*self.storage, self.header());
        for (index, cluster) in left.iter().enumerate() {
            let lowered = committer.refcounts.lower(storage, *cluster);
            let users = lowered.inspect_err(|_| {
                self.changes.failed(left[index..].to_vec());
            })?;
            if users == Some(0) {
                let (start, bytes) = (cluster << header.cluster_bits, header.cluster_bytes());
                // Room that is not given back is no loss.
                let _ = storage.punch_hole(start, bytes);
            }
        }
        Ok(())
    }
}

/// Where the header says where the refcount table lies, and how many clusters it has.
const REFCOUNT_TABLE_FIELD: u64 = 48;
