//! A change that is only tried out: what is written stays in memory.

use std::io;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::memory::Pages;
use super::{Storage, end_of, past_end};
use crate::lock::{HeaderLock, LockMode};

/// Another storage as it would be after the changes that were made here; that one is never written.
///
/// [`written`](Self::written) tells what would have been. Memory grows with what is written, not with the storage.
///
/// ```
/// # use std::sync::Arc;
/// # use volume::{MemoryStorage, RehearsedStorage, Storage};
/// # fn main() -> std::io::Result<()> {
/// let disk = Arc::new(MemoryStorage::from_vec(b"as it is".to_vec()));
/// let rehearsed = RehearsedStorage::new(disk.clone())?;
/// rehearsed.write_at(3, b"would")?;
/// let mut bytes = [0; 8];
/// rehearsed.read_at(0, &mut bytes)?;
/// assert_eq!(&bytes, b"as would");
/// assert_eq!(rehearsed.written(), [3..8]);
/// assert_eq!(disk.snapshot(), b"as it is");
/// # Ok(())
/// # }
/// ```
pub struct RehearsedStorage {
    below: Arc<dyn Storage>,
    state: RwLock<State>,
}

struct State {
    /// What was written; the same length as the storage.
    above: Pages,
    /// Where: in order, and none touches the next.
    written: Vec<Range<u64>>,
    /// Bytes of the storage below that can still be seen.
    below_len: u64,
}

impl RehearsedStorage {
    /// Nothing is written yet.
    ///
    /// # Errors
    ///
    /// What the storage says when it is asked for its length.
    pub fn new(below: Arc<dyn Storage>) -> io::Result<Self> {
        let below_len = below.len()?;
        Ok(Self {
            below,
            state: RwLock::new(State {
                above: Pages::new(below_len),
                written: Vec::new(),
                below_len,
            }),
        })
    }

    /// The bytes that were written, whether they changed or not: in order, and none touches the next.
    pub fn written(&self) -> Vec<Range<u64>> {
        self.state().written.clone()
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn mark(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        let first = self.written.partition_point(|old| old.end < new.start);
        let last = self.written.partition_point(|old| old.start <= new.end);
        let touched = &self.written[first..last];
        let start = touched
            .first()
            .map_or(new.start, |old| old.start.min(new.start));
        let end = touched.last().map_or(new.end, |old| old.end.max(new.end));
        self.written
            .splice(first..last, std::iter::once(start..end));
    }
}

impl Storage for RehearsedStorage {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().above.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let end = end_of(offset, buf.len())?;
        if end > state.above.len() {
            return Err(past_end(offset, buf.len(), state.above.len()));
        }
        let within = |position: u64| usize::try_from(position - offset).unwrap_or(usize::MAX);
        let seen = end.min(state.below_len).max(offset);
        let (below, beyond) = buf.split_at_mut(within(seen));
        if !below.is_empty() {
            self.below.read_at(offset, below)?;
        }
        beyond.fill(0);
        for range in &state.written {
            let (start, stop) = (range.start.max(offset), range.end.min(end));
            if start < stop {
                state
                    .above
                    .read(start, &mut buf[within(start)..within(stop)])?;
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = end_of(offset, data.len())?;
        let mut state = self.state_mut();
        state.above.write(offset, data)?;
        state.mark(offset..end);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state_mut();
        state.above.set_len(len);
        state.below_len = state.below_len.min(len);
        state.written.retain_mut(|range| {
            range.end = range.end.min(len);
            !range.is_empty()
        });
        Ok(())
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut state = self.state_mut();
        let end = offset.saturating_add(len).min(state.above.len());
        state.above.punch(offset..end);
        state.mark(offset..end);
        Ok(())
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.below.lock(mode)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::steps::steps;
    use super::*;
    use crate::MemoryStorage;

    fn snapshot(storage: &dyn Storage) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(storage.len().unwrap()).unwrap()];
        storage.read_at(0, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        /// As if it were written, and nothing is; what differs lies in what was marked or beyond the old end.
        #[test]
        fn looks_written_and_is_not(steps in steps()) {
            let before: Vec<u8> = (0..15_000u16).map(|at| (at % 251) as u8 | 1).collect();
            let disk = Arc::new(MemoryStorage::from_vec(before.clone()));
            let model = MemoryStorage::from_vec(before.clone());
            let rehearsed = RehearsedStorage::new(disk.clone()).unwrap();
            for step in steps {
                step.apply(&rehearsed);
                step.apply(&model);
                let now = snapshot(&rehearsed);
                prop_assert!(now == model.snapshot());
                let written = rehearsed.written();
                prop_assert!(written.windows(2).all(|pair| pair[0].end < pair[1].start));
                for (at, (old, new)) in before.iter().zip(&now).enumerate() {
                    let marked = written.iter().any(|range| range.contains(&(at as u64)));
                    // Cut off and grown again is zero without having been written.
                    prop_assert!(old == new || marked || *new == 0, "byte {at}");
                }
            }
            prop_assert!(disk.snapshot() == before);
        }
    }
}
