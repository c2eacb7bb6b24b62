//! Mappings of the kernel: a container as a block device, made by device-mapper as cryptsetup makes it, so that either
//! reads, changes and closes what the other has opened.
//!
//! [`open`], [`close`] and [`status`] are about a name; [`resize`], [`suspend`], [`resume`] and [`refresh`] change what is open.
//! What they need of the machine is Linux with device-mapper, and root.

mod active;
pub mod close;
mod data;
mod key;
pub mod open;
mod persistent;
pub mod refresh;
pub mod resize;
pub mod resume;
pub mod status;
pub mod suspend;

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use devmapper::{Control, Identifier, KernelLog, Kind, Name, NameProblem, State, Wait};

use crate::block::InUse;
use crate::error::MappingError;
use crate::text;
use crate::watch::Watch;

pub use active::HeaderOptions;

/// How long udev is waited for unless said.
pub const UDEV_TIMEOUT: Duration = Duration::from_secs(5);

/// The name of a mapping that is to be.
///
/// # Errors
///
/// [`MappingError::Name`].
pub fn new_name(typed: &OsStr) -> Result<Name, MappingError> {
    checked(typed.as_encoded_bytes())
}

/// The name of a mapping that there is: itself, or the path of its node.
///
/// # Errors
///
/// [`MappingError::Name`].
pub fn name_of(typed: &OsStr) -> Result<Name, MappingError> {
    let bytes = typed.as_encoded_bytes();
    let name = Path::new(typed)
        .strip_prefix("/dev/mapper")
        .map_or(bytes, |name| name.as_os_str().as_encoded_bytes());
    checked(name)
}

fn checked(typed: &[u8]) -> Result<Name, MappingError> {
    Name::new(typed).map_err(|problem| MappingError::Name {
        name: match problem {
            NameProblem::Empty => "the empty text".to_owned(),
            _ => text::escape(&String::from_utf8_lossy(typed)),
        },
        problem,
    })
}

/// A name as messages have it.
pub(crate) fn shown(name: &Name) -> String {
    text::escape(&name.to_string())
}

/// What a mapping is of, as results have it.
fn kind_name(identifier: &Identifier) -> Option<&'static str> {
    Some(match identifier.kind()? {
        Kind::Luks1 => "luks1",
        Kind::Luks2 => "luks2",
        Kind::Plain => "plain",
        _ => return None,
    })
}

/// What is said of a mapping, which is to be there.
fn found(control: &Control, name: &Name) -> Result<State, MappingError> {
    control
        .state(name)?
        .ok_or_else(|| MappingError::Inactive { name: shown(name) })
}

/// Refuses what cryptsetup, or whoever does as it does, has not made.
fn check_crypt(state: &State) -> Result<(), MappingError> {
    if state.identifier.is_crypt() {
        return Ok(());
    }
    let identifier = state.identifier.to_string();
    Err(MappingError::Foreign {
        name: shown(&state.name),
        what: if identifier.is_empty() {
            "it has no identifier".to_owned()
        } else {
            format!("its identifier is {}", text::escape(&identifier))
        },
    })
}

/// Asks whoever watches whether something is still waited for.
fn with_wait<T>(limit: Duration, watch: &dyn Watch, wait_for: impl FnOnce(&Wait<'_>) -> T) -> T {
    wait_for(&Wait {
        limit,
        is_cancelled: &|| watch.is_cancelled(),
    })
}

/// Why the kernel does not take a table over what messages call `name`, from its log where that tells more.
fn refused(error: devmapper::Error, log: KernelLog, name: String) -> MappingError {
    if error.is_busy() {
        let by = InUse { users: Vec::new() };
        return MappingError::InUse { name, by };
    }
    let reason = match error.reason() {
        Some(reason) => reason.to_string(),
        None => return error.into(),
    };
    let told = log.reason();
    MappingError::Refused {
        name,
        reason: told.map_or(reason, |told| text::escape(&told)),
    }
}
