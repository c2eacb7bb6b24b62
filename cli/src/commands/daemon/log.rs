//! Where connections are logged: on standard error, or in the background in the system's log.

use std::os::unix::net::UnixDatagram;

use serde_json::json;

use crate::args::StayArgs;
use crate::output;

/// Where lines go.
pub(in crate::commands) enum Log {
    /// Nobody wants them.
    Quiet,
    /// Standard error.
    Here,
    /// The system's log, where there is one.
    System(Option<UnixDatagram>),
}

impl Log {
    /// The one of a process that stays so.
    pub(in crate::commands) fn of(stay: &StayArgs, is_quiet: bool) -> Self {
        match (stay.in_background, is_quiet) {
            (true, _) => Self::of_system(),
            (false, true) => Self::Quiet,
            (false, false) => Self::Here,
        }
    }

    /// The system's log.
    fn of_system() -> Self {
        let socket = UnixDatagram::unbound().and_then(|socket| {
            socket.connect("/dev/log")?;
            // A log that is full is no reason to wait.
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        Self::System(socket.ok())
    }

    /// Writes a line.
    pub(in crate::commands) fn line(&self, line: &str) {
        match self {
            Self::Quiet | Self::System(None) => {}
            Self::Here if output::speaks_json() => {
                output::json_said("log", json!({"message": line}));
            }
            Self::Here => output::aside(line),
            Self::System(Some(socket)) => {
                // Facility daemon, severity informational.
                const PRIORITY: u32 = 3 * 8 + 6;
                let process = std::process::id();
                let text = output::escape(line);
                let _ = socket.send(format!("<{PRIORITY}>luksmith[{process}]: {text}").as_bytes());
            }
        }
    }
}
