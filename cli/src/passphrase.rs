//! Key material where there is a terminal: what is typed is asked for, all else is read as [`jobs::key_source`] has it.
//!
//! Of a terminal one line without its newline counts, at most 512 bytes, up to a NUL; `--keyfile-size` is not used.

mod terminal;

use std::io::{self, IsTerminal};
use std::time::Duration;

use dmcrypt::LockedBytes;
use jobs::Asked;
use jobs::key_source::{KeyError, KeyFrom, KeySource};

use crate::key_forms;

/// Where a key comes from: a [`KeySource`], or in place of standard input the terminal.
pub struct KeyInput {
    source: KeySource,
    /// Where the other key of a reencryption comes from, as far as that is said.
    others: Vec<KeySource>,
    /// Standard input is an image.
    stdin_is_data: bool,
}

/// How a key is asked for on a terminal.
#[derive(Clone, Copy)]
pub struct Prompt<'a> {
    /// What is shown.
    pub text: &'a str,
    /// What is shown the second time, where a typing error would make a container that nobody can open.
    pub again: Option<&'a str>,
    /// How long the typing may take.
    pub timeout: Option<Duration>,
}

impl KeyInput {
    /// Takes it from there. `stdin_is_data`: standard input is an image, so no key can come from it.
    pub fn new(source: impl Into<KeySource>, stdin_is_data: bool) -> Result<Self, KeyError> {
        Self::with_others((source.into(), Vec::new()), stdin_is_data)
    }

    /// The same with places of the other key of a reencryption.
    pub fn with_others(
        (source, others): (KeySource, Vec<KeySource>),
        stdin_is_data: bool,
    ) -> Result<Self, KeyError> {
        source.check_beside(stdin_is_data)?;
        for other in &others {
            other.check_beside(stdin_is_data)?;
        }
        Ok(Self {
            source,
            others,
            stdin_is_data,
        })
    }

    /// Where it comes from if nobody types it.
    pub fn source(&self) -> &KeySource {
        &self.source
    }

    /// Whether somebody types it, so that another one can be asked for.
    pub fn is_typed(&self) -> bool {
        match self.source.from {
            KeyFrom::FirstLine => self.stdin_is_data || io::stdin().is_terminal(),
            KeyFrom::Standard => io::stdin().is_terminal(),
            KeyFrom::File(_) | KeyFrom::Descriptor(_) | KeyFrom::Secret(_) => false,
        }
    }

    /// Reads the key that is asked for, asking as the verbs do; `twice`, because a typing error would make a container that
    /// nobody can open.
    pub fn read_for(&self, asked: &Asked<'_>, twice: bool) -> Result<LockedBytes, PassphraseError> {
        let image = asked.image;
        let text = match asked.keyslot {
            Some(keyslot) => format!("Passphrase for keyslot {keyslot} of {image}: "),
            None => format!("Passphrase for {image}: "),
        };
        let prompt = Prompt {
            text: &text,
            again: twice.then_some("The same again: "),
            timeout: None,
        };
        self.read(prompt, asked.exactly)
    }

    /// Reads the other key of a reencryption: from where it was said to be, or where it `may_be_asked` for and nothing was
    /// said of it, from where the first one came, as long as there is one. The first `attempt` is 0, and `tries` of them
    /// may be typed.
    pub fn read_other(
        &self,
        image: &str,
        attempt: u32,
        may_be_asked: bool,
        tries: u32,
    ) -> Result<Option<LockedBytes>, PassphraseError> {
        if !self.others.is_empty() {
            let other = self.others.get(attempt as usize);
            let read = other.map(|other| other.read_telling(None, &key_forms::tell_overridden));
            return Ok(read.transpose()?);
        }
        let is_line = self.source.from == KeyFrom::FirstLine;
        let times = if self.is_typed() { tries } else { 1 };
        if !may_be_asked || !is_line || attempt >= times {
            return Ok(None);
        }
        let prompt = Prompt {
            text: &format!("Passphrase for the other key of {image}: "),
            again: None,
            timeout: None,
        };
        match self.read(prompt, None) {
            // There is no further line.
            Err(PassphraseError::Source(KeyError::Nothing { .. })) => Ok(None),
            read => read.map(Some),
        }
    }

    /// Reads the key: asks for it, or takes it from where it is. `exactly` as in [`KeySource::read`].
    pub fn read(
        &self,
        prompt: Prompt<'_>,
        exactly: Option<usize>,
    ) -> Result<LockedBytes, PassphraseError> {
        Ok(if self.is_typed() {
            self.source.decoded(self.ask(prompt)?)?
        } else {
            self.source
                .read_telling(exactly, &key_forms::tell_overridden)?
        })
    }

    fn ask(&self, prompt: Prompt<'_>) -> Result<LockedBytes, PassphraseError> {
        if self.source.offset != 0 {
            return Err(PassphraseError::OffsetOnTerminal);
        }
        let first = terminal::ask(prompt.text, prompt.timeout)?;
        if let Some(again) = prompt.again {
            let second = terminal::ask(again, prompt.timeout)?;
            if !first.ct_eq(&second) {
                return Err(PassphraseError::Differ);
            }
        }
        Ok(first)
    }

    /// As [`KeySource::whole`]; of what was typed there is no more.
    pub fn whole(&self, read: &[u8]) -> Option<LockedBytes> {
        if self.is_typed() {
            return None;
        }
        self.source.whole(read)
    }
}

/// Throws away what somebody typed on the terminal after a passphrase was asked for there: where that ends in failure,
/// it is another try, and the shell would run it and keep it in its history.
pub fn forget_what_was_typed() {
    terminal::forget_what_was_typed();
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// It was not to be typed.
    #[error(transparent)]
    Source(#[from] KeyError),
    /// A typed passphrase has no offset.
    #[error("--keyfile-offset with a passphrase that is typed")]
    OffsetOnTerminal,
    /// Nobody can be asked.
    #[error("no terminal to ask for the passphrase: {0}")]
    NoTerminal(io::Error),
    /// A typed passphrase is longer than a terminal line may be.
    #[error("the passphrase is longer than 512 bytes")]
    LineTooLong,
    /// The terminal was closed, or its end of file was typed, before a passphrase.
    #[error("no passphrase was typed")]
    Aborted,
    /// Nobody typed anything for as long as was allowed.
    #[error("no passphrase was typed in time")]
    TimedOut,
    /// The new passphrase was typed in two ways.
    #[error("the two passphrases are not the same")]
    Differ,
    /// The key of the kernel's that was named is not there, or may not be read.
    #[error("the kernel has no such key")]
    NoKernelKey,
}
