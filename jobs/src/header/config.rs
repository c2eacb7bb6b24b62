//! What a header says about the container, said otherwise.

use luks::config::{ConfigChanges, configure};
use luks::luks2::Priority;
use luks::{OsRandom, keyslots};
use serde::Serialize;

use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed, SealKey};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::watch::Watch;

/// What is said otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Config {
    /// Texts, UUID, persistent flags.
    Container(ConfigChanges),
    /// When a keyslot is tried (LUKS2).
    Keyslot {
        /// Which.
        keyslot: u32,
        /// When.
        priority: Priority,
    },
}

/// What was changed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Configured {
    /// How messages name the container.
    pub image: String,
    /// Always.
    pub changed: bool,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Makes the change in one commit. `key` is used where the header is sealed.
///
/// # Errors
///
/// What is wrong with the place, the options, the values or the header.
pub fn config(
    place: &Place,
    change: &Config,
    options: &ChangeOptions,
    key: Option<SealKey<'_>>,
    watch: &dyn Watch,
) -> Result<Configured, Error> {
    let target = open::changed_by(place, options, Claim::Header)?;
    let luks = target.luks_to_change(options, key, watch)?;
    match change {
        Config::Container(changes) => configure(&luks, changes, &mut OsRandom),
        Config::Keyslot { keyslot, priority } => {
            keyslots::set_priority(&luks, *keyslot, *priority, &mut OsRandom)
        }
    }
    .map_err(target.failed())?;
    Ok(Configured {
        changed: true,
        rehearsed: target.finish()?,
        image: target.name,
    })
}
