//! Options that say how the work is done and what is said about it.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};

use super::number;

/// `--holes`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Holes {
    /// Encrypt them like any other zeros
    Encrypt,
    /// Leave them unwritten
    Keep,
}

/// How the payload is copied.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Work")]
pub struct WorkArgs {
    /// How many threads encrypt or decrypt [default: one per processor]
    #[arg(long, value_name = "N", value_parser = number::threads)]
    pub threads: Option<NonZeroUsize>,
    /// Move data past the page cache, which stays as it is for others
    #[arg(long)]
    pub direct: bool,
    /// Report progress on standard error as lines of JSON, as cryptsetup prints them
    #[arg(long)]
    pub progress_json: bool,
    /// Seconds between two reports of progress
    #[arg(long, value_name = "SECONDS", value_parser = number::seconds)]
    pub progress_frequency: Option<f64>,
}

/// How a result is said, and whether anything is asked: every verb has these.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Result")]
pub struct OutputArgs {
    /// Print the result as JSON, and warnings and errors as lines of JSON on standard error
    #[arg(long)]
    pub json: bool,
    /// Ask nothing: yes to questions about the image. Say nothing of what was done, and show no progress bar
    #[arg(long, short = 'q')]
    pub batch_mode: bool,
}

/// `--dry-run`: every verb that writes has it.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Result")]
pub struct DryArgs {
    /// Say what would be written, and write nothing
    #[arg(long = "dry-run", id = "dry_run")]
    pub run: bool,
}

/// `--read-in-use`: every verb that reads an image and does not change it has it.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Result")]
pub struct BusyArgs {
    /// Read an image even while another program may be writing it
    #[arg(long)]
    pub read_in_use: bool,
}

/// What is said, and what is overridden.
#[derive(Args, Debug)]
#[command(next_help_heading = "Result")]
pub struct ResultArgs {
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether anything is written.
    #[command(flatten)]
    pub dry: DryArgs,
    /// Replace an existing file once the new one is complete. It allows nothing else
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
    /// Accept an empty new passphrase, with which everybody opens the container
    #[arg(long)]
    pub allow_empty_passphrase: bool,
    /// Use a cipher that protects little or nothing, or encrypt more under one key than it is good for
    #[arg(long)]
    pub allow_weak_cipher: bool,
}

/// Sources that may have been meant otherwise.
#[derive(Args, Debug)]
#[command(next_help_heading = "Allow")]
pub struct AnySourceArgs {
    /// Take the bytes of a qcow2, VMDK, VHD, VHDX or VDI image or of a LUKS container as they are
    #[arg(long)]
    pub allow_any_source: bool,
}

/// What a source is that makes a container of little use, allowed one by one.
#[derive(Args, Debug)]
#[command(next_help_heading = "Allow")]
pub struct OddSourceArgs {
    /// Images in formats of their own.
    #[command(flatten)]
    pub any: AnySourceArgs,
    /// Make a container of a source without a byte
    #[arg(long)]
    pub allow_empty: bool,
    /// What is in it.
    #[command(flatten)]
    pub sectors: AnySectorArgs,
}

/// Sectors that what is in an image cannot live with.
#[derive(Args, Debug)]
#[command(next_help_heading = "Allow")]
pub struct AnySectorArgs {
    /// Take a --sector-size in which Linux cannot use what is in the image
    #[arg(long)]
    pub allow_any_sector_size: bool,
}
