//! One more passphrase.

use dmcrypt::VolumeKey;
use luks::keyslots::{self, UnboundKey};
use luks::luks2::Priority;
use luks::{KeyslotOptions, Luks, OsRandom, random_volume_key};
use serde::Serialize;

use super::new_passphrase;
use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed, Target};
use crate::error::Error;
use crate::key_source::MAX_VOLUME_KEY_BYTES;
use crate::new_keyslot::NewKeyslot;
use crate::open;
use crate::place::Place;
use crate::secret::Secrets;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How a keyslot is added.
#[derive(Clone, Debug, Default)]
pub struct AddOptions {
    /// What every change takes.
    pub change: ChangeOptions,
    /// How the container is unlocked.
    pub unlock: Unlock,
    /// What the new keyslot is to be.
    pub new: NewKeyslot,
    /// Its number; the first that is free unless said.
    pub keyslot: Option<u32>,
    /// When it is tried (LUKS2).
    pub priority: Priority,
    /// It holds a key that opens no data (LUKS2): the volume key that the secrets give, or a random one of so many bits.
    pub unbound: Option<u32>,
    /// An empty new passphrase is taken, with which everybody opens the container.
    pub allow_empty_passphrase: bool,
}

/// What was added.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Added {
    /// How messages name the container.
    pub image: String,
    /// The new keyslot.
    pub keyslot: u32,
    /// Its key opens no data.
    pub unbound: bool,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Adds a keyslot. `secrets` have what opens the container already, `new` has the new passphrase.
///
/// # Errors
///
/// What is wrong with the place, the options, the header or a secret.
pub fn add(
    place: &Place,
    options: &AddOptions,
    secrets: &dyn Secrets,
    new: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Added, Error> {
    let change = &options.change;
    let target = open::changed_by(place, change, Claim::Header)?;
    let luks = target.luks_by(change, watch)?;
    let keyslot = if let Some(bits) = options.unbound {
        let key = match secrets.volume_key()? {
            Some(key) => key,
            None => random_key(bits, &target.name)?,
        };
        add_unbound(&target, &luks, &key, options, new, watch)?
    } else {
        let (unlocked, _) = unlock::unlock(&luks, &target.name, secrets, &options.unlock, watch)?;
        let secret = new_passphrase(new, &target.name, options.allow_empty_passphrase)?;
        let keyslot = keyslot_options(options, &luks, &target.name, watch)?;
        target.back_up(&luks, change.backup.as_deref(), watch)?;
        keyslots::add(&luks, &unlocked, &secret, &keyslot, &mut OsRandom)
            .map_err(target.failed())?
    };
    Ok(Added {
        keyslot,
        unbound: options.unbound.is_some(),
        rehearsed: target.finish()?,
        image: target.name,
    })
}

fn add_unbound(
    target: &Target,
    luks: &Luks,
    key: &VolumeKey,
    options: &AddOptions,
    new: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<u32, Error> {
    let secret = new_passphrase(new, &target.name, options.allow_empty_passphrase)?;
    let keyslot = keyslot_options(options, luks, &target.name, watch)?;
    let unbound = UnboundKey {
        key,
        digest_iterations: options.new.cost.digest_iterations(keyslot.hash),
    };
    target.back_up(luks, options.change.backup.as_deref(), watch)?;
    keyslots::add_unbound(luks, &unbound, &secret, &keyslot, &mut OsRandom).map_err(target.failed())
}

fn random_key(bits: u32, name: &str) -> Result<VolumeKey, Error> {
    let bytes = bits as usize / 8;
    if !bits.is_multiple_of(8) || bytes == 0 || bytes > MAX_VOLUME_KEY_BYTES {
        return Err(Error::KeyBits { bits });
    }
    random_volume_key(bytes, &mut OsRandom).map_err(|error| Error::luks(name, error.into()))
}

fn keyslot_options(
    options: &AddOptions,
    luks: &Luks,
    name: &str,
    watch: &dyn Watch,
) -> Result<KeyslotOptions<'static>, Error> {
    Ok(KeyslotOptions {
        keyslot: options.keyslot,
        priority: options.priority,
        ..options.new.options(luks.header(), name, watch)?
    })
}
