//! Another passphrase in place of one, or the same under another key derivation.

use luks::{OsRandom, keyslots};
use serde::Serialize;

use super::new_passphrase;
use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed};
use crate::error::Error;
use crate::new_keyslot::NewKeyslot;
use crate::open;
use crate::place::Place;
use crate::secret::Secrets;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How a keyslot is changed.
#[derive(Clone, Debug, Default)]
pub struct ChangeKeyOptions {
    /// What every change takes.
    pub change: ChangeOptions,
    /// How the container is unlocked. The keyslot must be said where the volume key does it.
    pub unlock: Unlock,
    /// What the keyslot is to be.
    pub new: NewKeyslot,
    /// The passphrase stays.
    pub keep_passphrase: bool,
    /// An empty new passphrase is taken, with which everybody opens the container.
    pub allow_empty_passphrase: bool,
}

/// What was changed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Changed {
    /// How messages name the container.
    pub image: String,
    /// Its number now.
    pub keyslot: u32,
    /// Its number before.
    pub old_keyslot: u32,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Changes the keyslot that `secrets` open; `new` has the new passphrase.
///
/// # Errors
///
/// What is wrong with the place, the options, the header or a secret.
pub fn change(
    place: &Place,
    options: &ChangeKeyOptions,
    secrets: &dyn Secrets,
    new: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Changed, Error> {
    let change = &options.change;
    let target = open::changed_by(place, change, Claim::Header)?;
    let luks = target.luks_by(change, watch)?;
    let (unlocked, old) = unlock::unlock(&luks, &target.name, secrets, &options.unlock, watch)?;
    let named = unlocked.keyslot().or(options.unlock.keyslot);
    let before = named.ok_or(Error::Conflict {
        one: "the volume key",
        other: "a keyslot that is not named",
    })?;
    let secret = match old {
        Some(old) if options.keep_passphrase => old,
        _ => new_passphrase(new, &target.name, options.allow_empty_passphrase)?,
    };
    let keyslot = options.new.options(luks.header(), &target.name, watch)?;
    target.back_up(&luks, change.backup.as_deref(), watch)?;
    let keyslot = keyslots::change(&luks, &unlocked, before, &secret, &keyslot, &mut OsRandom)
        .map_err(target.failed())?;
    Ok(Changed {
        keyslot,
        old_keyslot: before,
        rehearsed: target.finish()?,
        image: target.name,
    })
}
