//! Names of mappings: what is said where one is active, and where it is not.

use std::path::Path;

use jobs::block::{Named, named};

use super::action::Action;
use super::failure::Failure;
use crate::exit::Exit;
use crate::output;

/// Refuses a name of which there is no mapping, as cryptsetup does.
pub(super) fn check_active(action: Action, name: &Path) -> Result<(), Failure> {
    // Whoever closes, resizes or asks first, to be sure, goes on where nothing is there; whoever wants to change
    // something that is there does not.
    let missing = match action {
        Action::Open | Action::Reencrypt => Exit::Wrong,
        _ => Exit::BadImage,
    };
    let shown = output::path(name);
    match named(name) {
        Named::Active => Ok(()),
        Named::Other => {
            let exit = if action == Action::Status {
                Exit::Wrong
            } else {
                missing
            };
            let last = name.file_name().map_or(name, Path::new);
            Err(Failure::new(
                exit,
                format!("Device {} not found", output::path(last)),
            ))
        }
        Named::Inactive => Err(Failure::new(
            missing,
            format!("Device {shown} is not active."),
        )),
    }
}

/// Whether there is a mapping of that name.
pub(super) fn is_active(name: &Path) -> bool {
    named(name) == Named::Active
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
