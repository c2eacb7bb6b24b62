//! Cuts a range of a storage into chunks, along its holes.

use std::io;
use std::ops::Range;

use super::Chunk;
use crate::span::bytes_of;
use crate::storage::Storage;

/// Which part of a source is read next. Positions count from the copy's first byte.
pub(super) struct Plan<'a> {
    /// Whose holes to look for, and where the copy starts in it; without one all is data.
    holes_of: Option<(&'a dyn Storage, u64)>,
    len: u64,
    chunk_bytes: usize,
    /// Holes that the sink can leave out start and end at multiples of this.
    unit_bytes: u64,
    leaves_holes: bool,
    position: u64,
    /// The last run of data found: there is none between where it was looked for and its start.
    extent: Range<u64>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        holes_of: Option<(&'a dyn Storage, u64)>,
        len: u64,
        chunk_bytes: usize,
        unit_bytes: usize,
        leaves_holes: bool,
    ) -> Self {
        let unit_bytes = unit_bytes as u64;
        Self {
            holes_of,
            len,
            chunk_bytes,
            unit_bytes,
            leaves_holes,
            position: 0,
            extent: 0..0,
        }
    }

    /// The next chunk, `None` at the end. A chunk ends at a multiple of the chunk size, except before data that follows
    /// a hole that is left out.
    pub(super) fn next(&mut self) -> io::Result<Option<Chunk>> {
        let start = self.position;
        if start == self.len {
            return Ok(None);
        }
        let first = self.extent_from(start)?;
        if self.leaves_holes && first.start > start {
            self.position = first.start;
            return Ok(Some(Chunk {
                position: start,
                len: first.start - start,
                data: None,
            }));
        }
        let chunk_bytes = self.chunk_bytes as u64;
        let end = (start / chunk_bytes + 1)
            .saturating_mul(chunk_bytes)
            .min(self.len);
        let mut data = Vec::with_capacity(1);
        let mut extent = first;
        while extent.start < end {
            data.push(bytes_of(extent.start - start)..bytes_of(extent.end.min(end) - start));
            if extent.end >= end {
                break;
            }
            extent = self.extent_from(extent.end)?;
        }
        self.position = end;
        Ok(Some(Chunk {
            position: start,
            len: end - start,
            data: Some(data),
        }))
    }

    /// How far the source has been given out.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The first data at or after `position`, grown to whole units; empty and at the end when there is none. Positions
    /// only go up, and stay below the length.
    fn extent_from(&mut self, position: u64) -> io::Result<Range<u64>> {
        let Some((storage, offset)) = self.holes_of else {
            return Ok(position..self.len);
        };
        if position >= self.extent.end {
            self.extent = match storage.data_extent(offset + position)? {
                Some(found) if found.start.saturating_sub(offset) < self.len => {
                    let start = found.start.saturating_sub(offset);
                    // A storage that answers with an empty extent must not stop the copy.
                    let end = found.end.saturating_sub(offset).clamp(start + 1, self.len);
                    let unit = self.unit_bytes;
                    start - start % unit..end.div_ceil(unit).saturating_mul(unit).min(self.len)
                }
                _ => self.len..self.len,
            };
        }
        Ok(self.extent.start.max(position)..self.extent.end.max(position))
    }
}
