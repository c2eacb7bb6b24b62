//! The data of a container in the middle of a reencryption, as they are: under the old key, under the new one or under
//! none, and what a crash left of the zone that was being written made out from what protects it. Nothing is written.
//!
//! What tells how far it is stands in no digest. A segment must therefore lie where its bytes were before, where they
//! will be after, or where they were put aside, and count its IVs as that state does; whatever else it says is refused.

use std::sync::Arc;

use dmcrypt::{SECTOR_BYTES, VolumeKey};
use volume::{Mapping, Storage};

use super::segments::{cipher_of, whole_sectors};
use super::zone::{BlockSums, Zone, ZoneCipher};
use crate::error::{Corrupt, Error, Unfinished, Unsupported};
use crate::luks2::{
    Backup, Checksum, Metadata, Reencryption, Resilience, Segment, SegmentKind, SegmentSize,
    is_alike,
};

/// Where the data lies, and how a zone that was being written is made out.
pub(super) struct Places<'a> {
    /// The header's storage.
    pub(super) header: &'a Arc<dyn Storage>,
    /// The data's storage.
    pub(super) data: &'a Arc<dyn Storage>,
    /// Its length.
    pub(super) data_bytes: u64,
}

pub(super) fn mapping<'k>(
    metadata: &Metadata,
    state: &Reencryption,
    key_of: &dyn Fn(u32) -> Option<&'k VolumeKey>,
    places: &Places<'_>,
) -> Result<Mapping, Error> {
    let halfway = Halfway {
        state,
        key_of,
        places,
    };
    let hot: Vec<_> = metadata.data_segments().filter(|it| it.is_hot()).collect();
    if let [_, second, ..] = hot[..] {
        return Err(broken(second, "two zones are being written"));
    }
    let whole = halfway.whole_bytes()?;
    let mut segments = Vec::new();
    let mut position: u64 = 0;
    for segment in metadata.data_segments() {
        let mapped = if segment.is_hot() {
            halfway.hot(segment, position, segments.is_empty())?
        } else {
            halfway.settled(metadata, segment, position)?
        };
        position = position
            .checked_add(mapped.length)
            .ok_or_else(|| broken(segment, "the data ends beyond 64-bit numbers"))?;
        segments.push(mapped);
    }
    let mapping = Mapping::new(segments).and_then(|mapping| mapping.beginning(whole));
    let mapping = mapping.map_err(|error| Corrupt::Spec {
        object: "data".into(),
        problem: format!("the segments cannot be mapped: {error}"),
    })?;
    Ok(mapping.read_only())
}

struct Halfway<'a, 'k> {
    state: &'a Reencryption,
    key_of: &'a dyn Fn(u32) -> Option<&'k VolumeKey>,
    places: &'a Places<'a>,
}

impl Halfway<'_, '_> {
    /// How long the data was before: what lies behind it is what a shift needs, and no data.
    fn whole_bytes(&self) -> Result<u64, Error> {
        let (before, after) = (&self.state.before.segment, &self.state.after.segment);
        match before.size {
            SegmentSize::Bytes(bytes) => Ok(bytes),
            // What a shift takes from the end is no data any more.
            SegmentSize::Dynamic if self.state.is_shifted_alone() => self.rest(after),
            SegmentSize::Dynamic => self.rest(before),
        }
    }

    /// The bytes of a segment that reaches to the end of the data.
    fn rest(&self, segment: &Segment) -> Result<u64, Error> {
        let bytes = self.places.data_bytes;
        let rest = bytes.checked_sub(segment.offset);
        let rest = rest.ok_or_else(|| outside(segment.offset, 0, bytes))?;
        Ok(whole_sectors(rest, sector_bytes(segment)))
    }

    /// A segment that nobody was writing.
    fn settled(
        &self,
        metadata: &Metadata,
        segment: &Segment,
        position: u64,
    ) -> Result<volume::Segment, Error> {
        let is_under = |backup: &Backup| match backup.digest {
            _ if !is_alike(segment, &backup.segment) => false,
            None => true,
            Some(id) => metadata
                .digests
                .iter()
                .any(|digest| digest.id == id && digest.segments.contains(&segment.id)),
        };
        let lies_at = |backup: &Backup, position| {
            is_at(segment, &backup.segment, position) && is_under(backup)
        };
        let state = self.state;
        let moved = state.moved.as_ref().filter(|_| position == 0);
        let states: Vec<_> = [&state.before, &state.after]
            .into_iter()
            .filter(|backup| lies_at(backup, position))
            .chain(moved.filter(|backup| lies_at(backup, 0)))
            .collect();
        // Under both keys at once it would be one that is being written. Two states that are the same are one.
        let Some(first) = states.first() else {
            return Err(broken(segment, "it lies neither as before nor as after it"));
        };
        if states.iter().any(|other| other.digest != first.digest) {
            return Err(broken(segment, "it is as before and as after it"));
        }
        let length = match segment.size {
            SegmentSize::Dynamic => self.rest(segment)?,
            SegmentSize::Bytes(bytes) => bytes,
        };
        self.check_inside(segment.offset, length)?;
        let kind = self.kind(first, position)?;
        Ok(mapped(kind, length, segment.offset, None))
    }

