//! The lock that cryptsetup holds as long as it reencrypts: a file in its folder with the UUID in its name, flock(2)ed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, InPlaceError};
use crate::text;
use crate::watch::Watch;

/// cryptsetup's folder for its locks.
const FOLDER: &str = "/run/cryptsetup";

/// Held until it is dropped.
pub(super) struct CryptsetupLock {
    path: PathBuf,
    _file: File,
}

impl Drop for CryptsetupLock {
    fn drop(&mut self) {
        // The lock is still held: whoever waits for it finds out that the file has gone, as we do.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes it for the container of this UUID. Where that cannot be done, `watch` is told.
pub(super) fn take(
    name: &str,
    uuid: &str,
    watch: &dyn Watch,
) -> Result<Option<CryptsetupLock>, Error> {
    take_in(Path::new(FOLDER), name, uuid, watch)
}

fn take_in(
    folder: &Path,
    name: &str,
    uuid: &str,
    watch: &dyn Watch,
) -> Result<Option<CryptsetupLock>, Error> {
    match try_take(folder, uuid) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(InPlaceError::CryptsetupHas {
                name: name.to_owned(),
                lock: text::path(&path_of(folder, uuid)),
            }
            .into())
        }
        Err(error) => {
            watch.warn(&format_args!(
                "{name}: cryptsetup is not kept out, whose lock in {} cannot be taken: {error}",
                text::path(folder)
            ));
            Ok(None)
        }
    }
}

fn try_take(folder: &Path, uuid: &str) -> io::Result<CryptsetupLock> {
    // It comes from the disk, and becomes a part of a path.
    let is_uuid = !uuid.is_empty()
        && uuid
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !is_uuid {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "its UUID is none",
        ));
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let path = path_of(folder, uuid);
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(io::ErrorKind::WouldBlock.into()),
            outcome => outcome?,
        }
        // Who had it before may have removed the file meanwhile.
        let ours = file.metadata()?;
        match fs::symlink_metadata(&path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {
                return Ok(CryptsetupLock { path, _file: file });
            }
            _ => {}
        }
    }
}

fn path_of(folder: &Path, uuid: &str) -> PathBuf {
    folder.join(format!("LN_LUKS2-reencryption-{uuid}"))
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;
    use std::sync::Mutex;

    use super::*;

    const UUID: &str = "3b6e2c1a-0000-4000-8000-000000000001";

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Watch for Heard {
        fn warn(&self, warning: &dyn Display) {
            self.0.lock().unwrap().push(warning.to_string());
        }
    }

    #[test]
    fn it_is_held_alone_and_goes_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("cryptsetup");
        let heard = Heard::default();
        let held = take_in(&folder, "d.img", UUID, &heard).unwrap().unwrap();
        let path = path_of(&folder, UUID);
        assert!(path.exists());
        let refused = take_in(&folder, "d.img", UUID, &heard).map(|_| ());
        assert_eq!(refused.unwrap_err().blame(), crate::Blame::Taken);
        drop(held);
        assert!(!path.exists());
        assert!(take_in(&folder, "d.img", UUID, &heard).unwrap().is_some());
        assert!(heard.0.lock().unwrap().is_empty());
    }

    #[test]
    fn where_it_cannot_be_taken_that_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        for uuid in ["", "../../etc/passwd", "a/b"] {
            let heard = Heard::default();
            assert!(
                take_in(folder.path(), "d.img", uuid, &heard)
                    .unwrap()
                    .is_none()
            );
            assert_eq!(heard.0.lock().unwrap().len(), 1, "{uuid}");
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        let heard = Heard::default();
        let nowhere = folder.path().join("not/there");
        assert!(take_in(&nowhere, "d.img", UUID, &heard).unwrap().is_none());
        assert!(heard.0.lock().unwrap()[0].contains("cryptsetup is not kept out"));
    }
}
