//! The plaintext view of a storage.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use dmcrypt::{SECTOR_BYTES, SectorCipher, SectorSize};

use crate::lock::{HeaderLock, LockMode};
use crate::mapping::{Mapping, Segment, SegmentKind};
use crate::region::RegionLocks;
use crate::salvage::{Salvage, Unread, sector_of};
use crate::span::{Part, bytes_of, split};
use crate::storage::{Storage, no_room, past_end};

/// What a storage holds, decrypted: bytes that can be read and written at any offset, by many threads at once.
///
/// A write is one step for every other read and write through the same `Volume`, whether or not they keep to sectors.
/// Two volumes over one storage know nothing of each other.
pub struct Volume {
    storage: Arc<dyn Storage>,
    mapping: Mapping,
    regions: RegionLocks,
}

/// What ciphers left on this thread's stack goes with the keys.
impl Drop for Volume {
    fn drop(&mut self) {
        dmcrypt::wipe_stack();
    }
}

impl Volume {
    /// A view of `storage` through `mapping`. Nothing is read; a storage that is too short shows when its end is used.
    pub fn new(storage: Arc<dyn Storage>, mapping: Mapping) -> Self {
        Self {
            storage,
            mapping,
            regions: RegionLocks::new(REGION_BYTES),
        }
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.mapping.len()
    }

    /// Has it no bytes at all?
    pub fn is_empty(&self) -> bool {
        self.mapping.is_empty()
    }

    /// The largest sector size of its segments, in bytes: writes that keep to it read nothing first.
    pub fn sector_size(&self) -> usize {
        self.mapping.sector_size()
    }