    fn check_inside(&self, start: u64, length: u64) -> Result<(), Error> {
        let have = self.places.data_bytes;
        match start.checked_add(length) {
            Some(end) if end <= have => Ok(()),
            _ => Err(outside(start, length, have)),
        }
    }

    /// How bytes of a state are kept, from a position of the volume on.
    fn kind(&self, backup: &Backup, position: u64) -> Result<volume::SegmentKind, Error> {
        Ok(match self.cipher(backup, position)? {
            None => volume::SegmentKind::Linear,
            Some(ZoneCipher {
                cipher,
                first_iv_sector,
            }) => volume::SegmentKind::Crypt {
                cipher,
                first_iv_sector,
            },
        })
    }

    fn cipher(&self, backup: &Backup, position: u64) -> Result<Option<ZoneCipher>, Error> {
        let segment = &backup.segment;
        let crypt = match &segment.kind {
            SegmentKind::Linear => return Ok(None),
            SegmentKind::Crypt(crypt) => crypt,
            SegmentKind::Other { kind } => {
                return Err(Unsupported::SegmentType {
                    segment: segment.id,
                    kind: kind.as_str().into(),
                }
                .into());
            }
        };
        let digest = backup.digest.ok_or(Unsupported::NoSegment)?;
        let key = (self.key_of)(digest).ok_or(Unfinished::Key { digest })?;
        let cipher = cipher_of(segment.id, crypt, key)?;
        Ok(Some(ZoneCipher {
            cipher,
            first_iv_sector: iv_at(crypt.iv_tweak, position),
        }))
    }

    /// The zone that was being written.
    fn hot(
        &self,
        segment: &Segment,
        position: u64,
        is_first: bool,
    ) -> Result<volume::Segment, Error> {
        let state = self.state;
        if !is_at(segment, &state.after.segment, position) {
            return Err(broken(segment, "it does not lie as after it"));
        }
        let length = match segment.size {
            SegmentSize::Bytes(bytes) => bytes,
            SegmentSize::Dynamic => self.rest(segment)?,
        };
        self.check_inside(segment.offset, length)?;
        let sector = sector_bytes(&state.before.segment).max(sector_bytes(&state.after.segment));
        if position.checked_rem(sector) != Some(0) || length.checked_rem(sector) != Some(0) {
            return Err(broken(segment, "it is no whole number of sectors"));
        }
        let unprotected = || Unfinished::Unprotected {
            start: segment.offset,
            end: segment.offset.saturating_add(length),
        };
        let is_moved = is_first && state.moved.is_some();
        match &state.slot.resilience {
            Resilience::None => Err(unprotected().into()),
            Resilience::Checksum(checksum) => self.by_sums(segment, position, length, checksum),
            Resilience::ShiftChecksum(_, checksum) if is_moved => {
                self.by_sums(segment, position, length, checksum)
            }
            Resilience::Journal => self.by_journal(segment, position, length),
            Resilience::ShiftJournal(_) if is_moved => self.by_journal(segment, position, length),
            Resilience::Shift(shift)
            | Resilience::ShiftChecksum(shift, _)
            | Resilience::ShiftJournal(shift) => {
                // Without data that was put aside all of it moves, or nothing does.
                if state.moved.is_none() && !state.is_shifted_alone() {
                    return Err(unprotected().into());
                }
                let shifted = state.before.segment.offset.checked_add(position);
                let moved = state.moved.as_ref().map(|moved| &moved.segment);
                let (from, room) = match moved.map(|moved| (moved.offset, moved.size)) {
                    Some((offset, SegmentSize::Bytes(bytes))) if is_first => (offset, bytes),
                    _ => (shifted.ok_or_else(unprotected)?, *shift),
                };
                let is_apart = segment.offset.abs_diff(from) >= length;
                let is_shift = is_moved || segment.offset.abs_diff(from) == *shift;
                if length > room || !is_apart || !is_shift {
                    return Err(unprotected().into());
                }
                self.check_inside(from, length)?;
                let kind = self.kind(&state.before, position)?;
                Ok(mapped(kind, length, from, None))
            }
        }
    }

