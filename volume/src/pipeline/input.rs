//! The reading end of a copy.

use std::io::{self, Read};
use std::iter;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use dmcrypt::{SECTOR_BYTES, SectorCipher};

use super::output::Output;
use super::plan::Plan;
use super::{Chunk, Source};
use crate::error::CopyError;
use crate::salvage::{Unread, read_around};
use crate::span::bytes_of;
use crate::storage::Storage;
use crate::volume::Volume;

pub(super) enum Input<'a> {
    Positional {
        bytes: Bytes<'a>,
        chunk_bytes: usize,
        plan: Mutex<Plan<'a>>,
    },
    Ordered {
        cipher: Option<(Arc<dyn SectorCipher>, u64)>,
        stream: Mutex<Stream<'a>>,
    },
}

/// What can be read at any position.
pub(super) enum Bytes<'a> {
    Storage {
        storage: &'a dyn Storage,
        offset: u64,
        len: u64,
    },
    Volume(&'a Volume),
}

pub(super) struct Stream<'a> {
    reader: Box<dyn Read + Send + 'a>,
    position: u64,
    is_at_end: bool,
    tail_bytes: u64,
}

impl<'a> Input<'a> {
    pub(super) fn new(source: Source<'a>, chunk_bytes: usize, output: &Output<'_>) -> Self {
        let positional = |bytes: Bytes<'a>, holes_of| {
            let plan = Plan::new(
                holes_of,
                bytes.len(),
                chunk_bytes,
                output.sector_bytes(),
                output.leaves_holes(),
            );
            Self::Positional {
                bytes,
                chunk_bytes,
                plan: Mutex::new(plan),
            }
        };
        let ordered = |reader, cipher| {
            let stream = Mutex::new(Stream {
                reader,
                position: 0,
                is_at_end: false,
                tail_bytes: 0,
            });
            Self::Ordered { cipher, stream }
        };
        match source {
            Source::Storage {
                storage,
                offset,
                len,
            } => positional(
                Bytes::Storage {
                    storage,
                    offset,
                    len,
                },
                Some((storage, offset)),
            ),
            // A hole in ciphertext is noise in plaintext.
            Source::Volume(volume) => positional(Bytes::Volume(volume), None),
            Source::Stream(reader) => ordered(reader, None),
            Source::CipherStream {
                reader,
                cipher,
                first_iv_sector,
            } => ordered(reader, Some((cipher, first_iv_sector))),
        }
    }

    /// The source's bytes, where they are known.
    pub(super) fn len(&self) -> Option<u64> {
        match self {
            Self::Positional { bytes, .. } => Some(bytes.len()),
            Self::Ordered { .. } => None,
        }
    }

    /// How many chunks there may be: more workers have nothing to do.
    pub(super) fn chunks(&self) -> usize {
        match self {
            Self::Positional {
                bytes, chunk_bytes, ..
            } => usize::try_from(bytes.len().div_ceil(*chunk_bytes as u64)).unwrap_or(usize::MAX),
            Self::Ordered { .. } => usize::MAX,
        }
    }

    /// Reads the next chunk into `buffer`; `None` at the end.
    pub(super) fn next(
        &self,
        buffer: &mut [u8],
        lost: Option<&(dyn Fn(Range<u64>) + Sync)>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Chunk>, CopyError> {
        match self {
            Self::Positional { bytes, plan, .. } => {
                let claimed = {
                    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
                    plan.next()
                        .map_err(|error| bytes.read_error(plan.position(), error))?
                };
                let Some(chunk) = claimed else {
                    return Ok(None);
                };
                if let Some(data) = &chunk.data {
                    if data.is_empty() {
                        // Nothing is read of a hole, so that no read tells that the source ends before it.
                        self.check_end()?;
                    }
                    let mut position = 0;
                    for range in data {
                        buffer[position..range.start].fill(0);
                        bytes.read(
                            chunk.position + range.start as u64,
                            &mut buffer[range.clone()],
                            lost,
                        )?;
                        position = range.end;
                    }
                    buffer[position..bytes_of(chunk.len)].fill(0);
                }
                Ok(Some(chunk))
            }
            Self::Ordered { cipher, stream } => {
                let sector_bytes = cipher
                    .as_ref()
                    .map_or(1, |(cipher, _)| cipher.sector_size().bytes());
                let (position, len) = {
                    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                    (stream.position, stream.fill(buffer, sector_bytes, stop)?)
                };
                if len == 0 {
                    return Ok(None);
                }
                if let Some((cipher, first_iv_sector)) = cipher {
                    cipher.decrypt(
                        first_iv_sector.wrapping_add(position / SECTOR_BYTES),
                        &mut buffer[..len],
                    );
                }
                Ok(Some(Chunk {
                    position,
                    len: len as u64,
                    data: Some(iter::once(0..len).collect()),
                }))
            }
        }
    }

    /// Is a source of known length still long enough?
    pub(super) fn check_end(&self) -> Result<(), CopyError> {
        let Self::Positional { bytes, .. } = self else {
            return Ok(());
        };
        match bytes.shortage() {
            Ok(None) => Ok(()),
            Ok(Some(shrank)) => Err(shrank),
            Err(error) => Err(CopyError::Read { offset: 0, error }),
        }
    }

    /// What was left over at the end of an encrypted stream.
    pub(super) fn tail_bytes(self) -> u64 {
        match self {
            Self::Positional { .. } => 0,
            Self::Ordered { stream, .. } => {
                stream
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner)
                    .tail_bytes
            }
        }
    }
}

