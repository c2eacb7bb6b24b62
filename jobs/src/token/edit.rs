//! A token is removed, or is for other keyslots.

use luks::{OsRandom, tokens};
use serde::Serialize;

use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed, SealKey};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::watch::Watch;

/// What becomes of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Edit {
    /// It goes.
    Remove,
    /// It is for this keyslot too.
    Assign(u32),
    /// It is no longer for this keyslot.
    Unassign(u32),
}

/// What was changed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Edited {
    /// How messages name the container.
    pub image: String,
    /// The token's number.
    pub token: u32,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Changes the token of this number. `key` is used where the header is sealed.
///
/// # Errors
///
/// What is wrong with the place, the options or the header; no such token or keyslot.
pub fn edit(
    place: &Place,
    token: u32,
    edit: Edit,
    options: &ChangeOptions,
    key: Option<SealKey<'_>>,
    watch: &dyn Watch,
) -> Result<Edited, Error> {
    let target = open::changed_by(place, options, Claim::Header)?;
    let luks = target.luks_to_change(options, key, watch)?;
    match edit {
        Edit::Remove => tokens::remove(&luks, token, &mut OsRandom),
        Edit::Assign(keyslot) => tokens::assign(&luks, token, keyslot, &mut OsRandom),
        Edit::Unassign(keyslot) => tokens::unassign(&luks, token, keyslot, &mut OsRandom),
    }
    .map_err(target.failed())?;
    Ok(Edited {
        token,
        rehearsed: target.finish()?,
        image: target.name,
    })
}
