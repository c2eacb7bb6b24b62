//! What a crash needs of a zone, in the header's area: synced before the header that calls the zone hot. And what is
//! overwritten at the end.

use std::ops::Range;
use std::sync::Arc;

use volume::{BlockHashes, CopyError, CopyOptions, Mapping, Sink, Source, Storage, Volume, copy};

use super::leavings::Tail;
use super::{limits, obstacle, storage_bytes};
use crate::error::{Corrupt, Error, ReencryptionObstacle};
use crate::luks2::{Area, Checksum};
use crate::noise;
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
    data: &Arc<dyn Storage>,
    area: Area,
    header: &dyn Storage,
    threads: usize,
) -> Result<(), Error> {
    let bytes = zone.end.saturating_sub(zone.start);
    check_area(area, bytes, header)?;
    // Not as a range of the storage, whose holes would be looked for, once for each zone through all of the rest.
    let whole = volume::Segment {
        length: bytes,
        storage_offset: zone.start,
        elsewhere: None,
        kind: volume::SegmentKind::Linear,
    };
    let view = view(whole, data)?;
    let source = Source::Volume(&view);
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

/// A segment of the data, as a volume of its own.
pub(super) fn view(segment: volume::Segment, data: &Arc<dyn Storage>) -> Result<Volume, Error> {
    let mapping = Mapping::new(vec![segment]).map_err(|error| Corrupt::Spec {
        object: "data".into(),
        problem: format!("a zone cannot be mapped: {error}"),
    })?;
    Ok(Volume::new(Arc::clone(data), mapping))
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
        noise::write(
            data,
            tail.offset..end,
            random,
            "overwrite the end of the image",
        )?;
        let synced = data.sync();
        synced.map_err(Error::io("overwrite the end of the image"))?;
    }
    if tail.is_cut && length > tail.offset {
        let cut = data.set_len(tail.offset).and_then(|()| data.sync());
        cut.map_err(Error::io("cut the image to its length"))?;
    }
    Ok(())
}

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
