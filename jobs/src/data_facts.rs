//! What a LUKS header says of its data, whichever the format.

use luks::Header;
use luks::luks2::{Metadata, SegmentKind, SegmentSize};

/// The first data segment, which is the only one unless a reencryption is under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DataFacts {
    /// Cipher specification as written; text from the image.
    pub cipher: String,
    /// Size of the volume key in bits, 0 where no keyslot tells it.
    pub key_bits: u64,
    /// Bytes that are encrypted as one.
    pub sector_size: u64,
    /// Where the data starts in their storage, in bytes.
    pub offset: u64,
    /// The data end where their storage does.
    pub is_open_ended: bool,
}

impl DataFacts {
    /// Collects them.
    pub fn of(header: &Header) -> Self {
        match header {
            Header::Luks1(header) => Self {
                cipher: format!("{}-{}", header.cipher_name, header.cipher_mode),
                key_bits: u64::from(header.key_bytes) * 8,
                sector_size: dmcrypt::SECTOR_BYTES,
                offset: header.data_offset(),
                is_open_ended: true,
            },
            Header::Luks2(header) => Self::of_metadata(&header.metadata),
        }
    }

    fn of_metadata(metadata: &Metadata) -> Self {
        let first = metadata.data_segments().next();
        let last = metadata.data_segments().last();
        let (cipher, sector_size) = match first.map(|segment| &segment.kind) {
            Some(SegmentKind::Crypt(crypt)) => (crypt.text.clone(), crypt.sector_size),
            Some(SegmentKind::Other { kind }) => (kind.clone(), 512),
            Some(SegmentKind::Linear) | None => ("none".to_owned(), 512),
        };
        Self {
            cipher,
            key_bits: metadata.volume_key_bytes().unwrap_or(0) as u64 * 8,
            sector_size: sector_size.into(),
            offset: first.map_or(0, |segment| segment.offset),
            is_open_ended: last.is_some_and(|segment| segment.size == SegmentSize::Dynamic),
        }
    }
}
