//! A reencryption that is under way, as far as the header tells.

use luks::luks2::{Metadata, Reencryption, ReencryptionVersion, Resilience, Segment, SegmentSize};
use luks::reencrypt::{DECRYPT_IN_PLACE, PUT_ASIDE};
use luks::reencryption::{Progress, progress};
use luks::{Header, Luks};
use serde::Serialize;

use crate::instead::quoted;

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
    pub(crate) fn of(
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
            finished_by: finished_by(metadata, state, is_hot, image, data),
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

/// The command that finishes it, unless nothing does: what no digest proves, what lies where nothing was shifted to, and
/// what was being written without protection.
fn finished_by(
    metadata: &Metadata,
    state: &Reencryption,
    is_hot: bool,
    image: &str,
    data: Option<&str>,
) -> Option<String> {
    let is_unproven = state.digest.is_none() || state.version == ReencryptionVersion::V1;
    let resilience = &state.slot.resilience;
    let is_unshifted =
        resilience.shift_bytes().is_some() && state.moved.is_none() && !state.is_shifted_alone();
    let is_lost = is_hot && matches!(resilience, Resilience::None);
    if is_unproven || is_unshifted || is_lost {
        return None;
    }
    Some(resume(metadata, image, data))
}

/// Whether a header lies in another file than its data, as far as it says.
fn is_apart(metadata: &Metadata) -> bool {
    let mut requirements = metadata.config.requirements.iter();
    let is_to_be_put = requirements.any(|name| name == PUT_ASIDE);
    let mut tokens = metadata.tokens.iter();
    let is_taken_out = tokens.any(|token| token.kind == DECRYPT_IN_PLACE);
    metadata.data_offset() == Some(0) || is_to_be_put || is_taken_out
}

/// The command that goes on, and ends what is there to be ended.
pub(super) fn resume(metadata: &Metadata, image: &str, data: Option<&str>) -> String {
    let image = quoted(image);
    match data {
        Some(data) => format!("luksmith resume {} --header {image}", quoted(data)),
        None if is_apart(metadata) => {
            format!("luksmith resume DATA --header {image}")
        }
        None => format!("luksmith resume {image}"),
    }
}
