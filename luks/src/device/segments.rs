//! From the header's segments to a mapping of plaintext onto storage.

use std::sync::Arc;

use dmcrypt::{
    CipherSpec, Mapped, SECTOR_BYTES, SectorCipher, SectorOptions, SectorSize, VolumeKey,
};
use volume::{Mapping, Storage};

use super::Header;
use super::halfway::{self, Places};
use crate::error::{Corrupt, Error, Unfinished, Unsupported};
use crate::luks1;
use crate::luks2::{self, Crypt, Segment, SegmentKind, SegmentSize};

pub(super) fn mapping(
    unlocked: &super::Unlocked,
    data: Option<&Arc<dyn Storage>>,
    data_bytes: u64,
) -> Result<Mapping, Error> {
    let key = unlocked.volume_key();
    let segments = match &unlocked.header {
        Header::Luks1(header) => vec![luks1_segment(header, key, data_bytes)?],
        Header::Luks2(header) => {
            if let Some(state) = header.metadata.known_reencryption()? {
                unlocked.check_reencryption()?;
                let data = data.ok_or(Unfinished::Stream)?;
                let key_of = |digest| unlocked.key_of(digest);
                let places = Places {
                    header: &unlocked.storage,
                    data,
                    data_bytes,
                };
                return halfway::mapping(&header.metadata, state, &key_of, &places);
            }
            luks2_segments(&header.metadata, key, unlocked.keyslot(), data_bytes)?
        }
    };
    let start = segments.first().map_or(0, |segment| segment.storage_offset);
    Mapping::new(segments).map_err(|error| {
        let problem = format!("the segments at {start:#x} cannot be mapped: {error}");
        Corrupt::Spec {
            object: "data".into(),
            problem,
        }
        .into()
    })
}

pub(super) fn leftover_bytes(header: &Header, data_bytes: u64) -> u64 {
    let (offset, sector) = match header {
        Header::Luks1(header) => (header.data_offset(), SECTOR_BYTES),
        Header::Luks2(header) => match header.metadata.data_segments().last() {
            Some(Segment {
                offset,
                size: SegmentSize::Dynamic,
                kind: SegmentKind::Crypt(crypt),
                ..
            }) => (*offset, u64::from(crypt.sector_size)),
            _ => return 0,
        },
    };
    data_bytes
        .saturating_sub(offset)
        .checked_rem(sector)
        .unwrap_or(0)
}

/// What is mapped where one mapping of dm-crypt is all of the data.
pub(super) fn mapped(header: &Header, data_bytes: u64) -> Result<Mapped, Error> {
    let metadata = match header {
        Header::Luks1(header) => return luks1_mapped(header, data_bytes),
        Header::Luks2(header) => &header.metadata,
    };
    metadata.config.refuse_requirements()?;
    let digest = metadata.digest_of_data().ok_or(Unsupported::NoSegment)?;
    let mut segments = metadata.data_segments();
    let (first, more) = (segments.next(), segments.count());
    let segment = first.ok_or(Unsupported::NoSegment)?;
    if more > 0 {
        let segments = more.saturating_add(1);
        return Err(Unsupported::ManySegments { segments }.into());
    }
    match &segment.kind {
        SegmentKind::Crypt(crypt) if digest.segments.contains(&segment.id) => {
            crypt_mapped(segment, crypt, data_bytes)
        }
        SegmentKind::Crypt(_) => Err(Unsupported::ManyKeys.into()),
        SegmentKind::Linear => Err(Error::Linear {
            segment: segment.id,
        }),
        SegmentKind::Other { kind } => Err(other_kind(segment, kind).into()),
    }
}

fn luks1_segment(
    header: &luks1::Header,
    key: &VolumeKey,
    data_bytes: u64,
) -> Result<volume::Segment, Error> {
    let mapped = luks1_mapped(header, data_bytes)?;
    let segment = volume::Segment::encrypted(&mapped, key.expose());
    Ok(unsupported("data", segment)?)
}

fn luks1_mapped(header: &luks1::Header, data_bytes: u64) -> Result<Mapped, Error> {
    let start = header.data_offset();
    let length = data_bytes
        .checked_sub(start)
        .ok_or_else(|| outside(start, start, data_bytes))?;
    Ok(Mapped {
        cipher: header.cipher()?,
        sectors: SectorOptions::default(),
        first_iv_sector: 0,
        offset_bytes: start,
        length_bytes: whole_sectors(length, SECTOR_BYTES),
    })
}

