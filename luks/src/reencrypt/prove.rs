//! A digest for what has none: of cryptsetup before 2.4, or where somebody took it away.

use std::sync::Arc;

use dmcrypt::HashAlgorithm;
use serde_json::{Map, Value, json};

use super::metadata as writing;
use crate::device::{Header, Luks, Unlocked};
use crate::edit::Edit;
use crate::error::{Error, InvalidOption, ReencryptionObstacle, Unfinished};
use crate::luks2::{Metadata, Reencryption, ReencryptionVersion, SegmentKind, SegmentSize};
use crate::random::Random;
use crate::reencryption::{Progress, progress};

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
        writing::release(&mut json, |name| name == "online-reencrypt");
        writing::require(&mut json, "online-reencrypt-v2");
    }
    settle_ivs(&mut json, &header.metadata, state);
    let keys = |id: u32| unlocked.key_of(id);
    writing::write_digest(&mut json, header.binary.header_bytes, &keys, digest, random)?;
    let mut edit = Edit::go_on(Arc::clone(luks.storage()), luks.header())?;
    let mut draft = edit.draft()?;
    draft.json = json;
    edit.commit_draft(draft, random)
}

/// IVs follow from the position in the volume, whatever stands beside a segment: whoever goes on counts them so.
fn settle_ivs(json: &mut Map<String, Value>, metadata: &Metadata, state: &Reencryption) {
    let mut position = 0_u64;
    for (segment, progress) in progress(metadata, state) {
        let backup = match progress {
            Progress::Old => &state.before,
            Progress::Hot | Progress::New => &state.after,
        };
        let member = json.get_mut("segments");
        let member = member.and_then(|segments| segments.get_mut(segment.id.to_string()));
        if let (Some(member), SegmentKind::Crypt(_), SegmentKind::Crypt(crypt)) =
            (member, &segment.kind, &backup.segment.kind)
        {
            let tweak = writing::iv_at(crypt.iv_tweak, position);
            member["iv_tweak"] = json!(tweak.to_string());
        }
        if let SegmentSize::Bytes(bytes) = segment.size {
            position = position.wrapping_add(bytes);
        }
    }
}
