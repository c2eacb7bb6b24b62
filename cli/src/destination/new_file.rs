//! A file that appears under its name only when it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::signals::{Content, TemporaryFile};

/// A file under a temporary name in the directory of its final one. Dropping it removes it.
pub struct NewFile {
    temporary: TemporaryFile,
    path: PathBuf,
    replaces: bool,
}

impl NewFile {
    /// Makes an empty file, readable for its owner only, that [`NewFile::commit`] will name `path`.
    pub(super) fn create(
        path: &Path,
        replaces: bool,
        content: Content,
    ) -> io::Result<(File, Self)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let mut attempt = 0;
        loop {
            let temporary = path.with_file_name(temporary_name(name, attempt));
            let made = TemporaryFile::create(&temporary, content, |path| {
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                    .open(path)
            });
            match made {
                // Somebody else's process of the same number, seen through a shared file system.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => {
                    attempt += 1;
                }
                Err(error) => return Err(error),
                Ok((file, temporary)) => {
                    return Ok((
                        file,
                        Self {
                            temporary,
                            path: path.to_owned(),
                            replaces,
                        },
                    ));
                }
            }
        }
    }

    /// Gives the file its name. Its content must be synced. Without leave to replace, a file that has appeared under
    /// the name meanwhile is left alone, as [`io::ErrorKind::AlreadyExists`].
    pub(super) fn commit(self) -> io::Result<()> {
        let Self {
            temporary,
            path,
            replaces,
        } = self;
        temporary.keep(|temporary| {
            if replaces {
                fs::rename(temporary, &path)
            } else {
                rename_new(temporary, &path)
            }
        })?;
        sync_directory(&path)
    }
}

/// Renames without replacing.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot promise it: look, then rename.
        Err(Errno::INVAL | Errno::NOSYS) => match to.symlink_metadata() {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
            Err(error) => Err(error),
        },
        outcome => outcome.map_err(Into::into),
    }
}

/// Makes the new name durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn temporary_name(name: &OsStr, attempt: u32) -> OsString {
    // A name has at most 255 bytes, ours included.
    let head = &name.as_bytes()[..name.len().min(200)];
    let mut temporary = OsString::from(".");
    temporary.push(OsStr::from_bytes(head));
    temporary.push(format!(".luksmith-{}-{attempt}", process::id()));
    temporary
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn entries(directory: &Path) -> io::Result<Vec<OsString>> {
        let mut names = fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    #[test]
    fn the_name_appears_at_the_end() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("image");
        let (mut file, new) = NewFile::create(&path, false, Content::Public)?;
        file.write_all(b"content")?;
        assert!(!path.exists());
        assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o600);
        new.commit()?;
        assert_eq!(fs::read(&path)?, b"content");
        assert_eq!(entries(directory.path())?, ["image"]);
        Ok(())
    }

    #[test]
    fn a_file_that_came_meanwhile_stays() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("image");
        let (_, new) = NewFile::create(&path, false, Content::Public)?;
        fs::write(&path, "theirs")?;
        assert_eq!(
            new.commit().map_err(|error| error.kind()),
            Err(io::ErrorKind::AlreadyExists)
        );
        assert_eq!(fs::read(&path)?, b"theirs");
        assert_eq!(entries(directory.path())?, ["image"]);
        Ok(())
    }

    #[test]
    fn replacing_happens_at_the_end() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("image");
        fs::write(&path, "old")?;
        let (_, new) = NewFile::create(&path, true, Content::Public)?;
        drop(new);
        assert_eq!(fs::read(&path)?, b"old");
        let (_, new) = NewFile::create(&path, true, Content::Public)?;
        new.commit()?;
        assert_eq!(fs::read(&path)?, b"");
        assert_eq!(entries(directory.path())?, ["image"]);
        Ok(())
    }

    #[test]
    fn the_longest_name_works() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("x".repeat(255));
        NewFile::create(&path, false, Content::Public)?.1.commit()?;
        assert!(path.exists());
        Ok(())
    }
}
