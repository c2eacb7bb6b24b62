//! Mappings of the kernel, and what FUSE puts in their place: opened, told of, changed and closed, with cryptsetup's texts
//! and codes.
//!
//! What is said of a name where a mapping of it is active, and where not, needs no device-mapper and is here.

mod asker;
mod change;
mod close;
mod failure;
mod fuse;
mod open;
mod plain;
mod status;
mod tokens;

use std::path::Path;

use devmapper::Flags;
use dmcrypt::SECTOR_BYTES;

use jobs::block::{Named, named};

use super::action::Action;
use super::failure::Failure;
use super::session::Session;
use crate::exit::Exit;
use crate::output;

pub(super) use change::{refresh, resize, resume, suspend};
pub(super) use close::run as close;
pub(super) use fuse::serve;
pub(super) use open::run as open;
pub(super) use status::run as status;
pub(super) use tokens::{passphrase_of_token, unlock_by_token, unlock_by_token_only};

/// Refuses a name of which there is no mapping, as cryptsetup does.
pub(super) fn check_active(action: Action, name: &Path) -> Result<(), Failure> {
    // Whoever closes, resizes or asks first, to be sure, goes on where nothing is there; whoever wants to change
    // something that is there does not.
    let missing = match action {
        Action::Open | Action::Reencrypt => Exit::Wrong,
        _ => Exit::BadImage,
    };
    let shown = output::path(name);
    if let Some(failure) = failure::of_long_name(missing_of_status(action, missing), name) {
        return Err(failure);
    }
    match named(name) {
        Named::Active => Ok(()),
        Named::Other => {
            let exit = missing_of_status(action, missing);
            let last = name.file_name().map_or(name, Path::new);
            Err(Failure::new(
                exit,
                format!("Device {} not found", output::path(last)),
            ))
        }
        // One without a table is known to device-mapper alone.
        Named::Inactive if status::is_there(name) => Ok(()),
        Named::Inactive => Err(Failure::new(
            missing,
            format!("Device {shown} is not active."),
        )),
    }
}

/// Who asks what is there, and asks wrongly, is told so.
fn missing_of_status(action: Action, missing: Exit) -> Exit {
    match action {
        Action::Status => Exit::Wrong,
        _ => missing,
    }
}

/// How `status` names the mapping of a name.
pub(super) fn shown_by_status(name: &Path) -> String {
    let text = output::path(name);
    if text.contains('/') {
        text
    } else {
        format!("/dev/mapper/{text}")
    }
}

/// A length as `status` tells it since version 2.8: 4096-byte sectors are none of its units.
fn in_units(sectors: u64) -> String {
    let bytes = u128::from(sectors) * u128::from(SECTOR_BYTES);
    format!("{sectors} [512-byte units] ({bytes} [bytes])")
}

/// How long a mapping is to be, in units of 512 bytes, where that is said.
fn sectors_wanted(session: &Session) -> Option<u64> {
    let of_bytes = session.given.number("device-size");
    let of_bytes = of_bytes.map(|bytes| bytes / SECTOR_BYTES);
    session.given.number("size").or(of_bytes)
}

/// What follows from the options of performance and discards.
fn flags(session: &Session) -> Flags {
    let has = |option| session.given.has(option);
    Flags {
        allow_discards: has("allow-discards"),
        same_cpu_crypt: has("perf-same_cpu_crypt"),
        submit_from_crypt_cpus: has("perf-submit_from_crypt_cpus"),
        no_read_workqueue: has("perf-no_read_workqueue"),
        no_write_workqueue: has("perf-no_write_workqueue"),
        high_priority: has("perf-high_priority"),
    }
}
