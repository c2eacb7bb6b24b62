//! What a clone is made of: the source's plaintext, as long as the clone's.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use volume::{HeaderLock, LockMode, SegmentKind, Storage, Volume};

use crate::error::{CloneError, Error, SourceError};

/// The plaintext of a source, cut off or followed by zeros. It is only read.
pub(super) struct Plaintext {
    storage: Arc<dyn Storage>,
    /// How long the source's own is.
    own: u64,
    /// How long all of it is.
    len: u64,
    holes: Holes,
}

enum Holes {
    /// Those of the storage itself.
    Own,
    /// Those of the ciphertext behind it, from `offset` on, in units of its sectors.
    Behind {
        ciphertext: Arc<dyn Storage>,
        offset: u64,
        unit: u64,
    },
}

impl Plaintext {
    /// A raw image.
    pub(super) fn raw(storage: Arc<dyn Storage>, own: u64) -> Self {
        Self {
            storage,
            own,
            len: own,
            holes: Holes::Own,
        }
    }

    /// A container. `keep_holes`: what was never written of it is a hole here too, and not the noise that it reads as.
    pub(super) fn of(volume: Volume, keep_holes: bool) -> Self {
        let own = volume.len();
        let holes = Self::holes_behind(&volume).filter(|_| keep_holes);
        let holes = holes.unwrap_or(Holes::Own);
        Self {
            storage: Arc::new(volume),
            own,
            len: own,
            holes,
        }
    }

    /// Of data that are encrypted in one piece.
    fn holes_behind(volume: &Volume) -> Option<Holes> {
        let mut segments = volume.mapping().segments();
        let only = segments.next()?;
        let is_one = segments.next().is_none() && matches!(only.kind, SegmentKind::Crypt { .. });
        is_one.then(|| Holes::Behind {
            ciphertext: Arc::clone(volume.storage()),
            offset: only.storage_offset,
            unit: volume.sector_size() as u64,
        })
    }

    /// The same, `len` bytes of it.
    pub(super) fn resized(self, len: u64) -> Self {
        Self { len, ..self }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing but a hole is there.
    pub(super) fn is_hole(&self, range: Range<u64>) -> bool {
        match self.extent(range.start, range.end) {
            Ok(found) => found.is_none(),
            Err(_) => false,
        }
    }

    /// Refuses to leave out anything but zeros.
    pub(super) fn check_cut(&self, name: &str) -> Result<(), Error> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut at = self.len;
        while at < self.own {
            let Some(extent) = self
                .extent(at, self.own)
                .map_err(|error| read(name, error))?
            else {
                break;
            };
            let bytes = (extent.end - extent.start).min(CHUNK_BYTES as u64);
            let piece = &mut buffer[..usize::try_from(bytes).unwrap_or(CHUNK_BYTES)];
            self.storage
                .read_at(extent.start, piece)
                .map_err(|error| read(name, error))?;
            if let Some(first) = piece.iter().position(|byte| *byte != 0) {
                return Err(CloneError::Cut {
                    name: name.to_owned(),
                    payload: self.len,
                    offset: extent.start + first as u64,
                }
                .into());
            }
            at = extent.start + bytes;
        }
        Ok(())
    }

    /// The first run of data at or after `offset`, below `end`.
    fn extent(&self, offset: u64, end: u64) -> io::Result<Option<Range<u64>>> {
        let end = end.min(self.own);
        if offset >= end {
            return Ok(None);
        }
        let found = match &self.holes {
            Holes::Own => self.storage.data_extent(offset)?,
            Holes::Behind {
                ciphertext,
                offset: start,
                unit,
            } => ciphertext.data_extent(start + offset)?.map(|found| {
                let from = found.start.saturating_sub(*start);
                let to = found.end.saturating_sub(*start);
                (from - from % unit).max(offset)..to.div_ceil(*unit).saturating_mul(*unit)
            }),
        };
        let cut = found.map(|found| found.start..found.end.min(end));
        Ok(cut.filter(|cut| cut.start < cut.end))
    }
}

impl Storage for Plaintext {
    fn len(&self) -> io::Result<u64> {
        // Where it has become shorter, that is to be seen.
        let now = self.storage.len()?;
        Ok(if now < self.own.min(self.len) {
            now
        } else {
            self.len
        })
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let own = self.own.saturating_sub(offset).min(buf.len() as u64);
        let (front, back) = buf.split_at_mut(usize::try_from(own).unwrap_or(buf.len()));
        if !front.is_empty() {
            self.storage.read_at(offset, front)?;
        }
        back.fill(0);
        Ok(())
    }

    fn write_at(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.extent(offset, self.len)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.storage.lock(mode)
    }
}

fn read(name: &str, source: io::Error) -> Error {
    SourceError::Read {
        name: name.to_owned(),
        source,
    }
    .into()
}

const CHUNK_BYTES: usize = 1 << 20;
