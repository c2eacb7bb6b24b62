//! What ends an action early: what cryptsetup says of it, and its exit code.

use std::io::{self, Write};
use std::path::Path;

use jobs::block::InUse;
use jobs::error::ChangeError;
use jobs::instead::Instead;
use jobs::key_source::KeyError;
use luks::{InvalidOption, Unfinished};
use volume::Storage;

use crate::error::Error;
use crate::exit::Exit;
use crate::output::{self, OutputError};
use crate::passphrase::PassphraseError;
use crate::unlock;

/// How an action failed. There may be no message at all.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) lines: Vec<String>,
}

impl Failure {
    /// Without a word.
    pub(super) fn silent(exit: Exit) -> Self {
        Self {
            exit,
            lines: Vec::new(),
        }
    }

    pub(super) fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self {
            exit,
            lines: vec![line.into()],
        }
    }

    /// Wrong parameters, and whatever has no code of its own.
    pub(super) fn wrong(line: impl Into<String>) -> Self {
        Self::new(Exit::Wrong, line)
    }

    /// A question that was not answered with YES.
    pub(super) fn aborted(exit: Exit) -> Self {
        Self::new(exit, "Operation aborted.\n")
    }

    /// Says it on standard error.
    pub(super) fn print(&self) {
        for line in &self.lines {
            let (line, behind) = match line.strip_suffix('\n') {
                Some(line) => (line, "\n"),
                None => (line.as_str(), ""),
            };
            let _ = writeln!(io::stderr(), "{}{behind}", output::escape(line));
        }
    }

    /// One more line.
    pub(super) fn and(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// By whom a device is used, where the kernel says so.
    pub(super) fn and_by(self, by: &InUse) -> Self {
        if by.users.is_empty() {
            return self;
        }
        let users: Vec<_> = by.users.iter().map(ToString::to_string).collect();
        self.and(format!("It is {}.", users.join(", ")))
    }

    /// A device that is not there.
    pub(super) fn missing(device: &str) -> Self {
        Self::new(
            Exit::BadImage,
            format!("Device {device} does not exist or access denied."),
        )
    }

    /// A device of which this is no header of the type asked for.
    pub(super) fn not_luks(device: &str) -> Self {
        Self::wrong(format!("Device {device} is not a valid LUKS device."))
    }

    /// The same where only LUKS2 will do.
    pub(super) fn not_luks2(device: &str) -> Self {
        Self::wrong(format!("Device {device} is not a valid LUKS2 device."))
    }

    /// A keyslot that a key cannot be put into or that does not hold one.
    pub(super) fn no_keyslot() -> Self {
        Self::wrong("No usable keyslot is available.")
    }

    /// An error of the library about `device`.
    pub(super) fn luks(device: &str, error: luks::Error) -> Self {
        match error {
            luks::Error::NotLuks => Self::not_luks(device),
            luks::Error::Corrupt(luks::Corrupt::EpochEnd { epoch }) => Self::wrong(format!(
                "Device {device} has epoch {epoch}, above which there is none for a change. Action repair begins to count anew."
            )),
            luks::Error::Corrupt(corrupt) => {
                Self::not_luks(device).and(format!("It is damaged: {corrupt}."))
            }
            // Of removing and erasing too, which there go through and may cost the data.
            luks::Error::NeedsRecovery { .. } => Self::wrong(
                "Operation incompatible with device marked for LUKS2 reencryption. Aborting.",
            ),
            luks::Error::Unfinished(Unfinished::Digest) => {
                Self::new(Exit::NoKeyFits, "Reencryption metadata is invalid.")
                    .and("No key available with this passphrase.")
            }
            luks::Error::Unfinished(Unfinished::NoDigest) => {
                Self::wrong("Reencryption metadata is invalid.")
                    .and("No usable keyslot is available.")
            }
            luks::Error::NoKeyFits { tried } if tried.is_empty() => {
                Self::new(Exit::NoKeyFits, "Volume key does not match the volume.")
            }
            luks::Error::NoKeyFits { .. } => {
                Self::new(Exit::NoKeyFits, "No key available with this passphrase.")
            }
            luks::Error::Unfinished(Unfinished::Key { .. }) | luks::Error::NoUsableKeyslot(_) => {
                Self::no_keyslot()
            }
            luks::Error::InvalidOption(option) => Self::option(device, option),
            error @ luks::Error::TooCostly { .. } => {
                Error::luks(device, error).into_failure().and(format!(
                    "{}=MS and {}=KIB in the environment allow more, if you trust the image.",
                    unlock::TIME,
                    unlock::MEMORY
                ))
            }
            error => Error::luks(device, error).into_failure(),
        }
    }

    /// The same where the bytes of the device are in `storage`: what is no container is looked at.
    pub(super) fn of_image(device: &str, error: luks::Error, storage: &dyn Storage) -> Self {
        if !matches!(error, luks::Error::NotLuks) {
            return Self::luks(device, error);
        }
        Self::not_luks(device).and_instead(device, storage)
    }

    /// What the device is instead of what was asked for, where that shows.
    pub(super) fn and_instead(self, device: &str, storage: &dyn Storage) -> Self {
        let instead = Instead::look(storage);
        let said = instead.to_string();
        let failure = match said.strip_prefix("; ") {
            Some(said) => self.and(format!("{}{}.", said[..1].to_uppercase(), &said[1..])),
            None => self,
        };
        match instead.way(device) {
            Some(way) => failure.and(format!("Hint: {way}.").replace("?.", "?")),
            None => failure,
        }
    }

    fn option(device: &str, option: InvalidOption) -> Self {
        match option {
            InvalidOption::KeyslotNumber { keyslot, last, .. } => Self::wrong(format!(
                "Key slot {keyslot} is invalid, please select between 0 and {last}."
            )),
            InvalidOption::KeyslotInactive { keyslot } => {
                Self::wrong(format!("Keyslot {keyslot} is not active."))
            }
            InvalidOption::KeyslotInUse { keyslot } => Self::wrong(format!(
                "Key slot {keyslot} is full, please select another one."
            )),
            // One with zeros behind it, or without them, has the same digest.
            InvalidOption::VolumeKeySize { .. } => {
                Self::new(Exit::NoKeyFits, "Volume key does not match the volume.")
            }
            InvalidOption::NoFreeKeyslot { .. } => Self::wrong("All key slots full."),
            InvalidOption::NoRoomForKeyslot { .. } => Self::wrong("No space for new keyslot."),
            InvalidOption::Uuid(_) => Self::wrong("Wrong LUKS UUID format provided."),
            InvalidOption::MetadataSize(_) | InvalidOption::KeyslotsSize(_) => {
                Self::wrong("Unsupported LUKS2 metadata size options.")
            }
            InvalidOption::DataOffsetAlignment(_) => {
                Self::wrong("Data offset is not multiple of 4096 bytes.")
            }
            InvalidOption::DataOffsetInHeader { .. } => {
                Self::wrong("Requested data offset is too small.")
            }
            option => Self::wrong(format!("{device}: {option}.")),
        }
    }

    /// A volume key that cannot be read.
    pub(super) fn volume_key(path: &Path) -> Self {
        Self::wrong(format!("Cannot read keyfile {}.", output::path(path)))
    }
}

