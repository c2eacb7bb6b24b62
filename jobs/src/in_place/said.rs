//! What a LUKS2 header says of its data and keyslots.

use luks::kdf::Argon2Variant;
use luks::luks2::{Crypt, KeyslotKind, Metadata, SegmentKind, SegmentSize};
use luks::{Header, KdfParams};

use super::site::Site;
use crate::error::{Error, SourceError};
use crate::new_luks::Kdf;

/// Bytes of the data, as the header and their storage have it.
pub(super) fn data_bytes(site: &Site, offset: u64, size: SegmentSize) -> Result<u64, Error> {
    let storage = &site.data.storage;
    let len = storage.len().map_err(|source| SourceError::Read {
        name: site.data.name.clone(),
        source,
    })?;
    let there = len.saturating_sub(offset);
    Ok(match size {
        SegmentSize::Bytes(bytes) => bytes.min(there),
        SegmentSize::Dynamic => there,
    })
}

/// The keyslots that hold the key of the data.
pub(super) fn opening(header: &Header) -> Vec<u32> {
    let Header::Luks2(header) = header else {
        return Vec::new();
    };
    let metadata = &header.metadata;
    let digest = metadata.digest_of_data();
    let slots = metadata.keyslots.iter();
    let passphrase_slots = slots.filter(|slot| matches!(slot.kind, KeyslotKind::Luks2(_)));
    passphrase_slots
        .map(|slot| slot.id)
        .filter(|id| digest.is_some_and(|digest| digest.keyslots.contains(id)))
        .collect()
}

/// The metadata of a header that is known to be LUKS2.
pub(super) fn metadata(header: &Header) -> &Metadata {
    match header {
        Header::Luks2(header) => &header.metadata,
        Header::Luks1(_) => unreachable!("LUKS1 was refused"),
    }
}

/// The one segment of the data, which nothing but a job in place has more of.
pub(super) fn one_segment(metadata: &Metadata) -> Option<(&Crypt, u64, SegmentSize)> {
    let mut segments = metadata.data_segments();
    match (segments.next(), segments.next()) {
        (Some(segment), None) => match &segment.kind {
            SegmentKind::Crypt(crypt) => Some((crypt, segment.offset, segment.size)),
            _ => None,
        },
        _ => None,
    }
}

/// What kind of derivation a keyslot has.
pub(super) fn kdf_of(header: &Header, keyslot: u32) -> Kdf {
    let slot = metadata(header).keyslot(keyslot);
    let kdf = slot.and_then(|slot| match &slot.kind {
        KeyslotKind::Luks2(slot) => slot.kdf.as_ref().ok(),
        _ => None,
    });
    match kdf {
        Some(KdfParams::Pbkdf2 { .. }) => Kdf::Pbkdf2,
        Some(KdfParams::Argon2 {
            variant: Argon2Variant::I,
            ..
        }) => Kdf::Argon2i,
        _ => Kdf::Argon2id,
    }
}
