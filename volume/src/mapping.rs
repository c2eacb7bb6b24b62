//! Which bytes of a storage make up a volume, and how they are encrypted.

use std::ops::Range;
use std::sync::Arc;

use dmcrypt::{Mapped, SECTOR_BYTES, SectorCipher, SectorSize};

use crate::error::Error;
use crate::storage::Storage;

/// A run of bytes of the volume that lie side by side in a storage. All numbers but the IV's are bytes.
#[derive(Clone)]
pub struct Segment {
    /// How many.
    pub length: u64,
    /// Where they lie in the storage.
    pub storage_offset: u64,
    /// That storage, where it is not the volume's own.
    pub elsewhere: Option<Arc<dyn Storage>>,
    /// How they are kept there.
    pub kind: SegmentKind,
}

impl Segment {
    /// What is mapped, under a key.
    ///
    /// # Errors
    ///
    /// A cipher that is not built, or does not take the key.
    pub fn encrypted(mapped: &Mapped, key: &[u8]) -> Result<Self, dmcrypt::Error> {
        Ok(Self {
            length: mapped.length_bytes,
            storage_offset: mapped.offset_bytes,
            elsewhere: None,
            kind: SegmentKind::Crypt {
                cipher: mapped.sector_cipher(key)?.into(),
                first_iv_sector: mapped.first_iv_sector,
            },
        })
    }

    /// The bytes that can be written without reading others first.
    pub(crate) fn sector_bytes(&self) -> usize {
        match &self.kind {
            SegmentKind::Linear => 1,
            SegmentKind::Crypt { cipher, .. } => cipher.sector_size().bytes(),
        }
    }
}

/// How a segment's bytes are kept.
#[derive(Clone)]
#[non_exhaustive]
pub enum SegmentKind {
    /// As they are: device-mapper's linear target, and what LUKS2 calls a linear segment.
    Linear,
    /// Encrypted, as dm-crypt does it.
    Crypt {
        /// With which cipher.
        cipher: Arc<dyn SectorCipher>,
        /// The IV number, in units of 512 bytes, of the segment's first byte; it counts on from there, and wraps.
        first_iv_sector: u64,
    },
}

/// The segments of a volume in order, without gaps: device-mapper's table.
#[derive(Clone)]
pub struct Mapping {
    segments: Vec<Placed>,
    len: u64,
    is_read_only: bool,
}

/// A segment, and where it starts in the volume.
#[derive(Clone)]
struct Placed {
    start: u64,
    segment: Segment,
}

impl Mapping {
    /// Checks and joins segments. Empty ones are left out; a mapping may be empty.
    ///
    /// # Errors
    ///
    /// A length that is no multiple of the segment's sector size (512 bytes for linear ones), a storage offset that is
    /// no multiple of 512 bytes, and ends that are no 64-bit numbers.
    pub fn new(segments: Vec<Segment>) -> Result<Self, Error> {
        let mut placed = Vec::with_capacity(segments.len());
        let mut start: u64 = 0;
        for (index, segment) in segments.into_iter().enumerate() {
            let (length, storage_offset) = (segment.length, segment.storage_offset);
            let sector_bytes = SECTOR_BYTES.max(segment.sector_bytes() as u64);
            if !length.is_multiple_of(sector_bytes) {
                return Err(Error::SegmentLength {
                    segment: index,
                    length,
                    sector_bytes,
                });
            }
            if !storage_offset.is_multiple_of(SECTOR_BYTES) {
                return Err(Error::SegmentOffset {
                    segment: index,
                    storage_offset,
                });
            }
            let (Some(end), Some(_)) = (
                start.checked_add(length),
                storage_offset.checked_add(length),
            ) else {
                return Err(Error::SegmentOverflow {
                    segment: index,
                    length,
                    storage_offset,
                    offset: start,
                });
            };
            if length > 0 {
                placed.push(Placed { start, segment });
            }
            start = end;
        }
        Ok(Self {
            segments: placed,
            len: start,
            is_read_only: false,
        })
    }

    /// The same, through which nothing can be written.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self {
            is_read_only: true,
            ..self
        }
    }

    /// Whether nothing can be written through it.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// What maps the volume's first bytes, at most `bytes` of them.
    ///
    /// # Errors
    ///
    /// As [`Mapping::new`], for a number that ends within a sector.
    pub fn beginning(&self, bytes: u64) -> Result<Self, Error> {
        let mut left = bytes;
        let segments = self.segments().map(|segment| {
            let length = segment.length.min(left);
            left -= length;
            Segment {
                length,
                ..segment.clone()
            }
        });
        let beginning = Self::new(segments.collect())?;
        Ok(Self {
            is_read_only: self.is_read_only,
            ..beginning
        })
    }

    /// The volume's length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Has it no bytes at all?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its segments, in order, without empty ones.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().map(|placed| &placed.segment)
    }

    /// The largest sector size of its segments in bytes, 512 at least.
    pub fn sector_size(&self) -> usize {
        self.segments()
            .map(Segment::sector_bytes)
            .fold(SectorSize::B512.bytes(), usize::max)
    }

    /// Where the volume's own storage may end, in bytes, when it holds the volume's first `bytes` bytes.
    pub fn storage_end(&self, bytes: u64) -> u64 {
        let ends = self
            .segments
            .iter()
            .filter(|placed| placed.start < bytes && placed.segment.elsewhere.is_none())
            .map(|placed| {
                // No overflow: `new` has added up the whole length.
                placed.segment.storage_offset + placed.segment.length.min(bytes - placed.start)
            });
        ends.max().unwrap_or(0)
    }

    /// The segments that a range of the volume touches, each with the range of its own bytes. The range lies within
    /// the volume.
    pub(crate) fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = (&Segment, Range<u64>)> {
        let first = self
            .segments
            .partition_point(|placed| placed.start + placed.segment.length <= range.start);
        let touched = self.segments[first..]
            .iter()
            .take_while(move |placed| placed.start < range.end);
        touched.map(move |Placed { start, segment }| {
            (
                segment,
                range.start.saturating_sub(*start)..segment.length.min(range.end - start),
            )
        })
    }

    /// A range of the volume, grown to whole sectors of the segments that it starts and ends in.
    pub(crate) fn whole_sectors(&self, range: Range<u64>) -> Range<u64> {
        let (mut before, mut after) = (None, 0);
        for (segment, within) in self.pieces(range.clone()) {
            let size = segment.sector_bytes() as u64;
            before.get_or_insert(within.start % size);
            after = within.end.next_multiple_of(size) - within.end;
        }
        range.start - before.unwrap_or(0)..range.end + after
    }
}