    /// What it is kept in.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// How it is kept there.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Fills `buf` with the plaintext from byte `offset` on.
    ///
    /// # Errors
    ///
    /// Those of the storage, and [`io::ErrorKind::UnexpectedEof`] past the volume's end. What `buf` then holds is not
    /// specified.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let range = self
            .range(offset, buf.len())
            .ok_or_else(|| past_end(offset, buf.len(), self.len()))?;
        // Sectors are read whole, so that a neighbour in the same sector must not be half written either.
        let _guards = self.regions.read(self.mapping.whole_sectors(range.clone()));
        self.each_part(range, buf, |segment, part, buf| {
            match (&segment.kind, part) {
                (
                    SegmentKind::Crypt {
                        cipher,
                        first_iv_sector,
                    },
                    Part::Whole(bytes),
                ) => {
                    self.place(segment)
                        .read_at(segment.storage_offset + bytes.start, buf)?;
                    cipher.decrypt(iv_sector(*first_iv_sector, bytes.start), buf);
                    Ok(())
                }
                (
                    SegmentKind::Crypt {
                        cipher,
                        first_iv_sector,
                    },
                    Part::Partial { sector, within },
                ) => {
                    let mut scratch = SectorBuffer::new(cipher.as_ref());
                    self.place(segment)
                        .read_at(segment.storage_offset + sector, scratch.bytes())?;
                    cipher.decrypt(iv_sector(*first_iv_sector, sector), scratch.bytes());
                    buf.copy_from_slice(&scratch.bytes()[within]);
                    Ok(())
                }
                (SegmentKind::Linear, part) => self
                    .place(segment)
                    .read_at(segment.storage_offset + first_byte(&part), buf),
            }
        })
    }

    /// As [`Volume::read_at`], and what cannot be read, by the sectors that are encrypted as one, is zeros: those runs, in
    /// their order, of the volume.
    ///
    /// # Errors
    ///
    /// Those of [`Volume::read_at`] that are not of one place (see [`is_bad_place`](crate::is_bad_place)).
    pub fn read_around(&self, offset: u64, buf: &mut [u8]) -> io::Result<Vec<Unread>> {
        let unit = |position| {
            let sector = self.mapping.whole_sectors(position..position + 1);
            // What is not encrypted has sectors too: its storage's.
            if sector.end - sector.start < SECTOR_BYTES {
                sector_of(position)
            } else {
                sector
            }
        };
        let read = |position, buf: &mut [u8]| self.read_at(position, buf);
        Salvage {
            read: &read,
            unit: &unit,
        }
        .all(offset, buf)
    }

    /// Writes `data` as the plaintext from byte `offset` on. Sectors of which it is only a part are read first.
    ///
    /// # Errors
    ///
    /// Those of the storage (a part may then have been written), [`io::ErrorKind::StorageFull`] past the volume's end and
    /// [`io::ErrorKind::ReadOnlyFilesystem`] through a mapping that is read-only (nothing has been written).
    pub fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_writable()?;
        let range = self
            .range(offset, data.len())
            .ok_or_else(|| no_room(offset, data.len(), self.len()))?;
        let _guards = self
            .regions
            .write(self.mapping.whole_sectors(range.clone()));
        let mut scratch = vec![0; data.len().min(SCRATCH_BYTES)];
        let mut position = range.start;
        while position < range.end {
            // Ends at a multiple of the scratch size, so that no sector but the first and the last is written twice.
            let scratch_bytes = SCRATCH_BYTES as u64;
            let end = range
                .end
                .min((position / scratch_bytes + 1).saturating_mul(scratch_bytes));
            let from = bytes_of(position - range.start);
            let buf = &mut scratch[..bytes_of(end - position)];
            buf.copy_from_slice(&data[from..from + buf.len()]);
            self.encrypt_and_write(position..end, buf)?;
            position = end;
        }
        Ok(())
    }

    /// As [`Volume::write_at`], without a copy of the data: whole sectors are encrypted where they lie, so that `buf`
    /// holds neither plaintext nor ciphertext that can be relied on afterwards.
    ///
    /// # Errors
    ///
    /// As [`Volume::write_at`].
    pub fn write_in_place(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.check_writable()?;
        let range = self
            .range(offset, buf.len())
            .ok_or_else(|| no_room(offset, buf.len(), self.len()))?;
        let _guards = self
            .regions
            .write(self.mapping.whole_sectors(range.clone()));
        self.encrypt_and_write(range, buf)
    }

    /// Returns once everything written so far will survive a loss of power.
    pub fn sync(&self) -> io::Result<()> {
        self.storage.sync()
    }

    /// The caller holds the regions.
    fn encrypt_and_write(&self, range: Range<u64>, buf: &mut [u8]) -> io::Result<()> {
        self.each_part(range, buf, |segment, part, buf| {
            match (&segment.kind, part) {
                (
                    SegmentKind::Crypt {
                        cipher,
                        first_iv_sector,
                    },
                    Part::Whole(bytes),
                ) => {
                    cipher.encrypt(iv_sector(*first_iv_sector, bytes.start), buf);
                    self.place(segment)
                        .write_at(segment.storage_offset + bytes.start, buf)
                }
                (
                    SegmentKind::Crypt {
                        cipher,
                        first_iv_sector,
                    },
                    Part::Partial { sector, within },
                ) => {
                    let (at, iv) = (
                        segment.storage_offset + sector,
                        iv_sector(*first_iv_sector, sector),
                    );
                    let mut scratch = SectorBuffer::new(cipher.as_ref());
                    self.place(segment).read_at(at, scratch.bytes())?;
                    cipher.decrypt(iv, scratch.bytes());
                    scratch.bytes()[within].copy_from_slice(buf);
                    cipher.encrypt(iv, scratch.bytes());
                    self.place(segment).write_at(at, scratch.bytes())
                }
                (SegmentKind::Linear, part) => self
                    .place(segment)
                    .write_at(segment.storage_offset + first_byte(&part), buf),
            }
        })
    }

    /// Calls `action` for each run of whole sectors and each partial one, with its bytes of `buf`.
    fn each_part(
        &self,
        range: Range<u64>,
        buf: &mut [u8],
        action: impl Fn(&Segment, Part, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut rest = buf;
        for (segment, within) in self.mapping.pieces(range) {
            for part in split(within, segment.sector_bytes()) {
                let (bytes, after) = rest.split_at_mut(part.len());
                action(segment, part, bytes)?;
                rest = after;
            }
        }
        Ok(())
    }

    /// Calls `action` for each segment that the `len` bytes from `offset` touch, with the bytes of the volume that lie in
    /// it, and the same counted from its start. What lies beyond the end is left out.
    fn each_run(
        &self,
        offset: u64,
        len: u64,
        action: impl Fn(&Segment, Range<u64>, Range<u64>) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = offset.saturating_add(len).min(self.len());
        let mut start = offset;
        for (segment, within) in self.mapping.pieces(offset.min(end)..end) {
            let bytes = within.end - within.start;
            action(segment, start..start + bytes, within)?;
            start += bytes;
        }
        Ok(())
    }

    /// Makes bytes read as zeros: where they are not encrypted by `of_storage`, of the storage, a place in it and a length.
    fn make_zero(
        &self,
        offset: u64,
        len: u64,
        of_storage: impl Fn(&dyn Storage, u64, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        self.check_writable()?;
        self.each_run(offset, len, |segment, run, within| match segment.kind {
            SegmentKind::Crypt { .. } => self.write_encrypted_zeros(run),
            SegmentKind::Linear => {
                let _guards = self.regions.write(run);
                let at = segment.storage_offset + within.start;
                of_storage(self.place(segment), at, within.end - within.start)
            }
        })
    }

    /// Zeros over bytes that are encrypted.
    fn write_encrypted_zeros(&self, range: Range<u64>) -> io::Result<()> {
        let scratch_bytes = SCRATCH_BYTES as u64;
        let mut scratch = vec![0; bytes_of((range.end - range.start).min(scratch_bytes))];
        let mut start = range.start;
        while start < range.end {
            // Ends at a multiple of the scratch size, as in `write_at`.
            let end = range
                .end
                .min((start / scratch_bytes + 1).saturating_mul(scratch_bytes));
            let zeros = &mut scratch[..bytes_of(end - start)];
            // The last round has left ciphertext.
            zeros.fill(0);
            self.write_in_place(start, zeros)?;
            start = end;
        }
        Ok(())
    }

    /// What a segment lies in.
    fn place<'a>(&'a self, segment: &'a Segment) -> &'a dyn Storage {
        segment.elsewhere.as_deref().unwrap_or(&*self.storage)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.mapping.is_read_only() {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    fn range(&self, offset: u64, len: usize) -> Option<Range<u64>> {
        let end = offset.checked_add(u64::try_from(len).ok()?)?;
        (end <= self.len()).then_some(offset..end)
    }
}

/// The plaintext is as good a place as any: its length is fixed, and the header lock is that of what it is kept in.
impl Storage for Volume {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_at(offset, data)
    }

    fn write_in_place(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.write_in_place(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync()
    }

    fn block_size(&self) -> u64 {
        self.sector_size() as u64
    }

    /// Of what is encrypted the zeros are: their ciphertext is written, which takes its space. Only what is not encrypted
    /// is left to the storage.
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.make_zero(offset, len, |storage, at, bytes| {
            storage.write_zeroes(at, bytes)
        })
    }

    /// Of what is encrypted whole sectors go, which read as noise from then on.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.each_run(offset, len, |segment, run, within| {
            let size = segment.sector_bytes() as u64;
            let (start, end) = (
                within.start.next_multiple_of(size),
                within.end - within.end % size,
            );
            if start >= end {
                return Ok(());
            }
            let _guards = self.regions.write(run);
            self.place(segment)
                .discard(segment.storage_offset + start, end - start)
        })
    }

    /// What is encrypted is overwritten with encrypted zeros, which take their space: a hole would read as noise.
    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        self.make_zero(offset, len, |storage, at, bytes| {
            storage.punch_hole(at, bytes)
        })
    }

    /// Only what is not encrypted has holes.
    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let mut start = offset;
        for (segment, within) in self.mapping.pieces(offset.min(self.len())..self.len()) {
            let end = start + (within.end - within.start);
            if let SegmentKind::Crypt { .. } = segment.kind {
                return Ok(Some(start..end));
            }
            // From the storage's bytes to the volume's.
            let at = segment.storage_offset + within.start;
            let here = |byte: u64| start.saturating_add(byte.saturating_sub(at)).min(end);
            if let Some(found) = self.place(segment).data_extent(at)? {
                let data = here(found.start)..here(found.end);
                if !data.is_empty() {
                    return Ok(Some(data));
                }
            }
            start = end;
        }
        Ok(None)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.storage.lock(mode)
    }
}

fn first_byte(part: &Part) -> u64 {
    match part {
        Part::Whole(bytes) => bytes.start,
        Part::Partial { sector, within } => sector + within.start as u64,
    }
}

/// The IV number of a segment's byte `offset`, in units of 512 bytes whatever the sector size is; it wraps as the
/// kernel's does.
fn iv_sector(first_iv_sector: u64, offset: u64) -> u64 {
    first_iv_sector.wrapping_add(offset / SECTOR_BYTES)
}

/// One sector on the stack.
struct SectorBuffer {
    bytes: [u8; SectorSize::B4096.bytes()],
    len: usize,
}

impl SectorBuffer {
    fn new(cipher: &dyn SectorCipher) -> Self {
        Self {
            bytes: [0; SectorSize::B4096.bytes()],
            len: cipher.sector_size().bytes(),
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

/// How much plaintext `write_at` copies before it encrypts it.
const SCRATCH_BYTES: usize = 256 * 1024;

/// Half a chunk of the pipeline, whose neighbours should not wait for each other.
const REGION_BYTES: u64 = 256 * 1024;
