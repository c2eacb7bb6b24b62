//! From the options to an unlocked container.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dmcrypt::{Passphrase, VolumeKey};
use luks::{KdfLimits, Luks, Policy, UnlockOptions, Unlocked, UnusableKeyslot};
use volume::Storage;

use crate::args::{LimitArgs, MAX_KDF_TIME, PolicyArgs, UnlockArgs};
use crate::error::Error;
use crate::output;
use crate::passphrase::{KeyError, KeyInput, read_at_most};
use crate::policy;
use jobs::limits;

/// The largest key of any cipher (loop-AES's 65 keys), in bytes.
pub const MAX_VOLUME_KEY_BYTES: usize = 4096;

/// Reads the header and checks it, against `policy` too; what is wrong with it and could be passed over is printed.
pub fn open(name: &str, storage: Arc<dyn Storage>, policy: &PolicyArgs) -> Result<Luks, Error> {
    open_under(name, storage, &policy::read(policy)?)
}

/// The same under policies that were read already.
pub fn open_under(
    name: &str,
    storage: Arc<dyn Storage>,
    policies: &[Policy],
) -> Result<Luks, Error> {
    let bytes = Arc::clone(&storage);
    let luks = Luks::open(storage).map_err(|error| Error::of_image(name, error, &*bytes))?;
    policy::check(policies, &luks, name)?;
    for warning in luks.warnings() {
        output::warn(format_args!("{name}: {warning}"));
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

/// Asks for the passphrase, or takes the volume key, and unlocks.
pub fn unlock(
    luks: &Luks,
    name: &str,
    keys: &KeyInput,
    args: &UnlockArgs,
) -> Result<Unlocked, Error> {
    let options = options(args)?;
    if let Some(path) = &args.volume_key_file {
        let key = read_volume_key(path)?;
        return luks
            .unlock_with_volume_key(key, &options)
            .map_err(|error| Error::luks(name, error));
    }
    let (unlocked, _) = with_passphrase(name, keys, args.limits.tries, |passphrase| {
        luks.unlock(passphrase, &options)
    })?;
    Ok(unlocked)
}

/// Asks for a passphrase that there is and does `attempt` with it: where somebody types it, again until it fits or was
/// wrong `tries` times. What came of it, and the passphrase.
pub fn with_passphrase<T>(
    name: &str,
    keys: &KeyInput,
    tries: u32,
    mut attempt: impl FnMut(&Passphrase) -> Result<T, luks::Error>,
) -> Result<(T, Passphrase), Error> {
    let mut left = if keys.is_typed() { tries } else { 1 };
    loop {
        let passphrase = passphrase(name, keys)?;
        left = left.saturating_sub(1);
        match attempt(&passphrase) {
            Ok(done) => return Ok((done, passphrase)),
            Err(error @ luks::Error::NoKeyFits { .. }) if left > 0 => {
                Error::luks(name, error).tell();
            }
            Err(error) => return Err(Error::luks(name, error)),
        }
    }
}

/// Asks for a passphrase that there is.
fn passphrase(name: &str, keys: &KeyInput) -> Result<Passphrase, Error> {
    let secret = keys.read_for(name, false, None)?;
    if secret.is_empty() && keys.is_file() {
        output::warn(format_args!("{} is empty (0 bytes)", keys.name()));
    }
    Ok(Passphrase::from_locked(secret))
}

/// What the header may ask for, and which keyslot is tried.
pub fn options(args: &UnlockArgs) -> Result<UnlockOptions<'static>, Error> {
    options_for(args.key_slot, &args.limits)
}

/// The same, where a volume key is no way in.
pub fn options_for(
    keyslot: Option<u32>,
    args: &LimitArgs,
) -> Result<UnlockOptions<'static>, Error> {
    Ok(UnlockOptions {
        keyslot,
        limits: kdf_limits(args.max_kdf_time, args.max_kdf_memory)?,
        null_cipher: args.allow_unencrypted,
        unencrypted_data: false,
        volume_key_bytes: args.volume_key_size.map(|bits| bits as usize / 8),
        faulty_whirlpool: false,
        threads: limits::processors(),
        // A signal ends the process at once, wherever it is.
        cancel: &|| false,
        unusable: &warn_once,
    })
}

/// What is wrong with a keyslot is said once, however often it is tried.
fn warn_once(unusable: &UnusableKeyslot) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let text = unusable.to_string();
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(text.clone()) {
        output::warn(text);
    }
}

/// What one keyslot may ask for: as typed, or as the environment says, or what suits this machine.
pub fn kdf_limits(time_ms: Option<u64>, memory_kib: Option<u64>) -> Result<KdfLimits, Error> {
    let time_ms = match time_ms {
        Some(time_ms) => Some(time_ms),
        None => from_environment(TIME, "milliseconds", MAX_KDF_TIME)?,
    };
    let memory_kib = match memory_kib {
        Some(memory_kib) => Some(memory_kib),
        None => from_environment(MEMORY, "KiB", 1..=u64::MAX)?,
    };
    let one_slot = time_ms.map_or(limits::ONE_SLOT, Duration::from_millis);
    Ok(limits::kdf_limits(one_slot, memory_kib))
}

/// The environment's name for what `--max-kdf-time` says.
pub const TIME: &str = "LUKSMITH_MAX_KDF_TIME";
/// The environment's name for what `--max-kdf-memory` says.
pub const MEMORY: &str = "LUKSMITH_MAX_KDF_MEMORY";

fn from_environment(
    name: &'static str,
    unit: &'static str,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, Error> {
    // One that is set to nothing is not set.
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let number = value.to_str().and_then(|text| text.parse().ok());
    match number.filter(|number| range.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(Error::Environment {
            name,
            value: output::escape(&value.to_string_lossy()),
            unit,
            range,
        }),
    }
}

/// The raw bytes of a volume key.
pub fn read_volume_key(path: &Path) -> Result<VolumeKey, Error> {
    let name = format!("volume key file {}", output::path(path));
    let unreadable = |source| KeyError::Unreadable {
        name: name.clone(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let bytes = read_at_most(file, MAX_VOLUME_KEY_BYTES as u64 + 1).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(KeyError::Nothing { name }.into());
    }
    Ok(VolumeKey::from_locked(bytes))
}
