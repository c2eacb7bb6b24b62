//! The passphrase that older `OpenStack` made of a key, replaced by the one that it makes of it now.

use dmcrypt::Passphrase;
use luks::{KeyslotOptions, Luks, OsRandom, Spent, Unlocked, keyslots};
use serde::Serialize;

use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed, Target};
use crate::error::Error;
use crate::key_source::{KeyFormat, formatted};
use crate::new_keyslot::NewKeyslot;
use crate::open;
use crate::place::Place;
use crate::secret::{Asked, Secrets};
use crate::unlock::{self, Unlock, after};
use crate::watch::Watch;

/// How it is replaced.
#[derive(Clone, Debug, Default)]
pub struct UnmangleOptions {
    /// What every change takes.
    pub change: ChangeOptions,
    /// What the header may ask for; its keyslot is not looked at.
    pub unlock: Unlock,
    /// What the new keyslot is to be.
    pub new: NewKeyslot,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Unmangled {
    /// How messages name the container.
    pub image: String,
    /// The keyslot that the right passphrase opens.
    pub keyslot: u32,
    /// It is new.
    pub added: bool,
    /// The keyslots that the mangled passphrase opened. None where it was gone already, or is the right one.
    pub removed: Vec<u32>,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Proves the mangled passphrase, adds the right one, proves that, and removes the mangled one: one of the two opens the
/// container at every moment, and what was cut off is ended by doing it again. `secrets` have the key itself, of whose
/// digits both are made.
///
/// # Errors
///
/// What is wrong with the place, the options or the header; that neither passphrase fits.
pub fn unmangle(
    place: &Place,
    options: &UnmangleOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Unmangled, Error> {
    let change = &options.change;
    let target = open::changed_by(place, change, Claim::Header)?;
    let luks = target.luks_by(change, watch)?;
    let key = secrets.passphrase(&Asked::of(&target.name))?;
    let of = |format| Passphrase::from_locked(formatted(&key, format));
    let (right, mangled) = (of(KeyFormat::Openstack), of(KeyFormat::OpenstackMangled));
    let work = Work {
        target: &target,
        options,
        watch,
    };
    let spent = Spent::default();
    let by_mangled = if mangled.expose() == right.expose() {
        None
    } else {
        if_it_fits(work.unlock(&luks, None, &mangled, &spent))?
    };
    let by_right = work.unlock(&luks, None, &right, &spent);
    let (keyslot, added, removed) = match by_mangled {
        None => (by_right?.keyslot(), false, Vec::new()),
        Some(opened) => {
            let by_right = if_it_fits(by_right)?;
            let new = match &by_right {
                Some(_) => None,
                None => Some(options.new.options(luks.header(), &target.name, watch)?),
            };
            target.back_up(&luks, change.backup.as_deref(), watch)?;
            let keyslot = match &new {
                Some(new) => Some(work.add(&luks, &opened, &right, new)?),
                None => by_right.and_then(|unlocked| unlocked.keyslot()),
            };
            let luks = work.reopened()?;
            work.unlock(&luks, keyslot, &right, &Spent::default())?;
            let removed = work.remove(luks, &opened, &mangled)?;
            (keyslot, new.is_some(), removed)
        }
    };
    let keyslot = keyslot.expect("a passphrase opened it, so a keyslot did");
    Ok(Unmangled {
        keyslot,
        added,
        removed,
        rehearsed: target.finish()?,
        image: target.name,
    })
}

struct Work<'a> {
    target: &'a Target,
    options: &'a UnmangleOptions,
    watch: &'a dyn Watch,
}

impl Work<'_> {
    /// What a passphrase opens of all keyslots, or of one.
    fn unlock(
        &self,
        luks: &Luks,
        keyslot: Option<u32>,
        passphrase: &Passphrase,
        spent: &Spent,
    ) -> Result<Unlocked, Error> {
        let how = Unlock {
            keyslot,
            ..self.options.unlock.clone()
        };
        let (cancel, unusable) = (
            || self.watch.is_cancelled(),
            unlock::telling_once(self.watch),
        );
        let options = how.options(&cancel, &unusable);
        luks.unlock(passphrase, &after(&options, spent))
            .map_err(|error| Error::luks(&self.target.name, error))
    }

    /// The header as it is now.
    fn reopened(&self) -> Result<Luks, Error> {
        let luks = Luks::open(self.target.storage.clone()).map_err(self.target.failed())?;
        if self.options.change.drop_seal {
            luks.drop_seal();
        }
        Ok(luks)
    }

    fn add(
        &self,
        luks: &Luks,
        unlocked: &Unlocked,
        passphrase: &Passphrase,
        new: &KeyslotOptions<'_>,
    ) -> Result<u32, Error> {
        keyslots::add(luks, unlocked, passphrase, new, &mut OsRandom).map_err(self.target.failed())
    }

    /// Removes the keyslot that was opened, and every further one that the same passphrase opens. Another passphrase was
    /// proven under this header.
    fn remove(
        &self,
        mut luks: Luks,
        opened: &Unlocked,
        passphrase: &Passphrase,
    ) -> Result<Vec<u32>, Error> {
        let mut removed = Vec::new();
        let mut next = opened.keyslot();
        while let Some(keyslot) = next {
            keyslots::remove(&luks, keyslot, false, &mut OsRandom).map_err(self.target.failed())?;
            removed.push(keyslot);
            luks = self.reopened()?;
            let left = if_it_fits(self.unlock(&luks, None, passphrase, &Spent::default()))?;
            next = left.as_ref().and_then(Unlocked::keyslot);
        }
        Ok(removed)
    }
}

/// Nothing where no keyslot fits.
fn if_it_fits(opened: Result<Unlocked, Error>) -> Result<Option<Unlocked>, Error> {
    match opened {
        Ok(unlocked) => Ok(Some(unlocked)),
        Err(Error::Luks { error, .. }) if matches!(*error, luks::Error::NoKeyFits { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
