//! `token VERB IMG`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{BusyArgs, ChangeArgs, DryArgs, ImageArgs, OutputArgs, SealKeyArgs};

/// `token VERB IMG`.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Show the tokens
    List(TokenListArgs),
    /// Add a token that names a key of the kernel's keyring, in which a passphrase waits
    Add(TokenAddArgs),
    /// Remove a token
    Remove(TokenRemoveArgs),
    /// Add a token from its JSON, whatever its type
    Import(TokenImportArgs),
    /// Print a token's JSON, or write it into a new file
    Export(TokenExportArgs),
    /// Assign a token to a keyslot
    Assign(TokenAssignArgs),
    /// Take a keyslot off a token
    Unassign(TokenAssignArgs),
}

/// `token list IMG`.
#[derive(Args, Debug)]
pub struct TokenListArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether the image may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
}

/// `token add IMG`.
#[derive(Args, Debug)]
pub struct TokenAddArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Description of the key in the keyring
    #[arg(long, value_name = "TEXT")]
    pub key_description: String,
    /// The token's number [default: the lowest that is free]
    #[arg(long, value_name = "N")]
    pub token_id: Option<u32>,
    /// A keyslot that the passphrase opens; may be given several times [default: all keyslots]
    #[arg(long, short = 'S', value_name = "N", conflicts_with = "unbound")]
    pub key_slot: Vec<u32>,
    /// Assign it to no keyslot
    #[arg(long)]
    pub unbound: bool,
    /// Replace a token of that number
    #[arg(long, requires = "token_id")]
    pub token_replace: bool,
    /// What a sealed header is sealed anew with.
    #[command(flatten)]
    pub key: SealKeyArgs,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `token remove IMG`.
#[derive(Args, Debug)]
pub struct TokenRemoveArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// The token's number
    #[arg(long, value_name = "N")]
    pub token_id: u32,
    /// What a sealed header is sealed anew with.
    #[command(flatten)]
    pub key: SealKeyArgs,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `token import IMG`.
#[derive(Args, Debug)]
pub struct TokenImportArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// The file with the JSON; `-` is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "-")]
    pub json_file: PathBuf,
    /// The token's number [default: the lowest that is free]
    #[arg(long, value_name = "N")]
    pub token_id: Option<u32>,
    /// Replace a token of that number
    #[arg(long, requires = "token_id")]
    pub token_replace: bool,
    /// What a sealed header is sealed anew with.
    #[command(flatten)]
    pub key: SealKeyArgs,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `token export IMG`.
#[derive(Args, Debug)]
pub struct TokenExportArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// The token's number
    #[arg(long, value_name = "N")]
    pub token_id: u32,
    /// The new file; `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "-")]
    pub json_file: PathBuf,
    /// Whether anything is written.
    #[command(flatten)]
    pub dry: DryArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether the image may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
}

/// `token assign IMG` and `token unassign IMG`.
#[derive(Args, Debug)]
pub struct TokenAssignArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// The token's number
    #[arg(long, value_name = "N")]
    pub token_id: u32,
    /// The keyslot
    #[arg(long, short = 'S', value_name = "N")]
    pub key_slot: u32,
    /// What a sealed header is sealed anew with.
    #[command(flatten)]
    pub key: SealKeyArgs,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}
