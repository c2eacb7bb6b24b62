//! A keyslot's area in the keyslots area (LUKS2 specification 3.2.3).

use super::json::Object;
use crate::error::Corrupt;

/// Bytes of the container that belong to one keyslot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Area {
    /// First byte, from the start of the header.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Area {
    pub(super) fn parse(keyslot: u32, area: &Object<'_>) -> Result<Self, Corrupt> {
        let offset = area.u64_string("offset")?;
        let size = area.u64_string("size")?;
        if offset.checked_add(size).is_none() {
            return Err(Corrupt::AreaOverflow {
                keyslot,
                start: offset,
                length: size,
            });
        }
        Ok(Self { offset, size })
    }

    /// First byte after it; reading it has seen that it is a 64-bit number.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.size)
    }

    /// "Both fields must be validated to point to the keyslot area" (LUKS2 specification 2.3).
    pub(super) fn check_inside(&self, keyslot: u32, start: u64, end: u64) -> Result<(), Corrupt> {
        if self.offset < start {
            return Err(Corrupt::AreaInHeader {
                keyslot,
                start: self.offset,
                length: self.size,
                header_end: start,
            });
        }
        if self.end() > end {
            return Err(Corrupt::AreaOutside {
                keyslot,
                start: self.offset,
                length: self.size,
                end,
            });
        }
        Ok(())
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }
}
