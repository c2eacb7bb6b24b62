//! A file that appears under its name only when it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::io::Errno;

use super::Replaced;
use crate::error::DestinationError;
use crate::folder::Folder;
use crate::temporary::{Content, TemporaryFile};

/// A file under a temporary name in the folder of its final one. Dropping it removes it.
pub struct NewFile {
    temporary: TemporaryFile,
    entry: OsString,
    replaces: Option<Replaced>,
}

/// Why a file has not got its name, or not for certain.
#[derive(Debug)]
pub(super) enum Unnamed {
    /// Something has it.
    Taken,
    /// What had it is another file than the one that was to be replaced.
    Exchanged,
    /// The system's reason.
    Failed(io::Error),
    /// It has its name, and the folder could not be synced.
    Uncertain(io::Error),
}

impl Unnamed {
    pub(super) fn of(self, name: String) -> DestinationError {
        match self {
            Self::Taken => DestinationError::Exists {
                name,
                replaceable: true,
            },
            Self::Exchanged => DestinationError::Exchanged { name },
            Self::Failed(source) => DestinationError::Create { name, source },
            Self::Uncertain(source) => DestinationError::Uncertain { name, source },
        }
    }
}

impl From<io::Error> for Unnamed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AlreadyExists => Self::Taken,
            _ => Self::Failed(error),
        }
    }
}

/// Which of two files has not got its name.
#[derive(Debug)]
pub(super) enum OneUnnamed {
    Header(Unnamed),
    Data(Unnamed),
    /// And the header has its own, which could not be taken back.
    HeaderAlone(io::Error),
}

impl OneUnnamed {
    pub(super) fn of(self, data: String, header: String) -> DestinationError {
        match self {
            Self::Header(unnamed) => unnamed.of(header),
            Self::Data(unnamed) => unnamed.of(data),
            Self::HeaderAlone(source) => DestinationError::HeaderAlone {
                name: data,
                header,
                source,
            },
        }
    }
}

impl NewFile {
    /// Makes an empty file, readable for its owner only, that [`NewFile::commit`] will name `entry`.
    pub(super) fn create(
        folder: &Arc<Folder>,
        entry: &OsStr,
        replaces: Option<Replaced>,
        content: Content,
    ) -> io::Result<(File, Self)> {
        let (file, temporary) = TemporaryFile::create_for(folder, entry, 0o600, content)?;
        let new = Self {
            temporary,
            entry: entry.to_owned(),
            replaces,
        };
        Ok((file, new))
    }

    /// `file` is kept once this one has its name, and goes otherwise.
    pub(super) fn take_along(&mut self, file: TemporaryFile) {
        self.temporary.take_along(file);
    }

    /// Gives the file its name. Its content must be synced. Without leave to replace, a file that has appeared under
    /// the name meanwhile is left alone, and so is one that took the place of the one to be replaced.
    pub(super) fn commit(self) -> Result<(), Unnamed> {
        let Self {
            temporary,
            entry,
            replaces,
        } = self;
        let naming = Naming {
            entry: &entry,
            replaces: replaces.as_ref(),
        };
        let mut uncertain = None;
        temporary.keep(|temporary| {
            naming.name(temporary)?;
            uncertain = sync(temporary).err();
            Ok::<_, Unnamed>(())
        })?;
        uncertain.map_or(Ok(()), |source| Err(Unnamed::Uncertain(source)))
    }

