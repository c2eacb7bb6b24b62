//! A reencryption that is under way, as the header says it, held to what can be gone on with; and its next zone.

use std::ops::Range;
use std::sync::Arc;

use dmcrypt::{SECTOR_BYTES, SectorCipher, VolumeKey};
use volume::{CopyOptions, Sink, Source, Storage, Volume, copy};

use super::leavings::{self, Leavings, Tail};
use super::metadata::{bytes_of, crypt_of, iv_at};
use super::plan::{Rules, ZoneRun};
use super::zones::{Kind, Left, Moved, Piece, Shape};
use super::{Protection, RunOptions, limits, obstacle, protect, storage_bytes};
use crate::device::Unlocked;
use crate::device::segments::cipher_of;
use crate::error::{Corrupt, Error, ReencryptionObstacle, Unfinished};
use crate::luks2::{
    Backup, Checksum, Direction, KeyslotKind, Metadata, Reencryption, ReencryptionMode, Resilience,
    Segment, SegmentSize,
};
use crate::reencryption::{Progress, progress};

pub(super) struct Job {
    /// As the header has it.
    pub(super) state: Reencryption,
    pub(super) shape: Shape,
    pub(super) left: Left,
    pub(super) hot: Option<Hot>,
    before: Side,
    moved: Option<Side>,
    after: Side,
}

/// A zone that a crash has left half written.
pub(super) struct Hot {
    zone: Range<u64>,
    /// What is read of the volume, the zone made out.
    volume: Volume,
}

/// How the volume is kept before, after, or put aside.
#[derive(Clone)]
struct Side {
    /// Where its first byte lies.
    offset: u64,
    cipher: Option<Arc<dyn SectorCipher>>,
    iv_tweak: u64,
    sector_bytes: u64,
}

impl Side {
    fn of(backup: &Backup, unlocked: &Unlocked) -> Result<Self, Error> {
        let segment = &backup.segment;
        let crypt = crypt_of(segment);
        let cipher = match (crypt, backup.digest) {
            (None, _) => None,
            // The key before may be gone where nothing is left to be read with it.
            (Some(crypt), Some(digest)) => match unlocked.key_of(digest) {
                Some(key) => Some(cipher_of(segment.id, crypt, key)?),
                None => None,
            },
            (Some(_), None) => return Err(Unfinished::NoDigest.into()),
        };
        Ok(Self {
            offset: segment.offset,
            cipher,
            iv_tweak: crypt.map_or(0, |crypt| crypt.iv_tweak),
            sector_bytes: sector_bytes(segment),
        })
    }

    /// The volume's bytes of `zone`, and nothing else.
    fn view(&self, zone: &Range<u64>, data: &Arc<dyn Storage>) -> Result<Volume, Error> {
        let kind = match &self.cipher {
            None => volume::SegmentKind::Linear,
            Some(cipher) => volume::SegmentKind::Crypt {
                cipher: Arc::clone(cipher),
                first_iv_sector: iv_at(self.iv_tweak, zone.start),
            },
        };
        let segment = volume::Segment {
            length: zone.end.saturating_sub(zone.start),
            storage_offset: self.offset.saturating_add(zone.start),
            elsewhere: None,
            kind,
        };
        protect::view(segment, data)
    }
}

