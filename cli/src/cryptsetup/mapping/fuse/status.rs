//! `status NAME`, in cryptsetup's lines.

use std::path::Path;

use dmcrypt::SECTOR_BYTES;
use jobs::fuse::status::{Found, Status, status as look};

use super::known_room;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::mapping::{in_units, shown_by_status};
use crate::cryptsetup::session::say;
use crate::output;

/// Tells of a mapping of this kind; whether there is one.
pub(in crate::cryptsetup::mapping) fn status(name: &Path) -> Result<bool, Failure> {
    let Some(room) = known_room() else {
        return Ok(false);
    };
    match look(&room, name.as_os_str()) {
        Found::Active(status) => say_all(name, &status).map(|()| true),
        Found::Left => {
            let shown = output::path(name);
            output::aside(format_args!(
                "A program that was killed has left parts of {shown}. Action close takes them away."
            ));
            Ok(false)
        }
        _ => Ok(false),
    }
}

fn say_all(name: &Path, status: &Status) -> Result<(), Failure> {
    let state = &status.state;
    let used = if status.is_in_use {
        " and is in use"
    } else {
        ""
    };
    say(format!("{} is active{used}.", shown_by_status(name)))?;
    say(format!("  type:    {}", state.kind.to_uppercase()))?;
    say(format!("  cipher:  {}", output::escape(&state.cipher)))?;
    say(format!("  keysize: {} [bits]", state.key_bits))?;
    say("  key location: luksmith")?;
    say(format!("  device:  {}", output::escape(&state.device)))?;
    if let Some(file) = &status.loop_file {
        say(format!("  loop:    {}", output::path(file)))?;
    }
    say(format!("  sector size:  {} [bytes]", state.sector_size))?;
    say(format!(
        "  offset:  {}",
        in_units(state.offset / SECTOR_BYTES)
    ))?;
    say(format!(
        "  size:    {}",
        in_units(status.bytes / SECTOR_BYTES)
    ))?;
    if state.skip_sectors != 0 {
        say(format!(
            "  skipped: {} [512-byte units]",
            state.skip_sectors
        ))?;
    }
    let mode = if state.read_only {
        "readonly"
    } else {
        "read/write"
    };
    say(format!("  mode:    {mode}"))?;
    if state.allow_discards {
        say("  flags:   discards ")?;
    }
    say(format!("  mounted: {}", output::path(&status.plain)))
}
