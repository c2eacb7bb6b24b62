//! A disk that loses power and fails on request: for tests of everything that changes a disk.

mod choice;
mod clock;
mod crash;
mod disks;
mod step;

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::clock::Clock;
pub use self::crash::{CrashState, CrashStates, CrashedDisks, DisksCrashStates};
pub use self::disks::SimulatedDisks;
use self::step::Change;
use super::memory::Pages;
use super::{Storage, end_of};
use crate::lock::{HeaderLock, LockMode, SharedLock, SharedLockGuard};

/// A storage in memory that remembers the order of its changes and which of them were synced.
///
/// It answers what a test of crash safety asks: after a loss of power at any moment, what may the disk hold? Writes
/// that were not synced may have been lost, reordered and torn, so that there are many answers:
///
/// ```
/// use volume::{SimulatedStorage, Storage};
///
/// let disk = SimulatedStorage::from_vec(vec![0; 4096]);
/// disk.write_at(512, &[1; 512])?; // the data,
/// disk.sync()?;
/// disk.write_at(0, &[1; 512])?; // and then what says that it is there
/// for state in disk.crash_states(1) {
///     let image = state.storage.snapshot();
///     assert!(image[0] == 0 || image[512] == 1, "{state}");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Several disks, of which a sync reaches one, are [`SimulatedDisks`].
pub struct SimulatedStorage {
    clock: Arc<Mutex<Clock>>,
    /// Which of the clock's disks it is.
    disk: usize,
    header_lock: Arc<SharedLock>,
}

/// One call of a [`Storage`] method, in the order in which they came. Ranges are bytes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// [`Storage::read_at`].
    Read(Range<u64>),
    /// [`Storage::write_at`].
    Write(Range<u64>),
    /// [`Storage::sync`].
    Sync,
    /// [`Storage::set_len`], to so many bytes.
    SetLen(u64),
    /// [`Storage::punch_hole`].
    PunchHole(Range<u64>),
    /// [`Storage::lock`], once it is held.
    Lock(LockMode),
    /// A lock was dropped.
    Unlock(LockMode),
}

/// A failure to come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fault {
    /// Which operations count, and fail.
    pub on: FaultOn,
    /// How many of those still succeed, counted from the call of [`SimulatedStorage::fail`].
    pub after: u64,
    /// Do all that follow fail as well, or only one?
    pub forever: bool,
    /// The system's number of the error, such as 5 for EIO and 28 for ENOSPC.
    pub os_error: i32,
}

/// The operations that a [`Fault`] is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FaultOn {
    /// Reads, writes, syncs, changes of length and holes.
    Any,
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Syncs.
    Sync,
}

impl SimulatedStorage {
    /// A disk of `len` zeros.
    pub fn new(len: u64) -> Self {
        Self::with(Pages::new(len))
    }

