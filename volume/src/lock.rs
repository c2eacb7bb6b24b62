//! The two kinds of locks that a storage has.
//!
//! The **header lock** ([`HeaderLock`]) is held while a header is read or changed, never while data moves. It is
//! cryptsetup's own (LUKS2-locking, parts II and III), readers shared, writers exclusive: flock(2) on an image file, and for a
//! block device on a file in cryptsetup's folder, where that can be had, else on the device.
//!
//! The **image lock** ([`ImageLock`]) is held for a whole job. It is QEMU's: open-file-description locks on single
//! bytes, one byte for each thing that a holder does and one for each thing that it does not want others to do.

mod device;

use std::any::Any;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock};

use self::device::{DeviceLock, HeldDeviceLock};
use crate::sys;

/// How a header lock is held.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LockMode {
    /// With other readers: the header is only read.
    Shared,
    /// Alone: the header is changed.
    Exclusive,
}

/// A held header lock; dropping it releases the lock.
#[must_use = "the lock is released when this is dropped"]
pub struct HeaderLock {
    _guard: Box<dyn Any + Send + Sync>,
}

impl HeaderLock {
    /// Wraps the guard of a storage: its `Drop` releases the lock.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self {
            _guard: Box::new(guard),
        }
    }
}

/// What a job does with an image, for QEMU and for other jobs of ours.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ImageRole {
    /// Reads, and wants nobody to write or resize meanwhile, as the source of `qemu-img convert`.
    Reader,
    /// Writes and resizes, and wants nobody else to, as QEMU's own writers of formatted images.
    Writer,
}

impl ImageRole {
    /// The bytes that say what the holder does.
    fn does(self) -> &'static [u64] {
        match self {
            Self::Reader => &[DOES_READ],
            Self::Writer => &[DOES_READ, DOES_WRITE, DOES_RESIZE],
        }
    }
}

/// A held image lock; dropping it releases the lock.
///
/// The locks belong to the open file, not to this value: a second lock taken through the same [`FileStorage`] never
/// conflicts with the first, and the first one dropped releases both. Take one for a job.
///
/// [`FileStorage`]: crate::FileStorage
#[must_use = "the lock is released when this is dropped"]
pub struct ImageLock {
    file: Arc<File>,
    role: ImageRole,
}

impl ImageLock {
    /// Takes the bytes of `role`, then looks for anybody whom they conflict with: in this order, because of two jobs
    /// that start at once at least one then sees the other.
    pub(crate) fn take(file: &Arc<File>, role: ImageRole) -> io::Result<Self> {
        let held = Self {
            file: Arc::clone(file),
            role,
        };
        for &byte in role.does().iter().chain(REFUSED) {
            sys::lock_byte(file, byte)?;
        }
        for &byte in role.does() {
            refuse_if_locked(
                file,
                byte + TO_OTHER_HALF,
                "another process does not share it for this",
            )?;
        }
        for &byte in REFUSED {
            refuse_if_locked(
                file,
                byte - TO_OTHER_HALF,
                "another process is writing to it",
            )?;
        }
        Ok(held)
    }
}

impl Drop for ImageLock {
    fn drop(&mut self) {
        for &byte in self.role.does().iter().chain(REFUSED) {
            // An unlock cannot fail on a file that took the lock; were it to, closing the file releases it.
            let _ = sys::unlock_byte(&self.file, byte);
        }
    }
}

fn refuse_if_locked(file: &File, byte: u64, why: &str) -> io::Result<()> {
    if sys::is_locked_by_other(file, byte)? {
        let message = format!("image is in use: {why} (lock on byte {byte})");
        return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
    }
    Ok(())
}

// The bytes as qemu-img 10.0 was seen to lock them: what a holder does from 100 on, what it refuses to others from 200
// on, in the order read, write, write unchanged data, resize.
const DOES_READ: u64 = 100;
const DOES_WRITE: u64 = 101;
const DOES_RESIZE: u64 = 103;
const REFUSES_WRITE: u64 = 201;
const REFUSES_RESIZE: u64 = 203;
/// What neither role wants others to do.
const REFUSED: &[u64] = &[REFUSES_WRITE, REFUSES_RESIZE];
/// From the byte of doing a thing to the byte of refusing it.
const TO_OTHER_HALF: u64 = 100;

/// The header lock of one storage: between the threads that share it, and, where there is a file, between processes.
///
/// flock(2) belongs to the open file, so that threads sharing one would not keep each other out.
pub(crate) struct SharedLock {
    file: Option<Arc<File>>,
    /// Of a block device.
    device: Option<DeviceLock>,
    /// As long as it is held, where it is not flock(2) on the device.
    held: Mutex<Option<HeldDeviceLock>>,
    holders: Mutex<Holders>,
    released: Condvar,
}

#[derive(Default)]
struct Holders {
    shared: usize,
    exclusive: bool,
}

impl SharedLock {
    pub(crate) fn new(file: Option<Arc<File>>) -> Arc<Self> {
        Self::with(file, None)
    }

    /// That of a block device of this number.
    pub(crate) fn of_device(file: Arc<File>, device: u64) -> Arc<Self> {
        Self::with(Some(file), Some(DeviceLock::of(device)))
    }

    fn with(file: Option<Arc<File>>, device: Option<DeviceLock>) -> Arc<Self> {
        Arc::new(Self {
            file,
            device,
            held: Mutex::default(),
            holders: Mutex::default(),
            released: Condvar::new(),
        })
    }

    /// Waits until the lock can be held as `mode`.
    pub(crate) fn acquire(self: &Arc<Self>, mode: LockMode) -> io::Result<SharedLockGuard> {
        let mut holders = self.holders();
        while holders.exclusive || (mode == LockMode::Exclusive && holders.shared > 0) {
            holders = self
                .released
                .wait(holders)
                .unwrap_or_else(PoisonError::into_inner);
        }
        // Waiting for other processes under the mutex keeps out only threads that would have to wait as well: nobody
        // holds the lock here, so nobody needs the mutex to release it.
        if holders.shared == 0 {
            self.flock(match mode {
                LockMode::Shared => FlockOperation::LockShared,
                LockMode::Exclusive => FlockOperation::LockExclusive,
            })?;
        }
        match mode {
            LockMode::Shared => holders.shared += 1,
            LockMode::Exclusive => holders.exclusive = true,
        }
        Ok(SharedLockGuard {
            lock: Arc::clone(self),
            mode,
        })
    }

    fn flock(&self, operation: FlockOperation) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.take().is_some() {
            // It was released just now.
            return Ok(());
        }
        let device = self.device.as_ref();
        if let Some(device) = device.filter(|_| operation != FlockOperation::Unlock)
            && let Ok(taken) = device.take(operation)
        {
            *held = Some(taken);
            return Ok(());
        }
        if let Some(file) = &self.file {
            rustix::io::retry_on_intr(|| flock(file, operation))?;
        }
        Ok(())
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct SharedLockGuard {
    lock: Arc<SharedLock>,
    mode: LockMode,
}

impl Drop for SharedLockGuard {
    fn drop(&mut self) {
        let mut holders = self.lock.holders();
        match self.mode {
            LockMode::Shared => holders.shared -= 1,
            LockMode::Exclusive => holders.exclusive = false,
        }
        if holders.shared == 0 {
            // Cannot fail on a file that took the lock; were it to, closing the file releases it.
            let _ = self.lock.flock(FlockOperation::Unlock);
        }
        drop(holders);
        self.lock.released.notify_all();
    }
}
