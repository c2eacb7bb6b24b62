//! A reencryption that is under way, as far as the header tells.

use luks::luks2::{
    Metadata, Reencryption, ReencryptionMode, ReencryptionVersion, Segment, SegmentSize,
};
use luks::reencryption::{Progress, progress};
use luks::{Header, Luks};
use serde::Serialize;

/// A reencryption that is under way. Which segments are done stands in no digest.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Halfway {
    /// `encrypt`, `decrypt` or `reencrypt`.
    pub mode: &'static str,
    /// `forward` or `backward`.
    pub direction: &'static str,
    /// What protects the zone that is being written.
    pub resilience: &'static str,
    /// `clean`, `hot` where a crash left a zone half written, or `finished` where only its traces are left.
    pub state: &'static str,
    /// It has a digest, which both keys prove.
    pub digest: bool,
    /// How far each piece of the data is.
    pub parts: Vec<Part>,
    /// Bytes that are still to be done; none where the size of the data is not known.
    pub left_bytes: Option<u64>,
    /// What finishes it; none where the data is lost by that, or nothing does.
    pub finished_by: Option<String>,
}

/// A piece of the data, in the order of the volume.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Part {
    /// Its segment.
    pub segment: u32,
    /// `old`, `hot` or `new`.
    pub progress: &'static str,
    /// First byte in the data's storage.
    pub offset: u64,
    /// Size; none where it reaches to an end that is not known.
    pub bytes: Option<u64>,
}

impl Halfway {
    /// That of a header whose data are `data_bytes` bytes, where that is known. `image` names the container, `data` its
    /// data where they are detached.
    pub(super) fn of(
        luks: &Luks,
        image: &str,
        data: Option<&str>,
        data_bytes: Option<u64>,
    ) -> Option<Self> {
        let Header::Luks2(header) = luks.header() else {
            return None;
        };
        let metadata = &header.metadata;
        let state = metadata.reencryption.as_deref()?;
        let rest = |segment: &Segment| data_bytes?.checked_sub(segment.offset);
        let bytes_of = |segment: &Segment| match segment.size {
            SegmentSize::Bytes(bytes) => Some(bytes),
            SegmentSize::Dynamic => rest(segment),
        };
        let mut whole = bytes_of(&state.before.segment);
        let parts: Vec<Part> = progress(metadata, state)
            .map(|(segment, progress)| {
                // What lies behind the data is what a shift needs.
                let bytes = match (bytes_of(segment), whole) {
                    (Some(bytes), Some(left)) => Some(bytes.min(left)),
                    (bytes, _) => bytes,
                };
                whole = whole.zip(bytes).map(|(left, bytes)| left - bytes);
                Part {
                    segment: segment.id,
                    progress: name(progress),
                    offset: segment.offset,
                    bytes,
                }
            })
            .collect();
        let left = parts.iter().filter(|part| part.progress != "new");
        let left_bytes = left.map(|part| part.bytes).sum();
        let is_hot = parts.iter().any(|part| part.progress == "hot");
        Some(Self {
            mode: state.slot.mode.name(),
            direction: state.slot.direction.name(),
            resilience: state.slot.resilience.name(),
            state: match (state.is_finished(), is_hot) {
                (true, _) => "finished",
                (_, true) => "hot",
                _ => "clean",
            },
            digest: state.digest.is_some() && state.version != ReencryptionVersion::V1,
            finished_by: finished_by(metadata, state, image, data),
            parts,
            left_bytes,
        })
    }
}

fn name(progress: Progress) -> &'static str {
    match progress {
        Progress::Old => "old",
        Progress::Hot => "hot",
        Progress::New => "new",
    }
}

/// cryptsetup's command, where it does not lose the data and comes to an end.
fn finished_by(
    metadata: &Metadata,
    state: &Reencryption,
    image: &str,
    data: Option<&str>,
) -> Option<String> {
    let segments: Vec<_> = progress(metadata, state).collect();
    let is = |which| move |(_, progress): &&(&Segment, Progress)| *progress == which;
    let hot = segments.iter().find(is(Progress::Hot));
    let old = segments.iter().filter(is(Progress::Old)).count();
    let resilience = &state.slot.resilience;
    let shift = resilience.shift_bytes();
    let moved = state.moved.as_ref().map(|moved| moved.segment.size);
    let is_decryption = state.slot.mode == ReencryptionMode::Decrypt;
    let (is_at_start, is_cut) = match hot {
        None => (false, false),
        Some((segment, _)) => {
            let block = resilience.checksum().map(|checksum| checksum.block_bytes);
            let is_cut = match (segment.size, block) {
                (SegmentSize::Bytes(bytes), Some(block)) => !bytes.is_multiple_of(block.into()),
                _ => false,
            };
            (segment.offset == 0, is_cut)
        }
    };
    // All is transformed once more, or it has no key for that.
    let is_done_again = state.is_finished();
    // The last zone of a decryption in place is taken for unfinished, and then what is decrypted for encrypted.
    let is_decrypted_again = is_decryption && shift.is_none() && is_at_start;
    // The zone is filled from where nothing was put aside.
    let is_filled_wrongly = shift.is_some() && moved.is_none();
    // There is no zone as short as what was put aside.
    let is_short =
        matches!((shift, moved), (Some(shift), Some(SegmentSize::Bytes(moved))) if moved < shift);
    let is_stuck = is_decryption && is_short && old == 1;
    let is_unproven = state.digest.is_none() || state.version == ReencryptionVersion::V1;
    let is_lost = is_done_again || is_decrypted_again || is_filled_wrongly;
    if is_lost || is_stuck || is_cut || is_unproven {
        return None;
    }
    let image = quoted(image);
    let place = match data {
        Some(data) => format!("{} --header {image}", quoted(data)),
        None if metadata.data_offset() == Some(0) => format!("DATA --header {image}"),
        None => image,
    };
    let repair = format!("cryptsetup repair {place}");
    let resume = format!("cryptsetup reencrypt --resume-only --force-offline-reencrypt {place}");
    Some(match hot {
        None => resume,
        // The recovery of the last zone comes to the end by itself.
        Some(_) if old == 0 => repair,
        Some(_) => format!("{repair} && {resume}"),
    })
}

/// As a shell takes it for one word.
fn quoted(name: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "._/-+=:@".contains(character);
    if !name.is_empty() && name.chars().all(is_plain) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', "'\\''"))
}
