//! How a container is unlocked, from the options and the environment.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jobs::header::seal::read_file;
use jobs::unlock::{Seal, Unlock};
use luks::{UnlockOptions, UnusableKeyslot};

use crate::args::{LimitArgs, MAX_KDF_TIME, UnlockArgs};
use crate::error::Error;
use crate::options;
use crate::output;

/// How a container is unlocked where nothing is typed: as the environment says.
pub fn unless_typed() -> Result<Unlock, Error> {
    Ok(Unlock {
        max_time: max_time(None)?,
        max_memory_kib: max_memory_kib(None)?,
        ..Unlock::default()
    })
}

/// How a container is unlocked.
pub fn how(args: &UnlockArgs) -> Result<Unlock, Error> {
    options::at_most_two("--volume-key-file", args.volume_key_file.len())?;
    how_for(args.key_slot, &args.limits)
}

/// The same, where a volume key is no way in.
pub fn how_for(keyslot: Option<u32>, args: &LimitArgs) -> Result<Unlock, Error> {
    Ok(Unlock {
        keyslot,
        max_time: max_time(args.max_kdf_time)?,
        max_memory_kib: max_memory_kib(args.max_kdf_memory)?,
        volume_key_bytes: args.volume_key_size.map(|bits| bits as usize / 8),
        allow_unencrypted: args.allow_unencrypted,
        seal: Seal {
            required: args.seal.require_seal,
            file: args.seal.seal.as_deref().map(read_file).transpose()?,
            min_epoch: args.seal.min_epoch,
        },
    })
}

/// How a container is unlocked where no seal is asked for, in the library's terms.
pub fn in_terms_of_luks(how: &Unlock) -> UnlockOptions<'static> {
    // A signal ends the process at once, wherever it is.
    how.options_but_seal(&|| false, &warn_once)
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

/// The time that one keyslot may take: as typed, or as the environment says.
pub fn max_time(time_ms: Option<u64>) -> Result<Option<Duration>, Error> {
    let time_ms = match time_ms {
        Some(time_ms) => Some(time_ms),
        None => from_environment(TIME, "milliseconds", MAX_KDF_TIME)?,
    };
    Ok(time_ms.map(Duration::from_millis))
}

/// The memory that one keyslot may take, in KiB: as typed, or as the environment says.
pub fn max_memory_kib(memory_kib: Option<u64>) -> Result<Option<u64>, Error> {
    match memory_kib {
        Some(memory_kib) => Ok(Some(memory_kib)),
        None => from_environment(MEMORY, "KiB", 1..=u64::MAX),
    }
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
