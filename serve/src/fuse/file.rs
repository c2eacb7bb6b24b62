//! What is done for a request on the file; nothing here knows how it came.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::export::Export;

/// So many bytes are zeroed at a time: a server that ends waits no longer than for one of them.
const ZEROS_BYTES: u64 = 16 << 20;

/// The plaintext as a file.
pub(super) struct File {
    export: Arc<Export>,
    /// Something was written since it was made durable. It is set when that has been written, before it is answered.
    is_dirty: AtomicBool,
    /// Whoever makes it durable because of that.
    flushing: Mutex<()>,
    /// Nothing is answered any more.
    is_over: AtomicBool,
    /// Held for reading by who answers.
    at_work: RwLock<()>,
    /// Memory for what is read and written, as much of it as there were requests at once.
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl File {
    pub(super) fn new(export: Arc<Export>) -> Self {
        Self {
            export,
            is_dirty: AtomicBool::new(false),
            flushing: Mutex::default(),
            is_over: AtomicBool::new(false),
            at_work: RwLock::default(),
            buffers: Mutex::default(),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.export.len()
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.export.is_read_only()
    }

    /// Hands over what there is of `len` bytes from `offset` on.
    pub(super) fn read<T>(
        &self,
        offset: u64,
        len: u32,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Errno> {
        let _answering = self.answering()?;
        let rest = self.len().saturating_sub(offset);
        let len = bytes(rest.min(len.into()));
        self.with_buffer(len, |buffer| {
            if len > 0 {
                self.export
                    .read(offset, buffer)
                    .map_err(|error| errno_of(&error))?;
            }
            Ok(take(buffer))
        })
    }

    /// Writes what of it lies before the end, and says how much that is.
    pub(super) fn write(&self, offset: u64, data: &[u8]) -> Result<u32, Errno> {
        let _answering = self.writing()?;
        let rest = self.len().saturating_sub(offset);
        let len = bytes(rest.min(data.len() as u64));
        if len == 0 && !data.is_empty() {
            return Err(Errno::NOSPC);
        }
        self.with_buffer(len, |buffer| {
            buffer.copy_from_slice(&data[..len]);
            let written = self.export.write(offset, buffer);
            // Whether it has failed or not: a part may have been written.
            self.is_dirty.store(true, Ordering::SeqCst);
            written.map_err(|error| errno_of(&error))
        })?;
        u32::try_from(len).map_err(|_| Errno::INVAL)
    }

    /// What a file of this kind can do of `fallocate`.
    pub(super) fn allocate(&self, mode: i32, offset: u64, len: u64) -> Result<(), Errno> {
        let answering = self.writing()?;
        let flags = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        let keeps_size = flags.contains(FallocateFlags::KEEP_SIZE);
        let end = offset.checked_add(len).ok_or(Errno::FBIG)?;
        if end > self.len() && !keeps_size {
            return Err(Errno::PERM);
        }
        let may_be_hole = match flags.difference(FallocateFlags::KEEP_SIZE) {
            // Every byte of it has its place.
            none if none.is_empty() => return Ok(()),
            FallocateFlags::ZERO_RANGE => false,
            // Whoever sees holes sees which parts are in use.
            FallocateFlags::PUNCH_HOLE if self.export.discards() => true,
            _ => return Err(Errno::OPNOTSUPP),
        };
        drop(answering);
        let end = end.min(self.len());
        let mut at = offset;
        while at < end {
            let _answering = self.writing()?;
            let step = (end - at).min(ZEROS_BYTES);
            let zeroed = self.export.zero(at, step, may_be_hole);
            self.is_dirty.store(true, Ordering::SeqCst);
            zeroed.map_err(|error| errno_of(&error))?;
            at += step;
        }
        Ok(())
    }

    /// Its length is what it is.
    pub(super) fn set_len(&self, len: u64) -> Result<(), Errno> {
        if len == self.len() {
            Ok(())
        } else {
            Err(Errno::PERM)
        }
    }

    /// Makes durable what was written.
    pub(super) fn sync(&self) -> Result<(), Errno> {
        let _answering = self.answering()?;
        self.export.sync().map_err(|error| errno_of(&error))
    }

    /// The same where something was written. Who comes while another one does it waits for that one.
    pub(super) fn flush(&self) -> Result<(), Errno> {
        let _answering = self.answering()?;
        let _flushing = locked(&self.flushing);
        if !self.is_dirty.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        self.export.sync().map_err(|error| {
            self.is_dirty.store(true, Ordering::SeqCst);
            errno_of(&error)
        })
    }

    /// From now on nothing is answered; what is at work is waited for. Then all is made durable.
    pub(super) fn end(&self) -> io::Result<()> {
        self.is_over.store(true, Ordering::SeqCst);
        drop(self.at_work.write().unwrap_or_else(PoisonError::into_inner));
        self.export.sync()
    }

    fn writing(&self) -> Result<RwLockReadGuard<'_, ()>, Errno> {
        if self.is_read_only() {
            return Err(Errno::ROFS);
        }
        self.answering()
    }

    fn answering(&self) -> Result<RwLockReadGuard<'_, ()>, Errno> {
        let at_work = self.at_work.read().unwrap_or_else(PoisonError::into_inner);
        if self.is_over.load(Ordering::SeqCst) {
            Err(Errno::IO)
        } else {
            Ok(at_work)
        }
    }

    fn with_buffer<T>(&self, len: usize, use_it: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut buffer = locked(&self.buffers).pop().unwrap_or_default();
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let used = use_it(&mut buffer[..len]);
        locked(&self.buffers).push(buffer);
        used
    }
}

/// What an error of the storage is to a program.
fn errno_of(failed: &io::Error) -> Errno {
    match Errno::from_io_error(failed) {
        Some(known @ (Errno::NOSPC | Errno::DQUOT | Errno::NOMEM | Errno::ROFS)) => known,
        _ => match failed.kind() {
            io::ErrorKind::StorageFull => Errno::NOSPC,
            io::ErrorKind::OutOfMemory => Errno::NOMEM,
            io::ErrorKind::ReadOnlyFilesystem => Errno::ROFS,
            _ => Errno::IO,
        },
    }
}

fn bytes(number: u64) -> usize {
    usize::try_from(number).expect("no request is as long")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use volume::{Fault, FaultOn, SimulatedStorage};

    use super::*;
    use crate::export::ExportOptions;

    fn file(disk: &Arc<SimulatedStorage>) -> File {
        let storage = Arc::clone(disk);
        let export = Export::new(storage, ExportOptions::default());
        File::new(Arc::new(export.expect("it has a length")))
    }

    /// Whether it is there whatever a loss of power takes.
    fn is_durable(disk: &SimulatedStorage, offset: usize, data: &[u8]) -> bool {
        disk.crash_states_now(1).all(|state| {
            let bytes = state.storage.snapshot();
            bytes[offset..][..data.len()] == *data
        })
    }

    #[test]
    fn what_fsync_and_close_have_promised_is_there_after_a_loss_of_power() {
        type Promise = fn(&File) -> Result<(), Errno>;
        let promises: [Promise; 3] = [File::sync, File::flush, |file| {
            file.end().map_err(|_| Errno::IO)
        }];
        for promise in promises {
            let disk = Arc::new(SimulatedStorage::from_vec(vec![1; 64 << 10]));
            let file = file(&disk);
            assert_eq!(file.write(5000, &[7; 3000]), Ok(3000));
            file.allocate(
                FallocateFlags::ZERO_RANGE.bits().cast_signed(),
                20_000,
                4000,
            )
            .expect("zeros are written");
            assert!(!is_durable(&disk, 5000, &[7; 3000]));
            promise(&file).expect("it is durable");
            assert!(is_durable(&disk, 5000, &[7; 3000]));
            assert!(is_durable(&disk, 20_000, &[0; 4000]));
        }
    }

    #[test]
    fn close_without_a_write_writes_nothing_through() {
        let disk = Arc::new(SimulatedStorage::new(8192));
        let file = file(&disk);
        let syncs = || {
            let operations = disk.operations().into_iter();
            operations
                .filter(|operation| matches!(operation, volume::Operation::Sync))
                .count()
        };
        file.flush().expect("nothing was written");
        assert_eq!(syncs(), 0);
        file.write(0, b"x").expect("there is room");
        file.flush().expect("it is durable");
        file.flush().expect("it is durable already");
        assert_eq!(syncs(), 1);
    }

    #[test]
    fn after_a_sync_that_failed_none_is_believed() {
        let disk = Arc::new(SimulatedStorage::new(8192));
        let file = file(&disk);
        file.write(0, b"x").expect("there is room");
        disk.fail(Fault {
            on: FaultOn::Sync,
            after: 0,
            forever: false,
            os_error: 5,
        });
        assert_eq!(file.sync(), Err(Errno::IO));
        assert_eq!(file.sync(), Err(Errno::IO));
        assert_eq!(file.flush(), Err(Errno::IO));
        assert!(file.end().is_err());
        assert_eq!(file.read(0, 1, |_| ()), Err(Errno::IO), "it is over");
    }
}
