//! From the header's segments to a mapping of plaintext onto storage.

use std::sync::Arc;

use dmcrypt::{SECTOR_BYTES, SectorCipher, SectorOptions, SectorSize, VolumeKey};
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

fn luks1_segment(
    header: &luks1::Header,
    key: &VolumeKey,
    data_bytes: u64,
) -> Result<volume::Segment, Error> {
    let options = SectorOptions {
        sector_size: SectorSize::B512,
        iv_large_sectors: false,
    };
    let cipher = header.cipher()?.sector_cipher(key.expose(), options);
    let start = header.data_offset();
    let length = data_bytes.checked_sub(start).ok_or(Corrupt::DataOutside {
        start,
        need: start,
        have: data_bytes,
    })?;
    Ok(volume::Segment {
        length: whole_sectors(length, SECTOR_BYTES),
        storage_offset: start,
        elsewhere: None,
        kind: volume::SegmentKind::Crypt {
            cipher: unsupported("data", cipher)?.into(),
            first_iv_sector: 0,
        },
    })
}

fn luks2_segments(
    metadata: &luks2::Metadata,
    key: &VolumeKey,
    keyslot: Option<u32>,
    data_bytes: u64,
) -> Result<Vec<volume::Segment>, Error> {
    let digest = metadata.digest_of_data().ok_or(Unsupported::NoSegment)?;
    if let Some(keyslot) = keyslot.filter(|keyslot| !digest.keyslots.contains(keyslot)) {
        return Err(Unsupported::Unbound { keyslot }.into());
    }
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

fn luks2_segment(
    segment: &Segment,
    key: &VolumeKey,
    data_bytes: u64,
) -> Result<volume::Segment, Error> {
    let (kind, sector) = match &segment.kind {
        SegmentKind::Linear => (volume::SegmentKind::Linear, SECTOR_BYTES),
        SegmentKind::Crypt(crypt) => (
            crypt_kind(segment.id, crypt, key)?,
            u64::from(crypt.sector_size),
        ),
        SegmentKind::Other { kind } => {
            return Err(Unsupported::SegmentType {
                segment: segment.id,
                kind: kind.as_str().into(),
            }
            .into());
        }
    };
    let start = segment.offset;
    let there_is = data_bytes.checked_sub(start).ok_or(Corrupt::DataOutside {
        start,
        need: start,
        have: data_bytes,
    })?;
    let length = match segment.size {
        SegmentSize::Dynamic => whole_sectors(there_is, sector),
        SegmentSize::Bytes(size) if size > there_is => {
            let need = start.saturating_add(size);
            return Err(Corrupt::DataOutside {
                start,
                need,
                have: data_bytes,
            }
            .into());
        }
        // Whole sectors, or the header would have been refused.
        SegmentSize::Bytes(size) => size,
    };
    Ok(volume::Segment {
        length,
        storage_offset: start,
        elsewhere: None,
        kind,
    })
}

fn crypt_kind(id: u32, crypt: &Crypt, key: &VolumeKey) -> Result<volume::SegmentKind, Error> {
    Ok(volume::SegmentKind::Crypt {
        cipher: cipher_of(id, crypt, key)?,
        first_iv_sector: crypt.iv_tweak,
    })
}

/// The cipher of a segment under a key.
pub(crate) fn cipher_of(
    id: u32,
    crypt: &Crypt,
    key: &VolumeKey,
) -> Result<Arc<dyn SectorCipher>, Error> {
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
    let cipher = crypt.spec.clone()?.sector_cipher(key.expose(), options);
    Ok(unsupported(&format!("segment {id}"), cipher)?.into())
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
