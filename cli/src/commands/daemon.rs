//! What goes on after a command has begun: servers, in the background too, and those that end with a command or a parent.

pub(super) mod command;
mod log;
pub(super) mod opened;
mod pid_file;

use std::io;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use self::command::Running;
pub(super) use self::log::Log;
pub(super) use self::pid_file::PidFile;
use crate::error::ServeError;
use crate::exit::Exit;

/// How a process ends that others have reached: as its command did, or with what went wrong.
pub(super) fn ended_as(
    command: Option<Running>,
    ended: io::Result<()>,
    log: &Log,
) -> Result<Exit, ServeError> {
    let exit = command.map_or(Ok(Exit::Done), Running::end)?;
    ended.map_err(ServeError::Ended).inspect_err(|error| {
        log.line(&error.to_string());
    })?;
    Ok(exit)
}

/// SIGTERM comes when the parent has ended; where it has ended already, now is the time.
fn end_with_parent() -> Result<(), ServeError> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| ServeError::Parent(error.into()))?;
    if getppid() != parent || parent.is_none() {
        return Err(ServeError::Parent(io::Error::other("it has ended")));
    }
    Ok(())
}
