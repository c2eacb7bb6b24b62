//! What becomes of what cannot be read.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// `--on-read-error`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum OnReadError {
    /// The first sector that cannot be read ends the work, and nothing is made
    #[default]
    Stop,
    /// It is left out, its place is zeros, and a list of all of them comes at the end, with exit code 4
    Zero,
}

/// Bad places of an image: every verb that reads all of one has these.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Damaged disks")]
pub struct BadPlacesArgs {
    /// What becomes of sectors that cannot be read
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnReadError::Stop)]
    pub on_read_error: OnReadError,
    /// Write a list of them into this new file, as a mapfile of ddrescue; positions count in the plaintext
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub error_map: Option<PathBuf>,
}
