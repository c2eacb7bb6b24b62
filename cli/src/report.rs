//! What a verb wrote, or would write: the same for people and programs.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use serde::Serialize;

use crate::args::{OutputArgs, WorkArgs};
use crate::error::Error;
use crate::human;
use crate::losses::Lost;
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
    /// Why it is that, in a new container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_size_reason: Option<String>,
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

    /// The same with what was lost on the way.
    #[must_use]
    pub fn with_lost(mut self, lost: Option<Vec<Lost>>) -> Self {
        self.lost = lost;
        self
    }

    /// Says on a terminal what is going to happen, which may take long.
    pub fn begin(&self, verb: &str, work: &WorkArgs, say: OutputArgs) {
        if is_heard(work, say) && io::stderr().is_terminal() {
            output::done(self.beginning(verb));
        }
    }

    /// Prints what was done, or what would be: as JSON, or as text.
    pub fn print(&self, verb: &str, work: &WorkArgs, say: OutputArgs) -> Result<(), Error> {
        if say.json {
            let members = serde_json::to_value(self).expect("a report is plain data");
            output::json(verb, members)?;
        } else if self.dry_run {
            output::text(&self.text())?;
        } else if is_heard(work, say) {
            output::done(self.line(verb));
        }
        Ok(())
    }

    fn beginning(&self, verb: &str) -> String {
        let sizes = self
            .payload_bytes
            .map(|bytes| format!(" ({})", human::short_size(bytes)));
        let size = sizes.unwrap_or_default();
        let what = self.container();
        match (&self.source, verb) {
            (Some(source), "decrypt") => {
                format!("decrypting {source} ({what}) into {}", self.destination)
            }
            (Some(source), _) => {
                format!(
                    "encrypting {source}{size} into {}: {what}",
                    self.destination
                )
            }
            (None, _) => format!("making {}: {what}", self.destination),
        }
    }

    /// One line about what is there now.
    fn line(&self, verb: &str) -> String {
        let size = |bytes: Option<u64>| bytes.map(human::size).unwrap_or_default();
        let what = self.container();
        let mut line = match (&self.source, verb) {
            (Some(source), "decrypt") => format!(
                "{}: {}, decrypted from {source} ({what})",
                self.destination,
                size(self.payload_bytes)
            ),
            _ => format!(
                "{}: {what}, {} with {} of data",
                self.destination,
                size(self.container_bytes),
                self.payload_bytes
                    .map(human::short_size)
                    .unwrap_or_default()
            ),
        };
        if let Some(header) = &self.header {
            let _ = write!(line, ", header in {header}");
        }
        // Larger ones are what a payload gets that nothing is known of.
        if let Some(reason) = &self.sector_size_reason
            && self.sector_size < 4096
        {
            let _ = write!(line, "; sectors: {reason}");
        }
        line
    }

    fn container(&self) -> String {
        format!(
            "{}, {}, key of {} bits, sectors of {} bytes",
            self.kind, self.cipher, self.key_bits, self.sector_size
        )
    }

    fn text(&self) -> String {
        let known =
            |bytes: Option<u64>| bytes.map_or("as many bytes as there are".to_owned(), human::size);
        let mut text = String::new();
        let _ = match &self.source {
            Some(source) => writeln!(text, "{source} would become {}", self.destination),
            None => writeln!(text, "{} would be made", self.destination),
        };
        let _ = writeln!(text, "  {}", self.container());
        if let Some(reason) = &self.sector_size_reason {
            let _ = writeln!(text, "  sectors: {reason}");
        }
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

/// Whether somebody wants to hear of it: neither -q nor a program that reads standard error.
fn is_heard(work: &WorkArgs, say: OutputArgs) -> bool {
    !(say.batch_mode || say.json || work.progress_json)
}
