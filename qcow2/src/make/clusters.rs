//! Which cluster of the file has which of the disk, while an image is made.

use std::collections::BTreeMap;
use std::io;

use volume::Storage;

use super::Layout;
use crate::table::{COPIED, OFFSET};

/// Tables that are in memory, at most; together they have at most so many bytes, if there are more than a few.
const TABLES_BYTES: u64 = 16 << 20;
const FEW_TABLES: u64 = 8;

/// The tables of a disk, of which those that are not needed now are on the disk.
pub(super) struct Clusters {
    layout: Layout,
    /// The first cluster of the file that nobody has.
    next: u64,
    l1: Vec<u64>,
    l2: BTreeMap<usize, Table>,
}

struct Table {
    entries: Vec<u64>,
    is_changed: bool,
}

impl Clusters {
    pub(super) fn new(layout: Layout) -> Self {
        let l1 = usize::try_from(layout.l1_entries_used()).expect("the layout was checked");
        Self {
            next: layout.first_free,
            l1: vec![0; l1],
            l2: BTreeMap::new(),
            layout,
        }
    }

    /// The cluster after the last one that is used.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Where cluster `guest` of the disk begins in the file, if it is there.
    pub(super) fn find(&mut self, storage: &dyn Storage, guest: u64) -> io::Result<Option<u64>> {
        let (index, within) = self.place(guest);
        if self.l1[index] == 0 {
            return Ok(None);
        }
        let entry = self.table(storage, index)?.entries[within];
        Ok((entry != 0).then_some(entry & OFFSET))
    }

    /// A new place for cluster `guest` of the disk.
    pub(super) fn take(&mut self, storage: &dyn Storage, guest: u64) -> io::Result<u64> {
        let (index, within) = self.place(guest);
        if self.l1[index] == 0 {
            self.l1[index] = self.take_next() | COPIED;
            self.make_room(storage)?;
            let entries = vec![0; usize::try_from(self.layout.l2_entries()).unwrap_or(0)];
            let is_changed = true;
            let table = Table {
                entries,
                is_changed,
            };
            self.l2.insert(index, table);
        }
        let offset = self.take_next();
        let table = self.table(storage, index)?;
        table.entries[within] = offset | COPIED;
        table.is_changed = true;
        Ok(offset)
    }

    /// Writes what has not been written of the L2 tables, and gives the L1 table.
    pub(super) fn flush(&mut self, storage: &dyn Storage) -> io::Result<Vec<u8>> {
        while let Some((index, table)) = self.l2.pop_first() {
            self.put_out(storage, index, &table)?;
        }
        Ok(to_bytes(&self.l1))
    }

    fn place(&self, guest: u64) -> (usize, usize) {
        let entries = self.layout.l2_entries();
        let narrow = |number: u64| usize::try_from(number).expect("it is below the L1 table's end");
        (narrow(guest / entries), narrow(guest % entries))
    }

    fn take_next(&mut self) -> u64 {
        let offset = self.next << self.layout.cluster_bits;
        self.next += 1;
        offset
    }

    /// The L2 table, which exists.
    fn table(&mut self, storage: &dyn Storage, index: usize) -> io::Result<&mut Table> {
        if !self.l2.contains_key(&index) {
            self.make_room(storage)?;
            let mut bytes = vec![0; usize::try_from(self.layout.cluster_bytes()).unwrap_or(0)];
            storage.read_at(self.l1[index] & OFFSET, &mut bytes)?;
            let (entries, _) = bytes.as_chunks();
            let entries = entries.iter().map(|entry| u64::from_be_bytes(*entry));
            let table = Table {
                entries: entries.collect(),
                is_changed: false,
            };
            self.l2.insert(index, table);
        }
        Ok(self.l2.get_mut(&index).expect("it is there now"))
    }

    /// Writes out the first tables, which are the least likely to be needed again: a disk is written from its start on.
    fn make_room(&mut self, storage: &dyn Storage) -> io::Result<()> {
        let most = (TABLES_BYTES >> self.layout.cluster_bits).max(FEW_TABLES);
        while self.l2.len() as u64 >= most {
            let Some((index, table)) = self.l2.pop_first() else {
                break;
            };
            self.put_out(storage, index, &table)?;
        }
        Ok(())
    }

    fn put_out(&self, storage: &dyn Storage, index: usize, table: &Table) -> io::Result<()> {
        if !table.is_changed {
            return Ok(());
        }
        storage.write_at(self.l1[index] & OFFSET, &to_bytes(&table.entries))
    }
}

fn to_bytes(entries: &[u64]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|entry| entry.to_be_bytes())
        .collect()
}
