//! A mapping whose key is forgotten for a while.

use std::ffi::OsStr;

use serde::Serialize;

use super::active::Active;
use super::shown;
use crate::error::{Error, MappingError};
use crate::watch::Watch;

/// What was suspended, or goes on.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Changed {
    /// The name of the mapping.
    pub name: String,
    /// The keyslot that was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyslot: Option<u32>,
}

/// Has everything that reads and writes wait, and the kernel forget the key.
///
/// # Errors
///
/// [`MappingError::NotLuks`]: nothing would tell whether a key that is given later is the right one;
/// [`MappingError::Suspended`].
pub fn suspend(name: &OsStr, watch: &dyn Watch) -> Result<Changed, Error> {
    let active = Active::of(name)?;
    active.check_luks()?;
    if active.state.is_suspended {
        return Err(MappingError::Suspended {
            name: shown(&active.name),
        }
        .into());
    }
    watch.must_not_be_cut_off();
    let suspended = active.control.suspend(&active.name);
    suspended.map_err(MappingError::from)?;
    if let Err(error) = active.control.wipe_key(&active.name) {
        // It has its key: it is not to be taken for one that has none.
        let _ = active.control.resume(&active.name);
        return Err(MappingError::from(error).into());
    }
    Ok(Changed {
        name: shown(&active.name),
        keyslot: None,
    })
}
