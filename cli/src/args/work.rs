//! Options that say how the work is done and what is said about it.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};

/// `--holes`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Holes {
    /// Encrypt them like any other zeros
    Encrypt,
    /// Leave them unwritten
    Keep,
}

/// How the payload is copied.
#[derive(Args, Debug)]
#[command(next_help_heading = "Work")]
pub struct WorkArgs {
    /// How many threads encrypt or decrypt [default: one per processor]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Move data past the page cache, which stays as it is for others
    #[arg(long)]
    pub direct: bool,
    /// Report progress on standard error as lines of JSON, as cryptsetup prints them
    #[arg(long)]
    pub progress_json: bool,
    /// Seconds between two reports of progress
    #[arg(long, value_name = "SECONDS")]
    pub progress_frequency: Option<f64>,
}

/// What is said, and what is overridden.
#[derive(Args, Debug)]
#[command(next_help_heading = "Result")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag on the command line"
)]
pub struct ResultArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Ask nothing: yes to questions about the image
    #[arg(long, short = 'q')]
    pub batch_mode: bool,
    /// Replace an existing file once the new one is complete, and read a source that is in use. It allows nothing else
    #[arg(long)]
    pub force: bool,
    /// Write over a block device that holds something: a file system, a partition table, a container
    #[arg(long)]
    pub overwrite_device: bool,
}

/// What makes a new container weak, allowed one by one.
#[derive(Args, Debug)]
#[command(next_help_heading = "Allow")]
pub struct WeakArgs {
    /// Make a container that opens with an empty passphrase
    #[arg(long)]
    pub allow_empty_passphrase: bool,
    /// Use a cipher that protects little or nothing, or encrypt more under one key than it is good for
    #[arg(long)]
    pub allow_weak_cipher: bool,
}

/// What a source is that makes a container of little use, allowed one by one.
#[derive(Args, Debug)]
#[command(next_help_heading = "Allow")]
pub struct OddSourceArgs {
    /// Encrypt the bytes of a qcow2, VMDK, VHD, VHDX or VDI image or of a LUKS container as if they were a raw image
    #[arg(long)]
    pub allow_any_source: bool,
}
