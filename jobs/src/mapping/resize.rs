//! A mapping that becomes longer or shorter.

use std::ffi::OsStr;

use devmapper::Table;
use dmcrypt::SECTOR_BYTES;
use serde::Serialize;
use volume::Storage as _;

use super::active::{Active, HeaderOptions};
use super::data::unreadable;
use super::shown;
use crate::error::{Error, MappingError};
use crate::secret::Secrets;
use crate::text;
use crate::watch::Watch;

/// How a mapping is resized.
#[derive(Clone, Debug, Default)]
pub struct ResizeOptions {
    /// How long it becomes, in units of 512 bytes; as long as its device has room unless said, or for 0.
    pub size_sectors: Option<u64>,
    /// The header that has its key, where that is in a keyring.
    pub header: HeaderOptions,
}

/// What was resized. Sizes are bytes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Resized {
    /// The name of the mapping.
    pub name: String,
    /// How long it was.
    pub bytes_before: u64,
    /// How long it is.
    pub bytes: u64,
    /// The keyslot that was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyslot: Option<u32>,
}

/// Makes a mapping as long as is asked for. A key is needed where the kernel has it by a keyring.
///
/// # Errors
///
/// [`MappingError::Size`], [`MappingError::Suspended`], [`MappingError::OtherHeader`], and what is wrong with the header or
/// the secret.
pub fn resize(
    name: &OsStr,
    options: &ResizeOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Resized, Error> {
    let active = Active::of(name)?;
    if active.state.is_suspended {
        return Err(MappingError::Suspended {
            name: shown(&active.name),
        }
        .into());
    }
    let sectors = wanted(&active, options.size_sectors)?;
    let line = active.line();
    let keyslot = if line.key.is_in_keyring() {
        let (luks, unlocked) = active.unlock(&options.header, secrets, watch)?;
        watch.must_not_be_cut_off();
        let key = active.place_key(&luks, &unlocked, false, watch)?;
        let table = Table::of_line_with(&line, &key.in_terms_of_tables(), sectors);
        active.exchange(&table.map_err(MappingError::from)?)?;
        unlocked.keyslot()
    } else {
        watch.must_not_be_cut_off();
        active.exchange(&Table::of_line(&line, sectors))?;
        None
    };
    Ok(Resized {
        name: shown(&active.name),
        bytes_before: active.length_sectors().saturating_mul(SECTOR_BYTES),
        bytes: sectors.saturating_mul(SECTOR_BYTES),
        keyslot,
    })
}

/// How long it becomes, in units of 512 bytes.
fn wanted(active: &Active, asked: Option<u64>) -> Result<u64, Error> {
    let line = active.line();
    let device = active.device()?;
    let bytes = device
        .len()
        .map_err(|source| unreadable(&text::escape(line.device), source))?;
    let room = (bytes / SECTOR_BYTES).saturating_sub(line.offset_sectors);
    let unit = line.sector_size.units();
    let refused = |sectors, problem| {
        Err(MappingError::Size {
            name: shown(&active.name),
            sectors,
            problem,
        }
        .into())
    };
    match asked.filter(|sectors| *sectors > 0) {
        Some(sectors) if sectors > room => refused(
            sectors,
            format!("more than its device has room for, {room}"),
        ),
        Some(sectors) if !sectors.is_multiple_of(unit) => refused(
            sectors,
            format!(
                "no whole number of its sectors of {} bytes",
                line.sector_size.bytes()
            ),
        ),
        Some(sectors) => Ok(sectors),
        None => {
            let whole = room - room % unit;
            if whole == 0 {
                return refused(0, "all that its device has room for".to_owned());
            }
            Ok(whole)
        }
    }
}
