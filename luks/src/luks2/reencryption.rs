//! What a reencryption leaves in the metadata while it is under way (LUKS2 specification 3.2.2, 3.2.3, 3.3 and 4.9): its
//! rules, and the state as one value that keeps them. A header must not be able to lose any of it alone.

mod message;

use std::fmt;

use dmcrypt::HashAlgorithm;

use super::json::Object;
use super::segment::DISK_SECTOR_BYTES;
use super::{Area, Config, Digest, Keyslot, KeyslotKind, Segment, SegmentKind};
use crate::error::{Corrupt, MemberProblem, ReencryptionProblem, Unsupported};

/// A reencryption that is under way, of a version that is known.
///
/// Of all this the regular segments of the data, which alone say how far it is, and what lies in the area are in no
/// digest: whoever can write the container can have changed them.
#[derive(Clone, Debug)]
pub struct Reencryption {
    /// Which rules it follows.
    pub version: ReencryptionVersion,
    /// The number of its keyslot.
    pub keyslot: u32,
    /// What the keyslot says of it.
    pub slot: ReencryptionSlot,
    /// Where in the header's storage lies what a crash needs.
    pub area: Area,
    /// How the data was before it.
    pub before: Backup,
    /// How the data will be after it.
    pub after: Backup,
    /// Data that was put aside before it began.
    pub moved: Option<Backup>,
    /// The digest of its state.
    pub digest: Option<u32>,
    is_finished: bool,
}

/// A segment that remembers a state, and the digest of the key that it is under.
#[derive(Clone, Debug)]
pub struct Backup {
    /// The segment.
    pub segment: Segment,
    /// The digest; none of plaintext.
    pub digest: Option<u32>,
}

/// The versions of the requirement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReencryptionVersion {
    /// Of cryptsetup before 2.4: there is no digest of the state.
    V1,
    /// With a digest.
    V2,
    /// The same, for a decryption that moves the data to the start.
    V3,
}

/// What is done to the data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReencryptionMode {
    /// Plaintext becomes encrypted.
    Encrypt,
    /// What is encrypted becomes plaintext.
    Decrypt,
    /// What is encrypted gets another key, cipher or sector size.
    Reencrypt,
}

/// From which end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the first byte on.
    Forward,
    /// From the last byte back.
    Backward,
}

/// How the zone that is being written is protected against a crash.
#[derive(Clone, Debug)]
pub enum Resilience {
    /// Not at all.
    None,
    /// By hashes of its old blocks, in the area.
    Checksum(Checksum),
    /// By a copy of its old bytes, in the area.
    Journal,
    /// Its old bytes lie so many bytes beside it.
    Shift(u64),
    /// The same, and the data that was put aside by hashes.
    ShiftChecksum(u64, Checksum),
    /// The same, and the data that was put aside by a copy.
    ShiftJournal(u64),
}

/// Hashes of blocks.
#[derive(Clone, Debug)]
pub struct Checksum {
    /// The hash as written.
    pub text: String,
    /// What it means, where it is known.
    pub hash: Result<HashAlgorithm, Unsupported>,
    /// Bytes of a block, a power of two.
    pub block_bytes: u32,
}

/// What the keyslot of a reencryption says beside its area.
#[derive(Clone, Debug)]
pub struct ReencryptionSlot {
    /// What is done.
    pub mode: ReencryptionMode,
    /// From which end.
    pub direction: Direction,
    /// How the zone that is being written is protected.
    pub resilience: Resilience,
}

impl ReencryptionMode {
    /// As the metadata name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Reencrypt => "reencrypt",
        }
    }
}

impl fmt::Display for ReencryptionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Direction {
    /// As the metadata name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Resilience {
    /// As the metadata name it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Checksum(_) => "checksum",
            Self::Journal => "journal",
            Self::Shift(_) => "datashift",
            Self::ShiftChecksum(..) => "datashift-checksum",
            Self::ShiftJournal(_) => "datashift-journal",
        }
    }

    /// By how many bytes the data is shifted.
    pub const fn shift_bytes(&self) -> Option<u64> {
        match self {
            Self::None | Self::Checksum(_) | Self::Journal => None,
            Self::Shift(bytes) | Self::ShiftChecksum(bytes, _) | Self::ShiftJournal(bytes) => {
                Some(*bytes)
            }
        }
    }

    /// The hashes of blocks.
    pub const fn checksum(&self) -> Option<&Checksum> {
        match self {
            Self::Checksum(checksum) | Self::ShiftChecksum(_, checksum) => Some(checksum),
            _ => None,
        }
    }
}

