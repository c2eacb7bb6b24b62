//! The secrets of a job, from where the options say.

use std::path::Path;

use dmcrypt::{LockedBytes, VolumeKey};
use jobs::{Asked, Blame, SecretError, Secrets};

use crate::args::{FormatArgs, OutputArgs, UnlockArgs};
use crate::error;
use crate::output;
use crate::passphrase::{KeyError, KeyInput};
use crate::unlock::read_volume_key;

/// A passphrase that is typed or read, and a volume key in a file.
pub struct Keys<'a> {
    input: &'a KeyInput,
    volume_key_file: Option<&'a Path>,
    tries: u32,
    /// A new passphrase that is typed is typed twice.
    is_asked_twice: bool,
}

impl<'a> Keys<'a> {
    /// What opens a container.
    pub fn to_unlock(input: &'a KeyInput, args: &'a UnlockArgs) -> Self {
        Self {
            input,
            volume_key_file: args.volume_key_file.as_deref(),
            tries: args.limits.tries,
            is_asked_twice: false,
        }
    }

    /// What opens a new one.
    pub fn for_new(input: &'a KeyInput, args: &'a FormatArgs, say: OutputArgs) -> Self {
        Self {
            input,
            volume_key_file: args.volume_key_file.as_deref(),
            tries: 1,
            is_asked_twice: !say.batch_mode,
        }
    }

    /// A passphrase and no volume key.
    pub fn passphrase(input: &'a KeyInput, tries: u32) -> Self {
        Self {
            input,
            volume_key_file: None,
            tries,
            is_asked_twice: false,
        }
    }
}

impl Secrets for Keys<'_> {
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        let input = self.input;
        let twice = asked.is_new && self.is_asked_twice;
        let secret = input.read_for(asked.image, twice, asked.exactly)?;
        if asked.exactly.is_some() {
            if input.is_file() {
                input.tell_spelled(&secret);
            }
        } else if secret.is_empty() && input.is_file() && !asked.is_new {
            output::warn(format_args!("{} is empty (0 bytes)", input.name()));
        }
        Ok(secret)
    }

    fn name(&self) -> String {
        self.input.name()
    }

    fn volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        let key = self.volume_key_file.map(read_volume_key).transpose();
        Ok(key?)
    }

    fn tries(&self) -> u32 {
        if self.input.is_typed() { self.tries } else { 1 }
    }

    fn did_not_fit(&self, error: &jobs::Error) {
        error::tell(error);
    }
}

impl From<KeyError> for SecretError {
    fn from(error: KeyError) -> Self {
        Self::new(Blame::Request, error)
    }
}
