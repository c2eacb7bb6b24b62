//! What a verb wrote, or would write: the same for people and programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::args::OutputArgs;
use crate::error::Error;
use crate::output;

/// One container and, where there is one, the raw image on its other side. Sizes and offsets are bytes.
#[derive(Clone, Debug, Serialize)]
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
    /// Where the payload starts in the container.
    pub payload_offset: u64,
    /// Bytes of payload; unknown before a stream has ended.
    pub payload_bytes: Option<u64>,
    /// Bytes of the container with its payload.
    pub container_bytes: Option<u64>,
    /// The keyslot that was opened or made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyslot: Option<u32>,
}

impl Report {
    /// The same with another payload, once it is known.
    #[must_use]
    pub fn with_payload(mut self, bytes: Option<u64>) -> Self {
        self.payload_bytes = bytes;
        self.container_bytes = bytes.map(|bytes| self.payload_offset.saturating_add(bytes));
        self
    }

    /// Prints it: as JSON, or as text where somebody asked what would happen.
    pub fn print(&self, verb: &str, say: OutputArgs) -> Result<(), Error> {
        if say.json {
            let members = serde_json::to_value(self).expect("a report is plain data");
            output::json(verb, members)?;
        } else if self.dry_run {
            output::text(&self.text())?;
        }
        Ok(())
    }

    fn text(&self) -> String {
        let known = |bytes: Option<u64>| {
            bytes.map_or("as many bytes as there are".to_owned(), |bytes| {
                format!("{bytes} bytes")
            })
        };
        let mut text = String::new();
        let _ = match &self.source {
            Some(source) => writeln!(text, "{source} would become {}", self.destination),
            None => writeln!(text, "{} would be made", self.destination),
        };
        let _ = writeln!(
            text,
            "  {}, {}, key of {} bits, sectors of {} bytes",
            self.kind, self.cipher, self.key_bits, self.sector_size
        );
        if let Some(header) = &self.header {
            let _ = writeln!(text, "  header: {header}");
        }
        let _ = writeln!(
            text,
            "  payload: {} at {}",
            known(self.payload_bytes),
            self.payload_offset
        );
        let _ = writeln!(text, "  container: {}", known(self.container_bytes));
        text
    }
}
