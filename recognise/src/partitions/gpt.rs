//! The GUID partition table (UEFI specification, chapter 5): a header in the second sector and in the last one, each
//! with a list of entries somewhere.

use super::{Partition, Table};
use crate::view::View;

/// The partitions of the first sound copy; `None` where there is none.
pub(super) fn partitions(view: &View<'_>) -> Option<Vec<Partition>> {
    let copies: Vec<_> = SECTORS
        .into_iter()
        .flat_map(|sector| {
            let second = view.len().checked_sub(sector);
            [Some(sector), second].map(|at| at.and_then(|at| Copy::read(view, sector, at)))
        })
        .flatten()
        .collect();
    // Better a list with a wrong sum than none.
    let best = copies
        .iter()
        .find(|copy| copy.is_sound)
        .or(copies.first())?;
    Some(best.partitions.clone())
}

struct Copy {
    partitions: Vec<Partition>,
    is_sound: bool,
}

impl Copy {
    /// The copy whose header stands at byte `at`, if its sum is right.
    fn read(view: &View<'_>, sector: u64, at: u64) -> Option<Self> {
        if !view.has(at, b"EFI PART") {
            return None;
        }
        let header_bytes = view
            .le32(at + 12)
            .filter(|bytes| (92..=512).contains(bytes))?;
        let mut header = view.bytes(at, usize::try_from(header_bytes).ok()?)?;
        let header_sum = view.le32(at + 16)?;
        header[16..20].fill(0);
        let own_sector = view.le64(at + 24)?;
        if crc32(&header) != header_sum || own_sector.checked_mul(sector) != Some(at) {
            return None;
        }
        let entries_at = view.le64(at + 72)?.checked_mul(sector)?;
        let count = view.le32(at + 80).filter(|count| *count <= MAX_ENTRIES)?;
        let entry_bytes = view
            .le32(at + 84)
            .filter(|bytes| bytes.is_power_of_two() && (128..=1024).contains(bytes))?;
        let entries_sum = view.le32(at + 88)?;
        let entry_bytes = usize::try_from(entry_bytes).ok()?;
        let entries = view.bytes(entries_at, entry_bytes * usize::try_from(count).ok()?)?;
        let partitions = (1..)
            .zip(entries.chunks_exact(entry_bytes))
            .filter_map(|(number, entry)| partition(number, entry, sector))
            .collect();
        Some(Self {
            partitions,
            is_sound: crc32(&entries) == entries_sum,
        })
    }
}

/// A type of zeros is no partition.
fn partition(number: u32, entry: &[u8], sector: u64) -> Option<Partition> {
    let (kind, rest) = entry.split_at_checked(32)?;
    let first = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?);
    let last = u64::from_le_bytes(rest.get(8..16)?.try_into().ok()?);
    let start = first.checked_mul(sector)?;
    let end = last.checked_add(1)?.checked_mul(sector)?;
    let is_used = kind[..16].iter().any(|byte| *byte != 0);
    (is_used && first != 0 && start < end).then(|| Partition {
        number,
        start,
        bytes: end - start,
        table: Table::Gpt {
            sector_bytes: u32::try_from(sector).unwrap_or(u32::MAX),
        },
    })
}

/// CRC-32 of ISO 3309, bit by bit: a table would be larger than what it sums.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            let carry = 0u32.wrapping_sub(sum & 1);
            (sum >> 1) ^ (0xedb8_8320 & carry)
        })
    })
}

const SECTORS: [u64; 2] = [512, 4096];
/// 128 are usual; Linux takes what fits into memory.
const MAX_ENTRIES: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_standard_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
