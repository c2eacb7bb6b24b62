//! What a crash needs of a zone, in the header's area: synced before the header that calls the zone hot. And what is
//! overwritten at the end.

use std::ops::Range;

use volume::{BlockHashes, CopyError, CopyOptions, Sink, Source, Storage, copy};

use super::leavings::Tail;
use super::{limits, obstacle, storage_bytes};
use crate::error::{Corrupt, Error, ReencryptionObstacle};
use crate::luks2::{Area, Checksum};
use crate::number::{to_u64, to_usize};
use crate::random::Random;

/// Writes hashes of the blocks of `zone`, bytes of `data`.
pub(super) fn by_checksums(
    zone: Range<u64>,
    checksum: &Checksum,
    data: &dyn Storage,
    area: Area,
    header: &dyn Storage,
    threads: usize,
) -> Result<(), Error> {
    let hash = checksum.hash.clone()?;
    let block_bytes = u64::from(checksum.block_bytes);
    let bytes = zone.end.saturating_sub(zone.start);
    let need = limits::sums_bytes(bytes, checksum)?;
    check_area(area, need, header)?;
    let hashes = BlockHashes {
        from: data,
        range: zone,
        block_bytes,
        hash,
        threads,
    };
    let written = hashes.write(header, area.offset);
    written.map_err(failed("write the checksums of a zone"))?;
    sync(header)
}

/// Writes a copy of `zone`, bytes of `data`.
pub(super) fn by_journal(
    zone: Range<u64>,
    data: &dyn Storage,
    area: Area,
    header: &dyn Storage,
    threads: usize,
) -> Result<(), Error> {
    let bytes = zone.end.saturating_sub(zone.start);
    check_area(area, bytes, header)?;
    let source = Source::Storage {
        storage: data,
        offset: zone.start,
        len: bytes,
    };
    let sink = Sink::Storage {
        storage: header,
        offset: area.offset,
        sparse: false,
    };
    let options = CopyOptions {
        threads,
        ..CopyOptions::default()
    };
    copy(source, sink, &options).map_err(failed("write the journal of a zone"))?;
    sync(header)
}

fn check_area(area: Area, need: u64, header: &dyn Storage) -> Result<(), Error> {
    if need > area.size {
        let have = area.size;
        return Err(obstacle(ReencryptionObstacle::NoRoom { have, need }));
    }
    let (need, have) = (area.offset.saturating_add(need), storage_bytes(header)?);
    if need > have {
        let object = "what protects a zone".into();
        return Err(Corrupt::Truncated { object, need, have }.into());
    }
    Ok(())
}

fn sync(header: &dyn Storage) -> Result<(), Error> {
    let synced = header.sync();
    synced.map_err(Error::io("write what protects a zone through to the disk"))
}

/// Copies bytes within a storage, to where none of them are, and syncs them.
pub(super) fn put(storage: &dyn Storage, from: u64, to: u64, bytes: u64) -> Result<(), Error> {
    let source = Source::Storage {
        storage,
        offset: from,
        len: bytes,
    };
    let sink = Sink::Storage {
        storage,
        offset: to,
        sparse: false,
    };
    let copied = copy(source, sink, &CopyOptions::default());
    copied.map_err(failed("put the first bytes aside"))?;
    let synced = storage.sync();
    synced.map_err(Error::io("write what was put aside through to the disk"))
}

/// Overwrites what was put aside with noise, or the end of what is shorter now; cuts it off where that was asked for and
/// can be done.
pub(super) fn wipe_tail(
    data: &dyn Storage,
    tail: &Tail,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let length = storage_bytes(data)?;
    let end = tail.offset.saturating_add(tail.bytes).min(length);
    if tail.is_plaintext || !tail.is_cut {
        let mut chunk = vec![0; WIPE_BYTES];
        let mut at = tail.offset;
        while at < end {
            let piece = &mut chunk[..to_usize(end.saturating_sub(at)).min(WIPE_BYTES)];
            random.fill(piece)?;
            let written = data.write_at(at, piece);
            written.map_err(Error::io("overwrite the end of the image"))?;
            at = at.saturating_add(to_u64(piece.len()));
        }
        let synced = data.sync();
        synced.map_err(Error::io("overwrite the end of the image"))?;
    }
    if tail.is_cut && length > tail.offset {
        let cut = data.set_len(tail.offset).and_then(|()| data.sync());
        cut.map_err(Error::io("cut the image to its length"))?;
    }
    Ok(())
}

/// Bytes of noise that are made and written at a time.
const WIPE_BYTES: usize = 1024 * 1024;

/// A copy within the data that failed.
pub(super) fn failed(action: &'static str) -> impl FnOnce(CopyError) -> Error {
    move |error| {
        let source = match error {
            CopyError::Read { offset, error } | CopyError::Write { offset, error } => {
                std::io::Error::new(error.kind(), format!("at byte {offset}: {error}"))
            }
            other => std::io::Error::other(other.to_string()),
        };
        Error::io(action)(source)
    }
}
