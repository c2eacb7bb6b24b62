//! Copies whole images, encrypting and decrypting on the way, with several threads.
//!
//! Each worker owns one buffer, so that memory does not grow with the image, and goes round: claim the next chunk, read
//! it, transform it, write it. Storages and volumes are read and written at any position, without waiting for anybody.
//! Streams are read by one worker at a time, and written in the order in which the chunks were claimed.

mod branch;
mod input;
mod output;
mod plan;

use std::io::{Read, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use dmcrypt::{SectorCipher, wipe_stack};

pub use self::branch::Branch;
use self::input::Input;
use self::output::Output;
use crate::buffer::AlignedBuffer;
use crate::error::CopyError;
use crate::span::bytes_of;
use crate::storage::Storage;
use crate::volume::Volume;

/// Where a copy comes from.
#[non_exhaustive]
pub enum Source<'a> {
    /// A range of a storage, as it is. Its holes are not read.
    Storage {
        /// The storage.
        storage: &'a dyn Storage,
        /// Where the range starts, in bytes.
        offset: u64,
        /// How many bytes it has.
        len: u64,
    },
    /// A volume's whole plaintext.
    Volume(&'a Volume),
    /// All bytes of a stream, in order.
    Stream(Box<dyn Read + Send + 'a>),
    /// All whole sectors of a stream, decrypted. Bytes after the last whole sector are counted as
    /// [`Copied::tail_bytes`].
    CipherStream {
        /// Where the ciphertext comes from.
        reader: Box<dyn Read + Send + 'a>,
        /// How it is encrypted.
        cipher: Arc<dyn SectorCipher>,
        /// The IV number of its first byte, in units of 512 bytes.
        first_iv_sector: u64,
    },
}

/// Where a copy goes to.
#[non_exhaustive]
pub enum Sink<'a> {
    /// A storage, as it comes.
    Storage {
        /// The storage.
        storage: &'a dyn Storage,
        /// Where the first byte goes.
        offset: u64,
        /// Leave runs of zeros, in units of 4 KiB, unwritten. The storage must read as zeros; at the end it is made
        /// long enough.
        sparse: bool,
    },
    /// A volume, from its first byte on. It may be longer than the source; the rest stays as it is.
    Volume(&'a Volume),
    /// Several volumes, each of which gets the same, from its first byte on. One that cannot be written gets no more, and
    /// keeps its error to itself; the copy goes on as long as another one is left.
    Branches(&'a [Branch]),
    /// A stream, in order.
    Stream(Box<dyn Write + Send + 'a>),
    /// A stream, encrypted, in order.
    CipherStream {
        /// Where the ciphertext goes.
        writer: Box<dyn Write + Send + 'a>,
        /// How to encrypt.
        cipher: Arc<dyn SectorCipher>,
        /// The IV number of its first byte, in units of 512 bytes.
        first_iv_sector: u64,
    },
}

/// How to copy.
pub struct CopyOptions<'a> {
    /// How many threads work, this one included.
    pub threads: usize,
    /// How many bytes each of them moves at a time; rounded up to a multiple of 4096, and of the blocks of what is written.
    pub chunk_bytes: usize,
    /// Leave what is a hole in the source unwritten in a storage or a volume, instead of writing (encrypted) zeros.
    /// Such places then read as whatever the sink held: as noise, in a new encrypted volume.
    pub keep_holes: bool,
    /// Fill the source up with zeros to a multiple of so many bytes, a power of two.
    pub pad_to: Option<usize>,
    /// Where something of the source cannot be read it is zeros in the sink, and this is called with it, by any thread and
    /// in any order: bytes that count from the copy's first. Without it the first of them ends the copy, and so it does in
    /// a stream.
    pub lost: Option<&'a (dyn Fn(Range<u64>) + Sync)>,
    /// Called, by one thread at a time, with the number of the source's bytes that are done.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Asked before each chunk whether to end; the copy then fails as [`CopyError::Cancelled`].
    pub cancel: &'a (dyn Fn() -> bool + Sync),
}

impl Default for CopyOptions<'_> {
    /// One thread, chunks of 512 KiB, no padding, every hole written, nothing lost, no callbacks.
    fn default() -> Self {
        Self {
            threads: 1,
            chunk_bytes: 512 * 1024,
            keep_holes: false,
            pad_to: None,
            lost: None,
            progress: &|_| (),
            cancel: &|| false,
        }
    }
}

/// What a finished copy did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Copied {
    /// Bytes taken from the source and put in the sink, holes included.
    pub bytes: u64,
    /// Zeros added behind them ([`CopyOptions::pad_to`]).
    pub padding_bytes: u64,
    /// Bytes at the end of an encrypted stream that are no whole sector: read, and dropped.
    pub tail_bytes: u64,
}

/// Copies all of `source` to the start of `sink`. Nothing is synced.
///
/// The first error ends the copy, as soon as every worker has come to the end of its read or write: a stream that
/// neither yields bytes nor ends holds it up.
///
/// # Errors
///
/// See [`CopyError`]. What is known beforehand (a partial sector, a volume that is too small, a source that is too
/// short) is found before anything is written, unless the source is a stream.
///
/// # Panics
///
/// When `pad_to` is no power of two.
pub fn copy(
    source: Source<'_>,
    sink: Sink<'_>,
    options: &CopyOptions<'_>,
) -> Result<Copied, CopyError> {
    let pad_to = options.pad_to.unwrap_or(1);
    assert!(
        pad_to.is_power_of_two(),
        "padding to {pad_to} bytes, which is no power of two"
    );
    let output = Output::new(sink, options.keep_holes);
    let chunk_bytes = options
        .chunk_bytes
        .max(1)
        .next_multiple_of(pad_to.max(CHUNK_UNIT).max(output.block_bytes()));
    let input = Input::new(source, chunk_bytes, &output);
    let job = Job {
        input,
        output,
        options,
        pad_to,
        chunk_bytes,
        stop: AtomicBool::new(false),
        tally: Mutex::default(),
    };
    if let Some(bytes) = job.input.len() {
        job.check_length(bytes)?;
    }
    job.input.check_end()?;

    thread::scope(|scope| {
        for _ in 1..options.threads.min(job.input.chunks()) {
            // Without another thread the copy only takes longer.
            let _ = thread::Builder::new()
                .name("volume copy".into())
                .spawn_scoped(scope, || job.work());
        }
        job.work();
    });
    // The round keys that this thread encrypted with; the others' stacks are gone.
    wipe_stack();
    job.finish()
}

/// What the workers share.
struct Job<'a> {
    input: Input<'a>,
    output: Output<'a>,
    options: &'a CopyOptions<'a>,
    pad_to: usize,
    chunk_bytes: usize,
    stop: AtomicBool,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    bytes: u64,
    padding_bytes: u64,
    error: Option<CopyError>,
}

