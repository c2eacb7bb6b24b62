//! A mapping that ends: from another process than the one that opened it, and when its server has gone.

use std::ffi::OsStr;

use devmapper::Wait;
use std::time::Duration;

use super::leavings::{self, Busy};
use super::room::{Folder, Held, Room};
use crate::block::InUse;
use crate::error::{Error, MappingError};
use crate::watch::Watch;

/// Whoever opens, closes or resizes it is waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

/// Closes the mapping of this name, or to which a path leads: link, loop device, mount and folder. What was written is on the
/// disk then.
///
/// # Errors
///
/// [`MappingError::Inactive`]; [`MappingError::Held`] where it is in use, and then nothing of it is taken away; what the last
/// sync has said.
pub fn close(room: &Room, typed: &OsStr, watch: &dyn Watch) -> Result<(), Error> {
    let inactive = || MappingError::Inactive {
        name: crate::text::escape(&typed.to_string_lossy()),
    };
    let folder = room.find(typed).ok_or_else(inactive)?;
    watch.must_not_be_cut_off();
    let _held = held(&folder)?.ok_or_else(inactive)?;
    leavings::take_away(&folder, watch).map_err(|busy| {
        match busy {
            Busy::Held(by) => MappingError::Held {
                name: folder.shown(),
                by,
            },
            Busy::Other(error) => error,
        }
        .into()
    })
}

/// The lock of a folder, for which whoever has it is waited; none where the folder has gone meanwhile.
pub(super) fn held(folder: &Folder) -> Result<Option<Held>, MappingError> {
    let wait = Wait {
        limit: PATIENCE,
        is_cancelled: &|| false,
    };
    let mut held = folder.hold();
    let is_had = wait.until(STEP, || {
        if matches!(held, Ok(None)) && folder.is_there() {
            held = folder.hold();
        }
        !matches!(held, Ok(None)) || !folder.is_there()
    });
    if is_had {
        return held;
    }
    Err(MappingError::Held {
        name: folder.shown(),
        by: InUse { users: Vec::new() },
    })
}
