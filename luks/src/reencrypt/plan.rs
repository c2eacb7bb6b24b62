//! The zones of a job, before it begins and on its way: how many, how large, and what protects each of them.

use std::ops::Range;

use super::limits;
use super::zones::{Left, Shape};
use crate::error::Error;
use crate::luks2::{Area, Direction, Resilience};

/// Zones of a kind, done one after the other.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ZoneRun {
    /// Which bytes of the volume.
    pub range: Range<u64>,
    /// How many zones.
    pub count: u64,
    /// Bytes of the largest.
    pub bytes: u64,
    /// From which end.
    pub direction: Direction,
    /// What protects the old bytes of each until they are written.
    pub shelter: Shelter,
    /// Bytes that this takes of the header's area for the largest.
    pub area_bytes: u64,
}

/// What protects the old bytes of a zone.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Shelter {
    /// Nothing.
    None,
    /// Hashes of its blocks, by the name of the hash.
    Checksum(String),
    /// A copy in the header's area.
    Journal,
    /// They lie beside it: data moves by a header's length.
    Shift,
    /// They were put aside at the beginning.
    PutAside,
}

impl Shelter {
    /// Its name, as in the header where that has one.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Checksum(_) => "checksum",
            Self::Journal => "journal",
            Self::Shift => "shift",
            Self::PutAside => "put-aside",
        }
    }
}

/// What decides about zones, beside what is left.
pub(super) struct Rules<'a> {
    pub(super) resilience: &'a Resilience,
    pub(super) area: Area,
    /// Before and after.
    pub(super) sectors: [u64; 2],
    pub(super) hotzone_bytes: Option<u64>,
}

impl Rules<'_> {
    /// The zones of what is left.
    pub(super) fn runs(&self, shape: &Shape, left: &Left) -> Result<Vec<ZoneRun>, Error> {
        let alignment = limits::alignment(self.resilience, self.sectors);
        let bytes =
            limits::zone_bytes(self.resilience, self.area, self.sectors, self.hotzone_bytes)?;
        let mut runs = Vec::new();
        let rest = left.rest.end.saturating_sub(left.rest.start);
        if rest > 0 {
            let count = shape.count(&left.rest, bytes, alignment);
            runs.push(self.run(left.rest.clone(), count, bytes.min(rest), false, shape)?);
        }
        if left.moved {
            let moved = shape.moved_bytes();
            runs.push(self.run(0..moved, 1, moved, true, shape)?);
        }
        Ok(runs)
    }

    pub(super) fn run(
        &self,
        range: Range<u64>,
        count: u64,
        bytes: u64,
        is_moved: bool,
        shape: &Shape,
    ) -> Result<ZoneRun, Error> {
        let (shelter, area_bytes) = match (self.resilience, is_moved) {
            (Resilience::None, _) => (Shelter::None, 0),
            (Resilience::Shift(_), true) => (Shelter::PutAside, 0),
            (
                Resilience::Shift(_) | Resilience::ShiftChecksum(..) | Resilience::ShiftJournal(_),
                false,
            ) => (Shelter::Shift, 0),
            (Resilience::Checksum(sums), _) | (Resilience::ShiftChecksum(_, sums), true) => (
                Shelter::Checksum(sums.text.clone()),
                limits::sums_bytes(bytes, sums)?,
            ),
            (Resilience::Journal, _) | (Resilience::ShiftJournal(_), true) => {
                (Shelter::Journal, bytes)
            }
        };
        Ok(ZoneRun {
            range,
            count,
            bytes,
            direction: shape.direction,
            shelter,
            area_bytes,
        })
    }
}
