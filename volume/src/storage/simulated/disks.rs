//! Several disks of one machine.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::MemoryStorage;
use super::clock::{Clock, Judge};
use super::{CrashedDisks, DisksCrashStates, Operation, SimulatedStorage};

/// Disks that lose power together: a header on one and the data on another.
///
/// There is one clock for all, and a sync of one syncs no other:
///
/// ```
/// use volume::{MemoryStorage, SimulatedDisks, Storage};
///
/// let disks = SimulatedDisks::new();
/// let data = disks.add(&MemoryStorage::new(4096));
/// let header = disks.add(&MemoryStorage::new(4096));
/// data.write_at(0, &[1; 512])?;
/// header.sync()?; // not the disk that was written
/// header.write_at(0, &[1; 512])?; // says that the data are there
/// let lies = disks.crash_states(1).find(|state| {
///     let [data, header] = [0, 1].map(|disk| state.disks[disk].snapshot());
///     header[0] == 1 && data[0] == 0
/// });
/// assert!(lies.is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// [`SimulatedDisks::judge`] finds the write that is to blame.
#[derive(Default)]
pub struct SimulatedDisks {
    clock: Arc<Mutex<Clock>>,
}

impl SimulatedDisks {
    /// No disk yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more disk, numbered from 0. It holds what `contents` does now; that one stays as it is.
    pub fn add(&self, contents: &MemoryStorage) -> SimulatedStorage {
        SimulatedStorage::on(&self.clock, contents.to_pages())
    }

    /// [`SimulatedStorage::restart`] for all of them.
    pub fn restart(&self) {
        self.clock().restart();
    }

    /// The operations of all since the recording began, each with the number of its disk.
    pub fn operations(&self) -> Vec<(usize, Operation)> {
        self.clock().operations().to_vec()
    }

    /// What the disks may hold after a loss of power at any moment since the recording began: as
    /// [`SimulatedStorage::crash_states`], where what was not synced of one disk may be lost beside what is there of
    /// another.
    pub fn crash_states(&self, seed: u64) -> DisksCrashStates {
        self.clock().states(false, seed)
    }

    /// As [`SimulatedDisks::crash_states`], for a loss of power now.
    pub fn crash_states_now(&self, seed: u64) -> DisksCrashStates {
        self.clock().states(true, seed)
    }

    /// Has every change judged before it is made, in each state that a loss of power may leave while it is not synced,
    /// `most` of them if there are more: first those that have all of it and lack one change before it.
    ///
    /// The first change that is found guilty is not made: it fails, as does all that would change anything after it, with
    /// an error that names it. Nobody can make it forgotten, see [`SimulatedDisks::guilty`].
    ///
    /// ```
    /// use volume::{MemoryStorage, SimulatedDisks, Storage};
    ///
    /// let disks = SimulatedDisks::new();
    /// let disk = disks.add(&MemoryStorage::new(4096));
    /// disks.judge(1, 1000, |state| {
    ///     let image = state.disks[0].snapshot();
    ///     let lies = image[0] == 1 && image[512] == 0;
    ///     if lies { Err("no data".into()) } else { Ok(()) }
    /// });
    /// disk.write_at(512, &[1; 512])?;
    /// assert!(disk.write_at(0, &[1; 512]).is_err());
    /// let guilty = disks.guilty().expect("it was found");
    /// assert!(guilty.starts_with("operation 1, Write(0..512) of disk 0: "), "{guilty}");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// The judge gets copies. If it touches the disks themselves it waits for ever.
    pub fn judge(
        &self,
        seed: u64,
        most: usize,
        verdict: impl Fn(&CrashedDisks) -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.clock().judge = Some(Judge {
            seed,
            most,
            verdict: Box::new(verdict),
        });
    }

    /// What [`SimulatedDisks::judge`] found since the recording began: the number of the operation in
    /// [`SimulatedDisks::operations`], its disk, the state, and what is wrong with that.
    pub fn guilty(&self) -> Option<String> {
        self.clock().guilty.clone()
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
