//! A container whose header is to be changed: opened for it, asked about, backed up first.

pub mod named;

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use luks::backup::MAX_BYTES;
use luks::{Backup, Header, Luks};
use serde_json::{Value, json};
use volume::{Access, FileStorage, ImageLock, ImageRole, LockMode, RehearsedStorage, Storage};

use crate::args::{ChangeArgs, DryArgs, Operand, OutputArgs, PolicyArgs};
use crate::error::Error;
use crate::exit::Exit;
use crate::inputs::{Clash, Inputs};
use crate::output;
use jobs::block::{self, Claim, InUse, Place};
use jobs::folder::Folder;
use jobs::temporary::{Content, TemporaryFile, writing};

use named::Named;

/// An image that is open for writing, kept from other programs that read or write it.
pub struct Target {
    /// How messages name it.
    pub name: String,
    /// Its bytes.
    pub storage: Arc<dyn Storage>,
    /// The same, where nothing is to be written.
    rehearsed: Option<Arc<RehearsedStorage>>,
    path: PathBuf,
    file: Arc<FileStorage>,
    _lock: ImageLock,
}

impl Target {
    /// Opens the image that `operand` names, unless somebody uses it as `claim` forbids, or it is one of the `inputs` of the
    /// job. `dry_run`: its changes are kept in memory, and what would not let them be written is an error all the same.
    pub fn open(
        operand: &Operand,
        dry_run: bool,
        claim: Claim,
        inputs: &Inputs,
    ) -> Result<Self, ChangeError> {
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
        let mode = if dry_run {
            LockMode::Shared
        } else {
            LockMode::Exclusive
        };
        let (file, lock) = locked(path, &name, mode)?;
        let clash = Place::of(file.file()).and_then(|place| inputs.clash(&place));
        if let Some(clash) = clash {
            return Err(ChangeError::Input { name, clash });
        }
        let named: Arc<dyn Storage> = Arc::new(Named::new(file.clone(), path));
        let rehearsed = if dry_run {
            let rehearsed = RehearsedStorage::new(named.clone()).map_err(failed)?;
            Some(Arc::new(rehearsed))
        } else {
            None
        };
        let target = Self {
            name,
            storage: match &rehearsed {
                Some(rehearsed) => rehearsed.clone(),
                None => named,
            },
            rehearsed,
            path: path.clone(),
            file,
            _lock: lock,
        };
        target.claim(claim)?;
        Ok(target)
    }

    /// Whether it is a block device.
    pub fn is_device(&self) -> bool {
        self.file.is_block_device()
    }

    /// Refuses an image that somebody uses as `claim` forbids.
    pub fn claim(&self, claim: Claim) -> Result<(), ChangeError> {
        let name = || self.name.clone();
        match block::check(self.file.file(), claim) {
            Ok(None) => Ok(()),
            Ok(Some(by)) => Err(ChangeError::InUse { name: name(), by }),
            Err(source) => Err(ChangeError::Read {
                name: name(),
                source,
            }),
        }
    }

