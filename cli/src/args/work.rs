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
    /// Replace an existing destination, and override refusals
    #[arg(long)]
    pub force: bool,
}
