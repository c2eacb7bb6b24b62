//! What keeps something from being mounted, or from being unmounted.

use std::io;
use std::path::PathBuf;

/// Why something is not mounted, or still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The kernel has no FUSE, or does not show it.
    #[error("/dev/fuse cannot be opened: {0}")]
    NoDevice(#[source] io::Error),
    /// The program that mounts for those who may not.
    #[error("there is no program fusermount3, which mounts for users other than root")]
    NoHelper,
    /// It says why it does not.
    #[error("fusermount3: {said}")]
    Helper {
        /// What it has said.
        said: String,
    },
    /// The system does not let us.
    #[error("cannot mount over {}: {source}", .target.display())]
    Refused {
        /// Over what.
        target: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It cannot be looked at.
    #[error("{}: {source}", .target.display())]
    Target {
        /// Which.
        target: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Neither a folder nor a file.
    #[error("{} is neither a folder nor a file", .target.display())]
    Kind {
        /// Which.
        target: PathBuf,
    },
    /// What is in it would be hidden.
    #[error("{} is not empty", .target.display())]
    NotEmpty {
        /// The folder.
        target: PathBuf,
    },
    /// Whoever it belongs to is not to be mounted over.
    #[error("{} belongs to user {owner}", .target.display())]
    OfAnother {
        /// Which.
        target: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Something is mounted there.
    #[error("{} is a mount already, of {kind}", .target.display())]
    Mounted {
        /// Which.
        target: PathBuf,
        /// What is mounted.
        kind: String,
    },
    /// What was mounted there does not answer any more.
    #[error("{} is a mount whose server has gone", .target.display())]
    Dead {
        /// Which.
        target: PathBuf,
    },
    /// Nothing is mounted there.
    #[error("{} is no mount", .target.display())]
    NotMounted {
        /// Which.
        target: PathBuf,
    },
    /// What is mounted there is no container's plaintext.
    #[error("{} is a mount of {kind}, and not one of luksmith", .target.display())]
    OfOthers {
        /// Which.
        target: PathBuf,
        /// What is mounted.
        kind: String,
    },
    /// Somebody has a file of it open, or is in its folder.
    #[error("{} is in use", .target.display())]
    Busy {
        /// Which.
        target: PathBuf,
    },
    /// The kernel and we do not understand each other.
    #[error("FUSE: {0}")]
    Session(#[source] io::Error),
}
