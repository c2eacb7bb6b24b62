//! The state of a reencryption that is under way, held to the digest that whoever wrote it made of it with both volume
//! keys: nobody without them can have changed what it says of how the data was and will be. What it says of progress is
//! in no digest.

use dmcrypt::Passphrase;

use crate::device::{Header, Luks};
use crate::error::{Error, Unfinished};
use crate::luks2::{Metadata, Reencryption, ReencryptionVersion, Segment, is_alike};
use crate::number::to_usize;
use crate::unlock::UnlockOptions;

/// The state of a reencryption as far as it can be judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// No reencryption is under way.
    None,
    /// Its version is not known.
    Unknown,
    /// It has no digest.
    NoDigest,
    /// It has one.
    Clean,
    /// The same, and a crash left it while data was moved.
    NeedsRecovery,
}

/// Which it is; no secret is needed.
pub fn state(metadata: &Metadata) -> State {
    let Ok(known) = metadata.known_reencryption() else {
        return State::Unknown;
    };
    match known {
        None => State::None,
        Some(state) if state.version == ReencryptionVersion::V1 || state.digest.is_none() => {
            State::NoDigest
        }
        Some(_) if metadata.data_segments().any(Segment::is_hot) => State::NeedsRecovery,
        Some(_) => State::Clean,
    }
}

/// How far a piece of the data is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// As it was before.
    Old,
    /// A crash may have left it half written.
    Hot,
    /// As it will be.
    New,
}

/// How far each segment of the data is, by its number: as the metadata say, which no digest proves.
pub fn progress<'a>(
    metadata: &'a Metadata,
    state: &'a Reencryption,
) -> impl Iterator<Item = (&'a Segment, Progress)> {
    let after = &state.after;
    let is_under = |segment: &Segment| {
        after.digest.is_none_or(|id| {
            let mut digests = metadata.digests.iter();
            digests.any(|digest| digest.id == id && digest.segments.contains(&segment.id))
        })
    };
    metadata.data_segments().map(move |segment| {
        let progress = if segment.is_hot() {
            Progress::Hot
        } else if is_alike(segment, &after.segment) && is_under(segment) {
            Progress::New
        } else {
            Progress::Old
        };
        (segment, progress)
    })
}

/// Whether the data go from one key to another.
pub fn has_two_keys(metadata: &Metadata) -> bool {
    let state = metadata.reencryption.as_ref();
    state.is_some_and(|state| state.key_digests().len() > 1)
}

/// Sizes of its keys in bytes, each once, as far as keyslots tell them.
pub fn key_bytes(metadata: &Metadata) -> Vec<usize> {
    let state = metadata.reencryption.as_deref();
    let mut sizes = Vec::new();
    for digest in state.map(Reencryption::key_digests).unwrap_or_default() {
        let mut slots = metadata.keyslots.iter();
        let of_it = slots.find(|slot| {
            let own = metadata.digest_of_keyslot(slot.id);
            own.is_some_and(|own| own.id == digest)
        });
        let bytes = of_it.map(|slot| to_usize(slot.key_bytes));
        sizes.extend(bytes.filter(|bytes| !sizes.contains(bytes)));
    }
    sizes
}

/// Whether a digest is that of the key that the data will be under, and is under no other one.
pub fn is_key_after(metadata: &Metadata, digest: u32) -> bool {
    let state = metadata.reencryption.as_deref();
    state.is_some_and(|state| {
        state.after.digest == Some(digest) && state.before.digest != Some(digest)
    })
}

/// Whether the state is what its digest was made of. `passphrase` opens the keyslots of both keys.
///
/// # Errors
///
/// [`Error::NoKeyFits`] where it opens none, [`Unfinished::Key`] where it opens one of two, [`Unfinished::NoDigest`]
/// where [`state`] says so, and what [`Luks::unlock`] says.
pub fn is_proven(
    luks: &Luks,
    passphrase: &Passphrase,
    options: &UnlockOptions<'_>,
) -> Result<bool, Error> {
    let unlocked = luks.unlock(passphrase, options)?;
    if let Header::Luks2(header) = luks.header()
        && let Some(state) = &header.metadata.reencryption
        && let Some(gone) = state.key_digests().into_iter().find(|digest| {
            let mut keys = unlocked.keys();
            !keys.any(|(id, ..)| id == *digest)
        })
    {
        return Err(Unfinished::Key { digest: gone }.into());
    }
    match unlocked.check_reencryption() {
        Ok(()) => Ok(true),
        Err(Error::Unfinished(Unfinished::Digest)) => Ok(false),
        Err(error) => Err(error),
    }
}
