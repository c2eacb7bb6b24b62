//! All keyslots are overwritten.

use luks::OsRandom;
use luks::erase::erase as overwrite;
use serde::Serialize;

use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed};
use crate::confirm::{Confirm, Loss};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::watch::Watch;

/// What was erased.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Erased {
    /// How messages name the container.
    pub image: String,
    /// The keyslots that were in use.
    pub keyslots: Vec<u32>,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Overwrites every keyslot.
///
/// # Errors
///
/// What is wrong with the place, the options or the header; a no.
pub fn erase(
    place: &Place,
    options: &ChangeOptions,
    confirm: &dyn Confirm,
    watch: &dyn Watch,
) -> Result<Erased, Error> {
    let target = open::changed_by(place, options, Claim::Header)?;
    let luks = target.luks(&options.policies.read()?, watch)?;
    target.warn_of_mapping(watch)?;
    target.confirm(confirm, Loss::Keyslots)?;
    target.back_up(&luks, options.backup.as_deref(), watch)?;
    let keyslots = overwrite(&luks, &mut OsRandom).map_err(target.failed())?;
    Ok(Erased {
        keyslots,
        rehearsed: target.finish()?,
        image: target.name,
    })
}
