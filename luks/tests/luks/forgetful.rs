use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use volume::{HeaderLock, LockMode, Operation, SimulatedStorage, Storage};

/// A disk that forgets one sync, of those that have something to write through.
pub struct Forgetful {
    disk: Arc<SimulatedStorage>,
    until: AtomicUsize,
}

impl Forgetful {
    /// Forgets the sync of this number, from 0; with `usize::MAX` none.
    pub fn of(disk: &Arc<SimulatedStorage>, forgotten: usize) -> Arc<dyn Storage> {
        Arc::new(Self {
            disk: disk.clone(),
            until: AtomicUsize::new(forgotten),
        })
    }
}

/// How many syncs there were since the disk was restarted that had something to write through.
pub fn count_syncs(disk: &SimulatedStorage) -> usize {
    let mut is_dirty = false;
    let mut count = 0;
    for operation in disk.operations() {
        if operation == Operation::Sync {
            count += usize::from(is_dirty);
            is_dirty = false;
        } else {
            is_dirty |= is_change(&operation);
        }
    }
    count
}

fn is_change(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Write(_) | Operation::SetLen(_) | Operation::PunchHole(_)
    )
}

impl Storage for Forgetful {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write_at(offset, data)
    }
    fn sync(&self) -> io::Result<()> {
        let operations = self.disk.operations();
        let since = operations.iter().rev();
        let mut since = since.take_while(|operation| **operation != Operation::Sync);
        if since.any(is_change) && self.until.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.disk.sync()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.set_len(len)
    }
    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        self.disk.punch_hole(offset, len)
    }
    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.disk.data_extent(offset)
    }
    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.disk.lock(mode)
    }
}
