//! What a job wrote, or would write.

use serde::Serialize;

use crate::losses::Lost;

/// One container and, where there is one, the raw image on its other side. Sizes and offsets are bytes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Nothing was written.
    pub dry_run: bool,
    /// The image that is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The image that is written.
    pub destination: String,
    /// The detached header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// `luks1`, `luks2` or `plain`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Cipher specification.
    pub cipher: String,
    /// Size of the key in bits.
    pub key_bits: u64,
    /// Sector size.
    pub sector_size: u64,
    /// Why it is that, in a new container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_size_reason: Option<String>,
    /// `qcow2`, where that is what is around the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<&'static str>,
    /// Where the payload starts in the container.
    pub payload_offset: u64,
    /// Bytes of payload; unknown before a stream has ended.
    pub payload_bytes: Option<u64>,
    /// Bytes of the container with its payload.
    pub container_bytes: Option<u64>,
    /// The keyslot that was opened or made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyslot: Option<u32>,
    /// Bytes of the payload that could not be read, where that did not end the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Vec<Lost>>,
}

impl Report {
    /// The same with another payload, once it is known.
    #[must_use]
    pub fn with_payload(mut self, bytes: Option<u64>) -> Self {
        self.payload_bytes = bytes;
        self.container_bytes = bytes.map(|bytes| self.payload_offset.saturating_add(bytes));
        self
    }

    /// The same in a qcow2 image, whose file has so many bytes, if that is known.
    #[must_use]
    pub fn in_qcow2(mut self, file_bytes: Option<u64>) -> Self {
        self.format = Some("qcow2");
        self.container_bytes = file_bytes;
        self
    }

    /// The same with what was lost on the way.
    #[must_use]
    pub fn with_lost(mut self, lost: Option<Vec<Lost>>) -> Self {
        self.lost = lost;
        self
    }
}
