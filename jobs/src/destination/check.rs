//! Whether a destination may be written: looked at and opened once, so that what was looked at is what is written.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use recognise::recognise;
use rustix::fs::OFlags;
use rustix::io::Errno;
use volume::{FileStorage, ImageLock, ImageRole, Storage};

use super::{Kind, Overwrite, Replaced};
use crate::block::{self, Claim, Ground};
use crate::error::DestinationError;
use crate::folder::{Folder, is_same};
use crate::inputs::Inputs;

pub(super) fn stdout(name: &str, inputs: &Inputs) -> Result<Kind, DestinationError> {
    let opened = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let file = opened.map_err(|source| DestinationError::Open {
        name: name.to_owned(),
        source,
    })?;
    if file.is_terminal() {
        return Err(DestinationError::Terminal {
            name: name.to_owned(),
        });
    }
    refuse_input(&file, name, inputs)?;
    Ok(Kind::Stdout(file))
}

pub(super) fn path(
    path: &Path,
    name: &str,
    overwrite: Overwrite,
    inputs: &Inputs,
) -> Result<Kind, DestinationError> {
    let cannot_open = |source| DestinationError::Open {
        name: name.to_owned(),
        source,
    };
    let (folder, entry) = Folder::of(path).map_err(cannot_create(name))?;
    let folder = Arc::new(folder);
    let found = match folder.look(&entry) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            folder.check_writable().map_err(cannot_create(name))?;
            return Ok(Kind::File {
                folder,
                entry,
                replaces: None,
            });
        }
        found => found.map_err(cannot_open)?,
    };
    let is_symlink = found.metadata().map_err(cannot_open)?.is_symlink();
    let symlink = || DestinationError::Symlink {
        name: name.to_owned(),
    };
    let found = if is_symlink {
        match folder.look_through(&entry) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(symlink()),
            through => through.map_err(cannot_open)?,
        }
    } else {
        found
    };
    refuse_input(&found, name, inputs)?;
    let kind = found.metadata().map_err(cannot_open)?.file_type();
    if is_symlink && !kind.is_block_device() && !kind.is_char_device() {
        return Err(symlink());
    }
    let exists = |replaceable| DestinationError::Exists {
        name: name.to_owned(),
        replaceable,
    };
    let open = |flags| open_same(&folder, &entry, &found, is_symlink, flags, name);
    if kind.is_file() {
        if !overwrite.files {
            return Err(exists(true));
        }
        folder.check_writable().map_err(cannot_create(name))?;
        let replaces = replaced(open(OFlags::RDONLY | OFlags::NONBLOCK)?, name)?;
        return Ok(Kind::File {
            folder,
            entry,
            replaces: Some(replaces),
        });
    }
    if kind.is_block_device() {
        return device(open(OFlags::RDWR | OFlags::EXCL)?, name, overwrite.devices);
    }
    if kind.is_char_device() || kind.is_fifo() {
        let is_terminal = kind.is_char_device()
            && open(OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK)
                .is_ok_and(|file| file.is_terminal());
        return if is_terminal {
            Err(DestinationError::Terminal {
                name: name.to_owned(),
            })
        } else {
            Ok(Kind::Pipe {
                folder,
                entry,
                found,
                is_symlink,
            })
        };
    }
    Err(exists(false))
}

fn cannot_create(name: &str) -> impl Fn(io::Error) -> DestinationError {
    move |source| DestinationError::Create {
        name: name.to_owned(),
        source,
    }
}

