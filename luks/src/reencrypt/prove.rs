//! A digest for what has none: of cryptsetup before 2.4, or where somebody took it away.

use std::sync::Arc;

use dmcrypt::HashAlgorithm;

use super::metadata;
use crate::device::{Header, Luks, Unlocked};
use crate::edit::Edit;
use crate::error::{Error, InvalidOption, ReencryptionObstacle, Unfinished};
use crate::luks2::ReencryptionVersion;
use crate::random::Random;

/// Makes the digest of a reencryption that has none, of its state as it is. Whoever could write the image can have chosen
/// that: only somebody who is told what will be done to the data can say that it is meant. Where there is a digest nothing
/// is done, whether it fits or not.
///
/// # Errors
///
/// [`ReencryptionObstacle::NotInProgress`]; [`Unfinished::Key`] where one of two keys is missing; [`Error::Changed`],
/// [`Error::Io`].
pub fn make_digest(
    luks: &Luks,
    unlocked: &Unlocked,
    digest: (HashAlgorithm, u32),
    random: &mut dyn Random,
) -> Result<(), Error> {
    if !matches!(unlocked.proof(), Err(Unfinished::NoDigest)) {
        return Ok(());
    }
    let none = || InvalidOption::from(ReencryptionObstacle::NotInProgress);
    let Header::Luks2(header) = luks.header() else {
        return Err(none().into());
    };
    let state = header.metadata.known_reencryption()?.ok_or_else(none)?;
    if let Some(digest) = unlocked.missing_key() {
        return Err(Unfinished::Key { digest }.into());
    }
    let mut json = header.metadata.raw().clone();
    if state.version == ReencryptionVersion::V1 {
        metadata::release(&mut json, |name| name == "online-reencrypt");
        metadata::require(&mut json, "online-reencrypt-v2");
    }
    let keys = |id: u32| unlocked.key_of(id);
    metadata::write_digest(&mut json, header.binary.header_bytes, &keys, digest, random)?;
    let mut edit = Edit::go_on(Arc::clone(luks.storage()), luks.header())?;
    let mut draft = edit.draft()?;
    draft.json = json;
    edit.commit_draft(draft, random)
}
