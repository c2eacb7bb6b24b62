//! The payload of a container on its way in or out: storages are read and written at any position by several
//! threads, streams in order.

use std::io::{self, Read};
use std::sync::Arc;

use dmcrypt::SectorCipher;
use volume::{Copied, Mapping, SegmentKind, Sink, Storage, Volume};

use crate::destination::held::Held;
use crate::destination::{self, Destination};
use crate::error::{DestinationError, Error, SourceError};
use crate::new_image;
use crate::source::{self, Source};
use crate::transfer::{Transfer, bypass_page_cache};

/// The longest payload that a stream whose end is not known may turn out to have: file offsets are signed.
pub const UNBOUNDED_BYTES: u64 = (1 << 62) - (1 << 40);

/// The bytes that `--size` asks for. As with cryptsetup, no sectors mean all that there are.
pub fn wanted_bytes(size_sectors: Option<u64>) -> Option<u64> {
    size_sectors
        .filter(|sectors| *sectors > 0)
        .map(|sectors| sectors.saturating_mul(dmcrypt::SECTOR_BYTES))
}

/// The first `bytes` bytes of a payload, which has as many.
pub fn beginning(mapping: &Mapping, bytes: u64) -> Result<Mapping, Error> {
    mapping
        .beginning(bytes)
        .map_err(|source| Error::Size { bytes, source })
}

/// Encrypts the first `limit` bytes of `source`, or all of it, into the payload of `destination` that `mapping`
/// describes. A stream must stand where the payload starts.
pub fn encrypt(
    source: Source,
    limit: Option<u64>,
    destination: &Destination,
    mapping: &Mapping,
    transfer: &Transfer<'_>,
) -> Result<Copied, Error> {
    let storage_end = |bytes| mapping.storage_end(bytes);
    let stored = destination.storage();
    bypass_page_cache(transfer.work, &source.name, source.file())?;
    bypass_page_cache(transfer.work, &destination.name, destination.file())?;
    let volume = stored
        .clone()
        .map(|storage| Volume::new(storage, mapping.clone()));
    let sink = match (&volume, &destination.bytes) {
        (Some(volume), _) => Sink::Volume(volume),
        (None, destination::Bytes::Stream(file)) => {
            let writer = file
                .try_clone()
                .map_err(|source| destination_unwritable(destination, source))?;
            let writer = Box::new(writer);
            match only_segment(mapping)? {
                Some(OnlySegment {
                    cipher,
                    first_iv_sector,
                }) => Sink::CipherStream {
                    writer,
                    cipher,
                    first_iv_sector,
                },
                None => Sink::Stream(writer),
            }
        }
        (None, _) => unreachable!("what is no stream has a storage"),
    };
    let copied = match source.bytes {
        source::Bytes::Image(image) => {
            let storage = &*image.storage;
            let len = match limit {
                Some(limit) => limit,
                None => storage.len().map_err(|error| SourceError::Read {
                    name: source.name.clone(),
                    source: error,
                })?,
            };
            transfer.run(
                volume::Source::Storage {
                    storage,
                    offset: 0,
                    len,
                },
                sink,
            )?
        }
        source::Bytes::Stream(stream) => {
            let copied = transfer.run(volume::Source::Stream(limited(stream, limit)), sink)?;
            check_stream_length(&source.name, limit, copied.bytes)?;
            copied
        }
    };
    reach(
        destination,
        storage_end(copied.bytes + copied.padding_bytes),
    )?;
    Ok(copied)
}

/// Makes a new destination `end` bytes long: trailing holes that were left out still belong to the payload.
pub fn reach(destination: &Destination, end: u64) -> Result<(), Error> {
    let Some(storage) = destination.storage().filter(|_| destination.is_new()) else {
        return Ok(());
    };
    let extended = storage.len().and_then(|len| {
        if len < end {
            storage.set_len(end)
        } else {
            Ok(())
        }
    });
    extended.map_err(|source| destination_unwritable(destination, source))
}

