//! A disk that loses power and fails on request: for tests of everything that changes a disk.

mod crash;

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::crash::Change;
pub use self::crash::{CrashState, CrashStates};
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
pub struct SimulatedStorage {
    state: Arc<Mutex<State>>,
    header_lock: Arc<SharedLock>,
}

struct State {
    /// What reads see.
    current: Pages,
    /// What was there when the recording began.
    base: Pages,
    /// What was changed since, and when that was synced.
    changes: Vec<Change>,
    faults: Vec<Fault>,
    /// Places that cannot be read, and the number of the error.
    bad: Vec<(Range<u64>, i32)>,
    operations: Vec<Operation>,
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
    /// left.
    pub fn restart(&self) {
        let mut state = self.state();
        state.base = state.current.clone();
        state.changes.clear();
        state.faults.clear();
        state.operations.clear();
    }

    /// Plans a failure. An operation that fails changes nothing; a sync that fails makes nothing durable.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// From now on every read of any byte of `range` fails with this number of the system, until the byte is written:
    /// a bad place of a disk. [`SimulatedStorage::restart`] leaves
    /// it as it is.
    pub fn break_reads(&self, range: Range<u64>, os_error: i32) {
        self.state().bad.push((range, os_error));
    }

    /// What reads see now.
    pub fn snapshot(&self) -> Vec<u8> {
        self.state().current.to_vec()
    }

    /// The operations since the recording began, those that failed included.
    pub fn operations(&self) -> Vec<Operation> {
        self.state().operations.clone()
    }

    /// How many reads touched any byte of `range`.
    pub fn reads_of(&self, range: Range<u64>) -> usize {
        let touches = |operation: &&Operation| match operation {
            Operation::Read(read) => read.start < range.end && range.start < read.end,
            _ => false,
        };
        self.state().operations.iter().filter(touches).count()
    }

    /// Has anything been changed since the recording began, or been tried to?
    pub fn is_untouched(&self) -> bool {
        let is_change = |operation: &Operation| {
            matches!(
                operation,
                Operation::Write(_) | Operation::SetLen(_) | Operation::PunchHole(_)
            )
        };
        !self.state().operations.iter().any(is_change)
    }

    /// What the disk may hold after a loss of power at any moment since the recording began.
    ///
    /// The states are built one after another, and share the bytes that they have in common. Between two syncs they are
    ///
    /// - every prefix of the changes, nothing and all included;
    /// - subsets of the sectors of 512 bytes that were written: all of them up to 12 sectors, else single ones, all but
    ///   one, pairs, and random ones (of the kinds that are many, a selection);
    /// - states in which one sector is torn: its first bytes are new and the others old.
    ///
    /// `seed` makes the selection, the same each time.
    pub fn crash_states(&self, seed: u64) -> CrashStates {
        let state = self.state();
        CrashStates::new(state.base.clone(), &state.changes, seed)
    }

    /// As [`SimulatedStorage::crash_states`], for a loss of power now: only what was not synced is in doubt.
    pub fn crash_states_now(&self, seed: u64) -> CrashStates {
        let state = self.state();
        let mut base = state.base.clone();
        let synced = state
            .changes
            .iter()
            .rposition(Change::is_sync)
            .map_or(0, |last| last + 1);
        for change in &state.changes[..synced] {
            change.apply(&mut base);
        }
        CrashStates::new(base, &state.changes[synced..], seed)
    }

    fn with(pages: Pages) -> Self {
        let state = State {
            base: pages.clone(),
            current: pages,
            changes: Vec::new(),
            faults: Vec::new(),
            bad: Vec::new(),
            operations: Vec::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            header_lock: SharedLock::new(None),
        }
    }

    /// Logs an operation, and fails where that was planned.
    fn begin(&self, operation: Operation) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let mut failed = None;
        state.faults.retain_mut(|fault| {
            if !fault.on.covers(&operation) {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            failed.get_or_insert(fault.os_error);
            fault.forever
        });
        state.operations.push(operation);
        match failed {
            Some(os_error) => Err(io::Error::from_raw_os_error(os_error)),
            None => Ok(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for SimulatedStorage {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().current.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = end_of(offset, buf.len())?;
        let state = self.begin(Operation::Read(offset..end))?;
        let hits = |(bad, _): &&(Range<u64>, i32)| bad.start < end && offset < bad.end;
        match state.bad.iter().find(hits) {
            Some((_, os_error)) => Err(io::Error::from_raw_os_error(*os_error)),
            None => state.current.read(offset, buf),
        }
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = end_of(offset, data.len())?;
        let mut state = self.begin(Operation::Write(offset..end))?;
        state.mend(&(offset..end));
        state.change(Change::Write {
            offset,
            data: data.into(),
        });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.begin(Operation::Sync)?.change(Change::Sync);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.begin(Operation::SetLen(len))?
            .change(Change::SetLen(len));
        Ok(())
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        let range = offset..offset.saturating_add(len);
        self.begin(Operation::PunchHole(range.clone()))?
            .change(Change::PunchHole(range));
        Ok(())
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok(self.state().current.data_extent(offset))
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        let held = self.header_lock.acquire(mode)?;
        self.state().operations.push(Operation::Lock(mode));
        Ok(HeaderLock::new(LoggedLock {
            _held: held,
            mode,
            state: Arc::clone(&self.state),
        }))
    }
}

impl State {
    /// A sector that is written can be read again.
    fn mend(&mut self, written: &Range<u64>) {
        let bad = std::mem::take(&mut self.bad);
        for (range, os_error) in bad {
            let before = range.start..range.end.min(written.start);
            let behind = range.start.max(written.end)..range.end;
            self.bad.extend(
                [before, behind]
                    .into_iter()
                    .filter(|rest| !rest.is_empty())
                    .map(|rest| (rest, os_error)),
            );
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.changes.push(change);
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
    state: Arc<Mutex<State>>,
    mode: LockMode,
    _held: SharedLockGuard,
}

impl Drop for LoggedLock {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.operations.push(Operation::Unlock(self.mode));
    }
}
