//! A mapping that becomes longer or shorter, with the image or as it is wanted.

use std::ffi::OsStr;
use std::fs::{self, File};

use devmapper::loop_device;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::close::held;
use super::control;
use super::room::{Room, failed};
use super::status::is_alive;
use crate::block;
use crate::error::{Error, MappingError};

/// Gives the mapping of this name, or to which a path leads, so many units of 512 bytes, or all that its image has by now; how
/// many bytes it has then.
///
/// # Errors
///
/// [`MappingError::Inactive`], [`MappingError::Size`], and what its server and the system say.
pub fn resize(room: &Room, typed: &OsStr, size_sectors: Option<u64>) -> Result<u64, Error> {
    let inactive = || MappingError::Inactive {
        name: crate::text::escape(&typed.to_string_lossy()),
    };
    let folder = room.find(typed).ok_or_else(inactive)?;
    let _held = held(&folder)?.ok_or_else(inactive)?;
    let state = folder.state().filter(|_| is_alive(&folder));
    let state = state.ok_or_else(inactive)?;
    control::ask(&folder, size_sectors.filter(|sectors| *sectors != 0))?;
    let plain = folder.plain();
    let unseen = |source| failed(&plain, source);
    // The kernel remembers for a while how long it was.
    statx(CWD, &plain, AtFlags::STATX_FORCE_SYNC, StatxFlags::SIZE)
        .map_err(|error| unseen(error.into()))?;
    let bytes = fs::metadata(&plain).map_err(unseen)?.len();
    if let Some(device) = state.loop_device {
        let path = block::path_of(device);
        let device = File::open(&path).map_err(|source| failed(&path, source))?;
        loop_device::take_size_of_file(&device).map_err(MappingError::from)?;
    }
    Ok(bytes)
}
