//! From a storage to an unlocked container.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dmcrypt::{LockedBytes, Passphrase};
use luks::seal::{FileSeal, SealWanted};
use luks::{
    Header, KdfLimits, Luks, Measure, Policy, Spent, UnlockOptions, Unlocked, UnusableKeyslot,
};
use volume::Storage;

use crate::error::Error;
use crate::limits;
use crate::policy;
use crate::secret::{Asked, AskedOther, Secrets};
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
    /// What the seal of the header must be, once a key fits.
    pub seal: Seal,
}

/// What the seal of a header must be; what is wrong with it is [`luks::Error::Seal`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seal {
    /// The header must be sealed: by `file` where that is given, else by its token.
    pub required: bool,
    /// A seal that is kept in a file, which must fit.
    pub file: Option<FileSeal>,
    /// The header must have been changed so often at least (LUKS2).
    pub min_epoch: Option<u64>,
}

impl Seal {
    /// Whether anything is asked of it.
    pub fn is_wanted(&self) -> bool {
        *self != Self::default()
    }
}

impl Unlock {
    /// What one keyslot may ask for.
    pub fn limits(&self) -> KdfLimits {
        limits::kdf_limits(self.one_slot(), self.max_memory_kib)
    }

    /// What one keyslot may ask for on any machine.
    fn little(&self) -> KdfLimits {
        limits::little_kdf_limits(self.one_slot(), self.max_memory_kib)
    }

    fn one_slot(&self) -> Duration {
        self.max_time.unwrap_or(limits::ONE_SLOT)
    }

    /// The same in the library's terms.
    pub fn options<'a>(
        &'a self,
        cancel: &'a (dyn Fn() -> bool + Sync),
        unusable: &'a (dyn Fn(&UnusableKeyslot) + Sync),
    ) -> UnlockOptions<'a> {
        UnlockOptions {
            seal: SealWanted {
                required: self.seal.required,
                file: self.seal.file.as_ref(),
                min_epoch: self.seal.min_epoch,
            },
            measure: Some(self),
            ..self.within(self.little(), cancel, unusable)
        }
    }

    /// The same, where no seal is asked for.
    pub fn options_but_seal<'a>(
        &self,
        cancel: &'a (dyn Fn() -> bool + Sync),
        unusable: &'a (dyn Fn(&UnusableKeyslot) + Sync),
    ) -> UnlockOptions<'a> {
        self.within(self.limits(), cancel, unusable)
    }

    fn within<'a>(
        &self,
        limits: KdfLimits,
        cancel: &'a (dyn Fn() -> bool + Sync),
        unusable: &'a (dyn Fn(&UnusableKeyslot) + Sync),
    ) -> UnlockOptions<'a> {
        UnlockOptions {
            keyslot: self.keyslot,
            limits,
            measure: None,
            null_cipher: self.allow_unencrypted,
            unencrypted_data: false,
            spent: None,
            volume_key_bytes: self.volume_key_bytes,
            faulty_whirlpool: false,
            seal: SealWanted::default(),
            threads: limits::processors(),
            cancel,
            unusable,
        }
    }
}

