//! A folder that is open: what is done to a file in it is done there, wherever the folder's name leads meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{
    self, Access, AtFlags, Mode, OFlags, RenameFlags, accessat, openat, renameat, renameat_with,
    unlinkat,
};
use rustix::io::Errno;

/// An open folder.
pub struct Folder(File);

impl Folder {
    /// The folder of a path, and the name in it.
    pub fn of(path: &Path) -> io::Result<(Self, OsString)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        Ok((Self::open(parent)?, name.to_owned()))
    }

    /// A folder by its own name.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(fs::CWD, path, flags, Mode::empty())?;
        Ok(Self(folder.into()))
    }

    /// A folder in it, and not behind a link.
    pub fn inner(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        self.open_file(name, flags).map(Self)
    }

    /// Whether files can be made in it.
    pub fn check_writable(&self) -> io::Result<()> {
        let access = Access::WRITE_OK | Access::EXEC_OK;
        Ok(accessat(&self.0, ".", access, AtFlags::EACCESS)?)
    }

    /// Makes a file that is not there yet, for reading and writing.
    pub fn create(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::from_raw_mode(mode))?;
        Ok(file.into())
    }

    /// Opens what is there.
    pub fn open_file(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        let file = openat(&self.0, name, flags | OFlags::CLOEXEC, Mode::empty())?;
        Ok(file.into())
    }

    /// A hold on what is there, the link itself where it is one: it can be looked at, not read.
    pub fn look(&self, name: &OsStr) -> io::Result<File> {
        self.open_file(name, OFlags::PATH | OFlags::NOFOLLOW)
    }

    /// The same of what a link leads to.
    pub fn look_through(&self, name: &OsStr) -> io::Result<File> {
        self.open_file(name, OFlags::PATH)
    }

    /// Whether the file of this name is this one.
    pub fn is_here(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        match self.look(name) {
            Ok(found) => is_same(&found, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Renames within the folder, over whatever has the name.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    /// Renames within the folder, unless something has the name.
    pub fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
            // A file system that cannot promise it: look, then rename.
            Err(Errno::INVAL | Errno::NOSYS) => match self.look(to) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.rename(from, to),
                Err(error) => Err(error),
            },
            outcome => outcome.map_err(Into::into),
        }
    }

    /// Lets two files have each other's names.
    pub fn exchange(&self, one: &OsStr, other: &OsStr) -> io::Result<()> {
        Ok(renameat_with(
            &self.0,
            one,
            &self.0,
            other,
            RenameFlags::EXCHANGE,
        )?)
    }

    /// Removes a file.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes a file if it is still the one that was made.
    pub fn remove_own(&self, name: &OsStr, file: &File) -> io::Result<()> {
        if self.is_here(name, file)? {
            self.remove(name)
        } else {
            Ok(())
        }
    }

    /// Makes the names in it durable. `file` is one that got its name here.
    pub fn sync(&self, file: &File) -> io::Result<()> {
        match self.open_file(".".as_ref(), OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(folder) => folder.sync_all(),
            // Who may make files in a folder need not be allowed to read it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => file.sync_all(),
            Err(error) => Err(error),
        }
    }

    /// Whether both are one folder.
    pub fn is_same_as(&self, other: &Self) -> bool {
        is_same(&self.0, &other.0).unwrap_or(false)
    }
}

/// Whether both are one file, or one device by one name.
pub fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino(), one.rdev()) == (other.dev(), other.ino(), other.rdev()))
}
