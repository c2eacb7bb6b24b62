//! The master boot record: four entries at byte 446, and a chain of such records for logical partitions.

use std::collections::BTreeSet;

use super::{Partition, Table};
use crate::fat;
use crate::view::View;

/// Whether it is a partition table: a mark of two bytes stands on every boot sector, so that the entries decide.
pub(crate) fn is_there(view: &View<'_>) -> bool {
    let Some(entries) = entries(view, 0) else {
        return false;
    };
    let is_sane = |entry: &Entry| {
        matches!(entry.status, 0 | 0x80)
            && (entry.is_blank() || entry.is_used() && entry.first != 0)
    };
    // One without partitions has a signature of the disk still.
    let has_signature = view.le32(440).is_some_and(|signature| signature != 0);
    entries.iter().all(is_sane)
        && (has_signature || entries.iter().any(Entry::is_used))
        && !is_boot_sector(view)
}

/// Whether its only partition stands for a GPT.
pub(crate) fn is_protective(view: &View<'_>) -> bool {
    entries(view, 0).is_some_and(|entries| {
        let mut used = entries.iter().filter(|entry| entry.is_used());
        used.next().is_some_and(|entry| entry.kind == PROTECTIVE) && used.next().is_none()
    })
}

/// Whether it is there for programs that do not know a GPT, and the GPT is there too.
pub(crate) fn stands_before_gpt(view: &View<'_>) -> bool {
    is_protective(view) && (view.has(512, b"EFI PART") || view.has(4096, b"EFI PART"))
}

pub(super) fn partitions(view: &View<'_>) -> Vec<Partition> {
    if !is_there(view) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut logical = Vec::new();
    for (number, entry) in (1..).zip(entries(view, 0).into_iter().flatten()) {
        if EXTENDED.contains(&entry.kind) && logical.is_empty() {
            logical = chain(view, u64::from(entry.first));
        } else if entry.is_used() && entry.kind != PROTECTIVE {
            found.extend(entry.partition(number, 0));
        }
    }
    found.extend(logical);
    found
}

/// The logical partitions: each record has one, at a distance from itself, and the way to the next, counted from the
/// first record.
fn chain(view: &View<'_>, first: u64) -> Vec<Partition> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut record = first;
    while seen.len() < MAX_LOGICAL && seen.insert(record) {
        let Some(entries) = record.checked_mul(SECTOR).and_then(|at| entries(view, at)) else {
            break;
        };
        let number = 5 + u32::try_from(found.len()).unwrap_or(u32::MAX - 5);
        found.extend(
            entries
                .iter()
                .filter(|entry| entry.is_used() && !EXTENDED.contains(&entry.kind))
                .take(1)
                .filter_map(|entry| entry.partition(number, record)),
        );
        let Some(next) = entries.iter().find(|entry| EXTENDED.contains(&entry.kind)) else {
            break;
        };
        record = first + u64::from(next.first);
    }
    found
}

/// The entries of the record at byte `at`, where it has the mark.
fn entries(view: &View<'_>, at: u64) -> Option<Vec<Entry>> {
    let table = view.bytes(at.checked_add(446)?, 66)?;
    (table[64..] == *b"\x55\xaa").then(|| table[..64].chunks_exact(16).map(Entry::new).collect())
}

struct Entry {
    status: u8,
    kind: u8,
    /// In sectors.
    first: u32,
    count: u32,
}

impl Entry {
    fn new(bytes: &[u8]) -> Self {
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self {
            status: bytes[0],
            kind: bytes[4],
            first: number(8),
            count: number(12),
        }
    }

    fn is_used(&self) -> bool {
        self.kind != 0 && self.count != 0
    }

    fn is_blank(&self) -> bool {
        self.kind == 0 && self.first == 0 && self.count == 0
    }

    fn partition(&self, number: u32, record: u64) -> Option<Partition> {
        Some(Partition {
            number,
            start: record.checked_add(self.first.into())?.checked_mul(SECTOR)?,
            bytes: u64::from(self.count) * SECTOR,
            table: Table::Mbr,
        })
    }
}

/// The first sector of a file system of DOS or Windows has the same mark, and code where the entries would be.
fn is_boot_sector(view: &View<'_>) -> bool {
    [&b"NTFS    "[..], b"EXFAT   ", b"ReFS\0\0\0\0", b"-FVE-FS-"]
        .into_iter()
        .any(|name| view.has(3, name))
        || fat::is_there(view)
}

const SECTOR: u64 = 512;
const PROTECTIVE: u8 = 0xee;
/// With addresses by cylinder, by block, and Linux's own.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
const MAX_LOGICAL: usize = 128;