fn luks2_segments(
    metadata: &luks2::Metadata,
    key: &VolumeKey,
    keyslot: Option<u32>,
    data_bytes: u64,
) -> Result<Vec<volume::Segment>, Error> {
    let digest = metadata.digest_of_data().ok_or(Unsupported::NoSegment)?;
    check_bound(digest, keyslot)?;
    metadata
        .data_segments()
        .map(|segment| {
            let bound = matches!(segment.kind, SegmentKind::Linear)
                || digest.segments.contains(&segment.id);
            if !bound {
                return Err(Unsupported::ManyKeys.into());
            }
            luks2_segment(segment, key, data_bytes)
        })
        .collect()
}

/// Refuses a keyslot that holds another key than the data's.
pub(super) fn check_bound(digest: &luks2::Digest, keyslot: Option<u32>) -> Result<(), Unsupported> {
    match keyslot.filter(|keyslot| !digest.keyslots.contains(keyslot)) {
        Some(keyslot) => Err(Unsupported::Unbound { keyslot }),
        None => Ok(()),
    }
}

fn luks2_segment(
    segment: &Segment,
    key: &VolumeKey,
    data_bytes: u64,
) -> Result<volume::Segment, Error> {
    match &segment.kind {
        SegmentKind::Linear => Ok(volume::Segment {
            length: length_of(segment, SECTOR_BYTES, data_bytes)?,
            storage_offset: segment.offset,
            elsewhere: None,
            kind: volume::SegmentKind::Linear,
        }),
        SegmentKind::Crypt(crypt) => {
            let mapped = crypt_mapped(segment, crypt, data_bytes)?;
            let encrypted = volume::Segment::encrypted(&mapped, key.expose());
            Ok(unsupported(&format!("segment {}", segment.id), encrypted)?)
        }
        SegmentKind::Other { kind } => Err(other_kind(segment, kind).into()),
    }
}

fn other_kind(segment: &Segment, kind: &str) -> Unsupported {
    Unsupported::SegmentType {
        segment: segment.id,
        kind: kind.into(),
    }
}

fn crypt_mapped(segment: &Segment, crypt: &Crypt, data_bytes: u64) -> Result<Mapped, Error> {
    let (cipher, sectors) = sectors_of(segment.id, crypt)?;
    Ok(Mapped {
        cipher,
        sectors,
        first_iv_sector: crypt.iv_tweak,
        offset_bytes: segment.offset,
        length_bytes: length_of(segment, u64::from(crypt.sector_size), data_bytes)?,
    })
}

fn length_of(segment: &Segment, sector: u64, data_bytes: u64) -> Result<u64, Error> {
    let start = segment.offset;
    let there_is = data_bytes
        .checked_sub(start)
        .ok_or_else(|| outside(start, start, data_bytes))?;
    match segment.size {
        SegmentSize::Dynamic => Ok(whole_sectors(there_is, sector)),
        SegmentSize::Bytes(size) if size > there_is => {
            Err(outside(start, start.saturating_add(size), data_bytes).into())
        }
        // Whole sectors, or the header would have been refused.
        SegmentSize::Bytes(size) => Ok(size),
    }
}

fn outside(start: u64, need: u64, have: u64) -> Corrupt {
    Corrupt::DataOutside { start, need, have }
}

/// The cipher of a segment under a key.
pub(crate) fn cipher_of(
    id: u32,
    crypt: &Crypt,
    key: &VolumeKey,
) -> Result<Arc<dyn SectorCipher>, Error> {
    let (cipher, sectors) = sectors_of(id, crypt)?;
    let cipher = cipher.sector_cipher(key.expose(), sectors);
    Ok(unsupported(&format!("segment {id}"), cipher)?.into())
}

/// How the sectors of a segment are encrypted.
fn sectors_of(id: u32, crypt: &Crypt) -> Result<(CipherSpec, SectorOptions), Error> {
    if crypt.integrity {
        return Err(Unsupported::Integrity { segment: id }.into());
    }
    let sector_size = SectorSize::new(crypt.sector_size).ok_or(Unsupported::SectorSize {
        segment: id,
        bytes: crypt.sector_size,
    })?;
    // LUKS2 counts IVs in 512-byte sectors whatever the sector size.
    let options = SectorOptions {
        sector_size,
        iv_large_sectors: false,
    };
    Ok((crypt.spec.clone()?, options))
}

pub(super) fn whole_sectors(bytes: u64, sector: u64) -> u64 {
    bytes.saturating_sub(bytes.checked_rem(sector).unwrap_or(0))
}

fn unsupported<T>(object: &str, result: Result<T, dmcrypt::Error>) -> Result<T, Unsupported> {
    result.map_err(|source| Unsupported::Cipher {
        object: object.into(),
        source,
    })
}
