//! The command that a server is for.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};
use serve::Stop;

use crate::error::ServeError;
use crate::exit::Exit;

/// A command that runs.
pub(in crate::commands) struct Running {
    number: Option<Pid>,
    waiting: JoinHandle<std::io::Result<ExitStatus>>,
}

/// Has a shell run it with these variables, empty ones too; the server is asked to end when it has ended.
pub(in crate::commands) fn begin(
    command: &OsStr,
    variables: &[(&str, Option<&OsStr>)],
    stop: &Arc<Stop>,
) -> Result<Running, ServeError> {
    let failed = |source| ServeError::Run { source };
    let variables = variables
        .iter()
        .map(|(name, value)| (name, value.unwrap_or_default()));
    let child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .envs(variables)
        .spawn()
        .map_err(failed)?;
    let number = Pid::from_child(&child);
    let stop = Arc::clone(stop);
    let wait = move |mut child: Child| {
        let status = child.wait();
        stop.ask();
        status
    };
    let waiting = thread::Builder::new()
        .name("command".to_owned())
        .spawn(move || wait(child))
        .map_err(failed)?;
    Ok(Running {
        number: Some(number),
        waiting,
    })
}

impl Running {
    /// Ends it where it has not ended, and says how it did.
    pub(in crate::commands) fn end(self) -> Result<Exit, ServeError> {
        if let Some(number) = self.number.filter(|_| !self.waiting.is_finished()) {
            let _ = kill_process(number, Signal::TERM);
        }
        let ended = self.waiting.join();
        let status = ended
            .unwrap_or_else(|_| Err(std::io::Error::other("nobody waited for it")))
            .map_err(|source| ServeError::Run { source })?;
        let code = status
            .code()
            .or(status.signal().map(|signal| 128 + signal))
            .unwrap_or(1);
        Ok(Exit::of_command(u8::try_from(code).unwrap_or(1)))
    }
}
