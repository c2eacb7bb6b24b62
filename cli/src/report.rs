//! What a verb wrote, or would write: the same for people and programs.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use jobs::Report;
use jobs::clone::{CloneReport, Cloned, OpenedBy};

use crate::args::{OutputArgs, WorkArgs};
use crate::error::Error;
use crate::human;
use crate::output;

/// What is said of a report.
pub trait Said {
    /// Says on a terminal what is going to happen, which may take long.
    fn begin(&self, verb: &str, work: &WorkArgs, say: OutputArgs);

    /// Prints what was done, or what would be: as JSON, or as text.
    fn print(&self, verb: &str, work: &WorkArgs, say: OutputArgs) -> Result<(), Error>;
}

impl Said for Report {
    fn begin(&self, verb: &str, work: &WorkArgs, say: OutputArgs) {
        if is_heard(work, say) && io::stderr().is_terminal() {
            output::done(beginning(self, verb));
        }
    }

    fn print(&self, verb: &str, work: &WorkArgs, say: OutputArgs) -> Result<(), Error> {
        if say.json {
            let members = serde_json::to_value(self).expect("a report is plain data");
            output::json(verb, members)?;
        } else if self.dry_run {
            output::text(&text(self))?;
        } else if is_heard(work, say) {
            output::done(line(self, verb));
        }
        Ok(())
    }
}

impl Said for CloneReport {
    fn begin(&self, verb: &str, work: &WorkArgs, say: OutputArgs) {
        self.report.begin(verb, work, say);
    }

    fn print(&self, verb: &str, work: &WorkArgs, say: OutputArgs) -> Result<(), Error> {
        if say.json {
            let members = serde_json::to_value(self).expect("a report is plain data");
            output::json(verb, members)?;
        } else if self.report.dry_run {
            output::text(&text(&self.report))?;
        } else if is_heard(work, say) {
            let is_made = |clone: &&Cloned| clone.error.is_none();
            let made: Vec<_> = self.clones.iter().filter(is_made).collect();
            let line = line(&self.report, verb);
            output::done(match (&made[..], self.clones.len()) {
                ([one], 1) => format!("{line}; {}", opened_by(one)),
                (made, count) => format!("{} of {count} clones in {line}", made.len()),
            });
        }
        Ok(())
    }
}

/// What opens a clone, by number.
fn opened_by(clone: &Cloned) -> String {
    let ways = clone.keyslots.iter().map(|way| {
        let what = match way.opened_by {
            OpenedBy::SourcePassphrase => "the passphrase of the source",
            OpenedBy::NewPassphrase => "the new passphrase",
            OpenedBy::RecoveryKey => "the recovery key",
        };
        format!("keyslot {}: {what}", way.keyslot)
    });
    let ways: Vec<_> = ways.collect();
    ways.join(", ")
}

fn beginning(report: &Report, verb: &str) -> String {
    let sizes = report
        .payload_bytes
        .map(|bytes| format!(" ({})", human::short_size(bytes)));
    let size = sizes.unwrap_or_default();
    let what = container(report);
    match (&report.source, verb) {
        (Some(source), "decrypt") => {
            format!("decrypting {source} ({what}) into {}", report.destination)
        }
        (Some(source), "clone") => {
            format!("cloning {source}{size} into {}: {what}", report.destination)
        }
        (Some(source), _) => {
            format!(
                "encrypting {source}{size} into {}: {what}",
                report.destination
            )
        }
        (None, _) => format!("making {}: {what}", report.destination),
    }
}

/// One line about what is there now.
fn line(report: &Report, verb: &str) -> String {
    let size = |bytes: Option<u64>| bytes.map(human::size).unwrap_or_default();
    let what = container(report);
    let mut line = match (&report.source, verb) {
        (Some(source), "decrypt") => format!(
            "{}: {}, decrypted from {source} ({what})",
            report.destination,
            size(report.payload_bytes)
        ),
        _ => format!(
            "{}: {what}, {} with {} of data",
            report.destination,
            size(report.container_bytes),
            report
                .payload_bytes
                .map(human::short_size)
                .unwrap_or_default()
        ),
    };
    if let Some(header) = &report.header {
        let _ = write!(line, ", header in {header}");
    }
    // Larger ones are what a payload gets that nothing is known of.
    if let Some(reason) = &report.sector_size_reason
        && report.sector_size < 4096
    {
        let _ = write!(line, "; sectors: {reason}");
    }
    line
}

fn container(report: &Report) -> String {
    if report.cipher == "none" && report.key_bits == 0 {
        return format!("{}, not encrypted", report.kind);
    }
    let around = report
        .format
        .map_or(String::new(), |format| format!("{format} with "));
    format!(
        "{around}{}, {}, key of {} bits, sectors of {} bytes",
        report.kind, report.cipher, report.key_bits, report.sector_size
    )
}

fn text(report: &Report) -> String {
    let known =
        |bytes: Option<u64>| bytes.map_or("as many bytes as there are".to_owned(), human::size);
    let mut text = String::new();
    let _ = match &report.source {
        Some(source) => writeln!(text, "{source} would become {}", report.destination),
        None => writeln!(text, "{} would be made", report.destination),
    };
    let _ = writeln!(text, "  {}", container(report));
    if let Some(reason) = &report.sector_size_reason {
        let _ = writeln!(text, "  sectors: {reason}");
    }
    if let Some(header) = &report.header {
        let _ = writeln!(text, "  header: {header}");
    }
    let _ = writeln!(
        text,
        "  payload: {} at {}",
        known(report.payload_bytes),
        report.payload_offset
    );
    let _ = writeln!(text, "  container: {}", known(report.container_bytes));
    text
}

/// Whether somebody wants to hear of it: neither -q nor a program that reads standard error.
fn is_heard(work: &WorkArgs, say: OutputArgs) -> bool {
    !(say.batch_mode || say.json || work.progress_json)
}
