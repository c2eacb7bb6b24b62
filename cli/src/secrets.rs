//! The secrets of a job, from where the options say.

use std::path::Path;

use dmcrypt::{LockedBytes, VolumeKey};
use jobs::key_source::{KeyEncoding, KeySource, read_volume_key};
use jobs::{Asked, Blame, SecretError, Secrets};

use crate::args::{FormatArgs, OutputArgs, UnlockArgs};
use crate::error;
use crate::output;
use crate::passphrase::{KeyInput, PassphraseError};

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
        let source = self.input.source();
        let twice = asked.is_new && self.is_asked_twice;
        let secret = self.input.read_for(asked.image, twice, asked.exactly)?;
        if asked.exactly.is_some() {
            tell_spelled(source, &secret);
        } else if secret.is_empty() && source.is_file() && !asked.is_new {
            output::warn(format_args!("{} is empty (0 bytes)", source.name()));
        }
        Ok(secret)
    }

    fn name(&self) -> String {
        self.input.source().name()
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

/// Tells of a file whose bytes are taken as they are, though they spell a key.
fn tell_spelled(source: &KeySource, key: &[u8]) {
    let Some((bytes, encoding)) = source.spelled(key) else {
        return;
    };
    let (digits, option) = match encoding {
        KeyEncoding::Raw => return,
        KeyEncoding::Hex => ("hexadecimal digits", "--key-encoding hex"),
        KeyEncoding::Base64 => ("base64", "--key-encoding base64"),
    };
    output::warn(format_args!(
        "{}: {bytes} bytes where {} are used as they are, all of them {digits}: {option} takes those that they spell",
        source.name(),
        key.len()
    ));
}

impl From<PassphraseError> for SecretError {
    fn from(error: PassphraseError) -> Self {
        match error {
            PassphraseError::Source(error) => error.into(),
            error => Self::new(Blame::Request, error),
        }
    }
}