    /// A disk that holds `bytes`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it takes the place of the bytes"
    )]
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self::with(Pages::from_bytes(&bytes))
    }

    /// Begins a new recording: what is there now counts as synced, the log of operations is empty, and no fault is
    /// left. Of disks that share a clock all begin.
    pub fn restart(&self) {
        self.clock().restart();
    }

    /// Plans a failure. An operation that fails changes nothing; a sync that fails makes nothing durable.
    pub fn fail(&self, fault: Fault) {
        self.clock().disks[self.disk].faults.push(fault);
    }

    /// From now on every read of any byte of `range` fails with this number of the system, until the byte is written:
    /// a bad place of a disk. [`SimulatedStorage::restart`] leaves
    /// it as it is.
    pub fn break_reads(&self, range: Range<u64>, os_error: i32) {
        self.clock().disks[self.disk].bad.push((range, os_error));
    }

    /// From now on what is written within `range` reaches the disk in whole blocks of `block_bytes`, counted from the
    /// start of the range, as a disk with such sectors writes it. Elsewhere each 512 bytes go by themselves, and any of
    /// those may be torn within.
    ///
    /// # Panics
    ///
    /// When `block_bytes` is 0.
    pub fn write_whole_blocks(&self, range: Range<u64>, block_bytes: u64) {
        assert_ne!(block_bytes, 0, "a block has a size");
        self.clock().disks[self.disk]
            .blocks
            .push((range, block_bytes));
    }

    /// What reads see now.
    pub fn snapshot(&self) -> Vec<u8> {
        self.clock().disks[self.disk].current.to_vec()
    }

    /// The operations since the recording began, those that failed included.
    pub fn operations(&self) -> Vec<Operation> {
        self.clock().operations_of(self.disk).cloned().collect()
    }

    /// How many reads touched any byte of `range`.
    pub fn reads_of(&self, range: Range<u64>) -> usize {
        let touches = |operation: &&Operation| match operation {
            Operation::Read(read) => read.start < range.end && range.start < read.end,
            _ => false,
        };
        self.clock()
            .operations_of(self.disk)
            .filter(touches)
            .count()
    }

    /// Has anything been changed since the recording began, or been tried to?
    pub fn is_untouched(&self) -> bool {
        let is_change = |operation: &Operation| {
            matches!(
                operation,
                Operation::Write(_) | Operation::SetLen(_) | Operation::PunchHole(_)
            )
        };
        !self.clock().operations_of(self.disk).any(is_change)
    }

    /// What the disk may hold after a loss of power at any moment since the recording began.
    ///
    /// The states are built one after another, and share the bytes that they have in common. Between two syncs they are
    ///
    /// - every prefix of the changes, nothing and all included, each change alone, and all but each;
    /// - subsets of the sectors of 512 bytes that were written: all of them up to 12 sectors, else the first so many,
    ///   single ones, all but one, pairs, and random ones (of the kinds that are many, a selection);
    /// - states in which one sector is torn: its first bytes are new and the others old.
    ///
    /// `seed` makes the selection, the same each time.
    pub fn crash_states(&self, seed: u64) -> CrashStates {
        CrashStates(self.clock().states_of(self.disk, false, seed))
    }

    /// As [`SimulatedStorage::crash_states`], for a loss of power now: only what was not synced is in doubt.
    pub fn crash_states_now(&self, seed: u64) -> CrashStates {
        CrashStates(self.clock().states_of(self.disk, true, seed))
    }

    fn with(pages: Pages) -> Self {
        Self::on(&Arc::default(), pages)
    }

    /// One more disk of a clock.
    fn on(clock: &Arc<Mutex<Clock>>, pages: Pages) -> Self {
        Self {
            clock: clock.clone(),
            disk: clock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(pages),
            header_lock: SharedLock::new(None),
        }
    }

    fn begin(&self, operation: Operation) -> io::Result<MutexGuard<'_, Clock>> {
        let mut clock = self.clock();
        clock.begin(self.disk, operation)?;
        Ok(clock)
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for SimulatedStorage {
    fn len(&self) -> io::Result<u64> {
        Ok(self.clock().disks[self.disk].current.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let range = offset..end_of(offset, buf.len())?;
        self.begin(Operation::Read(range.clone()))?.disks[self.disk].read(range, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = offset..end_of(offset, data.len())?;
        let change = Change::Write {
            offset,
            data: data.into(),
        };
        let mut clock = self.begin(Operation::Write(range.clone()))?;
        clock.change(self.disk, change)?;
        clock.disks[self.disk].mend(&range);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.begin(Operation::Sync)?.sync(self.disk)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.begin(Operation::SetLen(len))?
            .change(self.disk, Change::SetLen(len))
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        let range = offset..offset.saturating_add(len);
        self.begin(Operation::PunchHole(range.clone()))?
            .change(self.disk, Change::PunchHole(range))
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok(self.clock().disks[self.disk].current.data_extent(offset))
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        let held = self.header_lock.acquire(mode)?;
        self.clock().log(self.disk, Operation::Lock(mode));
        Ok(HeaderLock::new(LoggedLock {
            _held: held,
            mode,
            disk: self.disk,
            clock: Arc::clone(&self.clock),
        }))
    }
}

impl FaultOn {
    fn covers(self, operation: &Operation) -> bool {
        match operation {
            Operation::Read(_) => matches!(self, Self::Any | Self::Read),
            Operation::Write(_) => matches!(self, Self::Any | Self::Write),
            Operation::Sync => matches!(self, Self::Any | Self::Sync),
            Operation::SetLen(_) | Operation::PunchHole(_) => self == Self::Any,
            Operation::Lock(_) | Operation::Unlock(_) => false,
        }
    }
}

/// A header lock whose release is logged, before anybody else can take it.
struct LoggedLock {
    clock: Arc<Mutex<Clock>>,
    disk: usize,
    mode: LockMode,
    _held: SharedLockGuard,
}

impl Drop for LoggedLock {
    fn drop(&mut self) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.log(self.disk, Operation::Unlock(self.mode));
    }
}
