//! A mapping that is treated otherwise from now on.

use std::ffi::OsStr;

use devmapper::{Flags, Line, Table};
use luks::Header;
use serde::Serialize;

use super::active::{Active, HeaderOptions};
use super::{persistent, shown};
use crate::block;
use crate::error::{Error, MappingError};
use crate::place::Place;
use crate::secret::Secrets;
use crate::watch::Watch;

/// How a mapping is refreshed.
#[derive(Clone, Debug, Default)]
pub struct RefreshOptions {
    /// The header that has its key.
    pub header: HeaderOptions,
    /// How dm-crypt treats it; what the header of LUKS2 says comes to it, and nothing of what held before.
    pub flags: Flags,
    /// The header of LUKS2 is to say so from now on.
    pub persistent: bool,
    /// The key stands in the table.
    pub no_keyring: bool,
}

/// What was refreshed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Refreshed {
    /// The name of the mapping.
    pub name: String,
    /// How it is treated, in the kernel's words.
    pub flags: Vec<&'static str>,
    /// The keyslot that was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyslot: Option<u32>,
    /// The header says so from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
}

/// Has the kernel treat a mapping otherwise. A plain one keeps the key that it has; that of a LUKS container is taken from
/// its header.
///
/// # Errors
///
/// [`MappingError::Suspended`], [`MappingError::OtherHeader`], and what is wrong with the header or the secret.
pub fn refresh(
    name: &OsStr,
    options: &RefreshOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Refreshed, Error> {
    let active = Active::of(name)?;
    if active.state.is_suspended {
        return Err(MappingError::Suspended {
            name: shown(&active.name),
        }
        .into());
    }
    let version = active.control.target_version("crypt");
    let version = version.map_err(MappingError::from)?.unwrap_or_default();
    let with = |flags| Line {
        flags,
        ..active.line()
    };
    let sectors = active.length_sectors();
    if active.check_luks().is_err() {
        watch.must_not_be_cut_off();
        let flags = persistent::known(options.flags, version, watch);
        active.exchange(&Table::of_line(&with(flags), sectors))?;
        return Ok(refreshed(&active, flags, None, None));
    }
    let (luks, unlocked) = active.unlock(&options.header, secrets, watch)?;
    let flags = match luks.header() {
        Header::Luks1(_) => options.flags,
        Header::Luks2(header) => {
            let said = persistent::flags_of(&header.metadata.config.flags);
            options.flags.or(said)
        }
    };
    watch.must_not_be_cut_off();
    let key = active.place_key(&luks, &unlocked, options.no_keyring, watch)?;
    let known = persistent::known(flags, version, watch);
    let line = with(known);
    let table = Table::of_line_with(&line, &key.in_terms_of_tables(), sectors);
    active.exchange(&table.map_err(MappingError::from)?)?;
    drop(key);
    let is_kept = options.persistent.then(|| {
        let place = options.header.header.clone();
        let device = active.line().device_number().map(block::path_of);
        let place = place.or(device.map(Place::Path));
        place.is_some_and(|place| {
            persistent::keep(&place, &luks, known, &shown(&active.name), watch)
        })
    });
    Ok(refreshed(&active, known, unlocked.keyslot(), is_kept))
}

fn refreshed(
    active: &Active,
    flags: Flags,
    keyslot: Option<u32>,
    persistent: Option<bool>,
) -> Refreshed {
    let named = flags.named().into_iter();
    Refreshed {
        name: shown(&active.name),
        flags: named
            .filter(|(_, is_set)| *is_set)
            .map(|(word, _)| word)
            .collect(),
        keyslot,
        persistent,
    }
}
