//! A container whose header is to be changed: opened for it, asked about, backed up first.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use luks::{Backup, Luks};
use volume::{Access, FileStorage, ImageLock, ImageRole};

use crate::args::{ChangeArgs, Operand, PolicyArgs};
use crate::error::Error;
use crate::exit::Exit;
use crate::output;
use crate::signals::TemporaryFile;

/// An image that is open for writing, kept from other programs that read or write it.
pub struct Target {
    /// How messages name it.
    pub name: String,
    /// Its bytes.
    pub storage: Arc<FileStorage>,
    _lock: ImageLock,
}

impl Target {
    /// Opens the image that `operand` names.
    pub fn open(operand: &Operand) -> Result<Self, ChangeError> {
        let name = operand.source_name();
        let Operand::Path(path) = operand else {
            return Err(ChangeError::Stream { name });
        };
        let failed = |source| ChangeError::Open {
            name: name.clone(),
            source,
        };
        let kind = path.metadata().map_err(failed)?.file_type();
        if kind.is_dir() {
            return Err(ChangeError::Directory { name });
        }
        if !(kind.is_file() || kind.is_block_device()) {
            return Err(ChangeError::Stream { name });
        }
        let storage = FileStorage::open(path, Access::ReadWrite).map_err(failed)?;
        let lock = match storage.lock_image(ImageRole::Writer) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(ChangeError::Busy { name });
            }
            Err(source) => return Err(ChangeError::Lock { name, source }),
        };
        Ok(Self {
            name,
            storage: Arc::new(storage),
            _lock: lock,
        })
    }

    /// Reads its header and checks it, against `policy` too; what is wrong with it and could be passed over is printed.
    pub fn luks(&self, policy: &PolicyArgs) -> Result<Luks, Error> {
        crate::unlock::open(&self.name, self.storage.clone(), policy)
    }

    /// The header, after its backup was written where one was asked for.
    pub fn luks_after_backup(&self, args: &ChangeArgs) -> Result<Luks, Error> {
        let luks = self.luks(&args.policy)?;
        if let Some(path) = &args.header_backup_file {
            back_up(&self.name, &luks, path)?;
        }
        Ok(luks)
    }

    /// An error of the library about this container.
    pub fn failed(&self) -> impl Fn(luks::Error) -> Error + '_ {
        |error| Error::luks(&self.name, error)
    }
}

/// Writes a backup of header and keyslots into a new file that its owner may read, and says how many bytes it has.
pub fn back_up(name: &str, luks: &Luks, path: &Path) -> Result<usize, Error> {
    let backup = Backup::read(luks).map_err(|error| Error::luks(name, error))?;
    write_new(path, 0o400, backup.bytes())?;
    Ok(backup.bytes().len())
}

/// Writes a file that must not exist yet, through to the disk; after an error or a signal there is none.
pub fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), ChangeError> {
    let failed = |source: io::Error| {
        let name = output::path(path);
        match source.kind() {
            io::ErrorKind::AlreadyExists => ChangeError::Exists { name },
            _ => ChangeError::Write { name, source },
        }
    };
    let (mut file, temporary) = TemporaryFile::create(path, |path| {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
    })
    .map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(directory(path))?.sync_all())
        .and_then(|()| temporary.keep(|_| Ok(())))
        .map_err(failed)
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Asks a question about the image that is to be answered with `yes`. `batch_mode` is yes to it.
pub fn confirm(question: &str, batch_mode: bool) -> Result<(), ChangeError> {
    if batch_mode {
        return Ok(());
    }
    let refused = |_| ChangeError::NeedsAnswer {
        question: question.to_owned(),
    };
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(refused)?;
    write!(terminal, "{question} Type yes to go on: ").map_err(refused)?;
    let mut answer = String::new();
    BufReader::new(terminal)
        .read_line(&mut answer)
        .map_err(refused)?;
    if answer.trim().eq_ignore_ascii_case("yes") {
        Ok(())
    } else {
        Err(ChangeError::Declined)
    }
}

/// Why an image is not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It is not there, or may not be written.
    #[error("cannot open {name} for writing: {source}")]
    Open {
        /// The image.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It is a directory.
    #[error("{name} is a directory, not an image")]
    Directory {
        /// The image.
        name: String,
    },
    /// It is neither a file nor a block device.
    #[error("{name} is a stream, where a file or a block device is needed")]
    Stream {
        /// The image.
        name: String,
    },
    /// Somebody is using it.
    #[error("{name} is in use by another process")]
    Busy {
        /// The image.
        name: String,
    },
    /// The lock cannot be asked for.
    #[error("cannot lock {name}: {source}")]
    Lock {
        /// The image.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Nobody is there to be asked.
    #[error("{question} There is no terminal to ask on")]
    NeedsAnswer {
        /// The question.
        question: String,
    },
    /// The answer was not yes.
    #[error("nothing was done: the answer was not yes")]
    Declined,
    /// The backup of the header, or another file to be written.
    #[error("{name} exists")]
    Exists {
        /// The file.
        name: String,
    },
    /// The backup of the header, or another file to be written.
    #[error("cannot write {name}: {source}")]
    Write {
        /// The file.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The backup of the header, or another file to be read.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Something that is no LUKS container would be overwritten.
    #[error("{name} holds {content}, no LUKS header")]
    HoldsSomethingElse {
        /// The image.
        name: String,
        /// What was recognised.
        content: &'static str,
    },
}

impl ChangeError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Open { .. }
            | Self::Directory { .. }
            | Self::Read { .. }
            | Self::HoldsSomethingElse { .. } => Exit::BadImage,
            Self::Stream { .. }
            | Self::Lock { .. }
            | Self::NeedsAnswer { .. }
            | Self::Declined
            | Self::Write { .. } => Exit::Wrong,
            Self::Busy { .. } | Self::Exists { .. } => Exit::ExistsOrBusy,
        }
    }

    /// What to do.
    pub fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Busy { .. } => "stop the other process",
            Self::NeedsAnswer { .. } => "-q (--batch-mode) says yes to it",
            Self::Exists { .. } => "name a file that does not exist yet",
            Self::HoldsSomethingElse { .. } => "--force overwrites it",
            _ => return None,
        };
        Some(advice.to_owned())
    }
}