impl Job {
    pub(super) fn open(
        metadata: &Metadata,
        state: &Reencryption,
        unlocked: &Unlocked,
        data: &Arc<dyn Storage>,
    ) -> Result<Self, Error> {
        unlocked.check_reencryption()?;
        // Every segment is held to the backups, to the data and to what protects a hot zone.
        let volume = unlocked.volume(Arc::clone(data))?;
        let data_bytes = storage_bytes(&**data)?;
        let volume_bytes = volume.len();
        if volume_bytes == 0 {
            return Err(obstacle(ReencryptionObstacle::NoData));
        }
        let moved = state.moved.as_ref().map(|moved| Moved {
            offset: moved.segment.offset,
            bytes: bytes_of(&moved.segment, data_bytes).min(volume_bytes),
        });
        let mut pieces = Vec::new();
        let mut position: u64 = 0;
        let mut is_dynamic = false;
        for (segment, progress) in progress(metadata, state) {
            let length = bytes_of(segment, data_bytes).min(volume_bytes.saturating_sub(position));
            let is_moved = position == 0
                && moved
                    .is_some_and(|moved| (moved.offset, moved.bytes) == (segment.offset, length));
            is_dynamic = match progress {
                Progress::Hot => {
                    state.before.segment.size == SegmentSize::Dynamic
                        && position.saturating_add(length) == volume_bytes
                }
                _ => segment.size == SegmentSize::Dynamic,
            };
            pieces.push(Piece {
                kind: match progress {
                    Progress::Old if is_moved => Kind::Moved,
                    Progress::Old => Kind::Old,
                    Progress::Hot => Kind::Hot,
                    Progress::New => Kind::New,
                },
                position,
                length,
                offset: segment.offset,
                is_dynamic: segment.size == SegmentSize::Dynamic,
            });
            position = position.saturating_add(length);
        }
        let shape = Shape {
            volume_bytes: position,
            before: state.before.segment.offset,
            after: state.after.segment.offset,
            moved,
            direction: state.slot.direction,
            is_dynamic,
        };
        let (left, zone) = if state.is_finished() {
            let none = match shape.direction {
                Direction::Forward => position..position,
                Direction::Backward => shape.moved_bytes()..shape.moved_bytes(),
            };
            let left = Left {
                moved: false,
                rest: none,
            };
            (left, None)
        } else {
            shape.read(&pieces).ok_or_else(|| Corrupt::Spec {
                object: "the reencryption".into(),
                problem: "its segments are not those of any step of it".into(),
            })?
        };
        let job = Self {
            before: Side::of(&state.before, unlocked)?,
            moved: match &state.moved {
                Some(moved) => Some(Side::of(moved, unlocked)?),
                None => None,
            },
            after: Side::of(&state.after, unlocked)?,
            state: state.clone(),
            shape,
            left,
            hot: zone.map(|zone| Hot { zone, volume }),
        };
        job.check_places(data_bytes)?;
        Ok(job)
    }

    /// Whether each zone can be written without harm to what is still to be read.
    fn check_places(&self, data_bytes: u64) -> Result<(), Error> {
        if self.left.is_empty() {
            return Ok(());
        }
        let shape = &self.shape;
        let end = shape.after.saturating_add(shape.volume_bytes);
        if end > data_bytes {
            return Err(Corrupt::DataOutside {
                start: shape.after,
                need: end,
                have: data_bytes,
            }
            .into());
        }
        let is_sound = match (self.state.slot.resilience.shift_bytes(), shape.moved) {
            (None, None) => shape.before == shape.after,
            (Some(shift), Some(moved)) => {
                let is_apart = shape.before.abs_diff(shape.after) == shift && moved.bytes <= shift;
                let is_away = match shape.direction {
                    Direction::Backward => shape.before < shape.after,
                    Direction::Forward => shape.before > shape.after,
                };
                // Nothing is written over what was put aside before that is done.
                let rest = shape.after.saturating_add(moved.bytes)..end;
                let aside = moved.offset..moved.offset.saturating_add(moved.bytes);
                let is_kept = aside.end <= rest.start || rest.end <= aside.start;
                is_apart && is_away && is_kept
            }
            // From the far end on, each zone lies where nothing is read any more.
            (Some(_), None) => self.state.is_shifted_alone(),
            (None, Some(_)) => false,
        };
        if is_sound {
            return Ok(());
        }
        // A shift that shifts nothing, as cryptsetup writes it for a detached header.
        let start = shape.after.saturating_add(self.left.rest.start);
        let end = shape.after.saturating_add(self.left.rest.end);
        Err(Unfinished::Unprotected { start, end }.into())
    }