impl Measure for Unlock {
    fn limits(&self) -> KdfLimits {
        Unlock::limits(self)
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
///
/// Where a reencryption is under way and that is one of its two keys, the other one is asked for, too; where nobody has
/// it, [`Unlocked::missing_key`] says so, and so does whatever needs it.
pub fn unlock(
    luks: &Luks,
    name: &str,
    secrets: &dyn Secrets,
    how: &Unlock,
    watch: &dyn Watch,
) -> Result<(Unlocked, Option<Passphrase>), Error> {
    let (unlocked, passphrase) = unlock_with_one(luks, name, secrets, how, watch)?;
    warn_of_seal(luks, name, watch);
    let unlocked = complete(
        unlocked,
        luks,
        name,
        passphrase.as_ref(),
        secrets,
        how,
        watch,
    )?;
    Ok((unlocked, passphrase))
}

/// The same where one of two keys will do: nobody is asked for the other one, which is taken where it was given.
pub fn unlock_as_given(
    luks: &Luks,
    name: &str,
    secrets: &dyn Secrets,
    how: &Unlock,
    watch: &dyn Watch,
) -> Result<Unlocked, Error> {
    let (unlocked, _) = unlock_with_one(luks, name, secrets, how, watch)?;
    let (cancel, unusable) = (|| watch.is_cancelled(), telling_once(watch));
    let other = Other {
        luks,
        name,
        secrets,
        options: how.options(&cancel, &unusable),
    };
    other.given(unlocked, false)
}

/// Tells of a seal that is not right where none was required.
pub fn warn_of_seal(luks: &Luks, name: &str, watch: &dyn Watch) {
    if let Some(Err(problem)) = luks.checked_seal() {
        watch.warn(&format_args!("{name}: {problem}"));
    }
}

/// What a passphrase has opened, with the other key of a reencryption that is under way.
pub fn complete(
    mut unlocked: Unlocked,
    luks: &Luks,
    name: &str,
    passphrase: Option<&Passphrase>,
    secrets: &dyn Secrets,
    how: &Unlock,
    watch: &dyn Watch,
) -> Result<Unlocked, Error> {
    if unlocked.missing_key().is_none() {
        return Ok(unlocked);
    }
    let (cancel, unusable) = (|| watch.is_cancelled(), telling_once(watch));
    let other = Other {
        luks,
        name,
        secrets,
        options: UnlockOptions {
            // It has one of the keys only.
            keyslot: None,
            ..how.options(&cancel, &unusable)
        },
    };
    // One passphrase may open both, where it was held to the keyslot that was named.
    if let Some(passphrase) = passphrase.filter(|_| how.keyslot.is_some()) {
        match luks.unlock_missing(&unlocked, passphrase, &other.options) {
            Ok(found) => unlocked = other.joined(unlocked, found)?,
            Err(luks::Error::NoKeyFits { .. } | luks::Error::NoUsableKeyslot(_)) => {}
            Err(error) => return Err(Error::luks(name, error)),
        }
    }
    other.given(unlocked, true)
}

/// Where the other key of a reencryption comes from.
struct Other<'a> {
    luks: &'a Luks,
    name: &'a str,
    secrets: &'a dyn Secrets,
    options: UnlockOptions<'a>,
}

impl Other<'_> {
    /// With the other key as far as it was given, or, where it `is_needed`, as somebody has it who is asked.
    fn given(&self, mut unlocked: Unlocked, is_needed: bool) -> Result<Unlocked, Error> {
        let mut failed = None;
        for attempt in 0.. {
            if unlocked.missing_key().is_none() {
                return Ok(unlocked);
            }
            let Some(key) = self.secrets.other_volume_key(attempt)? else {
                break;
            };
            match self.luks.unlock_with_volume_key(key, &self.options) {
                Ok(found) => unlocked = self.joined(unlocked, found)?,
                Err(error @ luks::Error::NoKeyFits { .. }) => failed = Some(error),
                Err(error) => return Err(Error::luks(self.name, error)),
            }
        }
        let is_needed = is_needed && failed.is_none();
        for attempt in 0.. {
            let asked = AskedOther {
                image: self.name,
                attempt,
                is_needed,
            };
            let secret = match unlocked.missing_key() {
                None => return Ok(unlocked),
                Some(digest) if !has_keyslot(self.luks, digest) => break,
                Some(_) => self.secrets.other_passphrase(&asked)?,
            };
            let Some(secret) = secret else {
                break;
            };
            let found = try_forms(self.name, self.secrets, secret, |passphrase, spent| {
                let options = UnlockOptions {
                    spent: Some(spent),
                    ..self.options
                };
                self.luks.unlock_missing(&unlocked, passphrase, &options)
            });
            match found {
                Ok((found, _)) => unlocked = self.joined(unlocked, found)?,
                Err(error @ luks::Error::NoKeyFits { .. }) => {
                    if attempt.saturating_add(1) < self.secrets.tries() {
                        self.secrets.did_not_fit(&Error::luks(self.name, error));
                    } else {
                        failed = Some(error);
                    }
                }
                Err(error) => return Err(Error::luks(self.name, error)),
            }
        }
        match failed {
            Some(error) => Err(Error::luks(self.name, error)),
            None => Ok(unlocked),
        }
    }

