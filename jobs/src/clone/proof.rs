//! A clone is held against what it was made of, before it has a name.

use std::sync::Arc;
use std::time::Duration;

use dmcrypt::Passphrase;
use luks::{Fingerprint, Luks, UnlockOptions};
use volume::{Storage, is_bad_place};

use super::plaintext::Plaintext;
use crate::error::{CloneError, Error};
use crate::limits;
use crate::new_image::Written;
use crate::new_luks::Cost;
use crate::watch::Watch;

/// What a clone says that is there.
pub(super) struct Proven {
    pub(super) uuid: String,
    pub(super) fingerprint: Option<Fingerprint>,
}

/// Reads the header that was written, unlocks it with each passphrase by its keyslot, which holds the volume key against
/// its digest, and holds the first and the last data against those of the source.
pub(super) fn prove(
    name: &str,
    header: Arc<dyn Storage>,
    data: &Written,
    ways: &[(u32, &Passphrase)],
    plaintext: &Plaintext,
    keeps_holes: bool,
    watch: &dyn Watch,
) -> Result<Proven, Error> {
    let failed = |error| Error::luks(name, error);
    let not_proven = |problem| CloneError::NotProven {
        name: name.to_owned(),
        problem,
    };
    let luks = Luks::open(header).map_err(failed)?;
    if !luks.warnings().is_empty() {
        return Err(not_proven("one of its headers cannot be read back").into());
    }
    // Whoever asked for such costs has waited for them once.
    let longest = Duration::from_millis(2 * Cost::MOST_TIME_MS);
    let cancel = || watch.is_cancelled();
    for (keyslot, passphrase) in ways {
        let options = UnlockOptions {
            keyslot: Some(*keyslot),
            limits: limits::kdf_limits(longest, Some(u64::from(u32::MAX))),
            null_cipher: true,
            threads: limits::processors(),
            cancel: &cancel,
            ..UnlockOptions::default()
        };
        let unlocked = luks.unlock(passphrase, &options).map_err(failed)?;
        let (found_in, sector) = data.plaintext(name, &unlocked)?;
        let unread = |_| not_proven("its data cannot be read back");
        if found_in.len().map_err(unread)? < plaintext.len() {
            return Err(not_proven("its data end too early").into());
        }
        for at in [first_data(plaintext), plaintext.len().checked_sub(sector)] {
            // What was left out reads as noise.
            let at = at.map(|at| at - at % sector);
            let Some(at) = at.filter(|at| !(keeps_holes && plaintext.is_hole(*at..at + sector)))
            else {
                continue;
            };
            let mut found = vec![0; usize::try_from(sector).unwrap_or(usize::MAX)];
            let mut expected = found.clone();
            match plaintext.read_at(at, &mut expected) {
                // It was lost, and that is told.
                Err(error) if is_bad_place(&error) => continue,
                read => read.map_err(|_| not_proven("its source cannot be read again"))?,
            }
            found_in.read_at(at, &mut found).map_err(unread)?;
            if found != expected {
                return Err(not_proven("its data are not those of the source").into());
            }
        }
    }
    Ok(Proven {
        uuid: luks.header().uuid().to_owned(),
        fingerprint: luks.fingerprint(),
    })
}

/// Where the source has the first of its data; nothing is known of holes.
fn first_data(plaintext: &Plaintext) -> Option<u64> {
    let extent = plaintext.data_extent(0).ok()??;
    Some(extent.start)
}