    /// The same for data and their header: the header first, which loses its name again where the data do not get
    /// theirs. One of the two must be new: two names are two steps, and between them neither may be lost.
    pub(super) fn commit_both(data: Self, header: Self) -> Result<(), OneUnnamed> {
        let of_header = Naming {
            entry: &header.entry,
            replaces: header.replaces.as_ref(),
        };
        let of_data = Naming {
            entry: &data.entry,
            replaces: data.replaces.as_ref(),
        };
        let mut uncertain = None;
        TemporaryFile::keep_all([data.temporary, header.temporary], |[data, header]| {
            let written = Written::of(header).map_err(|error| OneUnnamed::Header(error.into()))?;
            of_header.name_so_far(header).map_err(OneUnnamed::Header)?;
            let named = sync(header)
                .map_err(|error| OneUnnamed::Header(error.into()))
                .and_then(|()| of_data.name_so_far(data).map_err(OneUnnamed::Data));
            if let Err(error) = named {
                let taken_back = of_header.take_back(header);
                return Err(taken_back.map_or_else(OneUnnamed::HeaderAlone, |()| error));
            }
            // Between the two somebody may have taken the header's name, or written to it.
            let is_whole = of_header.is_here(header) && Written::of(header).ok() == Some(written);
            if !is_whole {
                let taken_back = of_data.take_back(data);
                return Err(taken_back.map_or_else(
                    |error| OneUnnamed::Data(Unnamed::Failed(error)),
                    |()| OneUnnamed::Header(Unnamed::Exchanged),
                ));
            }
            of_header.forget_replaced(header);
            of_data.forget_replaced(data);
            uncertain = sync(data).err();
            Ok(())
        })?;
        uncertain.map_or(Ok(()), |source| {
            Err(OneUnnamed::Data(Unnamed::Uncertain(source)))
        })
    }
}

fn is_refused(code: i32) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| errno.raw_os_error() == code)
}

/// What a write to a file changes.
#[derive(Eq, PartialEq)]
struct Written(u64, SystemTime);

impl Written {
    fn of(file: &TemporaryFile) -> io::Result<Self> {
        let metadata = file.file().metadata()?;
        Ok(Self(metadata.len(), metadata.modified()?))
    }
}

/// The name that a temporary file gets.
struct Naming<'a> {
    entry: &'a OsStr,
    replaces: Option<&'a Replaced>,
}

impl Naming<'_> {
    fn name(&self, file: &TemporaryFile) -> Result<(), Unnamed> {
        if self.replaces.is_some() {
            self.check_replaced(file)?;
            file.folder().rename(file.name(), self.entry)?;
        } else {
            file.folder().rename_new(file.name(), self.entry)?;
        }
        Ok(())
    }

    /// The same, and what is replaced keeps the temporary name for now.
    fn name_so_far(&self, file: &TemporaryFile) -> Result<(), Unnamed> {
        if self.replaces.is_none() {
            return self.name(file);
        }
        self.check_replaced(file)?;
        match file.folder().exchange(file.name(), self.entry) {
            // A file system that cannot: what is replaced is gone at once.
            Err(error) if error.raw_os_error().is_some_and(is_refused) => self.name(file),
            outcome => Ok(outcome?),
        }
    }

    fn is_here(&self, file: &TemporaryFile) -> bool {
        let here = file.folder().is_here(self.entry, file.file());
        here.unwrap_or(false)
    }

    fn take_back(&self, file: &TemporaryFile) -> io::Result<()> {
        let has_old = self.replaces.is_some_and(|replaced| {
            let old = replaced.storage.file();
            file.folder().is_here(file.name(), old).unwrap_or(false)
        });
        if has_old {
            file.folder().exchange(file.name(), self.entry)
        } else {
            file.folder().remove_own(self.entry, file.file())
        }
    }

    /// What was replaced goes; were it to stay, it stays under a name that nobody looks at.
    fn forget_replaced(&self, file: &TemporaryFile) {
        if let Some(replaced) = self.replaces {
            let old = replaced.storage.file();
            let _ = file.folder().remove_own(file.name(), old);
        }
    }

    fn check_replaced(&self, file: &TemporaryFile) -> Result<(), Unnamed> {
        let Some(replaced) = self.replaces else {
            return Ok(());
        };
        if file.folder().is_here(self.entry, replaced.storage.file())? {
            Ok(())
        } else {
            Err(Unnamed::Exchanged)
        }
    }
}

