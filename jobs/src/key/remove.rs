//! A passphrase less.

use luks::{Luks, OsRandom, keyslots};
use serde::Serialize;

use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed};
use crate::confirm::{Confirm, Loss};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::secret::Secrets;
use crate::unlock::{self, Unlock, after};
use crate::watch::Watch;

/// How a keyslot is removed.
#[derive(Clone, Debug, Default)]
pub struct RemoveOptions {
    /// What every change takes.
    pub change: ChangeOptions,
    /// What the header may ask for. Its keyslot is the one that is removed; unless said, that which the passphrase opens.
    pub unlock: Unlock,
    /// A keyslot that is named goes without a secret which shows that there is a way left.
    pub unasked: bool,
}

/// What was removed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Removed {
    /// How messages name the container.
    pub image: String,
    /// The keyslot.
    pub keyslot: u32,
    /// It was the last one.
    pub last: bool,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Removes a keyslot. `secrets` have its passphrase or, where it is named, another one or the volume key.
///
/// # Errors
///
/// What is wrong with the place, the options, the header or a secret; a no to the last one's end.
pub fn remove(
    place: &Place,
    options: &RemoveOptions,
    secrets: &dyn Secrets,
    confirm: &dyn Confirm,
    watch: &dyn Watch,
) -> Result<Removed, Error> {
    let change = &options.change;
    let target = open::changed_by(place, change, Claim::Header)?;
    let luks = target.luks_by(change, watch)?;
    let keyslot = opened_or_named(&target.name, &luks, options, secrets, watch)?;
    let last = keyslots::is_last(luks.header(), keyslot);
    if last {
        target.confirm(confirm, Loss::LastKeyslot(keyslot))?;
    }
    target.back_up(&luks, change.backup.as_deref(), watch)?;
    keyslots::remove(&luks, keyslot, last, &mut OsRandom).map_err(target.failed())?;
    Ok(Removed {
        keyslot,
        last,
        rehearsed: target.finish()?,
        image: target.name,
    })
}

fn opened_or_named(
    name: &str,
    luks: &Luks,
    options: &RemoveOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<u32, Error> {
    let (cancel, unusable) = (|| watch.is_cancelled(), unlock::telling_once(watch));
    let any = Unlock {
        keyslot: None,
        ..options.unlock.clone()
    };
    let any = any.options(&cancel, &unusable);
    let Some(keyslot) = options.unlock.keyslot else {
        let (unlocked, _) = unlock::with_passphrase(name, secrets, |secret, spent| {
            luks.unlock(secret, &after(&any, spent))
        })?;
        let opened = unlocked.keyslot();
        return Ok(opened.expect("a passphrase opened it, so a keyslot did"));
    };
    // Of the last one no other can be asked for: the question that follows is what guards it.
    if let Some(key) = secrets.volume_key()? {
        luks.unlock_with_volume_key(key, &any)
            .map_err(|error| Error::luks(name, error))?;
    } else if !options.unasked && !keyslots::is_last(luks.header(), keyslot) {
        unlock::with_passphrase(name, secrets, |left, spent| {
            keyslots::unlock_other(luks, keyslot, left, &after(&any, spent))
        })?;
    }
    Ok(keyslot)
}