impl Bytes<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Storage { len, .. } => *len,
            Self::Volume(volume) => volume.len(),
        }
    }

    fn read(
        &self,
        position: u64,
        buf: &mut [u8],
        lost: Option<&(dyn Fn(Range<u64>) + Sync)>,
    ) -> Result<(), CopyError> {
        let failed = |error| self.read_error(position, error);
        let Some(lost) = lost else {
            let result = match self {
                Self::Storage {
                    storage, offset, ..
                } => storage.read_at(offset + position, buf),
                Self::Volume(volume) => volume.read_at(position, buf),
            };
            return result.map_err(failed);
        };
        let (unread, first) = match self {
            Self::Storage {
                storage, offset, ..
            } => (read_around(*storage, offset + position, buf), *offset),
            Self::Volume(volume) => (volume.read_around(position, buf), 0),
        };
        for Unread { range, .. } in unread.map_err(failed)? {
            lost(range.start - first..range.end - first);
        }
        Ok(())
    }

    fn read_error(&self, position: u64, error: io::Error) -> CopyError {
        if error.kind() == io::ErrorKind::UnexpectedEof
            && let Ok(Some(shrank)) = self.shortage()
        {
            return shrank;
        }
        let first = match self {
            Self::Storage { offset, .. } => *offset,
            Self::Volume(_) => 0,
        };
        CopyError::Read {
            offset: first + position,
            error,
        }
    }

    /// The error to report when the storage behind it is too short.
    fn shortage(&self) -> io::Result<Option<CopyError>> {
        let (found, expected) = match self {
            Self::Storage {
                storage,
                offset,
                len,
            } => (storage.len()?, offset.saturating_add(*len)),
            Self::Volume(volume) => (
                volume.storage().len()?,
                volume.mapping().storage_end(volume.len()),
            ),
        };
        Ok((found < expected).then_some(CopyError::SourceShrank { expected, found }))
    }
}

impl Stream<'_> {
    /// Fills `buffer`, with fewer bytes only at the end of the stream; says how many whole sectors' bytes it holds.
    fn fill(
        &mut self,
        buffer: &mut [u8],
        sector_bytes: usize,
        stop: &dyn Fn() -> bool,
    ) -> Result<usize, CopyError> {
        let mut filled = 0;
        while !self.is_at_end && filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => self.is_at_end = true,
                Ok(count) => filled += count,
                // A signal: it may have been the one to stop.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => {
                    return Err(CopyError::Read {
                        offset: self.position + filled as u64,
                        error,
                    });
                }
            }
            // A slow stream should not hold a stop up until a chunk is full.
            if stop() {
                return Err(CopyError::Cancelled);
            }
        }
        let tail = filled % sector_bytes;
        self.position += (filled - tail) as u64;
        self.tail_bytes += tail as u64;
        Ok(filled - tail)
    }
}
