//! Bytes in memory, with holes: for tests, and for images that are small.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Storage, end_of, past_end};
use crate::lock::{HeaderLock, LockMode, SharedLock};

/// A growable storage in memory.
///
/// Only pages that were written take memory, so that a test may have an image of terabytes.
pub struct MemoryStorage {
    pages: RwLock<Pages>,
    header_lock: Arc<SharedLock>,
}

impl MemoryStorage {
    /// A storage of `len` bytes that is one hole.
    pub fn new(len: u64) -> Self {
        Self::from_pages(Pages::new(len))
    }

    /// A storage that holds `bytes`, all of them data.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it takes the place of the bytes"
    )]
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self::from_pages(Pages::from_bytes(&bytes))
    }

    /// All of its bytes at this moment.
    ///
    /// # Panics
    ///
    /// When it is longer than the address space.
    pub fn snapshot(&self) -> Vec<u8> {
        self.pages().to_vec()
    }

    pub(super) fn from_pages(pages: Pages) -> Self {
        Self {
            pages: RwLock::new(pages),
            header_lock: SharedLock::new(None),
        }
    }

    /// What it holds, which both then share until either is written.
    pub(super) fn to_pages(&self) -> Pages {
        self.pages().clone()
    }

    fn pages(&self) -> RwLockReadGuard<'_, Pages> {
        self.pages.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn pages_mut(&self) -> RwLockWriteGuard<'_, Pages> {
        self.pages.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn len(&self) -> io::Result<u64> {
        Ok(self.pages().len)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.pages().read(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.pages_mut().write(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.pages_mut().set_len(len);
        Ok(())
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        self.pages_mut().punch(offset..offset.saturating_add(len));
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.punch_hole(offset, len)
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok(self.pages().data_extent(offset))
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        Ok(HeaderLock::new(self.header_lock.acquire(mode)?))
    }
}

/// Sparse bytes. A copy shares its pages with the original until either is written.
#[derive(Clone)]
pub(super) struct Pages {
    len: u64,
    /// By page number. Bytes of the last page beyond `len` are zero.
    pages: BTreeMap<u64, Arc<[u8; PAGE_BYTES]>>,
}

impl Pages {
    pub(super) fn new(len: u64) -> Self {
        Self {
            len,
            pages: BTreeMap::new(),
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut pages = Self::new(0);
        pages.write(0, bytes).expect("a slice ends within 64 bits");
        pages
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = end_of(offset, data.len())?;
        for (page, within, part) in parts(offset, data.len()) {
            let bytes = self
                .pages
                .entry(page)
                .or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            Arc::make_mut(bytes)[within].copy_from_slice(&data[part]);
        }
        if !data.is_empty() {
            self.len = self.len.max(end);
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.punch(len..self.len);
        }
        self.len = len;
    }

    pub(super) fn punch(&mut self, range: Range<u64>) {
        let (start, end) = (range.start, range.end.min(self.len));
        if start >= end {
            return;
        }
        // A page that ends at the storage's end is whole as far as anybody can see.
        let whole_end = if end == self.len {
            end.div_ceil(PAGE)
        } else {
            end / PAGE
        };
        let whole = start.div_ceil(PAGE)..whole_end;
        if whole.is_empty() {
            for page in [start / PAGE, (end - 1) / PAGE] {
                self.zero(page, start..end);
            }
            return;
        }
        self.zero(start / PAGE, start..whole.start * PAGE);
        self.zero(whole.end, whole.end * PAGE..end);
        let numbers: Vec<u64> = self.pages.range(whole).map(|(&number, _)| number).collect();
        for number in numbers {
            self.pages.remove(&number);
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if end_of(offset, buf.len())? > self.len {
            return Err(past_end(offset, buf.len(), self.len));
        }
        for (page, within, part) in parts(offset, buf.len()) {
            match self.pages.get(&page) {
                Some(bytes) => buf[part].copy_from_slice(&bytes[within]),
                None => buf[part].fill(0),
            }
        }
        Ok(())
    }

    pub(super) fn data_extent(&self, offset: u64) -> Option<Range<u64>> {
        let mut numbers = self.pages.range(offset / PAGE..).map(|(&number, _)| number);
        let first = numbers.next()?;
        let mut last = first;
        for number in numbers {
            if number != last + 1 {
                break;
            }
            last = number;
        }
        let extent = offset.max(first * PAGE)..(last + 1).saturating_mul(PAGE).min(self.len);
        (!extent.is_empty()).then_some(extent)
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).expect("the storage fits in memory")];
        self.read(0, &mut bytes)
            .expect("the buffer has the storage's length");
        bytes
    }

    /// Zeros the bytes of one page that lie in `range` of the storage.
    fn zero(&mut self, page: u64, range: Range<u64>) {
        let Some(bytes) = self.pages.get_mut(&page) else {
            return;
        };
        let base = page * PAGE;
        let start = range.start.clamp(base, base + PAGE) - base;
        let end = range.end.clamp(base, base + PAGE) - base;
        if start < end {
            let within = usize::try_from(start).unwrap_or(PAGE_BYTES)
                ..usize::try_from(end).unwrap_or(PAGE_BYTES);
            Arc::make_mut(bytes)[within].fill(0);
        }
    }
}

/// The pages that `len` bytes at `offset` touch: page number, range within the page, range within the bytes.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let position = offset + done as u64;
        let start = usize::try_from(position % PAGE).unwrap_or(0);
        let step = (PAGE_BYTES - start).min(len - done);
        let part = done..done + step;
        done += step;
        Some((position / PAGE, start..start + step, part))
    })
}

