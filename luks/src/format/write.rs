//! The order of writes. At every moment the storage holds the old container whole, or no header, or the new one
//! whole: a header appears by a write of its magic alone, after all that it speaks of is on the disk.

use std::io::Write;

use volume::{LockMode, Storage, is_bad_place};

use super::NewContainer;
use crate::error::Error;
use crate::luks2::{BinaryHeader, METADATA_SIZES, Which};
use crate::noise::{self, Noise};
use crate::number::{to_u64, to_usize};
use crate::random::Random;

/// Bytes that are written to a stream at a time.
const CHUNK_BYTES: usize = 1024 * 1024;
/// What a disk writes all of or nothing.
const SECTOR_BYTES: usize = 512;

impl NewContainer {
    /// Removes whatever header was there, fills the keyslots area with random bytes and writes the keyslots.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Random`].
    pub fn write_areas(&self, header: &dyn Storage, random: &mut dyn Random) -> Result<(), Error> {
        let _lock = header
            .lock(LockMode::Exclusive)
            .map_err(Error::io("lock the header"))?;
        let layout = &self.layout;
        let length = header
            .len()
            .map_err(Error::io("find the size of the container"))?;
        if length < layout.reserved_bytes {
            header
                .set_len(layout.reserved_bytes)
                .map_err(Error::io("make room for the header"))?;
        }
        remove_old_headers(header, length)?;
        let keyslots_end = layout.keyslots_offset.saturating_add(layout.keyslots_bytes);
        let area = layout.keyslots_offset..keyslots_end;
        noise::write(header, area, random, "fill the keyslots area")?;
        if let Some(gap) = layout
            .reserved_bytes
            .checked_sub(keyslots_end)
            .filter(|gap| *gap != 0)
        {
            header
                .punch_hole(keyslots_end, gap)
                .map_err(Error::io("clear the space before the data"))?;
        }
        for (at, area) in &self.areas {
            header
                .write_at(*at, area)
                .map_err(Error::io("write the keyslot's area"))?;
        }
        header
            .sync()
            .map_err(Error::io("write the keyslots area through to the disk"))
    }

    /// Writes the header, last of all. After an error or a crash there is no header or a whole one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn commit(self, header: &dyn Storage) -> Result<(), Error> {
        let _lock = header
            .lock(LockMode::Exclusive)
            .map_err(Error::io("lock the header"))?;
        for (at, bytes) in &self.copies {
            let mut without_magic = bytes.clone();
            without_magic[..Which::Primary.magic().len()].fill(0);
            header
                .write_at(*at, &without_magic)
                .map_err(Error::io("write the header"))?;
        }
        header
            .sync()
            .map_err(Error::io("write the header through to the disk"))?;
        for (at, bytes) in &self.copies {
            header
                .write_at(*at, &bytes[..SECTOR_BYTES])
                .map_err(Error::io("write the header's magic"))?;
        }
        header
            .sync()
            .map_err(Error::io("write the header's magic through to the disk"))
    }
}

impl NewContainer {
    /// Writes header and keyslots to a stream, which takes everything in its order: as many bytes as
    /// [`Layout::reserved_bytes`](super::Layout::reserved_bytes), the same ones that [`Self::write_areas`] and
    /// [`Self::commit`] leave in an empty storage. What follows is the data.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Random`].
    pub fn write_in_order(
        &self,
        stream: &mut dyn Write,
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        let layout = &self.layout;
        let filled =
            layout.keyslots_offset..layout.keyslots_offset.saturating_add(layout.keyslots_bytes);
        let pieces = self
            .copies
            .iter()
            .chain(&self.areas)
            .map(|(at, bytes)| (*at, bytes));
        let mut noise = Noise::new(random)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut at = 0;
        while at < layout.reserved_bytes {
            let end = layout
                .reserved_bytes
                .min(at.saturating_add(to_u64(CHUNK_BYTES)));
            // The part of this chunk that a range has.
            let within = |from: u64, to: u64| {
                let place = |position: u64| to_usize(position.clamp(at, end).saturating_sub(at));
                place(from)..place(to)
            };
            chunk.fill(0);
            noise.fill(&mut chunk[within(filled.start, filled.end)]);
            for (start, bytes) in pieces.clone() {
                let place = within(start, start.saturating_add(to_u64(bytes.len())));
                if place.is_empty() {
                    continue;
                }
                let first = to_usize(at.saturating_sub(start));
                let bytes = &bytes[first..first.saturating_add(place.len())];
                chunk[place].copy_from_slice(bytes);
            }
            stream
                .write_all(&chunk[within(at, end)])
                .map_err(Error::io("write the header"))?;
            at = end;
        }
        Ok(())
    }
}

/// Old headers go first, by their first sectors alone: what they speak of is still whole if that is cut off.
pub(crate) fn remove_old_headers(header: &dyn Storage, length: u64) -> Result<(), Error> {
    let zeros = [0; SECTOR_BYTES];
    let sector = to_u64(SECTOR_BYTES);
    for at in METADATA_SIZES
        .into_iter()
        .filter(|at| at.saturating_add(sector) <= length)
    {
        let mut magic = [0; 6];
        match header.read_at(at, &mut magic) {
            Err(error) if !is_bad_place(&error) => {
                return Err(Error::io("look for an old header")(error));
            }
            // What cannot be read is no header to anybody.
            _ => {}
        }
        if BinaryHeader::has_magic(Which::Secondary, &magic) {
            header
                .write_at(at, &zeros)
                .map_err(Error::io("remove an old header"))?;
        }
    }
    header
        .write_at(0, &zeros)
        .map_err(Error::io("remove an old header"))?;
    header.sync().map_err(Error::io("remove an old header"))
}
