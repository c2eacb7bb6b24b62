//! The header lock of block devices: files in cryptsetup's folder, named after the device's number and flock(2)ed
//! (LUKS2-locking, part III). On the device itself flock(2) is udev's, which holds it while it probes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock, major, minor};

/// cryptsetup's folder for its locks.
const FOLDER: &str = "/run/cryptsetup";

/// Where the lock of a device is.
pub(super) struct DeviceLock {
    folder: PathBuf,
    path: PathBuf,
}

/// The lock, held until this is dropped.
pub(super) struct HeldDeviceLock {
    path: PathBuf,
    file: File,
}

impl DeviceLock {
    pub(super) fn of(device: u64) -> Self {
        Self::below(Path::new(FOLDER), device)
    }

    fn below(folder: &Path, device: u64) -> Self {
        let name = format!("L_{}:{}", major(device), minor(device));
        Self {
            folder: folder.to_owned(),
            path: folder.join(name),
        }
    }

    /// Waits for it. An error says that there is none to be had here, not that somebody has it.
    pub(super) fn take(&self, operation: FlockOperation) -> io::Result<HeldDeviceLock> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&self.path)?;
            rustix::io::retry_on_intr(|| flock(&file, operation))?;
            // Who had it before may have removed the file meanwhile.
            if is_at(&file, &self.path) {
                let path = self.path.clone();
                return Ok(HeldDeviceLock { path, file });
            }
        }
    }
}

impl Drop for HeldDeviceLock {
    fn drop(&mut self) {
        // The last holder takes the file away; whoever waits finds out, as we do.
        let is_last = flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_last && is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_its_last_holder() -> io::Result<()> {
        let place = tempfile::tempdir()?;
        let folder = place.path().join("cryptsetup");
        let lock = DeviceLock::below(&folder, rustix::fs::makedev(7, 12));
        let path = folder.join("L_7:12");
        let one = lock.take(FlockOperation::LockShared)?;
        let two = lock.take(FlockOperation::LockShared)?;
        let other = File::open(&path)?;
        assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_err());
        drop(one);
        assert!(path.exists());
        drop(two);
        assert!(!path.exists());
        let alone = lock.take(FlockOperation::LockExclusive)?;
        let other = File::open(&path)?;
        assert!(flock(&other, FlockOperation::NonBlockingLockShared).is_err());
        // Another one's file of this name is not taken away.
        fs::remove_file(&path)?;
        fs::write(&path, "")?;
        drop(alone);
        assert!(path.exists());
        Ok(())
    }

    #[test]
    fn where_there_is_no_folder_there_is_none() {
        let lock = DeviceLock::below(Path::new("/proc/nothing"), 1);
        assert!(lock.take(FlockOperation::LockShared).is_err());
    }
}
