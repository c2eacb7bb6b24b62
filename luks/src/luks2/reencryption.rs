//! What a reencryption leaves in the metadata while it is under way (LUKS2 specification 3.2.2, 3.2.3, 3.3 and 4.9): its
//! rules only. Nothing is opened or changed as long as its requirement stands, so a header must not be able to lose that
//! alone.

use super::json::Object;
use super::segment::DISK_SECTOR_BYTES;
use super::{Config, Keyslot, KeyslotKind, Segment, SegmentKind};
use crate::error::{Corrupt, MemberProblem, ReencryptionProblem};

/// The type of its keyslot, in whose area is what a crash needs.
pub(super) const KEYSLOT_TYPE: &str = "reencrypt";

/// The requirement, of every version, those of cryptsetup before 2.4 and later. What others ask for is not known.
const REQUIREMENTS: [&str; 3] = [
    "online-reencrypt",
    "online-reencrypt-v2",
    "online-reencrypt-v3",
];

/// Whether a requirement is that of a reencryption, of a version that may not be known: what looks like it and has no
/// number for a version is another program's, and not known at all.
fn is_of_a_reencryption(requirement: &str) -> bool {
    let Some(version) = requirement.strip_prefix(REQUIREMENTS[0]) else {
        return false;
    };
    version.is_empty()
        || version.strip_prefix("-v").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// Checks the members of its keyslot, beside those that every keyslot has.
pub(super) fn check_keyslot(
    key_bytes: u32,
    object: &Object<'_>,
    area: &Object<'_>,
) -> Result<(), Corrupt> {
    // It stores no key.
    if key_bytes != 1 {
        return Err(object.problem(
            "key_size",
            MemberProblem::Value(key_bytes.to_string().into()),
        ));
    }
    object.one_of("mode", &["reencrypt", "encrypt", "decrypt"])?;
    object.one_of("direction", &["forward", "backward"])?;
    let resilience = area.one_of(
        "type",
        &[
            "none",
            "checksum",
            "journal",
            "datashift",
            "datashift-journal",
            "datashift-checksum",
        ],
    )?;
    if resilience.ends_with("checksum") {
        area.text("hash")?;
        check_sectors(area, "sector_size", area.u32("sector_size")?.into())?;
    }
    if resilience.starts_with("datashift") {
        check_sectors(area, "shift_size", area.u64_string("shift_size")?)?;
    }
    Ok(())
}

/// Whether a size is one of whole sectors of a disk, and at least one.
fn check_sectors(area: &Object<'_>, name: &str, bytes: u64) -> Result<(), Corrupt> {
    if bytes != 0 && bytes.is_multiple_of(DISK_SECTOR_BYTES.into()) {
        return Ok(());
    }
    Err(area.problem(name, MemberProblem::Value(bytes.to_string().into())))
}

/// Checks that requirement, keyslot and backup segments are there together or not at all, and that each segment of the
/// data is as it was before or will be after.
pub(super) fn check_state(
    config: &Config,
    keyslots: &[Keyslot],
    segments: &[Segment],
) -> Result<(), Corrupt> {
    let named = || {
        let names = config.requirements.iter();
        names.filter(|name| is_of_a_reencryption(name))
    };
    let is_its_own = |keyslot: &&Keyslot| matches!(&keyslot.kind, KeyslotKind::Other { kind } if kind == KEYSLOT_TYPE);
    let keyslots = keyslots.iter().filter(is_its_own).count();
    let problem = match (named().count(), keyslots) {
        (0, 0) => return Ok(()),
        (0, _) => ReencryptionProblem::NoRequirement,
        (1, _) if named().any(|name| !REQUIREMENTS.contains(&&**name)) => return Ok(()),
        (1, 0) => ReencryptionProblem::NoKeyslot,
        (1, 1) => return check_segments(segments).map_err(Corrupt::Reencryption),
        (1, _) => ReencryptionProblem::ManyKeyslots,
        (_, _) => ReencryptionProblem::ManyRequirements,
    };
    Err(Corrupt::Reencryption(problem))
}

fn check_segments(segments: &[Segment]) -> Result<(), ReencryptionProblem> {
    let has = |segment: &Segment, flag| segment.flags.iter().any(|name| name == flag);
    let state = |flag: &'static str| {
        let found = segments.iter().find(|segment| has(segment, flag));
        found.ok_or(ReencryptionProblem::NoBackup(flag))
    };
    let (before, after) = (state("backup-previous")?, state("backup-final")?);
    for segment in segments.iter().filter(|segment| !segment.is_backup()) {
        // What is being moved is told as it will be.
        let may_be_before = !has(segment, "in-reencryption");
        let is_known = is_alike(segment, after) || may_be_before && is_alike(segment, before);
        if !is_known {
            return Err(ReencryptionProblem::Segment(segment.id));
        }
    }
    Ok(())
}

/// Whether both are plaintext, or encrypted in one way.
fn is_alike(segment: &Segment, state: &Segment) -> bool {
    match (&segment.kind, &state.kind) {
        (SegmentKind::Linear, SegmentKind::Linear) => true,
        (SegmentKind::Crypt(segment), SegmentKind::Crypt(state)) => {
            segment.text == state.text && segment.sector_size == state.sector_size
        }
        _ => false,
    }
}