impl Job<'_> {
    /// One worker, from start to end.
    fn work(&self) {
        let watch = StopOnPanic(self);
        let mut buffer = AlignedBuffer::new(self.chunk_bytes);
        let mut scratch = AlignedBuffer::new(if self.output.needs_scratch() {
            self.chunk_bytes
        } else {
            0
        });
        while !self.is_stopped() {
            match self.step(buffer.bytes(), scratch.bytes()) {
                Ok(true) => (),
                Ok(false) => break,
                Err(error) => {
                    let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
                    tally.error.get_or_insert(error);
                    drop(tally);
                    self.stop();
                }
            }
        }
        std::mem::forget(watch);
    }

    /// Moves one chunk; `false` at the end.
    fn step(&self, buffer: &mut [u8], scratch: &mut [u8]) -> Result<bool, CopyError> {
        if (self.options.cancel)() {
            return Err(CopyError::Cancelled);
        }
        let Some(chunk) = self.input.next(buffer, self.options.lost, &|| {
            self.is_stopped() || (self.options.cancel)()
        })?
        else {
            return Ok(false);
        };
        let end = chunk.position + chunk.len;
        // Chunks end at multiples of every sector size and of the padding, or at the end of the source. Only a hole
        // that is left out may end elsewhere.
        let is_last = !chunk.is_skipped() || self.input.len() == Some(end);
        let padding = if is_last {
            end.next_multiple_of(self.pad_to as u64) - end
        } else {
            0
        };
        if !chunk.is_skipped() {
            self.check_length(end)?;
            let len = bytes_of(chunk.len);
            let padded = len + bytes_of(padding);
            buffer[len..padded].fill(0);
            if !self
                .output
                .put(&chunk, &mut buffer[..padded], scratch, &|| {
                    self.is_stopped()
                })?
            {
                return Ok(false);
            }
        }
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.bytes += chunk.len;
        tally.padding_bytes += padding;
        (self.options.progress)(tally.bytes);
        Ok(true)
    }

    /// Can the sink take a source of so many bytes?
    fn check_length(&self, bytes: u64) -> Result<(), CopyError> {
        let padded = bytes
            .checked_next_multiple_of(self.pad_to as u64)
            .unwrap_or(u64::MAX);
        let sector_bytes = self.output.sector_bytes();
        if !padded.is_multiple_of(sector_bytes as u64) {
            return Err(CopyError::PartialSector {
                bytes,
                sector_bytes,
            });
        }
        match self.output.capacity() {
            Some(capacity) if padded > capacity => Err(CopyError::DoesNotFit { bytes, capacity }),
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<Copied, CopyError> {
        let tally = self
            .tally
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = tally.error {
            return Err(error);
        }
        // A hole that was not read may have been cut off meanwhile.
        self.input.check_end()?;
        self.output.finish(tally.bytes + tally.padding_bytes)?;
        let (bytes, padding_bytes) = (tally.bytes, tally.padding_bytes);
        Ok(Copied {
            bytes,
            padding_bytes,
            tail_bytes: self.input.tail_bytes(),
        })
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.output.wake();
    }
}

/// Stops the others when a worker panics: they would wait for its turn for ever.
struct StopOnPanic<'j, 'a>(&'j Job<'a>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Some bytes of the source, by position: 0 is the copy's first byte.
struct Chunk {
    position: u64,
    len: u64,
    /// What of it, counted from its start, holds data; `None` for a hole that is to be left as it is. The rest of the
    /// buffer is zeros.
    data: Option<Vec<Range<usize>>>,
}

impl Chunk {
    fn is_skipped(&self) -> bool {
        self.data.is_none()
    }
}

/// A multiple of every sector size and, so that runs of zeros fall on whole blocks of a file system, of a page.
const CHUNK_UNIT: usize = 4096;