impl Reencryption {
    /// The digests of the keys that the data is under: of the one before first, without repetition.
    pub fn key_digests(&self) -> Vec<u32> {
        let mut digests: Vec<u32> = self.before.digest.into_iter().collect();
        digests.extend(self.after.digest.filter(|after| !digests.contains(after)));
        digests
    }

    /// Whether all of the data moves by the shift to its end, and nothing was put aside: each zone then lies where nothing
    /// is that is still to be read.
    pub fn is_shifted_alone(&self) -> bool {
        let shift = match (&self.slot.resilience, &self.moved) {
            (Resilience::Shift(shift), None) => *shift,
            _ => return false,
        };
        let (before, after) = (self.before.segment.offset, self.after.segment.offset);
        shift > 0
            && self.slot.direction == Direction::Backward
            && before.checked_add(shift) == Some(after)
    }

    /// Whether all data is as it will be, and only the traces of the reencryption are left.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }
}

impl ReencryptionSlot {
    /// Reads the members of its keyslot, beside those that every keyslot has.
    pub(super) fn parse(
        key_bytes: u32,
        object: &Object<'_>,
        area: &Object<'_>,
    ) -> Result<Self, Corrupt> {
        // It stores no key.
        if key_bytes != 1 {
            return Err(object.problem(
                "key_size",
                MemberProblem::Value(key_bytes.to_string().into()),
            ));
        }
        let mode = match object.one_of("mode", &["reencrypt", "encrypt", "decrypt"])? {
            "encrypt" => ReencryptionMode::Encrypt,
            "decrypt" => ReencryptionMode::Decrypt,
            _ => ReencryptionMode::Reencrypt,
        };
        let direction = match object.one_of("direction", &["forward", "backward"])? {
            "backward" => Direction::Backward,
            _ => Direction::Forward,
        };
        let checksum = || {
            let text = area.text("hash")?;
            let block_bytes = area.u32("sector_size")?;
            check_sectors(area, "sector_size", block_bytes.into())?;
            if !block_bytes.is_power_of_two() {
                let value = MemberProblem::Value(block_bytes.to_string().into());
                return Err(area.problem("sector_size", value));
            }
            Ok(Checksum {
                text: text.into(),
                hash: HashAlgorithm::parse(text).map_err(|source| Unsupported::Cipher {
                    object: "the checksums of the reencryption".into(),
                    source,
                }),
                block_bytes,
            })
        };
        let shift = || {
            let bytes = area.u64_string("shift_size")?;
            check_sectors(area, "shift_size", bytes)?;
            Ok(bytes)
        };
        let kinds = [
            "none",
            "checksum",
            "journal",
            "datashift",
            "datashift-journal",
            "datashift-checksum",
        ];
        let resilience = match area.one_of("type", &kinds)? {
            "checksum" => Resilience::Checksum(checksum()?),
            "journal" => Resilience::Journal,
            "datashift" => Resilience::Shift(shift()?),
            "datashift-journal" => Resilience::ShiftJournal(shift()?),
            "datashift-checksum" => {
                let checksum = checksum()?;
                Resilience::ShiftChecksum(shift()?, checksum)
            }
            _ => Resilience::None,
        };
        Ok(Self {
            mode,
            direction,
            resilience,
        })
    }
}

/// The type of its keyslot, in whose area is what a crash needs.
pub(super) const KEYSLOT_TYPE: &str = "reencrypt";

/// Data that a zone is made of says so.
const HOT: &str = "in-reencryption";

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

/// Whether a size is one of whole sectors of a disk, and at least one.
fn check_sectors(area: &Object<'_>, name: &str, bytes: u64) -> Result<(), Corrupt> {
    if bytes != 0 && bytes.is_multiple_of(DISK_SECTOR_BYTES.into()) {
        return Ok(());
    }
    Err(area.problem(name, MemberProblem::Value(bytes.to_string().into())))
}

