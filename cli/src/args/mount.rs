//! What `mount` and `umount` take.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{OutputArgs, ServedArgs, StayArgs};

/// The long help of `mount`.
pub const ABOUT: &str = "\
Show the plaintext of a container as a file, for reading and writing, without root

Over a folder, which must be empty, it is TARGET/plain; over a file it is TARGET itself. It goes to the background once the \
file is there, and ends with `luksmith umount TARGET` or SIGTERM: what was written is on the disk then. The image is locked \
all the while. Nobody but its owner reaches the file, not even root. It needs FUSE, and for users other than root the \
program fusermount3.";

/// The long help of `umount`.
pub const UMOUNT: &str = "\
End a mount of `luksmith mount`

It returns when everything is on the disk and the image is free. What is in use stays.";

/// `mount IMG TARGET`.
#[derive(Args, Debug)]
pub struct MountArgs {
    /// What is mounted.
    #[command(flatten)]
    pub served: ServedArgs,
    /// The folder or the file that it is mounted over
    #[arg(value_name = "TARGET", value_hint = ValueHint::AnyPath)]
    pub target: PathBuf,
    /// How it is mounted.
    #[command(flatten)]
    pub mounted: MountedArgs,
    /// How long, and from where.
    #[command(flatten)]
    pub stay: StayArgs,
}

/// How something is mounted.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
pub struct MountedArgs {
    /// Let every user of the machine read the plaintext, and change it unless it is read-only
    #[arg(long)]
    pub allow_other: bool,
    /// Let programs punch holes (fallocate): what they punch reads as zeros, so that what is encrypted is overwritten
    #[arg(long)]
    pub allow_discards: bool,
    /// Stay until CMD ends, which a shell runs with the variable $plain, the path of the plaintext; its exit status is this
    /// one's
    #[arg(long, value_name = "CMD")]
    pub run: Option<OsString>,
}

/// `umount TARGET`.
#[derive(Args, Debug)]
pub struct UmountArgs {
    /// What is mounted over
    #[arg(value_name = "TARGET", value_hint = ValueHint::AnyPath)]
    pub target: PathBuf,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}
