//! `status NAME`.

use dmcrypt::{CipherSpec, SECTOR_BYTES};
use jobs::mapping::status::{Crypt, Status, status};

use super::{check_active, failure, fuse, in_units, shown_by_status};
use crate::cryptsetup::action::Action;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::session::{Session, say};
use crate::exit::Exit;
use crate::output;

pub(in crate::cryptsetup) fn run(session: &Session) -> Result<(), Failure> {
    let name = session.device_path();
    if fuse::status(&name)? {
        return Ok(());
    }
    let shown = shown_by_status(&name);
    match check_active(Action::Status, &name) {
        Err(failure) if failure.exit == Exit::BadImage => {
            say(format!("{shown} is inactive."))?;
            return Err(Failure::silent(Exit::BadImage));
        }
        outcome => outcome?,
    }
    let told =
        status(name.as_os_str()).map_err(|error| failure::of(Action::Status, session, error))?;
    let [status] = &told.mappings[..] else {
        return Err(Failure::silent(Exit::Wrong));
    };
    if status.state == "no-table" {
        return Err(failure::no_table(Exit::Wrong, &output::path(&name)));
    }
    let used = if status.open_count > 0 {
        " and is in use"
    } else {
        ""
    };
    say(format!("{shown} is active{used}."))?;
    let kind = status
        .kind
        .map_or_else(|| "n/a".to_owned(), str::to_uppercase);
    say(format!("  type:    {kind}"))?;
    match &status.crypt {
        Some(crypt) => say_crypt(status, crypt),
        None => Ok(()),
    }
}

/// Whether device-mapper has anything of that name.
pub(super) fn is_there(name: &std::path::Path) -> bool {
    status(name.as_os_str()).is_ok()
}

/// A cipher as it is called there, however the table spells it.
fn usual(cipher: &str) -> String {
    let spec = Some(cipher).filter(|cipher| cipher.starts_with("capi:"));
    let spec = spec.and_then(|cipher| cipher.parse::<CipherSpec>().ok());
    spec.map_or_else(|| cipher.to_owned(), |spec| spec.to_dm_crypt())
}

fn say_crypt(status: &Status, crypt: &Crypt) -> Result<(), Failure> {
    say(format!("  cipher:  {}", usual(&crypt.cipher)))?;
    say(format!("  keysize: {} [bits]", crypt.key_bits))?;
    let location = match crypt.key_location {
        "keyring" => "keyring",
        _ => "dm-crypt",
    };
    say(format!("  key location: {location}"))?;
    say(format!("  device:  {}", crypt.device))?;
    if let Some(file) = &crypt.loop_file {
        say(format!("  loop:    {file}"))?;
    }
    say(format!("  sector size:  {} [bytes]", crypt.sector_size))?;
    say(format!(
        "  offset:  {}",
        in_units(crypt.offset / SECTOR_BYTES)
    ))?;
    say(format!(
        "  size:    {}",
        in_units(crypt.bytes / SECTOR_BYTES)
    ))?;
    if crypt.skip_sectors != 0 {
        say(format!(
            "  skipped: {} [512-byte units]",
            crypt.skip_sectors
        ))?;
    }
    let mode = if status.read_only {
        "readonly"
    } else {
        "read/write"
    };
    let suspended = match status.state {
        "suspended" => " (suspended)",
        _ => "",
    };
    say(format!("  mode:    {mode}{suspended}"))?;
    if crypt.flags.is_empty() {
        return Ok(());
    }
    // Each has a blank behind it but the last two of the list.
    let mut flags = String::new();
    for flag in &crypt.flags {
        flags.push_str(match flag.as_str() {
            "allow_discards" => "discards",
            flag => flag,
        });
        flags.push(' ');
    }
    let last = crypt.flags.last().map(String::as_str);
    if matches!(last, Some("no_write_workqueue" | "high_priority")) {
        flags.pop();
    }
    say(format!("  flags:   {flags}"))
}
