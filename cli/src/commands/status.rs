//! `status [NAME]`: what the kernel tells of its mappings.

use std::fmt::Write as _;

use jobs::mapping::status::{Crypt, Status, all, status};

use crate::args::StatusArgs;
use crate::error::Error;
use crate::human;
use crate::output;

/// Tells.
pub fn run(args: &StatusArgs) -> Result<(), Error> {
    let statuses = match &args.name {
        Some(name) => status(name)?,
        None => all()?,
    };
    if args.output.json {
        let members = serde_json::to_value(&statuses).expect("what is told is plain data");
        return Ok(output::json("status", members)?);
    }
    let texts: Vec<_> = statuses.mappings.iter().map(said).collect();
    Ok(output::text(&texts.join("\n"))?)
}

fn said(status: &Status) -> String {
    let mut text = String::new();
    let state = match status.state {
        "no-table" => {
            "a device without a table, left by a program that was killed; close takes it away"
        }
        state => state,
    };
    let _ = writeln!(text, "{}: {state}", status.path);
    let mut line = |what: &str, value: &str| {
        let _ = writeln!(text, "  {what:<13}{value}");
    };
    line("type:", status.kind.unwrap_or("unknown"));
    if let Some(uuid) = &status.uuid {
        line("uuid:", uuid);
    }
    match &status.crypt {
        Some(crypt) => say_crypt(crypt, &mut line),
        None => line("targets:", &status.targets.join(", ")),
    }
    let mode = match (status.read_only, status.deferred) {
        (false, false) => "read and write",
        (true, false) => "read-only",
        (false, true) => "read and write, until nobody uses it",
        (true, true) => "read-only, until nobody uses it",
    };
    line("mode:", mode);
    line(
        "open:",
        &match status.open_count {
            0 => "by nobody".to_owned(),
            1 => "once".to_owned(),
            times => format!("{times} times"),
        },
    );
    text
}

fn say_crypt(crypt: &Crypt, line: &mut dyn FnMut(&str, &str)) {
    line("cipher:", &crypt.cipher);
    line(
        "key:",
        &format!("{} bits, in the {}", crypt.key_bits, crypt.key_location),
    );
    line("device:", &crypt.device);
    if let Some(file) = &crypt.loop_file {
        line("file:", file);
    }
    line("sector size:", &crypt.sector_size.to_string());
    line("offset:", &human::size(crypt.offset));
    line("size:", &human::size(crypt.bytes));
    if crypt.skip_sectors != 0 {
        line(
            "skipped:",
            &format!("{} sectors of 512 bytes", crypt.skip_sectors),
        );
    }
    if !crypt.flags.is_empty() {
        line("flags:", &crypt.flags.join(", "));
    }
}
