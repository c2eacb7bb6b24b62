//! What `verify` takes.

use clap::{Args, ValueHint};

use super::{KeyArgs, Operand, PolicyArgs, UnlockArgs, operand};

/// `verify IMG`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The container, or a detached header
    #[arg(value_name = "IMG", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub image: Operand,
    /// Where the key comes from; nobody is asked for one.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// How the container is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// What the header must look like.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Read the image even while another program may be writing it
    #[arg(long)]
    pub force: bool,
}

impl VerifyArgs {
    /// Whether there is a key to be checked.
    pub fn has_key(&self) -> bool {
        self.keys.key_file.is_some()
            || self.keys.key_fd.is_some()
            || self.unlock.volume_key_file.is_some()
            || self.unlock.key_slot.is_some()
    }
}
