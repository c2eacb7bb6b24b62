//! The bytes of a storage, each block read once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use volume::Storage;

/// A storage that is looked at in many small places. What lies beyond its end is not there; the first error of a read
/// is kept, so that rows of the table need not handle it.
pub(crate) struct View<'a> {
    storage: &'a dyn Storage,
    len: u64,
    blocks: RefCell<BTreeMap<u64, Option<Vec<u8>>>>,
    error: RefCell<Option<io::Error>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(storage: &'a dyn Storage) -> io::Result<Self> {
        Ok(Self {
            storage,
            len: storage.len()?,
            blocks: RefCell::default(),
            error: RefCell::default(),
        })
    }

    /// The first error that a read had.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.error.into_inner().map_or(Ok(()), Err)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// `len` bytes, where all of them are there.
    pub(crate) fn bytes(&self, at: u64, len: usize) -> Option<Vec<u8>> {
        let end = at
            .checked_add(u64::try_from(len).ok()?)
            .filter(|end| *end <= self.len)?;
        let mut bytes = Vec::with_capacity(len);
        let mut position = at;
        while position < end {
            let number = position / BLOCK;
            let from = usize::try_from(position % BLOCK).ok()?;
            let count = usize::try_from((BLOCK - position % BLOCK).min(end - position)).ok()?;
            if !self.append(number, from, count, &mut bytes) {
                // A block with a bad sector may still be sound where it counts.
                return self.read(at, len);
            }
            position += count as u64;
        }
        Some(bytes)
    }

    /// Whether `mark` stands at `at`.
    pub(crate) fn has(&self, at: u64, mark: &[u8]) -> bool {
        self.bytes(at, mark.len())
            .is_some_and(|bytes| bytes == mark)
    }

    pub(crate) fn byte(&self, at: u64) -> Option<u8> {
        self.bytes(at, 1).map(|bytes| bytes[0])
    }

    pub(crate) fn le16(&self, at: u64) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(crate) fn be16(&self, at: u64) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub(crate) fn le32(&self, at: u64) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(crate) fn be32(&self, at: u64) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    pub(crate) fn le64(&self, at: u64) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    pub(crate) fn be64(&self, at: u64) -> Option<u64> {
        self.array(at).map(u64::from_be_bytes)
    }

    fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        self.bytes(at, N)?.try_into().ok()
    }

    /// Adds bytes of one block; `false` where it cannot be read.
    fn append(&self, number: u64, from: usize, count: usize, bytes: &mut Vec<u8>) -> bool {
        let mut blocks = self.blocks.borrow_mut();
        let block = blocks.entry(number).or_insert_with(|| {
            let at = number * BLOCK;
            let mut block = vec![0; usize::try_from(BLOCK.min(self.len - at)).ok()?];
            self.storage.read_at(at, &mut block).ok()?;
            Some(block)
        });
        match block {
            Some(block) => {
                bytes.extend_from_slice(&block[from..from + count]);
                true
            }
            None => false,
        }
    }

    fn read(&self, at: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        match self.storage.read_at(at, &mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) => {
                self.error.borrow_mut().get_or_insert(error);
                None
            }
        }
    }
}

/// Marks stand close together at the start, and alone elsewhere.
const BLOCK: u64 = 8 << 10;
