//! What is written down of a mapping.

use serde::{Deserialize, Serialize};

/// What a mapping is. Sizes and offsets are bytes; how long it is its file says.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct State {
    /// The layout of this.
    version: u32,
    /// `luks1`, `luks2` or `plain`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Cipher specification.
    pub cipher: String,
    /// Size of the key in bits.
    pub key_bits: u64,
    /// The image with the data.
    pub device: String,
    /// Sector size.
    pub sector_size: u64,
    /// Where it starts in its image.
    pub offset: u64,
    /// The IV number of its first byte, in units of 512 bytes.
    pub skip_sectors: u64,
    /// Nothing can be written.
    pub read_only: bool,
    /// Holes are made of what is not needed any more.
    pub allow_discards: bool,
    /// The number of the loop device over it, where there is one.
    pub loop_device: Option<u64>,
    /// The number of its file system.
    pub mount: Option<u64>,
}

const VERSION: u32 = 1;
/// Nothing longer is read.
const MAX_BYTES: usize = 64 << 10;

impl State {
    /// Of a container that is served.
    pub(super) fn of(served: &crate::serve::Served, allow_discards: bool) -> Self {
        let report = &served.report;
        Self {
            version: VERSION,
            kind: report.kind.to_owned(),
            cipher: report.cipher.clone(),
            key_bits: report.key_bits,
            device: report.image.clone(),
            sector_size: report.sector_size,
            offset: served.payload_offset,
            skip_sectors: served.first_iv_sector,
            read_only: report.read_only,
            allow_discards,
            loop_device: None,
            mount: None,
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let state: Self = serde_json::from_slice(bytes.get(..bytes.len().min(MAX_BYTES))?).ok()?;
        (state.version == VERSION).then_some(state)
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it is plain data")
    }
}
