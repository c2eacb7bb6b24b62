//! How a mapping is taken apart, whole or not: the link, the loop device, the mount, the folder. What is in use stays as it was.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::serve::fuse::{MountError, mount_of, server_of, unmount};
use devmapper::{Nodes, Wait, loop_device};
use rustix::event::{PollFd, PollFlags, poll};

use super::open::attach;
use super::room::{Folder, failed};
use super::state::State;
use super::status::is_alive;
use crate::block::{self, InUse};
use crate::error::MappingError;
use crate::watch::Watch;

/// Somebody who has only looked at a device is waited for so long.
const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(20);
/// So long a server may take to let go of its image.
const END: Duration = Duration::from_secs(60);

/// Why it was not taken away.
pub(super) enum Busy {
    /// Somebody uses it.
    Held(InUse),
    /// Something else.
    Other(MappingError),
}

impl<E: Into<MappingError>> From<E> for Busy {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Takes away all that there is of a mapping, whose folder is held, and the folder.
pub(super) fn take_away(folder: &Folder, watch: &dyn Watch) -> Result<(), Busy> {
    let synced = take_apart(folder, watch)?;
    if folder.is_there() {
        folder
            .remove()
            .map_err(|source| failed(folder.path(), source))?;
    }
    Ok(synced.map_err(|source| MappingError::Server {
        name: folder.shown(),
        source,
    })?)
}

/// The same, but for the folder itself, which is empty then; what the last sync has said.
pub(super) fn take_apart(folder: &Folder, watch: &dyn Watch) -> Result<io::Result<()>, Busy> {
    let state = folder.state();
    let plain = folder.plain();
    let is_mounted = mount_of(&plain).is_ok();
    let loops = loops(folder, state.as_ref());
    for device in &loops {
        let users = block::users_of_number(*device);
        if !users.users.is_empty() {
            return Err(Busy::Held(users));
        }
    }
    for device in &loops {
        detach(folder, *device, watch)?;
    }
    // Where somebody else has taken the loop device away.
    if let Some(device) = state.as_ref().and_then(|state| state.loop_device) {
        let _ = Nodes::default().unlink(&folder.name, &block::path_of(device));
    }
    let mut synced = Ok(());
    if is_mounted {
        let server = server_of(&plain).filter(|_| is_alive(folder));
        if server.is_some() {
            synced = sync(&plain);
        }
        if let Err(error) = unmount_patiently(&plain, watch) {
            return Err(undo(folder, state, &loops, error));
        }
        if let Some(server) = server {
            wait_for(&server);
        }
    }
    folder.forget_state();
    folder
        .empty()
        .map_err(|source| failed(folder.path(), source))?;
    Ok(synced)
}

/// The loop devices over its plaintext: by the name of the file, or where that was taken out of sight by what was written down.
fn loops(folder: &Folder, state: Option<&State>) -> Vec<u64> {
    let mut loops = block::loops_of(&folder.plain());
    let written = state.and_then(|state| Some((state.loop_device?, state.mount?)));
    if let Some((device, mount)) = written
        && !loops.contains(&device)
        && let Ok(open) = File::open(block::path_of(device))
        && loop_device::device_of_file(&open).is_ok_and(|below| below == mount)
    {
        loops.push(device);
    }
    loops
}

/// Lets go of a loop device and of the link to it, or keeps both.
fn detach(folder: &Folder, device: u64, watch: &dyn Watch) -> Result<(), Busy> {
    let path = block::path_of(device);
    let nodes = Nodes::default();
    let was_linked = nodes.is_link_to(&folder.name, &path);
    // Nobody is to come upon another device by this name.
    nodes
        .unlink(&folder.name, &path)
        .map_err(|source| failed(&nodes.path(&folder.name), source))?;
    let open = || OpenOptions::new().read(true).open(&path);
    let begun = open()
        .map_err(|source| failed(&path, source))
        .and_then(|file| Ok(loop_device::detach(&file)?));
    let wait = Wait {
        limit: PATIENCE,
        is_cancelled: &|| watch.is_cancelled(),
    };
    let is_gone = begun.is_ok() && wait.until(STEP, || block::file_of_loop(device).is_none());
    if is_gone {
        return Ok(());
    }
    let kept = open().map_err(|source| failed(&path, source));
    let kept = kept.and_then(|file| Ok(loop_device::keep(&file)?));
    if kept.is_err() && block::file_of_loop(device).is_none() {
        return Ok(());
    }
    if was_linked {
        let _ = nodes.link(&folder.name, &path);
    }
    match begun {
        Err(error) => Err(Busy::Other(error)),
        Ok(()) => Err(Busy::Held(block::users_of_number(device))),
    }
}

/// Makes the loop device anew that had to go first.
fn undo(folder: &Folder, state: Option<State>, loops: &[u64], error: MountError) -> Busy {
    if let Some(mut state) = state.filter(|_| !loops.is_empty())
        && let Ok((device, _)) = attach(folder, &state)
    {
        state.loop_device = Some(device);
        let _ = folder.write_state(&state);
    }
    match error {
        MountError::Busy { .. } => Busy::Held(InUse { users: Vec::new() }),
        error => Busy::Other(MappingError::Fuse(error)),
    }
}

/// What has only just let go of it may still be on its way.
fn unmount_patiently(plain: &Path, watch: &dyn Watch) -> Result<(), MountError> {
    let wait = Wait {
        limit: PATIENCE,
        is_cancelled: &|| watch.is_cancelled(),
    };
    let mut unmounted = unmount(plain, false);
    wait.until(STEP, || match &unmounted {
        Err(MountError::Busy { .. }) => {
            unmounted = unmount(plain, false);
            unmounted.is_ok()
        }
        _ => true,
    });
    unmounted
}

/// Has all that was written made durable.
fn sync(plain: &PathBuf) -> io::Result<()> {
    match File::open(plain) {
        Ok(file) => file.sync_all(),
        // It has gone: what it was told is in the image.
        Err(_) => Ok(()),
    }
}

fn wait_for(server: &OwnedFd) {
    let mut ended = [PollFd::new(server, PollFlags::IN)];
    let limit = END.try_into().ok();
    while let Err(rustix::io::Errno::INTR) = poll(&mut ended, limit.as_ref()) {}
}
