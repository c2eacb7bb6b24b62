//! The partitions of a disk.

mod gpt;
pub(crate) mod mbr;

use std::io;
use std::ops::Range;

use volume::Storage;

use crate::view::View;

/// A partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Partition {
    /// Its number, as Linux has it: the first is 1, the first logical one 5.
    pub number: u32,
    /// Where it starts, in bytes.
    pub start: u64,
    /// How many bytes it has. It need not end where the storage does.
    pub bytes: u64,
    /// What lists it.
    pub table: Table,
}

impl Partition {
    /// Its bytes.
    pub fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.bytes)
    }
}

/// A kind of partition table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Table {
    /// A GUID partition table, and the sector in which it counts.
    Gpt {
        /// 512 or 4096.
        sector_bytes: u32,
    },
    /// A master boot record, whose sectors are taken to have 512 bytes.
    Mbr,
}

impl Table {
    /// What it is called, with its article.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt { .. } => "a GPT partition table",
            Self::Mbr => "an MBR partition table",
        }
    }
}

/// The partitions of a disk: by its GPT, whose second copy counts where the first is damaged, or else its MBR.
///
/// # Errors
///
/// Those of the storage.
pub fn partitions(storage: &dyn Storage) -> io::Result<Vec<Partition>> {
    let view = View::new(storage)?;
    let found = of(&view);
    view.finish()?;
    Ok(found)
}

pub(crate) fn of(view: &View<'_>) -> Vec<Partition> {
    gpt::partitions(view).unwrap_or_else(|| mbr::partitions(view))
}