/// Makes the name of a file durable.
fn sync(file: &TemporaryFile) -> io::Result<()> {
    file.folder().sync(file.file())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use volume::{FileStorage, ImageRole};

    use super::*;

    fn entries(directory: &Path) -> io::Result<Vec<OsString>> {
        let mut names = fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn create(path: &Path, replaces: bool) -> io::Result<(File, NewFile)> {
        let (folder, entry) = Folder::of(path)?;
        let replaces = if replaces {
            let storage = FileStorage::from_file(File::open(path)?)?;
            let lock = storage.lock_image(ImageRole::Writer)?;
            Some(Replaced {
                storage,
                _lock: lock,
            })
        } else {
            None
        };
        NewFile::create(&Arc::new(folder), &entry, replaces, Content::Public)
    }

    #[test]
    fn the_name_appears_at_the_end() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("image");
        let (mut file, new) = create(&path, false)?;
        file.write_all(b"content")?;
        assert!(!path.exists());
        assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o600);
        assert!(new.commit().is_ok());
        assert_eq!(fs::read(&path)?, b"content");
        assert_eq!(entries(directory.path())?, ["image"]);
        Ok(())
    }

    #[test]
    fn a_file_that_came_meanwhile_stays() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("image");
        let (_, new) = create(&path, false)?;
        fs::write(&path, "theirs")?;
        assert!(matches!(new.commit(), Err(Unnamed::Taken)));
        assert_eq!(fs::read(&path)?, b"theirs");
        assert_eq!(entries(directory.path())?, ["image"]);
        Ok(())
    }

    #[test]
    fn replacing_happens_at_the_end() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("image");
        fs::write(&path, "old")?;
        let (_, new) = create(&path, true)?;
        drop(new);
        assert_eq!(fs::read(&path)?, b"old");
        let (_, new) = create(&path, true)?;
        assert!(new.commit().is_ok());
        assert_eq!(fs::read(&path)?, b"");
        assert_eq!(entries(directory.path())?, ["image"]);
        Ok(())
    }

    #[test]
    fn another_file_than_the_one_to_be_replaced_stays() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("image");
        fs::write(&path, "old")?;
        let (_, new) = create(&path, true)?;
        fs::write(directory.path().join("other"), "theirs")?;
        fs::rename(directory.path().join("other"), &path)?;
        assert!(matches!(new.commit(), Err(Unnamed::Exchanged)));
        assert_eq!(fs::read(&path)?, b"theirs");
        assert_eq!(entries(directory.path())?, ["image"]);
        Ok(())
    }

    #[test]
    fn data_and_header_appear_together_or_not_at_all() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name);
        let write = |path: &Path, replaces, text: &str| -> io::Result<NewFile> {
            let (mut file, new) = create(path, replaces)?;
            file.write_all(text.as_bytes())?;
            Ok(new)
        };
        let (data, header) = (
            write(&at("data"), false, "d")?,
            write(&at("header"), false, "h")?,
        );
        assert!(NewFile::commit_both(data, header).is_ok());
        assert_eq!(entries(directory.path())?, ["data", "header"]);

        // The data's name is taken: the header goes again, or the old one comes back.
        let header = write(&at("header 2"), false, "h")?;
        let data = write(&at("data 2"), false, "d")?;
        fs::write(at("data 2"), "theirs")?;
        let outcome = NewFile::commit_both(data, header);
        assert!(matches!(outcome, Err(OneUnnamed::Data(Unnamed::Taken))));
        fs::remove_file(at("data 2"))?;
        assert_eq!(entries(directory.path())?, ["data", "header"]);

        let header = write(&at("header"), true, "new")?;
        let data = write(&at("data 2"), false, "d")?;
        fs::write(at("data 2"), "theirs")?;
        let outcome = NewFile::commit_both(data, header);
        assert!(matches!(outcome, Err(OneUnnamed::Data(Unnamed::Taken))));
        fs::remove_file(at("data 2"))?;
        assert_eq!(entries(directory.path())?, ["data", "header"]);
        assert_eq!(fs::read(at("header"))?, b"h");

        // The header's is.
        let header = write(&at("header 2"), false, "h")?;
        let data = write(&at("data 2"), false, "d")?;
        fs::write(at("header 2"), "theirs")?;
        let outcome = NewFile::commit_both(data, header);
        assert!(matches!(outcome, Err(OneUnnamed::Header(Unnamed::Taken))));
        assert_eq!(entries(directory.path())?, ["data", "header", "header 2"]);

        let header = write(&at("header"), true, "new")?;
        let data = write(&at("data 2"), false, "new")?;
        assert!(NewFile::commit_both(data, header).is_ok());
        assert_eq!(fs::read(at("header"))?, b"new");
        assert_eq!(
            entries(directory.path())?,
            ["data", "data 2", "header", "header 2"]
        );
        Ok(())
    }

    #[test]
    fn the_longest_name_works() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("x".repeat(255));
        assert!(create(&path, false)?.1.commit().is_ok());
        assert!(path.exists());
        Ok(())
    }
}
