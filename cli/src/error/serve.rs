//! What keeps a container from being served.

use std::io;

#[cfg(feature = "tls")]
use serve::nbd::TlsError;

use crate::exit::Exit;

/// Why a container is not served, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nobody said where.
    #[error("it is not said where to serve")]
    Nowhere,
    /// Standard input is no container that could be served.
    #[error("standard input is a stream, where a file or a block device is needed")]
    Stream,
    /// The folder of a socket in which others could put another one.
    #[error("{folder} is no folder for a socket: {why}")]
    Folder {
        /// The folder.
        folder: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something is there.
    #[error("{path} exists, and is no socket")]
    Exists {
        /// The path.
        path: String,
    },
    /// A socket of somebody else.
    #[error("{path} is a socket of user {owner}")]
    OfAnother {
        /// The path.
        path: String,
        /// Whose it is.
        owner: u32,
    },
    /// Somebody serves there.
    #[error("{path} is in use: another process listens there")]
    Served {
        /// The path.
        path: String,
    },
    /// An address that others than this machine reach.
    #[error("{address} is no loopback address: everybody who reaches it would read the plaintext")]
    InTheClear {
        /// The address.
        address: String,
    },
    /// It is a small program, which leaves that out.
    #[error("this luksmith is built without TLS")]
    NoTls,
    /// What TLS is computed with.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(TlsError),
    /// A file that TLS needs does not have what it should.
    #[cfg(feature = "tls")]
    #[error("{file}: {source}")]
    TlsPart {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: TlsError,
    },
    /// A file that TLS needs cannot be read.
    #[cfg(feature = "tls")]
    #[error("cannot read {file}: {source}")]
    TlsFile {
        /// The file.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The system does not let us.
    #[error("cannot listen at {place}: {source}")]
    Listen {
        /// Where.
        place: String,
        /// The system's reason.
        source: io::Error,
    },
    /// What another program has opened for this one.
    #[error("the sockets that were passed on ($LISTEN_FDS) cannot be used: {0}")]
    Passed(String),
    /// The process in the background.
    #[error("cannot go to the background: {0}")]
    Background(#[source] io::Error),
    /// The parent process.
    #[error("cannot end with the parent process: {0}")]
    Parent(#[source] io::Error),
    /// The command of `--run`.
    #[error("cannot run the command: {source}")]
    Run {
        /// The system's reason.
        source: io::Error,
    },
    /// The file with the number of the process.
    #[error("cannot write {path}: {source}")]
    PidFile {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It has come to its end, and what was written may not be on the disk.
    #[error("what was written last may be lost: {0}")]
    Ended(#[source] io::Error),
}

impl ServeError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Exists { .. } | Self::OfAnother { .. } | Self::Served { .. } => {
                Exit::ExistsOrBusy
            }
            Self::Listen { source, .. } | Self::PidFile { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::AlreadyExists => Exit::ExistsOrBusy,
                _ => Exit::Wrong,
            },
            _ => Exit::Wrong,
        }
    }

    /// What can be done about it.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Nowhere => {
                "--socket PATH makes a socket for you alone; --listen 127.0.0.1:10809 takes a port; --run CMD serves a command"
            }
            Self::Folder { .. } => "a folder of mode 0700 that is yours will do",
            Self::InTheClear { .. } => {
                "--listen 127.0.0.1:PORT is reached from this machine alone; --tls-certificates DIR serves at it by TLS, --insecure in the clear"
            }
            _ => return None,
        })
    }
}