const PAGE_BYTES: usize = 4096;
const PAGE: u64 = PAGE_BYTES as u64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::steps::{Step, steps};
    use super::*;

    proptest! {
        /// The model is a vector.
        #[test]
        fn behaves_as_a_vector_does(steps in steps()) {
            let storage = MemoryStorage::new(0);
            let mut model: Vec<u8> = Vec::new();
            for step in steps {
                step.apply(&storage);
                match step {
                    Step::Write(at, data) => {
                        let at = usize::from(at);
                        if !data.is_empty() {
                            model.resize(model.len().max(at + data.len()), 0);
                            model[at..at + data.len()].copy_from_slice(&data);
                        }
                    }
                    Step::Punch(at, len) => {
                        let end = (usize::from(at) + usize::from(len)).min(model.len());
                        if usize::from(at) < end {
                            model[usize::from(at)..end].fill(0);
                        }
                    }
                    Step::SetLen(len) => model.resize(len.into(), 0),
                }
                prop_assert_eq!(storage.len().unwrap(), model.len() as u64);
                prop_assert!(storage.snapshot() == model);
                // Whatever lies outside the extents is zero.
                let mut position = 0;
                while let Some(extent) = storage.data_extent(position as u64).unwrap() {
                    let extent = usize::try_from(extent.start).unwrap()..usize::try_from(extent.end).unwrap();
                    prop_assert!(model[position..extent.start].iter().all(|&byte| byte == 0));
                    prop_assert!(extent.start >= position && extent.end <= model.len());
                    position = extent.end;
                }
                prop_assert!(model[position.min(model.len())..].iter().all(|&byte| byte == 0));
            }
        }
    }

    #[test]
    fn terabytes_take_no_memory_until_they_are_written() {
        let storage = MemoryStorage::new(1 << 45);
        storage.write_at(1 << 44, b"here").unwrap();
        let mut buf = [0; 8];
        storage.read_at((1 << 44) - 2, &mut buf).unwrap();
        assert_eq!(&buf, b"\0\0here\0\0");
        assert_eq!(
            storage.data_extent(0).unwrap(),
            Some(1 << 44..(1 << 44) + 4096)
        );
        storage.punch_hole(0, u64::MAX).unwrap();
        assert_eq!(storage.data_extent(0).unwrap(), None);
    }

    #[test]
    fn a_read_past_the_end_names_what_is_missing() {
        let error = MemoryStorage::new(10).read_at(7, &mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(
            error.to_string(),
            "read of 4 bytes at offset 7 goes past the end at byte 10"
        );
    }
}