    /// Says that the container is open, where what opens it is about to go.
    pub fn warn_of_mapping(&self) -> Result<(), ChangeError> {
        match self.claim(Claim::Whole) {
            Err(ChangeError::InUse { name, by }) => {
                output::warn(format_args!(
                    "{name} is in use{by}; once that is closed, what the header holds then is all that opens it"
                ));
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Refuses to convert a container that is mapped, wherever its header is.
    pub fn refuse_mapped(&self, luks: &Luks) -> Result<(), ChangeError> {
        let (version, uuid) = match luks.header() {
            Header::Luks1(header) => (1, header.uuid.clone()),
            Header::Luks2(header) => (2, header.binary.uuid.clone()),
        };
        match block::mapping_of_container(version, &uuid) {
            None => Ok(()),
            Some(mapping) => Err(ChangeError::InUse {
                name: self.name.clone(),
                by: InUse::mapped(mapping),
            }),
        }
    }

    /// Reads its header, to be changed, and checks it, against `policy` too; what is wrong with it and could be passed
    /// over is printed.
    pub fn luks(&self, policy: &PolicyArgs) -> Result<Luks, Error> {
        let luks = crate::unlock::open(&self.name, self.storage.clone(), policy)?;
        luks.check_change().map_err(self.failed())?;
        Ok(luks)
    }

    /// The header, after its backup was written where one was asked for.
    pub fn luks_after_backup(&self, policy: &PolicyArgs, args: &ChangeArgs) -> Result<Luks, Error> {
        let luks = self.luks(policy)?;
        self.back_up(&luks, args.header_backup_file.as_deref())?;
        Ok(luks)
    }

    /// Writes the backup that was asked for.
    pub fn back_up(&self, luks: &Luks, path: Option<&Path>) -> Result<(), Error> {
        match path {
            Some(path) if self.rehearsed.is_none() => back_up(&self.name, luks, path).map(drop),
            Some(path) => Ok(check_new(path)?),
            None => Ok(()),
        }
    }

    /// Asks a question about the image, as [`confirm`] does.
    pub fn confirm(&self, question: &str, batch_mode: bool) -> Result<(), ChangeError> {
        confirm(question, batch_mode, self.rehearsed.is_some())
    }

    /// Says what was done: `members` to programs, `text` to people unless they want to hear nothing. After a dry run that
    /// is what would have been, which is what was asked for.
    pub fn done(
        &self,
        verb: &str,
        say: OutputArgs,
        mut members: Value,
        text: &str,
    ) -> Result<(), Error> {
        if self.rehearsed.is_none() && !named::leads_to(&self.path, self.file.file()) {
            let name = self.name.clone();
            return Err(ChangeError::Exchanged { name }.into());
        }
        let mut lines = String::new();
        if let Some(rehearsed) = &self.rehearsed {
            let written = rehearsed.written();
            lines.push_str("nothing is written; without --dry-run:\n");
            lines.push_str(text);
            if written.is_empty() {
                lines.push_str("no byte would change\n");
            }
            for range in &written {
                let _ = writeln!(
                    lines,
                    "bytes {} to {} of {} would be written",
                    range.start,
                    range.end - 1,
                    self.name
                );
            }
            let writes: Vec<_> = written
                .iter()
                .map(|range| json!({"offset": range.start, "length": range.end - range.start}))
                .collect();
            members["dry_run"] = true.into();
            members["writes"] = writes.into();
        } else {
            lines.push_str(text);
        }
        if say.json {
            return Ok(output::json(verb, members)?);
        }
        if say.batch_mode && self.rehearsed.is_none() {
            return Ok(());
        }
        Ok(output::text(&lines)?)
    }

    /// An error of the library about this container.
    pub fn failed(&self) -> impl Fn(luks::Error) -> Error + '_ {
        |error| Error::of_image(&self.name, error, &*self.storage)
    }
}

/// Opens an image and locks it. Whoever changes its header now may put another file in its place: that one is opened
/// then.
fn locked(
    path: &Path,
    name: &str,
    mode: LockMode,
) -> Result<(Arc<FileStorage>, ImageLock), ChangeError> {
    /// Somebody who replaces it as often will do so again.
    const TRIES: usize = 8;
    let name = || name.to_owned();
    let cannot_lock = |source: io::Error| match source.kind() {
        io::ErrorKind::WouldBlock => ChangeError::Busy { name: name() },
        _ => ChangeError::Lock {
            name: name(),
            source,
        },
    };
    for _ in 0..TRIES {
        let file = FileStorage::open(path, Access::ReadWrite);
        let file = Arc::new(file.map_err(|source| ChangeError::Open {
            name: name(),
            source,
        })?);
        let lock = file.lock_image(ImageRole::Writer).map_err(cannot_lock)?;
        drop(file.lock(mode).map_err(cannot_lock)?);
        if named::leads_to(path, file.file()) {
            return Ok((file, lock));
        }
    }
    Err(ChangeError::Exchanged { name: name() })
}

/// Says that `file` was written, or after a dry run that it would have been: `members` to programs, `what` it is to
/// people unless they want to hear nothing.
pub fn wrote(
    verb: &str,
    file: &str,
    what: &str,
    mut members: Value,
    dry: DryArgs,
    say: OutputArgs,
) -> Result<(), Error> {
    if say.json {
        if dry.run {
            members["dry_run"] = true.into();
        }
        return Ok(output::json(verb, members)?);
    }
    Ok(match (dry.run, say.batch_mode) {
        (true, _) => output::text(&format!(
            "nothing is written; without --dry-run:\n{file}: {what}\n"
        )),
        (false, true) => Ok(()),
        (false, false) => output::text(&format!("{file}: {what}\n")),
    }?)
}

/// Writes a backup of header and keyslots into a new file that its owner may read.
pub fn back_up(name: &str, luks: &Luks, path: &Path) -> Result<Backup, Error> {
    let backup = read_holey(name, luks)?;
    write_new(path, 0o400, Content::Public, backup.bytes())?;
    Ok(backup)
}

/// Reads header and keyslots, and tells of what cannot be.
fn read_holey(name: &str, luks: &Luks) -> Result<Backup, Error> {
    let backup = Backup::read(luks).map_err(|error| Error::luks(name, error))?;
    for hole in backup.holes() {
        let need = if hole.is_in_use {
            ", which are in use"
        } else {
            ", which nothing uses"
        };
        output::warn(format_args!(
            "{name}: bytes {} to {}{need}, are zeros in the backup: {}",
            hole.start,
            hole.end - 1,
            hole.problem
        ));
    }
    Ok(backup)
}

/// What [`back_up`] would do, for a dry run.
pub fn would_back_up(name: &str, luks: &Luks, path: &Path) -> Result<Backup, Error> {
    let backup = read_holey(name, luks)?;
    check_new(path)?;
    Ok(backup)
}

/// A file that is to be written must not exist yet.
pub fn check_new(path: &Path) -> Result<(), ChangeError> {
    if path.symlink_metadata().is_ok() {
        let name = output::path(path);
        return Err(ChangeError::Exists { name });
    }
    Folder::of(path)
        .and_then(|(folder, _)| folder.check_writable())
        .map_err(|source| ChangeError::Write {
            name: output::path(path),
            source,
        })
}

/// Reads a backup of header and keyslots, or of a larger file as much as a backup can have.
pub fn read_backup(path: &Path) -> Result<Vec<u8>, ChangeError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|source| ChangeError::Read {
            name: output::path(path),
            source,
        })?;
    Ok(bytes)
}

