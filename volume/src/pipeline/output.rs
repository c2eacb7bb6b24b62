//! The writing end of a copy.

use std::io::{self, Write};
use std::iter;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use dmcrypt::{SECTOR_BYTES, SectorCipher};

use super::branch::Branch;
use super::{Chunk, Sink};
use crate::error::CopyError;
use crate::span::bytes_of;
use crate::storage::Storage;
use crate::volume::Volume;

pub(super) struct Output<'a> {
    target: Target<'a>,
    keep_holes: bool,
}

enum Target<'a> {
    Storage {
        storage: &'a dyn Storage,
        offset: u64,
        sparse: bool,
    },
    Volume(&'a Volume),
    Branches(&'a [Branch]),
    Ordered {
        cipher: Option<(Arc<dyn SectorCipher>, u64)>,
        stream: Mutex<Stream<'a>>,
        turn: Condvar,
    },
}

struct Stream<'a> {
    writer: Box<dyn Write + Send + 'a>,
    /// How much has been written: the chunk of this position is next.
    position: u64,
}

impl<'a> Output<'a> {
    pub(super) fn new(sink: Sink<'a>, keep_holes: bool) -> Self {
        let ordered = |writer, cipher| Target::Ordered {
            cipher,
            stream: Mutex::new(Stream {
                writer,
                position: 0,
            }),
            turn: Condvar::new(),
        };
        let target = match sink {
            Sink::Storage {
                storage,
                offset,
                sparse,
            } => Target::Storage {
                storage,
                offset,
                sparse,
            },
            Sink::Volume(volume) => Target::Volume(volume),
            Sink::Branches(branches) => Target::Branches(branches),
            Sink::Stream(writer) => ordered(writer, None),
            Sink::CipherStream {
                writer,
                cipher,
                first_iv_sector,
            } => ordered(writer, Some((cipher, first_iv_sector))),
        };
        Self { target, keep_holes }
    }

    /// What the sink takes is a multiple of this.
    pub(super) fn sector_bytes(&self) -> usize {
        match &self.target {
            Target::Storage { .. } | Target::Ordered { cipher: None, .. } => 1,
            Target::Volume(volume) => volume.sector_size(),
            Target::Branches(branches) => {
                let sizes = branches.iter().map(|branch| branch.volume().sector_size());
                sizes.max().unwrap_or(1)
            }
            Target::Ordered {
                cipher: Some((cipher, _)),
                ..
            } => cipher.sector_size().bytes(),
        }
    }

    /// What the storage that is written takes best as one, unless that is very much.
    pub(super) fn block_bytes(&self) -> usize {
        let of = |storage: &dyn Storage| Some(storage.block_size());
        let bytes = match &self.target {
            Target::Storage { storage, .. } => of(*storage),
            Target::Volume(volume) => of(&**volume.storage()),
            Target::Branches(branches) => {
                let each = branches.iter();
                each.filter_map(|branch| of(&**branch.volume().storage()))
                    .max()
            }
            Target::Ordered { .. } => None,
        };
        bytes.map_or(1, |bytes| bytes_of(bytes.min(MAX_BLOCK_BYTES)))
    }

    /// The most bytes that it takes, where there is a limit.
    pub(super) fn capacity(&self) -> Option<u64> {
        match &self.target {
            Target::Volume(volume) => Some(volume.len()),
            Target::Branches(branches) => branches.iter().map(|branch| branch.volume().len()).min(),
            Target::Storage { .. } | Target::Ordered { .. } => None,
        }
    }

    /// Need a hole of the source not be put here at all?
    pub(super) fn leaves_holes(&self) -> bool {
        match &self.target {
            Target::Storage { sparse, .. } => *sparse || self.keep_holes,
            Target::Volume(_) | Target::Branches(_) => self.keep_holes,
            Target::Ordered { .. } => false,
        }
    }

    /// Is a chunk encrypted more than once, so that a copy of it is needed each time?
    pub(super) fn needs_scratch(&self) -> bool {
        matches!(&self.target, Target::Branches(branches) if branches.len() > 1)
    }

