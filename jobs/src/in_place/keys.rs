//! The passphrases of a job in place: of every keyslot that is kept, or what opens both keys of what is under way.

use dmcrypt::Passphrase;
use luks::luks2::{KeyslotKind, ReencryptionMode};
use luks::reencrypt::Leavings;
use luks::{Header, Luks, UnlockOptions, Unlocked};

use super::site::Site;
use crate::error::{Error, InPlaceError};
use crate::secret::{Asked, Secrets};
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// Asks for the passphrase of each of these keyslots. There is one at least.
pub(super) fn of_each(
    luks: &Luks,
    name: &str,
    keyslots: &[u32],
    secrets: &dyn Secrets,
    how: &Unlock,
    watch: &dyn Watch,
) -> Result<(Unlocked, Vec<Passphrase>), Error> {
    if keyslots.len() > 1 && secrets.is_one() {
        return Err(InPlaceError::OneKey {
            name: name.to_owned(),
            keyslots: keyslots.to_vec(),
        }
        .into());
    }
    let (cancel, unusable) = (|| watch.is_cancelled(), unlock::telling_once(watch));
    let (mut first, mut passphrases) = (None, Vec::with_capacity(keyslots.len()));
    for keyslot in keyslots {
        let how = Unlock {
            keyslot: Some(*keyslot),
            ..how.clone()
        };
        let options = how.options(&cancel, &unusable);
        let asked = Asked {
            keyslot: (keyslots.len() > 1).then_some(*keyslot),
            ..Asked::of(name)
        };
        let (unlocked, passphrase) = unlock::with_asked(&asked, secrets, |passphrase, spent| {
            luks.unlock(passphrase, &unlock::after(&options, spent))
        })?;
        first.get_or_insert(unlocked);
        passphrases.push(passphrase);
    }
    let unlocked = first
        .ok_or_else(|| Error::luks(name, luks::Error::NoUsableKeyslot("none opens the data")))?;
    Ok((unlocked, passphrases))
}

/// The keyslots of a key that opens nothing any more, where all is decrypted and they are still to be wiped.
fn of_decrypted(luks: &Luks) -> Option<Vec<u32>> {
    let Header::Luks2(header) = luks.header() else {
        return None;
    };
    let metadata = &header.metadata;
    let (_, leavings) = Leavings::of(metadata)?;
    let is_decrypted = metadata.reencryption.is_none() && metadata.digest_of_data().is_none();
    is_decrypted.then_some(leavings.keyslots)
}

/// Opens one of these keyslots, which are not tried unasked.
fn of_any(
    luks: &Luks,
    name: &str,
    keyslots: &[u32],
    secrets: &dyn Secrets,
    how: &Unlock,
    watch: &dyn Watch,
) -> Result<Unlocked, Error> {
    let (cancel, unusable) = (|| watch.is_cancelled(), unlock::telling_once(watch));
    let (unlocked, _) = unlock::with_passphrase(name, secrets, |passphrase, spent| {
        let mut outcome = Err(luks::Error::NoUsableKeyslot("none is left"));
        for keyslot in keyslots {
            let options = UnlockOptions {
                keyslot: Some(*keyslot),
                unencrypted_data: true,
                spent: Some(spent),
                ..how.options(&cancel, &unusable)
            };
            outcome = luks.unlock(passphrase, &options);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    })?;
    Ok(unlocked)
}

/// Opens both keys of what is under way.
pub(super) fn of_both(
    luks: &Luks,
    name: &str,
    secrets: &dyn Secrets,
    how: &Unlock,
    watch: &dyn Watch,
) -> Result<Unlocked, Error> {
    if let Some(keyslots) = of_decrypted(luks) {
        return of_any(luks, name, &keyslots, secrets, how, watch);
    }
    let (unlocked, _) = unlock::unlock(luks, name, secrets, how, watch)?;
    Ok(unlocked)
}

/// cryptsetup wipes the keyslots of a decryption that is done before its header says so: then no passphrase is to blame.
pub(super) fn none_left(site: &Site, luks: &Luks, error: Error) -> Error {
    let (Header::Luks2(header), Error::Luks { error: of_luks, .. }) = (luks.header(), &error)
    else {
        return error;
    };
    let is_of_keyslot = matches!(
        **of_luks,
        luks::Error::NoUsableKeyslot(_) | luks::Error::NoKeyFits { .. }
    );
    let state = header.metadata.reencryption.as_ref();
    let is_decrypted = state
        .is_some_and(|state| state.slot.mode == ReencryptionMode::Decrypt && state.is_finished());
    let mut slots = header.metadata.keyslots.iter();
    let has_any = slots.any(|slot| matches!(slot.kind, KeyslotKind::Luks2(_)));
    if is_of_keyslot && is_decrypted && !has_any {
        return InPlaceError::NoKeyLeft {
            name: site.data.name.clone(),
            header: site.header().name.clone(),
        }
        .into();
    }
    error
}