    fn joined(&self, one: Unlocked, other: Unlocked) -> Result<Unlocked, Error> {
        one.with(other, &self.options)
            .map_err(|error| Error::luks(self.name, error))
    }
}

/// Whether a passphrase may open the key of a digest.
fn has_keyslot(luks: &Luks, digest: u32) -> bool {
    let Header::Luks2(header) = luks.header() else {
        return false;
    };
    let mut slots = header.metadata.keyslots.iter();
    slots.any(|slot| {
        let own = header.metadata.digest_of_keyslot(slot.id);
        own.is_some_and(|own| own.id == digest)
    })
}

fn unlock_with_one(
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
    with_passphrase(name, secrets, |passphrase, spent| {
        luks.unlock(passphrase, &after(&options, spent))
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

/// The same options, where so much is spent already.
pub fn after<'a>(options: &UnlockOptions<'a>, spent: &'a Spent) -> UnlockOptions<'a> {
    UnlockOptions {
        spent: Some(spent),
        ..*options
    }
}

/// Asks for a passphrase that there is and does `attempt` with it, until it fits or `secrets` has no other one. What came
/// of it, and the passphrase. What an attempt has spent counts for the other forms of the same passphrase ([`after`]).
pub fn with_passphrase<T>(
    name: &str,
    secrets: &dyn Secrets,
    attempt: impl FnMut(&Passphrase, &Spent) -> Result<T, luks::Error>,
) -> Result<(T, Passphrase), Error> {
    with_asked(&Asked::of(name), secrets, attempt)
}

/// The same, where it says more of what is asked for.
pub fn with_asked<T>(
    asked: &Asked<'_>,
    secrets: &dyn Secrets,
    mut attempt: impl FnMut(&Passphrase, &Spent) -> Result<T, luks::Error>,
) -> Result<(T, Passphrase), Error> {
    let name = asked.image;
    let mut left = secrets.tries();
    loop {
        let secret = secrets.passphrase(asked)?;
        left = left.saturating_sub(1);
        match try_forms(name, secrets, secret, &mut attempt) {
            Ok(done) => return Ok(done),
            Err(error @ luks::Error::NoKeyFits { .. }) if left > 0 => {
                secrets.did_not_fit(&Error::luks(name, error));
            }
            Err(error) => return Err(Error::luks(name, error)),
        }
    }
}

/// Does `attempt` with a passphrase, or where it is not known which form of it is meant with one after another.
pub(crate) fn try_forms<T>(
    name: &str,
    secrets: &dyn Secrets,
    given: LockedBytes,
    mut attempt: impl FnMut(&Passphrase, &Spent) -> Result<T, luks::Error>,
) -> Result<(T, Passphrase), luks::Error> {
    let spent = Spent::default();
    let mut failed: Option<luks::Error> = None;
    for form in secrets.forms(&given) {
        let passphrase = Passphrase::from_locked(form.passphrase);
        match attempt(&passphrase, &spent) {
            Ok(done) => {
                secrets.fitted(name, form.format);
                return Ok((done, passphrase));
            }
            // One that was left out for its cost may fit; that none does is said of what was tried.
            Err(error @ luks::Error::TooCostly { .. }) => failed = Some(error),
            Err(error @ luks::Error::NoKeyFits { .. }) => {
                failed.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let passphrase = Passphrase::from_locked(given);
    Ok((attempt(&passphrase, &spent)?, passphrase))
}
