//! The JSON metadata as a whole: its objects, and the rules between them (LUKS2 specification 3).

use serde_json::{Map, Value};

use super::json::{self, Object};
use super::{
    Config, Digest, Keyslot, KeyslotKind, Reencryption, Segment, SegmentKind, SegmentSize, Token,
    reencryption,
};
use crate::defaults::{AREA_ALIGNMENT, LUKS2_MAX_OBJECTS};
use crate::error::{Corrupt, Error};
use crate::number::{to_u64, to_usize};

/// Metadata that keeps the rules, and the JSON that it came from, unknown members included.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Keyslots by number.
    pub keyslots: Vec<Keyslot>,
    /// Digests by number.
    pub digests: Vec<Digest>,
    /// Segments by number.
    pub segments: Vec<Segment>,
    /// Tokens by number.
    pub tokens: Vec<Token>,
    /// The config object.
    pub config: Config,
    /// The reencryption that is under way; none of a version that is not known, whose requirement the config names.
    pub reencryption: Option<Box<Reencryption>>,
    raw: Map<String, Value>,
}

/// The requirement of a header file whose image still has its LUKS1 header: nobody else goes on from there.
pub(crate) const TAKE_MAGIC: &str = "luksmith-take-magic";
/// The requirement of a header file whose image is to get a LUKS1 header: nobody else changes what that will be.
pub(crate) const LOWER: &str = "luksmith-lower";

impl Metadata {
    /// Parses a JSON area of a header copy of `header_bytes` bytes.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn parse(area: &[u8], header_bytes: u64) -> Result<Self, Corrupt> {
        Self::from_raw(json::parse(area)?, header_bytes)
    }

    /// Checks JSON of a header copy of `header_bytes` bytes that was built or changed in memory.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn from_raw(raw: Map<String, Value>, header_bytes: u64) -> Result<Self, Corrupt> {
        json::check_bounds(&raw)?;
        let root = Object::root(&raw);
        let config = Config::parse(&root.object("config")?, header_bytes)?;
        let keyslots = section(&root, "keyslots", Keyslot::parse)?;
        let segments = section(&root, "segments", Segment::parse)?;
        let keyslot_exists = |id| keyslots.iter().any(|keyslot| keyslot.id == id);
        let segment_exists = |id| segments.iter().any(|segment| segment.id == id);
        let digests = section(&root, "digests", |id, object| {
            Digest::parse(id, object, keyslot_exists, segment_exists)
        })?;
        let tokens = section(&root, "tokens", |id, object| {
            Token::parse(id, object, keyslot_exists)
        })?;

        check_areas(&keyslots, &config, header_bytes)?;
        check_digests(&keyslots, &digests)?;
        check_segments(&segments)?;
        check_segment_digests(&segments, &digests)?;
        let reencryption =
            reencryption::parse_state(&config, &keyslots, &segments, &digests)?.map(Box::new);
        check_data(&segments, &config, header_bytes)?;
        Ok(Self {
            keyslots,
            digests,
            segments,
            tokens,
            config,
            reencryption,
            raw,
        })
    }

    /// The JSON as it stands, unknown members included.
    pub fn raw(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// The JSON text that goes to disk.
    pub fn to_text(&self) -> String {
        serde_json::to_string(&self.raw).expect("values that came from JSON go back to it")
    }

    /// The segments that data lies in, backups of a reencryption left out, by number.
    pub fn data_segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| !segment.is_backup())
    }

    /// The reencryption that is under way, by whose rules alone the data is read.
    ///
    /// # Errors
    ///
    /// [`Error::NeedsRecovery`] where its version is not known, [`Error::Unsupported`] for any other requirement.
    pub fn known_reencryption(&self) -> Result<Option<&Reencryption>, Error> {
        let names = self.config.requirements.iter();
        // Who reads need not do what it asks for.
        let others = names.filter(|name| *name != TAKE_MAGIC && *name != LOWER);
        match (&self.reencryption, others.count()) {
            (Some(state), 1) => Ok(Some(state)),
            (None, 0) => Ok(None),
            _ => self.config.refuse_requirements().map(|()| None),
        }
    }

    /// The keyslot of this number.
    pub fn keyslot(&self, id: u32) -> Option<&Keyslot> {
        self.keyslots.iter().find(|keyslot| keyslot.id == id)
    }

    /// The digest that a keyslot's key must match.
    pub fn digest_of_keyslot(&self, id: u32) -> Option<&Digest> {
        self.digests
            .iter()
            .find(|digest| digest.keyslots.contains(&id))
    }

    /// The digest that the key of the data must match. While a reencryption has not begun to move data, only its
    /// backup segments may be bound to one.
    pub fn digest_of_data(&self) -> Option<&Digest> {
        let backups = self.segments.iter().filter(|segment| segment.is_backup());
        self.data_segments().chain(backups).find_map(|segment| {
            self.digests
                .iter()
                .find(|digest| digest.segments.contains(&segment.id))
        })
    }

    /// Size of the key of the data in bytes; `None` where no keyslot tells it.
    pub fn volume_key_bytes(&self) -> Option<usize> {
        let keyslot = self.keyslot(*self.digest_of_data()?.keyslots.first()?)?;
        Some(to_usize(keyslot.key_bytes))
    }

    /// Whether a keyslot holds the key of the data. While a reencryption is under way, so do those of what the data was
    /// and of what it will be, and the one of the reencryption itself is needed no less.
    pub fn is_bound(&self, keyslot: u32) -> bool {
        let Some(slot) = self.keyslot(keyslot) else {
            return false;
        };
        let digest = self.digest_of_keyslot(keyslot);
        if self.config.reencryption().is_some() {
            let is_its_own = matches!(slot.kind, KeyslotKind::Reencrypt(_));
            return is_its_own || digest.is_some_and(|digest| !digest.segments.is_empty());
        }
        let of_data = self.digest_of_data().map(|digest| digest.id);
        of_data.is_some() && digest.map(|digest| digest.id) == of_data
    }

    /// Bytes of the container in which keyslots' areas lie, behind both header copies.
    pub fn keyslots_area(&self) -> std::ops::Range<u64> {
        let start = self
            .config
            .json_bytes
            .saturating_add(to_u64(super::BinaryHeader::BYTES))
            .saturating_mul(2);
        start..start.saturating_add(self.config.keyslots_bytes)
    }

    /// First byte of data; `None` where there is no segment.
    pub fn data_offset(&self) -> Option<u64> {
        self.data_segments().map(|segment| segment.offset).min()
    }
}