impl Error {
    fn into_failure(self) -> Failure {
        Failure::new(self.exit(), format!("{self}."))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Key(error) => error.into(),
            Error::Job(jobs::Error::Change(error)) => error.into(),
            Error::Job(jobs::Error::Luks { name, error }) => Self::luks(&name, *error),
            other => other.into_failure(),
        }
    }
}

impl From<jobs::Error> for Failure {
    fn from(error: jobs::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Open { name, .. } | ChangeError::Read { name, .. } => Self::missing(&name),
            ChangeError::Directory { name } | ChangeError::Stream { name } => {
                Self::new(Exit::BadImage, format!("Device {name} is not compatible."))
            }
            ChangeError::Busy { name } => Self::new(
                Exit::ExistsOrBusy,
                format!("Cannot use device {name} which is in use."),
            ),
            ChangeError::Input { name, clash } => Self::wrong(format!("Device {name} {clash}.")),
            ChangeError::InUse { name, by } => Self::new(
                Exit::ExistsOrBusy,
                format!("Cannot exclusively open {name}, device in use."),
            )
            .and_by(&by),
            other => Error::from(other).into_failure(),
        }
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        Error::from(error).into_failure()
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Opening { .. } => Self::wrong("Failed to open key file."),
            KeyError::Unreadable { .. } => Self::wrong("Error reading passphrase."),
            KeyError::Nothing { .. } => Self::wrong("Nothing to read on input."),
            KeyError::TooLong { .. } => Self::wrong("Maximum keyfile size exceeded."),
            KeyError::Short { .. } => Self::wrong("Cannot read requested amount of data."),
            KeyError::OffsetBeyondEnd { .. } => {
                Self::wrong("Cannot seek to requested keyfile offset.")
            }
            other => Error::from(other).into_failure(),
        }
    }
}

impl From<PassphraseError> for Failure {
    fn from(error: PassphraseError) -> Self {
        match error {
            PassphraseError::Source(error) => error.into(),
            PassphraseError::OffsetOnTerminal => {
                Self::wrong("Cannot use offset with terminal input.")
            }
            PassphraseError::NoKernelKey => Self::wrong("Failed to read passphrase from keyring."),
            PassphraseError::Differ => Self::new(Exit::NoKeyFits, "Passphrases do not match."),
            PassphraseError::NoTerminal(_)
            | PassphraseError::Aborted
            | PassphraseError::TimedOut => Self::wrong("Error reading passphrase from terminal."),
            other @ PassphraseError::LineTooLong => Error::from(other).into_failure(),
        }
    }
}