    /// What protects the zone in its own place needs its old bytes to lie there.
    fn check_in_place(&self, segment: &Segment, position: u64) -> Result<(), Error> {
        let state = self.state;
        let lies_at = |backup: &Backup, position: u64| {
            backup.segment.offset.checked_add(position) == Some(segment.offset)
        };
        let moved = state.moved.as_ref().filter(|_| position == 0);
        if lies_at(&state.before, position) || moved.is_some_and(|moved| lies_at(moved, 0)) {
            return Ok(());
        }
        Err(broken(segment, "it does not lie as before it"))
    }

    fn by_journal(
        &self,
        segment: &Segment,
        position: u64,
        length: u64,
    ) -> Result<volume::Segment, Error> {
        self.check_in_place(segment, position)?;
        self.check_area(segment, length)?;
        let kind = self.kind(&self.state.before, position)?;
        let from = self.state.area.offset;
        let header = Arc::clone(self.places.header);
        Ok(mapped(kind, length, from, Some(header)))
    }

    fn by_sums(
        &self,
        segment: &Segment,
        position: u64,
        length: u64,
        checksum: &Checksum,
    ) -> Result<volume::Segment, Error> {
        self.check_in_place(segment, position)?;
        let state = self.state;
        let hash = checksum.hash.clone()?;
        let block_bytes = u64::from(checksum.block_bytes);
        let sectors = [&state.before, &state.after].map(|backup| sector_bytes(&backup.segment));
        if block_bytes > MAX_BLOCK_BYTES
            || sectors
                .iter()
                .any(|sector| block_bytes.checked_rem(*sector) != Some(0))
        {
            return Err(broken(
                segment,
                format!("checksums of blocks of {block_bytes} bytes do not fit its sectors"),
            ));
        }
        let sum_bytes = u64::try_from(hash.digest_bytes()).unwrap_or(u64::MAX);
        let blocks = length.div_ceil(block_bytes);
        self.check_area(segment, blocks.saturating_mul(sum_bytes))?;
        let zone = Zone {
            data: Arc::clone(self.places.data),
            start: segment.offset,
            bytes: length,
            block_bytes,
            sums: BlockSums {
                storage: Arc::clone(self.places.header),
                start: state.area.offset,
                hash,
            },
            old: self.cipher(&state.before, position)?,
            new: self.cipher(&state.after, position)?,
            cut_block: None,
        };
        let zone = zone.judged(position, self.places.data_bytes)?;
        let zone: Arc<dyn Storage> = Arc::new(zone);
        Ok(mapped(volume::SegmentKind::Linear, length, 0, Some(zone)))
    }

    /// Whether what protects the zone lies in the area, and that in the header's storage.
    fn check_area(&self, segment: &Segment, bytes: u64) -> Result<(), Error> {
        let area = &self.state.area;
        if bytes > area.size {
            return Err(broken(
                segment,
                format!(
                    "what protects it has {bytes} bytes, its area has {}",
                    area.size
                ),
            ));
        }
        let have = self
            .places
            .header
            .len()
            .map_err(Error::io("find the size of the container"))?;
        let need = area.offset.saturating_add(bytes);
        if need > have {
            let object = format!("keyslot {}'s area", self.state.keyslot);
            return Err(Corrupt::Truncated { object, need, have }.into());
        }
        Ok(())
    }
}

/// Far above the sectors of any device.
const MAX_BLOCK_BYTES: u64 = 1 << 20;

fn mapped(
    kind: volume::SegmentKind,
    length: u64,
    storage_offset: u64,
    elsewhere: Option<Arc<dyn Storage>>,
) -> volume::Segment {
    volume::Segment {
        length,
        storage_offset,
        elsewhere,
        kind,
    }
}

/// Whether a segment is the part of a state from a position of the volume on.
fn is_at(segment: &Segment, state: &Segment, position: u64) -> bool {
    let place = state.offset.checked_add(position);
    let tweaks = match (&segment.kind, &state.kind) {
        (SegmentKind::Crypt(segment), SegmentKind::Crypt(state)) => {
            segment.iv_tweak == iv_at(state.iv_tweak, position)
        }
        _ => true,
    };
    place == Some(segment.offset) && tweaks
}

fn iv_at(iv_tweak: u64, position: u64) -> u64 {
    iv_tweak.wrapping_add(position.checked_div(SECTOR_BYTES).unwrap_or(0))
}

fn sector_bytes(segment: &Segment) -> u64 {
    match &segment.kind {
        SegmentKind::Crypt(crypt) => crypt.sector_size.into(),
        _ => SECTOR_BYTES,
    }
}

fn broken(segment: &Segment, problem: impl Into<String>) -> Error {
    Corrupt::Spec {
        object: format!("segment {}", segment.id),
        problem: problem.into(),
    }
    .into()
}

fn outside(start: u64, length: u64, have: u64) -> Error {
    let need = start.saturating_add(length);
    Corrupt::DataOutside { start, need, have }.into()
}