fn section<'a, T>(
    root: &Object<'a>,
    name: &str,
    parse: impl Fn(u32, &Object<'a>) -> Result<T, Corrupt>,
) -> Result<Vec<T>, Corrupt> {
    let objects = root.object(name)?.numbered(LUKS2_MAX_OBJECTS)?;
    objects
        .iter()
        .map(|(id, object)| parse(*id, object))
        .collect()
}

fn check_areas(keyslots: &[Keyslot], config: &Config, header_bytes: u64) -> Result<(), Corrupt> {
    let start = header_bytes.saturating_mul(2);
    let end = start.saturating_add(config.keyslots_bytes);
    for (index, keyslot) in keyslots.iter().enumerate() {
        keyslot.area.check_inside(keyslot.id, start, end)?;
        if let Some(other) = keyslots[..index]
            .iter()
            .find(|other| other.area.overlaps(&keyslot.area))
        {
            return Err(Corrupt::AreaOverlap {
                keyslot: keyslot.id,
                start: keyslot.area.offset,
                length: keyslot.area.size,
                other: other.id,
            });
        }
    }
    Ok(())
}

/// "Every keyslot must have one assigned digest object" (LUKS2 specification 3.4); one that stores no key has none.
fn check_digests(keyslots: &[Keyslot], digests: &[Digest]) -> Result<(), Corrupt> {
    for keyslot in keyslots {
        let count = digests
            .iter()
            .filter(|digest| digest.keyslots.contains(&keyslot.id))
            .count();
        match (count, &keyslot.kind) {
            (0, KeyslotKind::Luks2(_)) => {
                return Err(Corrupt::KeyslotWithoutDigest {
                    keyslot: keyslot.id,
                });
            }
            (0 | 1, _) => {}
            _ => {
                return Err(Corrupt::KeyslotInManyDigests {
                    keyslot: keyslot.id,
                });
            }
        }
    }
    Ok(())
}

/// Regular segments count from 0; "segments marked with backup flags must be the last".
fn check_segments(segments: &[Segment]) -> Result<(), Corrupt> {
    let regular = segments
        .iter()
        .filter(|segment| !segment.is_backup())
        .count();
    if let (0, [backup, ..]) = (regular, segments) {
        return Err(Corrupt::BackupSegmentGap(backup.id));
    }
    for (expected, segment) in (0u32..).zip(segments) {
        let in_regular_part = to_usize(expected) < regular;
        if segment.is_backup() == in_regular_part {
            return Err(Corrupt::BackupSegmentGap(segment.id));
        }
        if segment.id != expected {
            return Err(if in_regular_part {
                Corrupt::SegmentGap(expected)
            } else {
                Corrupt::BackupSegmentGap(segment.id)
            });
        }
        let is_last = to_usize(expected).saturating_add(1) == regular;
        if in_regular_part && !is_last && segment.size == SegmentSize::Dynamic {
            return Err(Corrupt::DynamicSegment(segment.id));
        }
        let before = &segments[..to_usize(expected)];
        let other = before.iter().find(|other| other.overlaps(segment));
        if let (true, Some(other)) = (in_regular_part, other) {
            return Err(Corrupt::SegmentOverlap {
                segment: segment.id,
                other: other.id,
            });
        }
    }
    Ok(())
}

/// Whoever opens an encrypted segment must be able to tell a wrong key: backups too, which a reencryption opens.
fn check_segment_digests(segments: &[Segment], digests: &[Digest]) -> Result<(), Corrupt> {
    let bare = segments.iter().find(|segment| {
        matches!(segment.kind, SegmentKind::Crypt(_))
            && !digests
                .iter()
                .any(|digest| digest.segments.contains(&segment.id))
    });
    bare.map_or(Ok(()), |segment| {
        Err(Corrupt::SegmentWithoutDigest(segment.id))
    })
}

/// Header and keyslots area end before the data begins. Where the first segment on the disk begins at 0 the header is
/// detached, and all segments lie in the other file; a reencryption has several.
fn check_data(segments: &[Segment], config: &Config, header_bytes: u64) -> Result<(), Corrupt> {
    let end = header_bytes
        .saturating_mul(2)
        .saturating_add(config.keyslots_bytes);
    debug_assert_eq!(end % AREA_ALIGNMENT, 0);
    let data = segments.iter().filter(|segment| !segment.is_backup());
    match data.min_by_key(|segment| segment.offset) {
        Some(first) if first.offset != 0 && first.offset < end => Err(Corrupt::KeyslotsInData {
            end,
            segment: first.id,
            offset: first.offset,
        }),
        _ => Ok(()),
    }
}
