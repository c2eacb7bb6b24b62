//! What a source is.

use std::ffi::OsString;

use clap::{Args, ValueEnum, ValueHint};

use super::keys::key_file;

/// `--from`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SourceFormat {
    /// A raw image, whatever is in it
    Raw,
    /// A LUKS container
    Luks,
    /// A QEMU image, with LUKS inside or not encrypted
    Qcow2,
}

/// What a source is, where its own first bytes are not to say so.
#[derive(Args, Debug)]
#[command(next_help_heading = "Source")]
pub struct FromArgs {
    /// What is read; an image is read as qcow2 only if that is said here, whatever its name and its first bytes are
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub from: Option<SourceFormat>,
    /// What of a qcow2 image is read.
    #[command(flatten)]
    pub disk: DiskArgs,
}

/// What of a qcow2 image is read, and what beside it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Source")]
pub struct DiskArgs {
    /// Read the state of the disk that this internal snapshot of a qcow2 image has kept
    #[arg(long, value_name = "NAME", requires = "from")]
    pub snapshot: Option<String>,
    /// Read the backing and data files too that a qcow2 image names: in its own folder or below it, and through no link
    #[arg(long, requires = "from", help_heading = "Allow")]
    pub allow_backing: bool,
}

/// What opens the files that a qcow2 image stands on.
#[derive(Args, Debug)]
#[command(next_help_heading = "Key")]
pub struct BackingKeyArgs {
    /// Read the key of an encrypted backing file from this file, once for each of them, the nearest first [default: from
    /// where the image's own comes]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = key_file(), requires = "allow_backing")]
    pub backing_key_file: Vec<OsString>,
}