/// Writes a file of `content` that must not exist yet, through to the disk; after an error or a signal there is none.
pub fn write_new(
    path: &Path,
    mode: u32,
    content: Content,
    bytes: &[u8],
) -> Result<(), ChangeError> {
    let failed = |source: io::Error| {
        let name = output::path(path);
        match source.kind() {
            io::ErrorKind::AlreadyExists => ChangeError::Exists { name },
            _ => ChangeError::Write { name, source },
        }
    };
    let (folder, name) = Folder::of(path).map_err(failed)?;
    let (mut file, temporary) =
        TemporaryFile::create(&Arc::new(folder), &name, mode, content).map_err(failed)?;
    let written = {
        let _writing = writing();
        file.write_all(bytes)
    };
    written
        .and_then(|()| file.sync_all())
        .and_then(|()| temporary.folder().sync(&file))
        .and_then(|()| temporary.keep(|_| Ok(())))
        .map_err(failed)
}

/// Asks a question about the image that is to be answered with `yes`. `batch_mode` is yes to it. A dry run asks nobody,
/// and fails where nobody could be asked.
pub fn confirm(question: &str, batch_mode: bool, dry_run: bool) -> Result<(), ChangeError> {
    if batch_mode {
        return Ok(());
    }
    if dry_run {
        terminal(question)?;
        output::warn(format_args!("without --dry-run it is asked: {question}"));
        return Ok(());
    }
    let refused = |_| ChangeError::NeedsAnswer {
        question: question.to_owned(),
    };
    let mut terminal = terminal(question)?;
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

/// The terminal that somebody could be asked on.
fn terminal(question: &str) -> Result<File, ChangeError> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/tty");
    opened.map_err(|_| ChangeError::NeedsAnswer {
        question: question.to_owned(),
    })
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
    /// A mapping, a mount, swap space or an array is made of it.
    #[error("{name} is in use{by}")]
    InUse {
        /// The image.
        name: String,
        /// By whom.
        by: InUse,
    },
    /// It is what the job reads, or lies in the same bytes.
    #[error("{name} {clash}")]
    Input {
        /// The image.
        name: String,
        /// What it is.
        clash: Clash,
    },
    /// Somebody has put another file under its name.
    #[error(
        "{name} was replaced or removed meanwhile: nothing in the file of that name is changed"
    )]
    Exchanged {
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
    /// The image, the backup of its header, or another file to be read.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// What is neither blank nor known would be overwritten.
    #[error("{name} has data at byte {offset} and no LUKS header")]
    HoldsData {
        /// The image.
        name: String,
        /// Where the first of them lie.
        offset: u64,
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
            | Self::HoldsData { .. }
            | Self::HoldsSomethingElse { .. } => Exit::BadImage,
            Self::Stream { .. }
            | Self::Input { .. }
            | Self::Lock { .. }
            | Self::NeedsAnswer { .. }
            | Self::Declined
            | Self::Write { .. } => Exit::Wrong,
            Self::Busy { .. }
            | Self::InUse { .. }
            | Self::Exchanged { .. }
            | Self::Exists { .. } => Exit::ExistsOrBusy,
        }
    }

    /// What to do.
    pub fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Busy { .. } => "stop the other process",
            Self::InUse { .. } => block::RELEASE,
            Self::NeedsAnswer { .. } => "-q (--batch-mode) says yes to it",
            Self::Exists { .. } => "name a file that does not exist yet",
            Self::HoldsData { .. } => {
                "--force writes over them: is it the container that the backup was made of?"
            }
            Self::HoldsSomethingElse { .. } => "--force overwrites it",
            _ => return None,
        };
        Some(advice.to_owned())
    }
}