/// Checks that requirement, keyslot and backup segments are there together or not at all, and that each segment of the
/// data is as it was before or will be after. What comes out is none for a version that is not known, too.
pub(super) fn parse_state(
    config: &Config,
    keyslots: &[Keyslot],
    segments: &[Segment],
    digests: &[Digest],
) -> Result<Option<Reencryption>, Corrupt> {
    let named = || {
        let names = config.requirements.iter();
        names.filter(|name| is_of_a_reencryption(name))
    };
    let own: Vec<_> = keyslots
        .iter()
        .filter_map(|keyslot| match &keyslot.kind {
            KeyslotKind::Reencrypt(slot) => Some((keyslot, slot)),
            _ => None,
        })
        .collect();
    let version = match (named().count(), named().next().map(String::as_str)) {
        (1, Some("online-reencrypt")) => Some(ReencryptionVersion::V1),
        (1, Some("online-reencrypt-v2")) => Some(ReencryptionVersion::V2),
        (1, Some("online-reencrypt-v3")) => Some(ReencryptionVersion::V3),
        _ => None,
    };
    let problem = match (named().count(), version, &own[..]) {
        (0, _, []) | (1, None, _) => return Ok(None),
        (0, _, _) => ReencryptionProblem::NoRequirement,
        (1, Some(version), [(keyslot, slot)]) => {
            let state = check_segments(segments).map_err(Corrupt::Reencryption)?;
            return Ok(Some(
                state.joined(version, keyslot, slot, segments, digests),
            ));
        }
        (1, _, []) => ReencryptionProblem::NoKeyslot,
        (1, _, _) => ReencryptionProblem::ManyKeyslots,
        (_, _, _) => ReencryptionProblem::ManyRequirements,
    };
    Err(Corrupt::Reencryption(problem))
}

/// The backup segments.
struct Backups<'a> {
    before: &'a Segment,
    after: &'a Segment,
    moved: Option<&'a Segment>,
}

impl Backups<'_> {
    fn joined(
        &self,
        version: ReencryptionVersion,
        keyslot: &Keyslot,
        slot: &ReencryptionSlot,
        segments: &[Segment],
        digests: &[Digest],
    ) -> Reencryption {
        let digest_of = |segment: &Segment| {
            let mut digests = digests.iter();
            let found = digests.find(|digest| digest.segments.contains(&segment.id));
            found.map(|digest| digest.id)
        };
        let backup = |segment: &Segment| Backup {
            segment: segment.clone(),
            digest: digest_of(segment),
        };
        let data = || segments.iter().filter(|segment| !segment.is_backup());
        let is_done = |segment: &Segment| {
            let places = (segment.offset, self.after.offset);
            let is_encrypted = matches!(segment.kind, SegmentKind::Crypt(_));
            !segment.is_hot()
                && is_alike(segment, self.after)
                && iv_tweak(segment) == iv_tweak(self.after)
                && places.0 == places.1
                && digest_of(segment) == digest_of(self.after)
                // What is to be encrypted begins as what it is.
                && (is_encrypted || slot.mode == ReencryptionMode::Decrypt)
        };
        let is_finished = data().count() == 1 && data().all(is_done);
        let mut own = digests.iter();
        let own = own.find(|digest| digest.keyslots.contains(&keyslot.id));
        Reencryption {
            version,
            keyslot: keyslot.id,
            slot: slot.clone(),
            area: keyslot.area,
            before: backup(self.before),
            after: backup(self.after),
            moved: self.moved.map(backup),
            digest: own.map(|digest| digest.id),
            is_finished,
        }
    }
}

fn iv_tweak(segment: &Segment) -> Option<u64> {
    match &segment.kind {
        SegmentKind::Crypt(crypt) => Some(crypt.iv_tweak),
        _ => None,
    }
}

fn check_segments(segments: &[Segment]) -> Result<Backups<'_>, ReencryptionProblem> {
    let flagged = |flag: &'static str| segments.iter().find(|segment| segment.has_flag(flag));
    let state = |flag: &'static str| flagged(flag).ok_or(ReencryptionProblem::NoBackup(flag));
    let (before, after) = (state("backup-previous")?, state("backup-final")?);
    for segment in segments.iter().filter(|segment| !segment.is_backup()) {
        // What is being moved is told as it will be.
        let may_be_before = !segment.is_hot();
        let is_known = is_alike(segment, after) || may_be_before && is_alike(segment, before);
        if !is_known {
            return Err(ReencryptionProblem::Segment(segment.id));
        }
    }
    Ok(Backups {
        before,
        after,
        moved: flagged("backup-moved-segment"),
    })
}

impl Segment {
    /// Whether it is the zone that a reencryption was writing.
    pub fn is_hot(&self) -> bool {
        self.has_flag(HOT)
    }

    fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|name| name == flag)
    }
}

/// Whether both are plaintext, or encrypted in one way.
pub(crate) fn is_alike(segment: &Segment, state: &Segment) -> bool {
    match (&segment.kind, &state.kind) {
        (SegmentKind::Linear, SegmentKind::Linear) => true,
        (SegmentKind::Crypt(segment), SegmentKind::Crypt(state)) => {
            segment.text == state.text && segment.sector_size == state.sector_size
        }
        _ => false,
    }
}
