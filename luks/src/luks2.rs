//! LUKS2: two copies of a binary header and a JSON area, and a keyslots area (LUKS2 specification 1.1.4).

mod area;
mod binary_header;
mod config;
mod digest;
mod json;
mod keyslot;
mod members;
mod metadata;
mod new;
mod reencryption;
mod segment;
mod token;

pub use area::Area;
pub use binary_header::{BinaryHeader, METADATA_SIZES, Which};
pub use config::Config;
pub use digest::Digest;
pub(crate) use json::to_base64;
pub use keyslot::{AreaCipher, Keyslot, KeyslotKind, PassphraseSlot, Priority};
pub(crate) use members::unknown_members;
pub use metadata::Metadata;
pub(crate) use metadata::{LOWER, TAKE_MAGIC};
pub(crate) use new::{NewDigest, NewKeyslot, NewMetadata};
pub(crate) use reencryption::is_alike;
pub use reencryption::{
    Backup, Checksum, Direction, Reencryption, ReencryptionMode, ReencryptionSlot,
    ReencryptionVersion, Resilience,
};
pub use segment::{Crypt, Segment, SegmentKind, SegmentSize};
pub use token::Token;

use serde_json::{Map, Value};

use crate::error::Corrupt;

/// One sound copy of a LUKS2 header.
#[derive(Clone, Debug)]
pub struct Header {
    /// The binary part.
    pub binary: BinaryHeader,
    /// The checked JSON part.
    pub metadata: Metadata,
}

impl Header {
    /// Checks the whole of one copy: checksum, binary fields, JSON text, every rule between its objects.
    ///
    /// `bytes` is what was read at offset `at`; [`BinaryHeader::parse`] has told how many bytes that must be.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn parse(binary: BinaryHeader, bytes: &[u8]) -> Result<Self, Corrupt> {
        BinaryHeader::verify_checksum(bytes)?;
        let metadata = Metadata::parse(&bytes[BinaryHeader::BYTES..], binary.header_bytes)?;
        Ok(Self { binary, metadata })
    }

    /// The copy for `which` place as it lies on disk, its checksum computed.
    ///
    /// # Errors
    ///
    /// When the JSON text does not fit its area; the error names both sizes.
    pub fn to_bytes(&self, which: Which, salt: [u8; 64]) -> Result<Vec<u8>, Corrupt> {
        self.binary.to_bytes(which, salt, &self.metadata.to_text())
    }

    /// The same with other JSON, unknown members included.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub(crate) fn with_json(&self, json: Map<String, Value>) -> Result<Self, Corrupt> {
        Ok(Self {
            binary: self.binary.clone(),
            metadata: Metadata::from_raw(json, self.binary.header_bytes)?,
        })
    }

    /// Whether `other` says the same; salts and places differ by design.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.binary.says_the_same_as(&other.binary) && self.metadata.raw() == other.metadata.raw()
    }
}

/// Reads one JSON object as generously as json-c does, and as JSON has it: what others take from cryptsetup's users.
///
/// # Errors
///
/// What is wrong with the text.
pub(crate) fn parse_json_generously(text: &[u8]) -> Result<Map<String, Value>, String> {
    json::parse_generously(text)
}
