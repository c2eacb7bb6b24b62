//! A mapping that is made: the folder before its server is started, all else afterwards.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ::serve::fuse::Target;
use devmapper::{Loop, LoopOptions, Nodes};
use rustix::process::geteuid;

use super::leavings::{self, Busy};
use super::room::{Folder, Held, Room, failed};
use super::state::State;
use super::status::is_whole;
use crate::error::{Error, MappingError};
use crate::mapping::new_name;
use crate::serve::Served;
use crate::text;
use crate::watch::Watch;

/// A mapping that is not whole. What there is of it goes with this value.
pub struct Begun<'a> {
    folder: Folder,
    held: Option<Held>,
    watch: &'a dyn Watch,
}

/// A mapping that is whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Opened {
    /// Its plaintext as a file.
    pub plain: PathBuf,
    /// The same as a device, where root has opened it.
    pub link: Option<PathBuf>,
}

/// Refuses a name that somebody has, before anybody is asked for anything. What a process that was killed has left of it is
/// taken away: its server may still hold the container.
///
/// # Errors
///
/// [`MappingError::Name`], [`MappingError::Active`], [`MappingError::Occupied`].
pub fn check_free(room: &Room, name: &OsStr, watch: &dyn Watch) -> Result<(), Error> {
    let folder = room.folder(&new_name(name)?);
    if folder.is_there() {
        let _held = folder.hold()?.ok_or_else(|| taken(&folder))?;
        mend(&folder, watch)?;
        folder
            .remove()
            .map_err(|source| failed(folder.path(), source))?;
    }
    Ok(check_link(&folder)?)
}

fn taken(folder: &Folder) -> MappingError {
    MappingError::Active {
        name: folder.shown(),
    }
}

/// Takes away what is left of a mapping, whose folder is held, and refuses one that is whole or in use.
fn mend(folder: &Folder, watch: &dyn Watch) -> Result<(), MappingError> {
    if is_whole(folder) {
        return Err(taken(folder));
    }
    // What its last sync says is nobody's answer any more.
    let _ = leavings::take_apart(folder, watch).map_err(|busy| match busy {
        Busy::Held(_) => taken(folder),
        Busy::Other(error) => error,
    })?;
    Ok(())
}

/// Nothing may be where the link is to be.
fn check_link(folder: &Folder) -> Result<(), MappingError> {
    let link = Nodes::default().path(&folder.name);
    if geteuid().is_root() && link.symlink_metadata().is_ok() {
        return Err(MappingError::Occupied {
            path: text::path(&link),
        });
    }
    Ok(())
}

/// Makes the folder, for the server that is to be started, whose container may hold as long as this value.
///
/// # Errors
///
/// As of [`check_free`], and what the system says.
pub fn begin<'a>(room: &Room, name: &OsStr, watch: &'a dyn Watch) -> Result<Begun<'a>, Error> {
    let folder = room.folder(&new_name(name)?);
    room.make()?;
    watch.must_not_be_cut_off();
    let held = folder.make()?.ok_or_else(|| taken(&folder))?;
    mend(&folder, watch)?;
    let begun = Begun {
        folder,
        held: Some(held),
        watch,
    };
    check_link(&begun.folder)?;
    begun.folder.make_plain()?;
    Ok(begun)
}

/// Where a server mounts.
///
/// # Errors
///
/// [`MappingError::Name`], and what keeps it from being mounted over.
pub fn target(room: &Room, name: &OsStr) -> Result<Target, Error> {
    let folder = room.folder(&new_name(name)?);
    Target::of(&folder.plain()).map_err(|error| MappingError::Fuse(error).into())
}

impl Begun<'_> {
    /// Makes the rest, once the server is ready: for root a loop device over the plaintext, and a link to it.
    ///
    /// # Errors
    ///
    /// What the system says. Nothing is left then.
    pub fn finish(mut self, served: &Facts) -> Result<Opened, Error> {
        let mut state = served.0.clone();
        let plain = self.folder.plain();
        let mount = plain.metadata().map_err(|error| self.failed(error))?.dev();
        state.mount = Some(mount);
        let mut link = None;
        if geteuid().is_root() {
            let (looped, path) = attach(&self.folder, &state)?;
            state.loop_device = Some(looped);
            link = Some(path);
        }
        self.folder
            .write_state(&state)
            .map_err(|error| self.failed(error))?;
        self.held = None;
        Ok(Opened { plain, link })
    }

    fn failed(&self, source: io::Error) -> MappingError {
        failed(self.folder.path(), source)
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if self.held.is_some() {
            self.folder.forget_state();
            let _ = leavings::take_away(&self.folder, self.watch);
        }
    }
}

/// What is to be written down of a container that is served.
pub struct Facts(State);

impl Facts {
    /// Of this one, whose data lie at a path.
    pub fn of(served: &Served, image: &Path, allow_discards: bool) -> Self {
        let mut state = State::of(served, allow_discards);
        if let Ok(path) = image.canonicalize() {
            state.device = text::path(&path);
        }
        Self(state)
    }
}

/// Has a loop device show the plaintext, and makes the link to it: the number of the one, and the path of the other.
pub(super) fn attach(folder: &Folder, state: &State) -> Result<(u64, PathBuf), MappingError> {
    let plain = folder.plain();
    let file = OpenOptions::new()
        .read(true)
        .write(!state.read_only)
        .open(&plain)
        .map_err(|source| failed(&plain, source))?;
    let options = LoopOptions {
        read_only: state.read_only,
        block_bytes: u32::try_from(state.sector_size).ok(),
        direct_io: true,
        stays: true,
    };
    let looped = Loop::attach(&file, &plain, options)?;
    let nodes = Nodes::default();
    let path = nodes.path(&folder.name);
    match nodes.link(&folder.name, looped.path()) {
        Ok(()) => Ok((looped.device(), path)),
        Err(source) => {
            let _ = devmapper::loop_device::detach(looped.file());
            Err(if source.kind() == io::ErrorKind::AlreadyExists {
                MappingError::Occupied {
                    path: text::path(&path),
                }
            } else {
                failed(&path, source)
            })
        }
    }
}