/// Opens what has the name, if it is still what was found there.
pub(super) fn open_same(
    folder: &Folder,
    entry: &std::ffi::OsStr,
    found: &File,
    is_symlink: bool,
    flags: OFlags,
    name: &str,
) -> Result<File, DestinationError> {
    let cannot_open = |source| DestinationError::Open {
        name: name.to_owned(),
        source,
    };
    let exchanged = || DestinationError::Exchanged {
        name: name.to_owned(),
    };
    // Looked at again first: opening a pipe of somebody else would wait for him.
    let (look, flags) = if is_symlink {
        (folder.look_through(entry), flags)
    } else {
        (folder.look(entry), flags | OFlags::NOFOLLOW)
    };
    match look {
        Ok(look) if is_same(&look, found).map_err(cannot_open)? => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot_open(error)),
        _ => return Err(exchanged()),
    }
    let file = folder.open_file(entry, flags).map_err(|error| {
        match (Errno::from_io_error(&error), found.metadata()) {
            (Some(Errno::BUSY), Ok(metadata)) => DestinationError::InUse {
                name: name.to_owned(),
                by: block::users_of(&metadata),
            },
            (Some(Errno::LOOP | Errno::NOENT), _) => exchanged(),
            _ => cannot_open(error),
        }
    })?;
    if is_same(&file, found).map_err(cannot_open)? {
        Ok(file)
    } else {
        Err(exchanged())
    }
}

/// A file that is to be replaced: in nobody's use, and kept so.
fn replaced(file: File, name: &str) -> Result<Replaced, DestinationError> {
    let cannot_open = |source| DestinationError::Open {
        name: name.to_owned(),
        source,
    };
    if let Some(by) = block::check(&file, Claim::Whole).map_err(cannot_open)? {
        let name = name.to_owned();
        return Err(DestinationError::InUse { name, by });
    }
    let storage = FileStorage::from_file(file).map_err(cannot_open)?;
    let lock = lock(&storage, name)?;
    Ok(Replaced {
        storage,
        _lock: lock,
    })
}

fn device(file: File, name: &str, overwrite: bool) -> Result<Kind, DestinationError> {
    let cannot_open = |source| DestinationError::Open {
        name: name.to_owned(),
        source,
    };
    let storage = FileStorage::from_file(file).map_err(cannot_open)?;
    let lock = lock(&storage, name)?;
    refuse_content(&storage, name, overwrite)?;
    Ok(Kind::Device(Arc::new(storage), lock))
}

/// Something that is open already.
pub(super) fn storage(
    storage: &Arc<dyn Storage>,
    name: &str,
    overwrite: Overwrite,
    inputs: &Inputs,
) -> Result<Kind, DestinationError> {
    let cannot_open = |source| DestinationError::Open {
        name: name.to_owned(),
        source,
    };
    if let Some(clash) = inputs.clash_with(storage) {
        let name = name.to_owned();
        return Err(DestinationError::Input { name, clash });
    }
    let is_empty = storage.len().map_err(cannot_open)? == 0;
    if !is_empty {
        refuse_content(&**storage, name, overwrite.devices)?;
    }
    Ok(Kind::Storage {
        storage: Arc::clone(storage),
        is_empty,
    })
}

fn refuse_content(
    storage: &dyn Storage,
    name: &str,
    overwrite: bool,
) -> Result<(), DestinationError> {
    if overwrite {
        return Ok(());
    }
    let found = recognise(storage).map_err(|source| DestinationError::Open {
        name: name.to_owned(),
        source,
    })?;
    found.map_or(Ok(()), |found| {
        Err(DestinationError::DeviceHolds {
            name: name.to_owned(),
            content: found.content.name(),
        })
    })
}

fn refuse_input(file: &File, name: &str, inputs: &Inputs) -> Result<(), DestinationError> {
    let clash = Ground::of(file).and_then(|ground| inputs.clash(&ground));
    clash.map_or(Ok(()), |clash| {
        let name = name.to_owned();
        Err(DestinationError::Input { name, clash })
    })
}

/// What somebody else uses is refused whatever was allowed: two writers leave nothing of use to either.
pub(super) fn lock(storage: &FileStorage, name: &str) -> Result<ImageLock, DestinationError> {
    storage
        .lock_image(ImageRole::Writer)
        .map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => DestinationError::Busy {
                name: name.to_owned(),
            },
            _ => DestinationError::Open {
                name: name.to_owned(),
                source,
            },
        })
}
