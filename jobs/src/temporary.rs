//! Files that are not finished: they go when the process ends early, secrets overwritten before.
//!
//! Whoever takes signals calls [`abandon`] where one ends the process. No signal is taken here.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::process;
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, TryLockError,
};
use std::thread;
use std::time::{Duration, Instant};

use volume::{FileStorage, Storage as _};

use crate::folder::Folder;

/// What has to be undone when the process ends early.
struct Leavings {
    files: Vec<(u64, Arc<Leaving>)>,
    next: u64,
}

impl Leavings {
    fn forget(&mut self, number: u64) {
        self.files.retain(|(its, _)| *its != number);
    }
}

static LEAVINGS: Mutex<Leavings> = Mutex::new(Leavings {
    files: Vec::new(),
    next: 0,
});
/// Held for reading by who writes secrets to a file, for writing by who overwrites them.
static WRITERS: RwLock<()> = RwLock::new(());
/// Who says that overwriting takes a while.
static ANNOUNCE: OnceLock<fn(&OsStr)> = OnceLock::new();

/// A file that is not finished: what was made, not what has its name.
struct Leaving {
    folder: Arc<Folder>,
    name: OsString,
    /// Not there as long as it is not made.
    file: OnceLock<FileStorage>,
    content: Content,
}

impl Leaving {
    /// Overwrites it if it is secret, until it is enough. What cannot be overwritten is removed all the same.
    fn overwrite(&self, is_enough: &mut dyn FnMut() -> bool) {
        if let Some(file) = self.file.get()
            && self.content == Content::Secret
        {
            let _ = overwrite(file, &self.name, is_enough);
        }
    }

    /// Makes it.
    fn make(&self, mode: u32) -> io::Result<File> {
        let made = self.folder.create(&self.name, mode)?;
        let kept = made.try_clone().and_then(FileStorage::from_file);
        let kept = kept.inspect_err(|_| {
            let _ = self.folder.remove_own(&self.name, &made);
        })?;
        self.file.get_or_init(|| kept);
        Ok(made)
    }

    fn remove(&self) {
        if let Some(file) = self.file.get() {
            let _ = self.folder.remove_own(&self.name, file.file());
        }
    }
}

/// What a file holds that is not finished.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// Nothing that its reader could not have anyway, ciphertext for one.
    Public,
    /// A key, or plaintext.
    Secret,
}

/// Keeps a file of secrets from being overwritten while something is written to it. A process that is about to end never
/// gives it back.
pub fn writing() -> RwLockReadGuard<'static, ()> {
    WRITERS.read().unwrap_or_else(PoisonError::into_inner)
}

/// From now on `announce` is called with the name of a file whose overwriting takes a while. The first one counts.
pub fn announce_by(announce: fn(&OsStr)) {
    let _ = ANNOUNCE.set(announce);
}

/// Removes what is not finished, secrets overwritten before until it is enough, since the process is about to end. The
/// locks are kept: no new file can appear, and nobody writes secrets any more. `false` where the list is held by a
/// thread that has aborted the process.
#[must_use]
pub fn abandon(is_enough: &mut dyn FnMut() -> bool) -> bool {
    let Some(leavings) = patiently(|| LEAVINGS.try_lock()) else {
        return false;
    };
    let writers = if volume::has_aborted() {
        patiently(|| WRITERS.try_write())
    } else {
        Some(WRITERS.write().unwrap_or_else(PoisonError::into_inner))
    };
    for (_, leaving) in &leavings.files {
        leaving.overwrite(is_enough);
        leaving.remove();
    }
    std::mem::forget((leavings, writers));
    true
}

/// A file that must not outlive this value, nor the process if a signal ends it.
///
/// It is made under the same lock under which the signal thread removes it, and taken off the list together with
/// what makes it permanent: there is no moment at which a signal leaves a file behind. It is overwritten by its
/// descriptor and removed from the folder that is open, so that nobody who moves things about has another file hit.
pub struct TemporaryFile {
    number: u64,
    leaving: Arc<Leaving>,
    kept: bool,
    companions: Vec<Self>,
}