/// Decrypts the whole payload of a container into `destination`, from its first byte on.
pub fn decrypt(
    source: Ciphertext<'_>,
    destination: &Destination,
    transfer: &Transfer<'_>,
) -> Result<Copied, Error> {
    bypass_page_cache(transfer.work, &destination.name, destination.file())?;
    let (held, disk);
    let sink = match &destination.bytes {
        destination::Bytes::File(storage, ..) => {
            held = Held(Arc::clone(storage));
            Sink::Storage {
                storage: &held,
                offset: 0,
                sparse: true,
            }
        }
        destination::Bytes::Device(storage, _) => Sink::Storage {
            storage: &**storage,
            offset: 0,
            sparse: false,
        },
        destination::Bytes::Storage(storage, is_new) => Sink::Storage {
            storage: &**storage,
            offset: 0,
            sparse: *is_new,
        },
        destination::Bytes::Image(writer, _) => {
            let len = writer
                .len()
                .map_err(|source| destination_unwritable(destination, source))?;
            disk = Volume::new(
                Arc::clone(writer) as Arc<dyn Storage>,
                new_image::all_of(len),
            );
            Sink::Volume(&disk)
        }
        destination::Bytes::Stream(file) => {
            let writer = file
                .try_clone()
                .map_err(|source| destination_unwritable(destination, source))?;
            Sink::Stream(Box::new(writer))
        }
    };
    match source {
        Ciphertext::Volume(volume) => Ok(transfer.run(volume::Source::Volume(volume), sink)?),
        Ciphertext::Disk(storage, len) => {
            let source = volume::Source::Storage {
                storage,
                offset: 0,
                len,
            };
            Ok(transfer.run(source, sink)?)
        }
        Ciphertext::Stream {
            reader,
            name,
            mapping,
            limit,
        } => {
            let reader = limited(reader, limit);
            let ciphertext = match only_segment(&mapping)? {
                Some(OnlySegment {
                    cipher,
                    first_iv_sector,
                }) => volume::Source::CipherStream {
                    reader,
                    cipher,
                    first_iv_sector,
                },
                None => volume::Source::Stream(reader),
            };
            let copied = transfer.run(ciphertext, sink)?;
            check_stream_length(name, limit, copied.bytes)?;
            Ok(copied)
        }
    }
}

/// An encrypted payload.
pub enum Ciphertext<'a> {
    /// In a storage.
    Volume(&'a Volume),
    /// So many bytes of a disk that decrypts itself.
    Disk(&'a dyn Storage, u64),
    /// In a stream that stands where it starts.
    Stream {
        /// The stream.
        reader: Box<dyn Read + Send>,
        /// How messages name it.
        name: &'a str,
        /// How it is encrypted.
        mapping: Mapping,
        /// How many bytes of it are wanted, and must be there.
        limit: Option<u64>,
    },
}

/// Reads and drops the bytes of a stream that lie before its payload.
pub fn skip(stream: &mut dyn Read, name: &str, bytes: u64) -> Result<(), Error> {
    let skipped =
        io::copy(&mut stream.take(bytes), &mut io::sink()).map_err(|source| SourceError::Read {
            name: name.to_owned(),
            source,
        })?;
    if skipped < bytes {
        return Err(SourceError::TooSmall {
            name: name.to_owned(),
            bytes: skipped,
            needed: bytes,
        }
        .into());
    }
    Ok(())
}

fn limited(stream: Box<dyn Read + Send>, limit: Option<u64>) -> Box<dyn Read + Send> {
    match limit {
        Some(limit) => Box::new(stream.take(limit)),
        None => stream,
    }
}

fn check_stream_length(name: &str, limit: Option<u64>, bytes: u64) -> Result<(), Error> {
    match limit {
        Some(needed) if bytes < needed => Err(SourceError::TooSmall {
            name: name.to_owned(),
            bytes,
            needed,
        }
        .into()),
        _ => Ok(()),
    }
}

/// How a payload in one piece is encrypted.
struct OnlySegment {
    cipher: Arc<dyn SectorCipher>,
    first_iv_sector: u64,
}

/// A stream passes once: only a payload in one piece can be found in it. `None` for one without any bytes.
fn only_segment(mapping: &Mapping) -> Result<Option<OnlySegment>, Error> {
    let mut segments = mapping.segments();
    let first = segments.next();
    let is_in_stream = first.is_none_or(|segment| segment.elsewhere.is_none());
    let second = segments.next();
    match (first.map(|segment| &segment.kind), second) {
        (None, _) => Ok(None),
        (
            Some(SegmentKind::Crypt {
                cipher,
                first_iv_sector,
            }),
            None,
        ) if is_in_stream => Ok(Some(OnlySegment {
            cipher: Arc::clone(cipher),
            first_iv_sector: *first_iv_sector,
        })),
        _ => Err(Error::Conflict {
            one: "a payload in several pieces",
            other: "a stream",
        }),
    }
}

fn destination_unwritable(destination: &Destination, source: io::Error) -> Error {
    DestinationError::Write {
        name: destination.name.clone(),
        source,
    }
    .into()
}