    /// Writes a chunk, padding included, and may encrypt it in the buffer; `false` when stopped while waiting for its
    /// turn.
    pub(super) fn put(
        &self,
        chunk: &Chunk,
        buffer: &mut [u8],
        scratch: &mut [u8],
        stop: &dyn Fn() -> bool,
    ) -> Result<bool, CopyError> {
        match &self.target {
            Target::Storage {
                storage,
                offset,
                sparse,
            } => {
                let start = offset + chunk.position;
                for range in self.written(chunk, buffer.len()) {
                    let runs = if *sparse {
                        data_runs(buffer, range)
                    } else {
                        vec![range]
                    };
                    for run in runs {
                        let at = start + run.start as u64;
                        storage
                            .write_at(at, &buffer[run])
                            .map_err(|error| CopyError::Write { offset: at, error })?;
                    }
                }
            }
            Target::Volume(volume) => {
                for range in self.written(chunk, buffer.len()) {
                    let at = chunk.position + range.start as u64;
                    let written = volume.write_in_place(at, &mut buffer[range]);
                    written.map_err(|error| CopyError::Write { offset: at, error })?;
                }
            }
            Target::Branches(branches) => {
                for range in self.written(chunk, buffer.len()) {
                    let at = chunk.position + range.start as u64;
                    write_to_each(branches, at, &mut buffer[range.clone()], &mut scratch[..])?;
                }
            }
            Target::Ordered {
                cipher,
                stream,
                turn,
            } => {
                if let Some((cipher, first_iv_sector)) = cipher {
                    cipher.encrypt(
                        first_iv_sector.wrapping_add(chunk.position / SECTOR_BYTES),
                        buffer,
                    );
                }
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                while stream.position != chunk.position && !stop() {
                    stream = turn.wait(stream).unwrap_or_else(PoisonError::into_inner);
                }
                // Nothing follows a chunk that is missing, nor one that failed.
                if stop() {
                    return Ok(false);
                }
                let write_error = |error| CopyError::Write {
                    offset: chunk.position,
                    error,
                };
                stream.writer.write_all(buffer).map_err(write_error)?;
                stream.position += buffer.len() as u64;
                drop(stream);
                turn.notify_all();
            }
        }
        Ok(true)
    }

    /// Wakes who waits for its turn, so that it looks whether the copy was stopped.
    pub(super) fn wake(&self) {
        if let Target::Ordered { stream, turn, .. } = &self.target {
            // Whoever has looked already waits by the time the mutex is free.
            drop(stream.lock().unwrap_or_else(PoisonError::into_inner));
            turn.notify_all();
        }
    }

    /// After the last chunk: makes room for what was left out at the end, or flushes.
    pub(super) fn finish(self, bytes: u64) -> Result<(), CopyError> {
        let leaves_holes = self.leaves_holes();
        match self.target {
            Target::Storage {
                storage, offset, ..
            } if leaves_holes => reach(storage, offset + bytes),
            Target::Volume(volume) if leaves_holes => reach(
                volume.storage().as_ref(),
                volume.mapping().storage_end(bytes),
            ),
            Target::Branches(branches) if leaves_holes => {
                for branch in branches.iter().filter(|branch| branch.is_alive()) {
                    let volume = branch.volume();
                    let end = volume.mapping().storage_end(bytes);
                    if let Err(error) = reach(volume.storage().as_ref(), end) {
                        branch.fail(error);
                    }
                }
                Ok(())
            }
            Target::Storage { .. } | Target::Volume(_) | Target::Branches(_) => Ok(()),
            Target::Ordered { stream, .. } => {
                let mut stream = stream.into_inner().unwrap_or_else(PoisonError::into_inner);
                stream.writer.flush().map_err(|error| CopyError::Write {
                    offset: stream.position,
                    error,
                })
            }
        }
    }

    /// The ranges of a chunk's buffer that are to be written.
    fn written(&self, chunk: &Chunk, len: usize) -> Vec<Range<usize>> {
        match &chunk.data {
            Some(data) if self.keep_holes => {
                let mut ranges = data.clone();
                // The padding belongs to the sector that it fills up.
                if let Some(last) = ranges.last_mut()
                    && last.end as u64 == chunk.len
                {
                    last.end = len;
                }
                ranges
            }
            _ => iter::once(0..len).collect(),
        }
    }
}

/// Writes the same to each that is left, the last of them out of the buffer itself.
fn write_to_each(
    branches: &[Branch],
    at: u64,
    buffer: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), CopyError> {
    let mut left = branches.iter().filter(|branch| branch.is_alive());
    let Some(last) = left.next_back() else {
        return Err(CopyError::NoBranchLeft);
    };
    for branch in left {
        let copy = &mut scratch[..buffer.len()];
        copy.copy_from_slice(buffer);
        branch.write(at, copy);
    }
    last.write(at, buffer);
    Ok(())
}

/// Makes a storage at least `end` bytes long.
fn reach(storage: &dyn Storage, end: u64) -> Result<(), CopyError> {
    let grow = || -> io::Result<()> {
        if storage.len()? < end {
            storage.set_len(end)
        } else {
            Ok(())
        }
    };
    grow().map_err(|error| CopyError::Write { offset: end, error })
}

/// What of `range` is not zero, in granules counted from the buffer's start.
fn data_runs(buffer: &[u8], range: Range<usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let end = range.end.min((start / GRANULE_BYTES + 1) * GRANULE_BYTES);
        if !is_zero(&buffer[start..end]) {
            match runs.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => runs.push(start..end),
            }
        }
        start = end;
    }
    runs
}

/// In blocks, so that the compiler uses vectors, and data is told from zeros at its first block.
fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(64)
        .all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
}

/// A chunk of larger blocks would take too much memory.
const MAX_BLOCK_BYTES: u64 = 4 << 20;

/// The block of most file systems: a smaller hole saves nothing.
const GRANULE_BYTES: usize = 4096;
