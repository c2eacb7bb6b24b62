//! What `verify` takes.

use clap::Args;

use super::{BusyArgs, ImageArgs, OpenKeyArgs, OutputArgs, SourceFormat, UnlockArgs};

/// `verify IMG`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// What is read; an image is read as qcow2 only if that is said here, whatever its name and its first bytes are
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Source")]
    pub from: Option<SourceFormat>,
    /// Where the key comes from; nobody is asked for one unless a seal must be right.
    #[command(flatten)]
    pub keys: OpenKeyArgs,
    /// How the container is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether the image may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
}

impl VerifyArgs {
    /// Whether there is a key to be checked.
    pub fn has_key(&self) -> bool {
        self.keys.is_given()
            || !self.unlock.volume_key_file.is_empty()
            || self.unlock.key_slot.is_some()
            || self.unlock.limits.seal.given().is_some()
    }
}
