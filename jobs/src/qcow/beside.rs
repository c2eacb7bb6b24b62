//! Files that an image refers to: in its own folder or below it, and through no link, so that an image of a stranger
//! names nothing of anybody else.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::folder::{Folder, is_same};
use crate::place::Place;

/// Where an image is.
pub(super) struct Beside {
    folder: Folder,
    /// How messages name it.
    path: PathBuf,
}

/// Why a file that an image refers to is not opened.
pub(super) enum Refusal {
    /// It must not be.
    Reason(String),
    /// It cannot be.
    System(io::Error),
}

impl Beside {
    /// The folder of an image; what is no file has none.
    pub(super) fn of(place: &Place) -> io::Result<Option<Self>> {
        let Place::Path(path) = place else {
            return Ok(None);
        };
        let (folder, _) = Folder::of(path)?;
        let path = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Some(Self { folder, path }))
    }

    /// Opens the file of this name, which an image here refers to: the file, its own folder, and how messages name it.
    pub(super) fn open(&self, name: &str) -> Result<(File, Self, String), Refusal> {
        let mut names = Vec::new();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(name) => names.push(name),
                Component::CurDir => {}
                _ => return Err(Refusal::Reason(LEAVES.to_owned())),
            }
        }
        let Some((file, folders)) = names.split_last().filter(|_| !name.ends_with('/')) else {
            return Err(Refusal::Reason("it names no file".to_owned()));
        };
        let mut at = Self {
            folder: self
                .folder
                .inner(OsStr::new("."))
                .map_err(Refusal::System)?,
            path: self.path.clone(),
        };
        for folder in folders {
            at.folder = at.folder.inner(folder).map_err(refusal)?;
            at.path.push(folder);
        }
        // Looked at first: a pipe or a device does something when it is opened.
        let found = at.folder.look(file).map_err(refusal)?;
        let kind = found.metadata().map_err(Refusal::System)?.file_type();
        if kind.is_symlink() {
            return Err(Refusal::Reason(LINK.to_owned()));
        }
        if !kind.is_file() {
            return Err(Refusal::Reason("it is no regular file".to_owned()));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = at.folder.open_file(file, flags).map_err(refusal)?;
        if !is_same(&opened, &found).map_err(Refusal::System)? {
            return Err(Refusal::Reason("it was exchanged meanwhile".to_owned()));
        }
        let shown = crate::text::path(&at.path.join(file));
        Ok((opened, at, shown))
    }
}

fn refusal(error: io::Error) -> Refusal {
    match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => Refusal::Reason(LINK.to_owned()),
        Some(Errno::NOTDIR) => {
            Refusal::Reason("it leads through a link, or through what is no folder".to_owned())
        }
        _ => Refusal::System(error),
    }
}

const LEAVES: &str = "it leads out of the image's own folder";
const LINK: &str = "it is a symbolic link";
