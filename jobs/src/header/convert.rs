//! A header becomes one of the other version.

use luks::convert::convert as rewrite;
use luks::{OsRandom, Version};
use serde::Serialize;

use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed};
use crate::confirm::{Confirm, Loss};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::watch::Watch;

/// What was converted.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Converted {
    /// How messages name the container.
    pub image: String,
    /// What it is now: `luks1` or `luks2`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Converts the header in place; the data are not touched.
///
/// # Errors
///
/// What is wrong with the place, the options or the header; what the other version has not; a container that is mapped; a
/// no.
pub fn convert(
    place: &Place,
    to: Version,
    options: &ChangeOptions,
    confirm: &dyn Confirm,
    watch: &dyn Watch,
) -> Result<Converted, Error> {
    let target = open::changed_by(place, options, Claim::Whole)?;
    let luks = target.luks_by(options, watch)?;
    if luks.is_sealed() && !options.drop_seal {
        return Err(target.failed()(luks::Error::Sealed));
    }
    target.refuse_mapped(&luks)?;
    target.confirm(confirm, Loss::Version(to))?;
    target.back_up(&luks, options.backup.as_deref(), watch)?;
    rewrite(&luks, to, &mut OsRandom).map_err(target.failed())?;
    Ok(Converted {
        kind: match to {
            Version::Luks1 => "luks1",
            Version::Luks2 => "luks2",
        },
        rehearsed: target.finish()?,
        image: target.name,
    })
}
