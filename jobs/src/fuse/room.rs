//! The folders of mappings, and who may be in them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use devmapper::Name;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::state::State;
use crate::block;
use crate::error::MappingError;
use crate::mapping::{new_name, shown};
use crate::text;

/// Where root's are.
const OF_ROOT: &str = "/run/luksmith";
/// The folder of all of them in that of another user.
const OF_USER: &str = "luksmith";
const OF_OTHERS: u32 = 0o077;

const PLAIN: &str = "plain";
const CONTROL: &str = "control";
const STATE: &str = "state";

/// The folder in which every mapping of a user has its own.
#[derive(Clone, Debug)]
pub struct Room {
    path: PathBuf,
}

impl Room {
    /// Root's, or another user's in the folder that is theirs while they are logged in: `$XDG_RUNTIME_DIR`.
    pub fn of_user(runtime: Option<&Path>) -> Option<Self> {
        let path = if geteuid().is_root() {
            PathBuf::from(OF_ROOT)
        } else {
            runtime?.join(OF_USER)
        };
        // As the kernel names what is in it.
        let parent = path.parent()?.canonicalize().ok()?;
        Some(Self {
            path: parent.join(path.file_name()?),
        })
    }

    /// The folder of a name.
    pub(super) fn folder(&self, name: &Name) -> Folder {
        let own = OsStr::from_bytes(name.as_bytes());
        Folder {
            name: name.clone(),
            path: self.path.join(own),
        }
    }

    /// Makes it where it is not there, and refuses it where others could change what is in it.
    pub(super) fn make(&self) -> Result<(), MappingError> {
        make_private(&self.path)
    }

    /// The folder of what is called so, or what a path leads to: a name without a slash is its own, and so is what stands
    /// under `/dev/mapper`; another path leads to the plaintext, or to the loop device over it.
    pub(super) fn find(&self, typed: &OsStr) -> Option<Folder> {
        let path = Path::new(typed);
        let own = path.strip_prefix("/dev/mapper").unwrap_or(path);
        if !own.as_os_str().as_bytes().contains(&b'/') {
            let folder = self.folder(&new_name(own.as_os_str()).ok()?);
            return folder.is_there().then_some(folder);
        }
        let there = path.canonicalize().ok()?;
        let found = fs::metadata(&there);
        // What its loop device was may be another one's by now: whose it is the kernel says.
        let shown = match found {
            Ok(found) if found.file_type().is_block_device() => block::file_of_loop(found.rdev())?,
            _ => there,
        };
        self.all()
            .into_iter()
            .find(|folder| folder.plain() == shown)
    }

    fn all(&self) -> Vec<Folder> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        let names = names.iter().filter_map(|name| new_name(name).ok());
        names.map(|name| self.folder(&name)).collect()
    }
}

/// Whether something of this name, or at this path, is one of these mappings or left of one.
pub fn is_one(room: &Room, typed: &OsStr) -> bool {
    room.find(typed).is_some()
}

/// The folder of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) name: Name,
    path: PathBuf,
}

/// Whoever has it changes what is in the folder; nobody else does.
pub(super) struct Held {
    lock: File,
}

impl Folder {
    /// As messages have it.
    pub(super) fn shown(&self) -> String {
        shown(&self.name)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn plain(&self) -> PathBuf {
        self.path.join(PLAIN)
    }

    pub(super) fn control(&self) -> PathBuf {
        self.path.join(CONTROL)
    }

    pub(super) fn is_there(&self) -> bool {
        self.path.is_dir()
    }

    /// What is written down of it; nothing where it is not whole.
    pub(super) fn state(&self) -> Option<State> {
        State::parse(&fs::read(self.path.join(STATE)).ok()?)
    }

    /// Writes it down: from now on it is whole.
    pub(super) fn write_state(&self, state: &State) -> io::Result<()> {
        let new = self.path.join("state.new");
        fs::write(&new, state.to_json())?;
        fs::rename(new, self.path.join(STATE))
    }

    /// From now on it is not whole.
    pub(super) fn forget_state(&self) {
        let _ = fs::remove_file(self.path.join(STATE));
    }

    /// Makes the folder where it is not there, and takes its lock; none where somebody else has it.
    pub(super) fn make(&self) -> Result<Option<Held>, MappingError> {
        loop {
            make_private(&self.path)?;
            match self.lock() {
                Ok(None) => return Ok(None),
                Ok(Some(held)) if self.is_of(&held) => return Ok(Some(held)),
                // It was taken away in between.
                Ok(Some(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed(&self.path, source)),
            }
        }
    }

    /// Takes the lock of a folder that is there; none where somebody else has it, or it has gone.
    pub(super) fn hold(&self) -> Result<Option<Held>, MappingError> {
        match self.lock() {
            Ok(held) => Ok(held.filter(|held| self.is_of(held))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(&self.path, source)),
        }
    }

    fn lock(&self) -> io::Result<Option<Held>> {
        let folder = File::open(&self.path)?;
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Held { lock: folder })),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn is_of(&self, held: &Held) -> bool {
        let own = held.lock.metadata();
        let there = fs::symlink_metadata(&self.path);
        matches!((own, there), (Ok(own), Ok(there)) if (own.dev(), own.ino()) == (there.dev(), there.ino()))
    }

    /// Makes the file that is mounted over.
    pub(super) fn make_plain(&self) -> Result<(), MappingError> {
        File::create_new(self.plain())
            .map(drop)
            .map_err(|source| failed(&self.path, source))
    }

    /// Takes away what is in it, when nothing is mounted any more.
    pub(super) fn empty(&self) -> io::Result<()> {
        match fs::read_dir(&self.path) {
            Ok(mut entries) => entries.try_for_each(|entry| fs::remove_file(entry?.path())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes the empty folder away.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_dir(&self.path)
    }
}

/// Makes a folder for its owner alone, and refuses one that is not.
fn make_private(path: &Path) -> Result<(), MappingError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(path, error));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(path).map_err(|error| failed(path, error))?;
    let refused = |why: String| Err(failed(path, io::Error::other(why)));
    if !found.is_dir() {
        return refused("it is no folder".to_owned());
    }
    if found.uid() != geteuid().as_raw() {
        return refused(format!("it belongs to user {}", found.uid()));
    }
    if found.mode() & OF_OTHERS != 0 {
        return refused(format!(
            "others may look into it (mode {:04o})",
            found.mode() & 0o7777
        ));
    }
    Ok(())
}

pub(super) fn failed(path: &Path, source: io::Error) -> MappingError {
    MappingError::Folder {
        folder: text::path(path),
        source,
    }
}
