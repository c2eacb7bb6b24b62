//! What goes on after a command has begun: processes in the background, and those that end with a command or a parent.

pub(crate) mod background;
pub(super) mod command;
mod log;
pub(super) mod opened;
mod pid_file;

use std::io;
use std::num::NonZeroUsize;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

pub(crate) use self::background::detach;
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

/// As many as there are processors: each has memory of its own. One of them may wait for the disk.
pub(crate) fn threads() -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(processors.clamp(2, 16)).expect("it is not 0")
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
