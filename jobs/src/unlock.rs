//! From a storage to an unlocked container.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dmcrypt::Passphrase;
use luks::{KdfLimits, Luks, Policy, UnlockOptions, Unlocked, UnusableKeyslot};
use volume::Storage;

use crate::error::Error;
use crate::limits;
use crate::policy;
use crate::secret::{Asked, Secrets};
use crate::watch::Watch;

/// How a container is unlocked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Unlock {
    /// Try this keyslot only, even one that is not tried unasked.
    pub keyslot: Option<u32>,
    /// Time that one keyslot may take; all together may take ten times that. A minute unless said.
    pub max_time: Option<Duration>,
    /// Memory that one keyslot may take, in KiB; what suits this machine unless said.
    pub max_memory_kib: Option<u64>,
    /// Bytes of a given volume key, where no keyslot tells it.
    pub volume_key_bytes: Option<usize>,
    /// Read what nothing encrypted: under a null cipher, or in a linear segment of LUKS2.
    pub allow_unencrypted: bool,
}

impl Unlock {
    /// What one keyslot may ask for.
    pub fn limits(&self) -> KdfLimits {
        let one_slot = self.max_time.unwrap_or(limits::ONE_SLOT);
        limits::kdf_limits(one_slot, self.max_memory_kib)
    }

    /// The same in the library's terms.
    pub fn options<'a>(
        &self,
        cancel: &'a (dyn Fn() -> bool + Sync),
        unusable: &'a (dyn Fn(&UnusableKeyslot) + Sync),
    ) -> UnlockOptions<'a> {
        UnlockOptions {
            keyslot: self.keyslot,
            limits: self.limits(),
            null_cipher: self.allow_unencrypted,
            unencrypted_data: false,
            volume_key_bytes: self.volume_key_bytes,
            faulty_whirlpool: false,
            threads: limits::processors(),
            cancel,
            unusable,
        }
    }
}

/// Reads the header and checks it, against `policies` too; what is wrong with it and could be passed over is told.
pub fn open(
    name: &str,
    storage: Arc<dyn Storage>,
    policies: &[Policy],
    watch: &dyn Watch,
) -> Result<Luks, Error> {
    let bytes = Arc::clone(&storage);
    let luks = Luks::open(storage).map_err(|error| Error::of_image(name, error, &*bytes))?;
    policy::check(policies, &luks, name)?;
    for warning in luks.warnings() {
        watch.warn(&format_args!("{name}: {warning}"));
    }
    Ok(luks)
}

/// A header that was given without other data must have its own behind it: where they begin at 0 they would be the header
/// itself.
pub fn check_attached(luks: &Luks, name: &str) -> Result<(), Error> {
    if luks.header().data_offset() == Some(0) {
        return Err(Error::Detached {
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// Unlocks with the volume key or the passphrase that `secrets` has: where it is a passphrase that does not fit, with
/// the next one as long as there are any. Also the passphrase, where it was one.
pub fn unlock(
    luks: &Luks,
    name: &str,
    secrets: &dyn Secrets,
    how: &Unlock,
    watch: &dyn Watch,
) -> Result<(Unlocked, Option<Passphrase>), Error> {
    let unusable = telling_once(watch);
    let cancel = || watch.is_cancelled();
    let options = how.options(&cancel, &unusable);
    if let Some(key) = secrets.volume_key()? {
        let unlocked = luks.unlock_with_volume_key(key, &options);
        return Ok((unlocked.map_err(|error| Error::luks(name, error))?, None));
    }
    with_passphrase(name, secrets, |passphrase| {
        luks.unlock(passphrase, &options)
    })
    .map(|(unlocked, passphrase)| (unlocked, Some(passphrase)))
}

/// Tells of each keyslot that cannot be used, once however often it is tried.
pub fn telling_once(watch: &dyn Watch) -> impl Fn(&UnusableKeyslot) + Sync {
    let said = Mutex::new(BTreeSet::new());
    move |unusable| {
        let text = unusable.to_string();
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.insert(text.clone()) {
            watch.warn(&text);
        }
    }
}

/// Asks for a passphrase that there is and does `attempt` with it, until it fits or `secrets` has no other one. What came
/// of it, and the passphrase.
pub fn with_passphrase<T>(
    name: &str,
    secrets: &dyn Secrets,
    mut attempt: impl FnMut(&Passphrase) -> Result<T, luks::Error>,
) -> Result<(T, Passphrase), Error> {
    let mut left = secrets.tries();
    loop {
        let passphrase = Passphrase::from_locked(secrets.passphrase(&Asked::of(name))?);
        left = left.saturating_sub(1);
        match attempt(&passphrase) {
            Ok(done) => return Ok((done, passphrase)),
            Err(error @ luks::Error::NoKeyFits { .. }) if left > 0 => {
                secrets.did_not_fit(&Error::luks(name, error));
            }
            Err(error) => return Err(Error::luks(name, error)),
        }
    }
}
