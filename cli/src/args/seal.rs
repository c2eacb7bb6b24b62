//! The seal of a header: what it must be, and who makes it anew.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::container::first_given;
use super::{KeyArgs, LimitArgs};

/// What the seal of a header must be, once a key fits.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "LUKS")]
pub struct SealArgs {
    /// Refuse a header that is not sealed, or whose seal is not right: by --seal where that is given, else by its own token
    #[arg(long)]
    pub require_seal: bool,
    /// The seal is in this file, which `header seal` writes, and must be right
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub seal: Option<PathBuf>,
    /// Refuse a header that was changed less often than that (LUKS2): an older one that somebody brought back
    #[arg(long, value_name = "N")]
    pub min_epoch: Option<u64>,
}

impl SealArgs {
    /// An option that was given.
    pub fn given(&self) -> Option<&'static str> {
        first_given(&[
            ("--require-seal", self.require_seal),
            ("--seal", self.seal.is_some()),
            ("--min-epoch", self.min_epoch.is_some()),
        ])
    }
}

/// Who has the key that seals a header anew, where a change needs no other one; nobody else is asked for it.
#[derive(Args, Debug)]
pub struct SealKeyArgs {
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// The volume key itself instead of a passphrase
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "LUKS",
        conflicts_with_all = ["key_file", "key_fd", "secret"])]
    pub volume_key_file: Option<PathBuf>,
    /// What the header may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}
