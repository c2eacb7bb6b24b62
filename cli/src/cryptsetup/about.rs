//! `isLuks`, `luksUUID`: what a header says in one word.

use jobs::block::Claim;
use luks::{ConfigChanges, Luks, OsRandom, config};

use super::failure::Failure;
use super::session::{Session, check_unambiguous, container_in, open_for_reading, say};
use crate::exit::Exit;
use crate::output;

/// `isLuks DEVICE`: the exit code is the answer.
pub(super) fn is_luks(session: &Session) -> Result<(), Failure> {
    if session.operands.len() > 1 {
        return Err(Failure::new(
            Exit::BadImage,
            "Only one device argument for isLuks operation is supported.",
        ));
    }
    let storage = open_for_reading(&session.header_path())?;
    match container_in("", &storage) {
        Ok(luks) if session.allows(luks.header()) => Ok(()),
        _ => Err(Failure::silent(Exit::Wrong)),
    }
}

/// `luksUUID DEVICE`: prints it, or with `--uuid` sets it.
pub(super) fn uuid(session: &Session) -> Result<(), Failure> {
    let Some(uuid) = session.given.string("uuid") else {
        let storage = open_for_reading(&session.header_path())?;
        return match Luks::open(storage.clone()) {
            Ok(luks) if session.allows(luks.header()) => {
                check_unambiguous(&luks, &*storage)?;
                say(output::escape(luks.header().uuid()))
            }
            _ => Err(Failure::silent(Exit::Wrong)),
        };
    };
    let target = session.target(Claim::Nothing)?;
    let luks = match Luks::open(target.storage.clone()) {
        Ok(luks) if session.allows(luks.header()) => {
            check_unambiguous(&luks, &*target.storage)?;
            luks
        }
        _ => return Err(Failure::silent(Exit::Wrong)),
    };
    session.confirm("Do you really want to change UUID of device?", || {
        Failure::aborted(Exit::NoKeyFits)
    })?;
    let changes = ConfigChanges {
        uuid: Some(uuid),
        ..ConfigChanges::default()
    };
    config::configure(&luks, &changes, &mut OsRandom)
        .map_err(|error| Failure::luks(&target.name, error))
}
