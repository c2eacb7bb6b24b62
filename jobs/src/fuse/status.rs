//! What there is under a name.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;

use ::serve::fuse::{is_alive as is_answered, mount_of};
use devmapper::Nodes;

use super::room::{Folder, Room};
use super::state::State;
use crate::block;

/// A mapping that is active.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What it is.
    pub state: State,
    /// How long it is.
    pub bytes: u64,
    /// Its plaintext as a file.
    pub plain: PathBuf,
    /// The file that its image is a loop device of.
    pub loop_file: Option<PathBuf>,
    /// Its loop device is mounted, or part of another device.
    pub is_in_use: bool,
}

/// What is known of a name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Found {
    /// It is active.
    Active(Box<Status>),
    /// Its server, or whoever was closing it, was killed: what is left of it can be closed, and goes when it is opened anew.
    Left,
    /// It is no mapping of this kind.
    Nothing,
}

/// Looks for what is called so, or for what a path leads to.
pub fn status(room: &Room, typed: &OsStr) -> Found {
    let Some(folder) = room.find(typed) else {
        return Found::Nothing;
    };
    // One that is being opened is not whole.
    let Some(state) = folder.state() else {
        return Found::Nothing;
    };
    let plain = folder.plain();
    let is_free = || matches!(folder.hold(), Ok(Some(_)));
    // While somebody tries to close it the link is not there.
    if !is_alive(&folder) || (!is_whole(&folder) && is_free()) {
        return Found::Left;
    }
    let Ok(metadata) = fs::metadata(&plain) else {
        return Found::Left;
    };
    let users = state.loop_device.map(block::users_of_number);
    Found::Active(Box::new(Status {
        is_in_use: users.is_some_and(|by| !by.users.is_empty()),
        bytes: metadata.len(),
        loop_file: fs::metadata(&state.device)
            .ok()
            .filter(|image| image.file_type().is_block_device())
            .and_then(|image| block::file_of_loop(image.rdev())),
        plain,
        state,
    }))
}

/// Whether nothing of a mapping is missing.
pub(super) fn is_whole(folder: &Folder) -> bool {
    let is_linked = |state: State| {
        state
            .loop_device
            .is_none_or(|device| Nodes::default().is_link_to(&folder.name, &block::path_of(device)))
    };
    folder.state().is_some_and(is_linked) && is_alive(folder)
}

/// Whether a server answers there.
pub(super) fn is_alive(folder: &Folder) -> bool {
    let plain = folder.plain();
    mount_of(&plain).is_ok() && is_answered(&plain)
}
