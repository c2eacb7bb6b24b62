//! What stands in for mappings of the kernel where somebody asks for that: a mount, and for root a device over it.

mod open;
mod server;
mod status;

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use dmcrypt::SECTOR_BYTES;
use jobs::error::{Error, MappingError};
use jobs::fuse::{self, Room};

use super::asker::Teller;
use super::{failure, sectors_wanted};
use crate::cryptsetup::action::Action;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::session::Session;
use crate::exit::Exit;

pub(super) use open::open;
pub(in crate::cryptsetup) use server::serve;
pub(super) use status::status;

/// Says which kind is made, where --mapper does not.
const VARIABLE: &str = "LUKSMITH_MAPPER";
const RUNTIME: &str = "XDG_RUNTIME_DIR";

/// Whether a mapping that is opened is of this kind.
pub(super) fn is_wanted(session: &Session) -> Result<bool, Failure> {
    let (who, said) = match session.given.text("mapper") {
        Some(said) => ("Option --mapper", Some(said.to_owned())),
        None => (VARIABLE, env::var_os(VARIABLE)),
    };
    let said = said.filter(|said| !said.is_empty());
    match said.as_deref().map(OsStr::as_encoded_bytes) {
        Some(b"fuse") => Ok(true),
        None | Some(b"kernel") => Ok(false),
        Some(_) => Err(Failure::wrong(format!("{who} can be only fuse/kernel."))),
    }
}

/// Where those of this user are.
fn room() -> Result<Room, Failure> {
    known_room().ok_or_else(|| {
        Failure::wrong(format!(
            "There is no folder for mappings: {RUNTIME} names none that is there."
        ))
    })
}

fn known_room() -> Option<Room> {
    let runtime = env::var_os(RUNTIME).filter(|folder| !folder.is_empty());
    Room::of_user(runtime.map(PathBuf::from).as_deref())
}

/// Whether a name, or a path that leads to one, is of this kind.
pub(super) fn is_one(name: &OsStr) -> bool {
    known_room().is_some_and(|room| fuse::is_one(&room, name))
}

pub(super) fn close(session: &Session) -> Result<(), Failure> {
    fuse::close::close(&room()?, &session.operands[0], &Teller)
        .map_err(|error| failure::of(Action::Close, session, error))
}

pub(super) fn resize(session: &Session) -> Result<(), Failure> {
    let (room, name) = (room()?, &session.operands[0]);
    let resized = fuse::resize::resize(&room, name, sectors_wanted(session));
    resized.map(drop).map_err(|error| match error {
        Error::Mapping(MappingError::Size { sectors, .. }) => no_size(&room, name, sectors),
        error => failure::of(Action::Resize, session, error),
    })
}

fn no_size(room: &Room, name: &OsStr, sectors: u64) -> Failure {
    let fuse::status::Found::Active(status) = fuse::status::status(room, name) else {
        return Failure::silent(Exit::Wrong);
    };
    let unit = (status.state.sector_size / SECTOR_BYTES).max(1);
    Failure::wrong(if sectors.is_multiple_of(unit) {
        format!("Device {} is too small.", status.state.device)
    } else {
        "Device size is not aligned to requested sector size.".to_owned()
    })
}
