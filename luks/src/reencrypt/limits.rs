//! How large zones may be: in whole blocks, and no larger than what protects them.

use super::obstacle;
use crate::error::{Error, ReencryptionObstacle};
use crate::luks2::{Area, Checksum, Resilience};
use crate::number::to_u64;

/// Most bytes of a zone unless said.
const ZONE_BYTES: u64 = 16 << 20;

/// What zones and blocks are multiples of, by the sectors before and after.
pub(super) fn alignment(resilience: &Resilience, sectors: [u64; 2]) -> u64 {
    let block = resilience
        .checksum()
        .map_or(0, |checksum| u64::from(checksum.block_bytes));
    sectors.into_iter().fold(block, u64::max)
}

/// How many bytes an area protects in their own place; `None` where nothing limits it.
pub(super) fn most_in_place(resilience: &Resilience, area: Area) -> Result<Option<u64>, Error> {
    Ok(match resilience {
        Resilience::None | Resilience::Shift(_) => None,
        Resilience::Journal | Resilience::ShiftJournal(_) => Some(area.size),
        Resilience::Checksum(checksum) | Resilience::ShiftChecksum(_, checksum) => {
            let sum_bytes = to_u64(checksum.hash.clone()?.digest_bytes());
            let blocks = area.size.checked_div(sum_bytes).unwrap_or(0);
            Some(blocks.saturating_mul(u64::from(checksum.block_bytes)))
        }
    })
}

/// Bytes of a zone.
pub(super) fn zone_bytes(
    resilience: &Resilience,
    area: Area,
    sectors: [u64; 2],
    wanted: Option<u64>,
) -> Result<u64, Error> {
    let alignment = alignment(resilience, sectors);
    let (most, wanted) = match resilience.shift_bytes() {
        // The shift is what it is.
        Some(shift) => (Some(shift), None),
        None => (most_in_place(resilience, area)?, wanted),
    };
    if let Some(bytes) = wanted {
        if bytes == 0 || bytes.checked_rem(alignment) != Some(0) {
            let problem = ReencryptionObstacle::HotzoneAlignment { bytes, alignment };
            return Err(obstacle(problem));
        }
        if let Some(most) = most.filter(|most| bytes > *most) {
            return Err(obstacle(ReencryptionObstacle::HotzoneSize { bytes, most }));
        }
    }
    let bytes = wanted.unwrap_or(ZONE_BYTES.max(alignment));
    let bytes = bytes.min(most.unwrap_or(u64::MAX));
    let whole = bytes.saturating_sub(bytes.checked_rem(alignment).unwrap_or(0));
    if whole == 0 {
        return Err(obstacle(ReencryptionObstacle::NoRoom {
            have: area.size,
            need: alignment,
        }));
    }
    Ok(whole)
}

/// Bytes of the hashes of so many bytes of data.
pub(super) fn sums_bytes(data_bytes: u64, checksum: &Checksum) -> Result<u64, Error> {
    let block_bytes = u64::from(checksum.block_bytes.max(1));
    let sum_bytes = to_u64(checksum.hash.clone()?.digest_bytes());
    Ok(data_bytes.div_ceil(block_bytes).saturating_mul(sum_bytes))
}
