//! A mapping that is given its key again.

use std::ffi::OsStr;

use super::active::{Active, HeaderOptions};
use super::shown;
use super::suspend::Changed;
use crate::error::{Error, MappingError};
use crate::secret::Secrets;
use crate::watch::Watch;

/// How a mapping is resumed.
#[derive(Clone, Debug, Default)]
pub struct ResumeOptions {
    /// The header that has its key.
    pub header: HeaderOptions,
    /// The key stands in the table.
    pub no_keyring: bool,
}

/// Gives a suspended mapping its key, and has what waits go on.
///
/// # Errors
///
/// [`MappingError::NotSuspended`], [`MappingError::OtherHeader`], and what is wrong with the header or the secret.
pub fn resume(
    name: &OsStr,
    options: &ResumeOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Changed, Error> {
    let active = Active::of(name)?;
    active.check_luks()?;
    if !active.state.is_suspended {
        return Err(MappingError::NotSuspended {
            name: shown(&active.name),
        }
        .into());
    }
    let (luks, unlocked) = active.unlock(&options.header, secrets, watch)?;
    watch.must_not_be_cut_off();
    let key = active.place_key(&luks, &unlocked, options.no_keyring, watch)?;
    let set = active
        .control
        .set_key(&active.name, &key.in_terms_of_tables());
    set.map_err(MappingError::from)?;
    drop(key);
    if let Err(error) = active.control.resume(&active.name) {
        let _ = active.control.wipe_key(&active.name);
        return Err(MappingError::from(error).into());
    }
    Ok(Changed {
        name: shown(&active.name),
        keyslot: unlocked.keyslot(),
    })
}
