//! What a LUKS header says of its data, whichever the format.

use luks::Header;
use luks::luks2::{Metadata, Segment, SegmentKind, SegmentSize};

/// Of the data segment, or in the middle of a reencryption of what the data will be, or was if that will not be encrypted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DataFacts {
    /// Cipher specification as written; text from the image.
    pub cipher: String,
    /// In the middle of a reencryption the ones before and after it, where those are not the same.
    both: Option<[String; 2]>,
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
                both: None,
                key_bits: u64::from(header.key_bytes) * 8,
                sector_size: dmcrypt::SECTOR_BYTES,
                offset: header.data_offset(),
                is_open_ended: true,
            },
            Header::Luks2(header) => Self::of_metadata(&header.metadata),
        }
    }

    fn of_metadata(metadata: &Metadata) -> Self {
        let last = metadata.data_segments().last();
        let state = metadata.reencryption.as_deref();
        let first = metadata.data_segments().next();
        let before = state.map(|state| &state.before.segment);
        let after = state.map(|state| &state.after.segment);
        let is_crypt = |segment: &&Segment| matches!(segment.kind, SegmentKind::Crypt(_));
        let (cipher, sector_size) = cipher_of(after.filter(is_crypt).or(before).or(first));
        let is_halfway = state.is_some_and(|state| !state.is_finished());
        let both = [before, after].map(|segment| cipher_of(segment).0);
        let [was, will_be] = &both;
        Self {
            both: (is_halfway && was != will_be).then_some(both),
            cipher,
            key_bits: metadata.volume_key_bytes().unwrap_or(0) as u64 * 8,
            sector_size: sector_size.into(),
            offset: after.or(first).map_or(0, |segment| segment.offset),
            is_open_ended: last.is_some_and(|segment| segment.size == SegmentSize::Dynamic),
        }
    }

    /// The cipher, or in the middle of a reencryption the one before and the one after it.
    pub fn ciphers(&self) -> String {
        match &self.both {
            Some([before, after]) => format!("{before} and {after}"),
            None => self.cipher.clone(),
        }
    }
}

/// The cipher of a segment, and its sector size.
fn cipher_of(segment: Option<&Segment>) -> (String, u32) {
    match segment.map(|segment| &segment.kind) {
        Some(SegmentKind::Crypt(crypt)) => (crypt.text.clone(), crypt.sector_size),
        Some(SegmentKind::Other { kind }) => (kind.clone(), 512),
        Some(SegmentKind::Linear) | None => ("none".to_owned(), 512),
    }
}