    pub(super) fn hot_bytes(&self) -> Option<Range<u64>> {
        let place = |position| self.shape.place(Kind::Hot, position);
        let zone = &self.hot.as_ref()?.zone;
        Some(place(zone.start)..place(zone.end))
    }

    /// The key that opens what there is at the end.
    pub(super) fn final_key<'a>(&self, unlocked: &'a Unlocked) -> Option<&'a VolumeKey> {
        let digest = self.state.after.digest.or(self.state.before.digest)?;
        unlocked.key_of(digest)
    }

    fn sectors(&self) -> [u64; 2] {
        [self.before.sector_bytes, self.after.sector_bytes]
    }

    fn zone_bytes(&self, resilience: &Resilience, wanted: Option<u64>) -> Result<u64, Error> {
        limits::zone_bytes(resilience, self.state.area, self.sectors(), wanted)
    }

    pub(super) fn check(&self, options: &RunOptions<'_>) -> Result<(), Error> {
        if self.left.is_empty() {
            return Ok(());
        }
        let resilience = self.new_resilience(options)?;
        let resilience = resilience.as_ref().unwrap_or(&self.state.slot.resilience);
        self.zone_bytes(resilience, options.hotzone_bytes)?;
        let moved = self.shape.moved_bytes();
        let in_place = limits::most_in_place(resilience, self.state.area)?;
        if let Some(most) = in_place.filter(|most| self.left.moved && moved > *most) {
            let problem = ReencryptionObstacle::HotzoneSize { bytes: moved, most };
            return Err(obstacle(problem));
        }
        let sector_bytes = self.sectors().into_iter().fold(0, u64::max);
        if self.shape.volume_bytes.checked_rem(sector_bytes) != Some(0) {
            return Err(obstacle(ReencryptionObstacle::PartialSector {
                bytes: self.shape.volume_bytes,
                sector_bytes,
            }));
        }
        Ok(())
    }

    /// The zones that are left.
    pub(super) fn zones(&self, options: &RunOptions<'_>) -> Result<Vec<ZoneRun>, Error> {
        self.check(options)?;
        let now = &self.state.slot.resilience;
        let next = self.new_resilience(options)?;
        let rules = |resilience| Rules {
            resilience,
            area: self.state.area,
            sectors: self.sectors(),
            hotzone_bytes: options.hotzone_bytes,
        };
        let mut left = self.left.clone();
        let mut runs = Vec::new();
        if let Some(Hot { zone, .. }) = &self.hot {
            let bytes = zone.end.saturating_sub(zone.start);
            let is_moved = left.is_moved();
            runs.push(rules(now).run(zone.clone(), 1, bytes, is_moved, &self.shape)?);
            left = self.shape.without(&left, zone);
        }
        runs.extend(rules(next.as_ref().unwrap_or(now)).runs(&self.shape, &left)?);
        Ok(runs)
    }

    /// How zones are to be protected, where that is another way than now.
    pub(super) fn new_resilience(
        &self,
        options: &RunOptions<'_>,
    ) -> Result<Option<Resilience>, Error> {
        let now = &self.state.slot.resilience;
        let sector_bytes = self.sectors().into_iter().fold(0, u64::max);
        let ours = |text: String, hash| Checksum {
            text,
            hash: Ok(hash),
            block_bytes: u32::try_from(sector_bytes).unwrap_or(u32::MAX),
        };
        let asked = match (options.protection, now) {
            (None, _) => None,
            (Some(protection), Resilience::Shift(_)) => {
                return Err(obstacle(ReencryptionObstacle::Shift(name_of(protection))));
            }
            (Some(Protection::None), now) if now.shift_bytes().is_some() => {
                return Err(obstacle(ReencryptionObstacle::Shift("none")));
            }
            (Some(Protection::None), _) => Some(Resilience::None),
            (Some(Protection::Journal), now) => Some(match now.shift_bytes() {
                Some(shift) => Resilience::ShiftJournal(shift),
                None => Resilience::Journal,
            }),
            (Some(Protection::Checksum(hash)), now) => {
                // One of the same hash is kept, blocks and all.
                let kept = now.checksum().filter(|old| old.hash == Ok(hash));
                let checksum = kept
                    .cloned()
                    .unwrap_or_else(|| ours(hash.name().into(), hash));
                Some(match now.shift_bytes() {
                    Some(shift) => Resilience::ShiftChecksum(shift, checksum),
                    None => Resilience::Checksum(checksum),
                })
            }
        };
        let next = asked.as_ref().unwrap_or(now);
        // Blocks that the data does not fill have no checksum that tells.
        let cut = next.checksum().filter(|checksum| {
            let block = u64::from(checksum.block_bytes);
            let ends = [self.shape.volume_bytes, self.shape.moved_bytes()];
            ends.iter().any(|end| end.checked_rem(block) != Some(0))
        });
        let mended = match cut {
            Some(checksum) => {
                let hash = checksum.hash.clone()?;
                let checksum = ours(checksum.text.clone(), hash);
                Some(match next.shift_bytes() {
                    Some(shift) => Resilience::ShiftChecksum(shift, checksum),
                    None => Resilience::Checksum(checksum),
                })
            }
            None => asked,
        };
        Ok(mended.filter(|next| !is_same(next, now)))
    }

    /// The next zone; there is one.
    pub(super) fn next(&self, options: &RunOptions<'_>) -> Result<Range<u64>, Error> {
        let resilience = &self.state.slot.resilience;
        let bytes = self.zone_bytes(resilience, options.hotzone_bytes)?;
        let alignment = limits::alignment(resilience, self.sectors());
        let next = self.shape.next(&self.left, bytes, alignment);
        next.ok_or_else(|| obstacle(ReencryptionObstacle::NotInProgress))
    }

    /// Writes what protects a zone, and syncs it.
    pub(super) fn protect(
        &self,
        zone: &Range<u64>,
        data: &Arc<dyn Storage>,
        header: &Arc<dyn Storage>,
        options: &RunOptions<'_>,
    ) -> Result<(), Error> {
        let is_moved = self.left.is_moved();
        let place = |position| self.shape.place(Kind::Hot, position);
        let zone = place(zone.start)..place(zone.end);
        let area = self.state.area;
        match &self.state.slot.resilience {
            Resilience::None | Resilience::Shift(_) => Ok(()),
            Resilience::ShiftChecksum(..) | Resilience::ShiftJournal(_) if !is_moved => Ok(()),
            Resilience::Checksum(checksum) | Resilience::ShiftChecksum(_, checksum) => {
                protect::by_checksums(zone, checksum, &**data, area, &**header, options.threads)
            }
            Resilience::Journal | Resilience::ShiftJournal(_) => {
                protect::by_journal(zone, data, area, &**header, options.threads)
            }
        }
    }

    /// Writes a zone as it will be.
    pub(super) fn transform(
        &self,
        zone: &Range<u64>,
        data: &Arc<dyn Storage>,
        options: &RunOptions<'_>,
    ) -> Result<(), Error> {
        let is_moved = self.left.is_moved();
        let before = match &self.moved {
            Some(moved) if is_moved => moved,
            _ => &self.before,
        };
        let (before, after) = (before.view(zone, data)?, self.after.view(zone, data)?);
        let done = self.done_bytes();
        let whole = self.shape.volume_bytes;
        let options = CopyOptions {
            threads: options.threads,
            progress: &|bytes| (options.progress)(done.saturating_add(bytes), whole),
            ..CopyOptions::default()
        };
        let copied = copy(Source::Volume(&before), Sink::Volume(&after), &options);
        copied.map_err(protect::failed("write a zone"))?;
        Ok(())
    }

    fn done_bytes(&self) -> u64 {
        let left = self.left.bytes(&self.shape);
        self.shape.volume_bytes.saturating_sub(left)
    }

    /// Writes a zone that a crash left half written, and syncs it; what is left then.
    pub(super) fn recover(
        &mut self,
        data: &Arc<dyn Storage>,
        options: &RunOptions<'_>,
    ) -> Result<Option<Left>, Error> {
        let Some(Hot { zone, volume }) = &self.hot else {
            return Ok(None);
        };
        let after = self.after.view(zone, data)?;
        let source = Source::Storage {
            storage: volume,
            offset: zone.start,
            len: zone.end.saturating_sub(zone.start),
        };
        // Blocks are judged as they are read, each of them before it is written.
        let options = CopyOptions {
            threads: options.threads,
            chunk_bytes: crate::number::to_usize(CHUNK_BYTES.max(self.block_bytes())),
            ..CopyOptions::default()
        };
        copy(source, Sink::Volume(&after), &options).map_err(protect::failed("recover a zone"))?;
        let synced = data.sync();
        synced.map_err(Error::io("write the recovered zone through to the disk"))?;
        Ok(Some(self.shape.without(&self.left, zone)))
    }

    fn block_bytes(&self) -> u64 {
        let checksum = self.state.slot.resilience.checksum();
        checksum.map_or(0, |checksum| u64::from(checksum.block_bytes))
    }

    /// What is left to be wiped when the final header is written.
    pub(super) fn leavings(&self, metadata: &Metadata, data_bytes: u64) -> Leavings {
        let state = &self.state;
        let is_cut = leavings::is_to_be_cut(metadata);
        let gone = state
            .before
            .digest
            .filter(|_| state.before.digest != state.after.digest);
        let keyslots = metadata.keyslots.iter().filter(|slot| {
            matches!(slot.kind, KeyslotKind::Luks2(_))
                && metadata.digest_of_keyslot(slot.id).map(|it| it.id) == gone
                && gone.is_some()
        });
        let tail = match (&state.moved, state.slot.mode) {
            // As it was, and whoever has the old key could read it.
            (None, mode) if state.is_shifted_alone() => Some(Tail {
                offset: self.shape.before,
                bytes: self.shape.after.saturating_sub(self.shape.before),
                is_plaintext: mode == ReencryptionMode::Encrypt,
                is_cut: false,
            }),
            (None, _) => None,
            (Some(_), ReencryptionMode::Decrypt) => {
                let offset = self.shape.after.saturating_add(self.shape.volume_bytes);
                Some(Tail {
                    offset,
                    bytes: data_bytes.saturating_sub(offset),
                    is_plaintext: false,
                    is_cut,
                })
            }
            (Some(moved), _) => Some(Tail {
                offset: moved.segment.offset,
                bytes: bytes_of(&moved.segment, data_bytes),
                is_plaintext: true,
                is_cut,
            }),
        };
        let wrote_area = !matches!(state.slot.resilience, Resilience::Shift(_));
        Leavings {
            keyslots: keyslots.map(|slot| slot.id).collect(),
            areas: wrote_area.then_some(state.area).into_iter().collect(),
            tail,
        }
    }
}

/// What recovery reads at a time, unless a block is more.
const CHUNK_BYTES: u64 = 512 << 10;

pub(super) fn name_of(protection: Protection) -> &'static str {
    match protection {
        Protection::None => "none",
        Protection::Checksum(_) => "checksum",
        Protection::Journal => "journal",
    }
}

fn is_same(one: &Resilience, other: &Resilience) -> bool {
    let checksum = |resilience: &Resilience| {
        let checksum = resilience.checksum()?;
        Some((checksum.text.clone(), checksum.block_bytes))
    };
    one.name() == other.name()
        && one.shift_bytes() == other.shift_bytes()
        && checksum(one) == checksum(other)
}

pub(super) fn sector_bytes(segment: &Segment) -> u64 {
    match crypt_of(segment) {
        Some(crypt) => u64::from(crypt.sector_size),
        None => SECTOR_BYTES,
    }
}
