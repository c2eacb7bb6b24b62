//! What was found, and where.

use std::ops::Range;

/// A mark on a storage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// What it is the mark of.
    pub content: Content,
    /// The byte offset of the mark itself, which need not be where the thing starts.
    pub offset: u64,
    /// How many bytes the mark has.
    pub len: u64,
}

impl Found {
    /// The bytes that were recognised.
    pub fn bytes(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.len)
    }
}

/// A kind of content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Content {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) blkid: &'static str,
}

impl Content {
    /// What it is called, with an article: `an XFS file system`.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What sort of thing it is.
    pub fn class(self) -> Class {
        self.class
    }

    /// The word by which libblkid (TYPE or PTTYPE) and mount know it; empty where they have none.
    pub fn type_name(self) -> &'static str {
        self.blkid
    }
}

/// Sorts of content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Class {
    /// A LUKS header of any version, or its second copy at its place.
    Luks,
    /// A LUKS1 container that is being reencrypted, which has no header meanwhile.
    Unfinished,
    /// Encrypted by something else: `BitLocker`, `FileVault`, a clone of Ceph's whose header is LUKS under another name.
    Encrypted,
    /// An image format or its descriptor: the bytes are not those of the disk in it.
    Image,
    /// A part of something that is joined or mapped by other programs: RAID, volume manager, cache, replica.
    Member,
    /// A file system or its journal.
    FileSystem,
    /// Swap space, or a suspended system in it.
    Swap,
    /// A partition table.
    PartitionTable,
    /// An archive or a compressed file.
    Archive,
}
