//! Locks over parts of a storage.

use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks over regions of some bytes each: region n is guarded by lock n modulo their number.
///
/// Whoever needs several takes them in the order of the locks, so that no two threads wait for each other.
pub struct RegionLocks {
    locks: [RwLock<()>; STRIPES],
    region_bytes: u64,
}

impl RegionLocks {
    /// Locks that nobody holds.
    ///
    /// # Panics
    ///
    /// When a region has no byte.
    pub fn new(region_bytes: u64) -> Self {
        assert_ne!(region_bytes, 0, "a region has bytes");
        Self {
            locks: std::array::from_fn(|_| RwLock::new(())),
            region_bytes,
        }
    }

    /// Keeps writers out of these bytes.
    pub fn read(&self, range: Range<u64>) -> Vec<RwLockReadGuard<'_, ()>> {
        self.of(range)
            .map(|lock| lock.read().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }

    /// Keeps everybody else out of these bytes.
    pub fn write(&self, range: Range<u64>) -> Vec<RwLockWriteGuard<'_, ()>> {
        self.of(range)
            .map(|lock| lock.write().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }

    fn of(&self, range: Range<u64>) -> impl Iterator<Item = &RwLock<()>> {
        let first = range.start / self.region_bytes;
        let regions = if range.is_empty() {
            0
        } else {
            (range.end - 1) / self.region_bytes - first + 1
        };
        // How far a lock's first region lies behind the range's; all of them where the range is long.
        let stripes = STRIPES as u64;
        (0..stripes)
            .zip(&self.locks)
            .filter(move |(stripe, _)| (stripe + stripes - first % stripes) % stripes < regions)
            .map(|(_, lock)| lock)
    }
}

const STRIPES: usize = 64;