impl TemporaryFile {
    /// Makes a file in `folder` and remembers it.
    pub fn create(
        folder: &Arc<Folder>,
        name: &OsStr,
        mode: u32,
        content: Content,
    ) -> io::Result<(File, Self)> {
        let leaving = Arc::new(Leaving {
            folder: Arc::clone(folder),
            name: name.to_owned(),
            file: OnceLock::new(),
            content,
        });
        let mut leavings = leavings();
        let number = leavings.next;
        leavings.next += 1;
        // First, and so that it fails: with this lock held nothing could be undone where memory ends.
        let reserved = leavings.files.try_reserve(1);
        reserved.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        leavings.files.push((number, Arc::clone(&leaving)));
        let made = leaving.make(mode).inspect_err(|_| {
            leavings.forget(number);
        })?;
        Ok((
            made,
            Self {
                number,
                leaving,
                kept: false,
                companions: Vec::new(),
            },
        ))
    }

    /// Makes a file under a name of its own, beside the one that it is to get.
    pub fn create_for(
        folder: &Arc<Folder>,
        entry: &OsStr,
        mode: u32,
        content: Content,
    ) -> io::Result<(File, Self)> {
        let mut attempt = 0;
        loop {
            let name = temporary_name(entry, attempt);
            match Self::create(folder, &name, mode, content) {
                // Somebody else's process of the same number, seen through a shared file system.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Folder {
        &self.leaving.folder
    }

    /// What it is called there.
    pub fn name(&self) -> &OsStr {
        &self.leaving.name
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        let file = self.leaving.file.get();
        file.expect("it is made before this value is").file()
    }

    /// From now on `other`, which has its name and all that it is to hold, is kept with this one, or goes with it.
    pub fn take_along(&mut self, other: Self) {
        self.companions.push(other);
    }

    /// Lets `keep` make the file permanent (a rename); if it fails the file is removed.
    pub fn keep<E>(self, keep: impl FnOnce(&Self) -> Result<(), E>) -> Result<(), E> {
        Self::keep_all([self], |[file]| keep(file))
    }

    /// The same for more than one, of which a signal leaves all or none.
    pub fn keep_all<const N: usize, E>(
        mut files: [Self; N],
        keep: impl FnOnce(&[Self; N]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut leavings = leavings();
        keep(&files)?;
        for file in &mut files {
            file.forget(&mut leavings);
        }
        Ok(())
    }

    fn forget(&mut self, leavings: &mut Leavings) {
        leavings.forget(self.number);
        self.kept = true;
        for companion in &mut self.companions {
            companion.forget(leavings);
        }
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.kept {
            // Without the lock on what is left: a signal does not wait for this.
            self.leaving.overwrite(&mut || false);
            let mut leavings = leavings();
            self.leaving.remove();
            leavings.forget(self.number);
        }
    }
}

fn temporary_name(name: &OsStr, attempt: u32) -> OsString {
    // A name has at most 255 bytes, ours included.
    let head = &name.as_bytes()[..name.len().min(200)];
    let mut temporary = OsString::from(".");
    temporary.push(OsStr::from_bytes(head));
    temporary.push(format!(".luksmith-{}-{attempt}", process::id()));
    temporary
}

fn leavings() -> MutexGuard<'static, Leavings> {
    LEAVINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a lock; `None` where it is held by a thread that has aborted the process, which gives nothing back.
pub fn patiently<G>(mut lock: impl FnMut() -> Result<G, TryLockError<G>>) -> Option<G> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut since = None;
    loop {
        match lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(error)) => return Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        if volume::has_aborted() && since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Overwrites all that a file holds with zeros, through to the disk, until it is enough.
fn overwrite(
    storage: &FileStorage,
    name: &OsStr,
    is_enough: &mut dyn FnMut() -> bool,
) -> io::Result<()> {
    /// Not from memory, which may have ended.
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    /// What takes longer than a moment to overwrite is announced.
    const QUIET_BYTES: u64 = 256 << 20;
    if storage.len()? > QUIET_BYTES
        && !volume::has_aborted()
        && let Some(announce) = ANNOUNCE.get()
    {
        announce(name);
    }
    let mut offset = 0;
    while let Some(extent) = storage.data_extent(offset)? {
        for start in extent.clone().step_by(ZEROS.len()) {
            if is_enough() {
                return Ok(());
            }
            let left = usize::try_from(extent.end - start).unwrap_or(usize::MAX);
            storage.write_at(start, &ZEROS[..left.min(ZEROS.len())])?;
        }
        offset = extent.end;
    }
    storage.sync()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn make(path: &Path) -> io::Result<TemporaryFile> {
        let (folder, name) = Folder::of(path)?;
        let made = TemporaryFile::create(&Arc::new(folder), &name, 0o600, Content::Public)?;
        Ok(made.1)
    }

    #[test]
    fn a_temporary_file_goes_unless_it_is_kept() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("made");
        let file = make(&path)?;
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());

        let file = make(&path)?;
        file.keep(|file| file.folder().rename(file.name(), "kept".as_ref()))?;
        assert!(directory.path().join("kept").exists() && !path.exists());
        Ok(())
    }

    #[test]
    fn companions_are_kept_together_or_go_together() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name);
        for outcome in [Ok(()), Err(io::Error::from(io::ErrorKind::AlreadyExists))] {
            let is_kept = outcome.is_ok();
            let mut file = make(&at("file"))?;
            file.take_along(make(&at("companion"))?);
            assert_eq!(file.keep(|_| outcome).is_ok(), is_kept);
            for name in ["file", "companion"] {
                assert_eq!(at(name).exists(), is_kept, "{name}");
                let _ = fs::remove_file(at(name));
            }
        }
        Ok(())
    }

    #[test]
    fn what_has_its_name_and_place_meanwhile_stays() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("folder"))?;
        let file = make(&at("folder/made"))?;
        fs::rename(at("folder"), at("moved"))?;
        fs::create_dir(at("folder"))?;
        fs::write(at("folder/made"), "theirs")?;
        drop(file);
        assert!(!at("moved/made").exists());
        assert_eq!(fs::read(at("folder/made"))?, b"theirs");

        let file = make(&at("made"))?;
        fs::remove_file(at("made"))?;
        fs::write(at("made"), "theirs")?;
        drop(file);
        assert_eq!(fs::read(at("made"))?, b"theirs");
        Ok(())
    }

    #[test]
    fn secrets_are_overwritten_until_it_is_enough() -> io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let data = vec![7; 3 << 20];
        // Data, a hole of 1 MiB, data.
        let write = || {
            fs::write(file.path(), &data)?;
            FileStorage::from_file(file.as_file().try_clone()?)?.punch_hole(1 << 20, 1 << 20)
        };
        write()?;
        let storage = FileStorage::from_file(file.as_file().try_clone()?)?;
        overwrite(&storage, "x".as_ref(), &mut || false)?;
        assert!(fs::read(file.path())? == vec![0; 3 << 20]);

        write()?;
        let mut pieces = 0;
        overwrite(&storage, "x".as_ref(), &mut || {
            pieces += 1;
            pieces > 16
        })?;
        let left = fs::read(file.path())?;
        assert!(left[..2 << 20] == vec![0; 2 << 20] && left[2 << 20..] == data[..1 << 20]);
        Ok(())
    }

    #[test]
    fn a_file_that_cannot_be_kept_goes() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("made");
        let file = make(&path)?;
        assert!(
            file.keep(|_| Err::<(), io::Error>(io::ErrorKind::AlreadyExists.into()))
                .is_err()
        );
        assert!(!path.exists());
        Ok(())
    }
}
