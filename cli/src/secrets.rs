//! The secrets of a job, from where the options say.

use std::path::{Path, PathBuf};

use dmcrypt::{LockedBytes, VolumeKey};
use jobs::key_source::{KeyEncoding, KeyFormat, KeySource, read_volume_key};
use jobs::secret::Form;
use jobs::{Asked, AskedOther, Blame, SecretError, Secrets};
use serde_json::json;

use crate::args::{FormatArgs, OutputArgs, UnlockArgs};
use crate::error::{self, Error};
use crate::key_forms::{option, used};
use crate::output;
use crate::passphrase::{KeyInput, PassphraseError};

/// A passphrase that is typed or read, and a volume key in a file.
pub struct Keys<'a> {
    input: &'a KeyInput,
    volume_key_file: Option<&'a Path>,
    /// Files that may have the other volume key of a reencryption.
    other_volume_key_files: Vec<&'a Path>,
    tries: u32,
    /// A new passphrase that is typed is typed twice.
    is_asked_twice: bool,
    /// What opens the files below an image, the nearest first; what is not there comes from where its own comes.
    below: &'a [KeyInput],
    /// There are two, and the options of this one are the other ones.
    is_other: bool,
}

impl<'a> Keys<'a> {
    /// What opens a container.
    pub fn to_unlock(input: &'a KeyInput, args: &'a UnlockArgs) -> Self {
        let mut files = args.volume_key_file.iter().map(PathBuf::as_path);
        Self {
            other_volume_key_files: files.clone().skip(1).collect(),
            ..Self::opening(input, files.next(), args.limits.tries)
        }
    }

    /// What opens a new one.
    pub fn for_new(input: &'a KeyInput, args: &'a FormatArgs, say: OutputArgs) -> Self {
        Self {
            is_asked_twice: !say.batch_mode,
            ..Self::opening(input, args.volume_key_file.as_deref(), 1)
        }
    }

    /// What opens a container: the volume key where a file is named that has it, else a passphrase.
    pub fn opening(input: &'a KeyInput, volume_key_file: Option<&'a Path>, tries: u32) -> Self {
        Self {
            input,
            volume_key_file,
            other_volume_key_files: Vec::new(),
            tries,
            is_asked_twice: false,
            below: &[],
            is_other: false,
        }
    }

    /// Files that may have the other volume key of a reencryption.
    #[must_use]
    pub fn with_other_volume_keys(mut self, files: impl Iterator<Item = &'a PathBuf>) -> Self {
        self.other_volume_key_files = files.map(PathBuf::as_path).collect();
        self
    }

    /// What opens the files below an image, the nearest first.
    #[must_use]
    pub fn with_backing_keys(self, below: &'a [KeyInput]) -> Self {
        Self { below, ..self }
    }

    /// The new passphrase, where another one opens the container already.
    pub fn for_new_keyslot(input: &'a KeyInput, say: OutputArgs) -> Self {
        Self {
            is_asked_twice: !say.batch_mode,
            is_other: true,
            ..Self::opening(input, None, 1)
        }
    }
}

impl Secrets for Keys<'_> {
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        let below = asked.below.checked_sub(1);
        let input = below.and_then(|below| self.below.get(below));
        let input = input.unwrap_or(self.input);
        let source = input.source();
        let twice = asked.is_new && self.is_asked_twice;
        let read = if asked.is_new {
            source.check_new().map_err(PassphraseError::from)
        } else {
            Ok(())
        };
        let read = read.and_then(|()| input.read_for(asked, twice));
        let secret = read.map_err(|error| {
            if self.is_other {
                SecretError::new(Blame::Request, Error::NewKey(error))
            } else {
                error.into()
            }
        })?;
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

    fn whole(&self, read: &LockedBytes) -> Option<LockedBytes> {
        self.input.whole(read)
    }

    fn volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        let key = self.volume_key_file.map(read_volume_key).transpose();
        Ok(key?)
    }

    fn other_passphrase(&self, asked: &AskedOther<'_>) -> Result<Option<LockedBytes>, SecretError> {
        let (attempt, is_needed) = (asked.attempt, asked.is_needed);
        Ok(self
            .input
            .read_other(asked.image, attempt, is_needed, self.tries)?)
    }

    fn other_volume_key(&self, attempt: u32) -> Result<Option<VolumeKey>, SecretError> {
        let file = self.other_volume_key_files.get(attempt as usize);
        Ok(file.map(|file| read_volume_key(file)).transpose()?)
    }

    fn forms(&self, given: &LockedBytes) -> Vec<Form> {
        self.input.source().forms(given)
    }

    fn fitted(&self, image: &str, format: KeyFormat) {
        let option = option(format);
        output::note(
            format_args!(
                "{image} is opened by the key {} (--key-format {option})",
                used(format)
            ),
            json!({"image": image, "key_format": option}),
        );
    }

    fn tries(&self) -> u32 {
        if self.input.is_typed() { self.tries } else { 1 }
    }

    fn is_one(&self) -> bool {
        !self.input.is_typed() && self.input.source().is_one()
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
