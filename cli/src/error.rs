//! Everything that ends a command early, and with which exit code.

mod mount;
mod serve;

use std::fmt;
use std::io::{self, Write};
use std::ops::RangeInclusive;

use ::serve::fuse::MountError;
use clap::builder::styling::{AnsiColor, Style};
use jobs::clone;
use jobs::error::Unconfirmed;
use jobs::in_place::Zones;
use jobs::in_place::encrypt::EncryptInPlaceOptions;
use jobs::in_place::reencrypt::ReencryptOptions;
use jobs::key_source::KeyError;
use jobs::losses::BadPlaces;
use jobs::new_container::Places;
use jobs::new_image;
use jobs::new_luks::Cost;

pub use self::mount::advice as mount_advice;
pub use self::serve::ServeError;
use crate::descriptors::Closed;
use crate::exit::Exit;
use crate::output::{self, OutputError};
use crate::passphrase::PassphraseError;

/// Why a command ended early. Each kind knows its exit code and, where something can be done about it, what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A job.
    #[error(transparent)]
    Job(jobs::Error),
    /// The key or passphrase.
    #[error(transparent)]
    Key(#[from] PassphraseError),
    /// The new key or passphrase, where there are two.
    #[error(transparent)]
    NewKey(PassphraseError),
    /// Two options, or an option and an operand, that exclude each other.
    #[error("{one} does not go with {other}")]
    Conflict {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Some of many clones are not there.
    #[error("{failed} of {count} clones could not be made")]
    NotAll {
        /// How many are not there.
        failed: usize,
        /// Of how many.
        count: usize,
        /// How each of them ended, where they ended alike.
        exit: Exit,
        /// Why the first of them is not there, which was said.
        first: Option<Box<Self>>,
    },
    /// Nobody is there to be asked.
    #[error("{question} There is no terminal to ask on")]
    NeedsAnswer {
        /// The question.
        question: String,
    },
    /// The answer was not yes.
    #[error("nothing was done: the answer was not yes")]
    Declined,
    /// A descriptor that the command line names.
    #[error(transparent)]
    Descriptor(#[from] Closed),
    /// An option stands more often than it may.
    #[error("{option} stands {times} times, and {most} at most have a meaning")]
    TooOften {
        /// The option.
        option: &'static str,
        /// How often it stands.
        times: usize,
        /// How often it may.
        most: usize,
    },
    /// Parts of an image could not be read, and the job went on without them.
    #[error("{source_name}: {bytes} bytes in {places} places cannot be read: {result}")]
    Lost {
        /// The image.
        source_name: String,
        /// How much is lost.
        bytes: u64,
        /// In how many runs.
        places: usize,
        /// What there is instead.
        result: String,
    },
    /// A container that `verify` found wrong.
    #[error("{name} is not sound: {}", .problems.join("; "))]
    NotSound {
        /// The container.
        name: String,
        /// Each thing that is wrong.
        problems: Vec<String>,
    },
    /// The passphrase does not fit as it was given, and mistakes that people make explain it.
    #[error("{name}: no key fits: not this passphrase, but {mistakes} it opens keyslot {keyslot}")]
    Explained {
        /// The container.
        name: String,
        /// The keyslot that it opens then.
        keyslot: u32,
        /// What was done to it.
        mistakes: String,
    },
    /// No keyslot that could be tried has its key material any more.
    #[error("{name}: {what}")]
    Overwritten {
        /// The container.
        name: String,
        /// Which, and where.
        what: String,
    },
    /// A limit that the environment sets, and that is none.
    #[error(
        "{name} is \"{value}\", which is no number of {unit} from {} to {}",
        .range.start(),
        .range.end()
    )]
    Environment {
        /// The variable.
        name: &'static str,
        /// What it is set to.
        value: String,
        /// What it counts.
        unit: &'static str,
        /// What it may be.
        range: RangeInclusive<u64>,
    },
    /// A container is not served, or not to the end.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A container is not mounted, or a mount does not end.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A generated file cannot be written.
    #[error("cannot write {name}: {source}")]
    Generate {
        /// Which.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A result cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// One of the standard streams was closed when the program was started.
    #[error("{name} is closed")]
    ClosedStream {
        /// Which.
        name: &'static str,
    },
    /// The system has no random bytes to give.
    #[error("the system gives no random bytes")]
    NoRandomBytes,
    /// Signals cannot be taken.
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
}

impl Error {
    /// What is wrong with the container that messages call `name`.
    pub fn luks(name: &str, error: luks::Error) -> Self {
        Self::Job(jobs::Error::luks(name, error))
    }

    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Job(error) => error.blame().into(),
            Self::NotAll { exit, .. } => *exit,
            Self::Serve(error) => error.exit(),
            Self::Mount(error) => mount::exit(error),
            Self::Explained { .. } => Exit::NoKeyFits,
            Self::Lost { .. } | Self::NotSound { .. } | Self::Overwritten { .. } => Exit::BadImage,
            Self::Key(_)
            | Self::NewKey(_)
            | Self::Descriptor(_)
            | Self::Conflict { .. }
            | Self::NeedsAnswer { .. }
            | Self::Declined
            | Self::TooOften { .. }
            | Self::Environment { .. }
            | Self::Generate { .. }
            | Self::Output(_)
            | Self::ClosedStream { .. }
            | Self::NoRandomBytes
            | Self::Signals(_) => Exit::Wrong,
        }
    }
}

/// Prints on standard error what is wrong, for people, where it is not the end yet.
pub fn tell(error: &dyn fmt::Display) {
    const RED: Style = AnsiColor::Red.on_default().bold();
    let what = output::escape(&error.to_string());
    let _ = writeln!(anstream::stderr().lock(), "{RED}luksmith:{RED:#} {what}");
}

/// Wishes that exclude each other are options here.
impl From<jobs::Error> for Error {
    fn from(error: jobs::Error) -> Self {
        match error {
            jobs::Error::Conflict { one, other } => Self::Conflict {
                one: option_for(one),
                other: option_for(other),
            },
            // What a job was answered is an error of this floor.
            jobs::Error::Secret(error) if error.get_ref().is::<Self>() => {
                let own = error.into_inner().downcast::<Self>();
                *own.expect("it was looked at")
            }
            jobs::Error::Unconfirmed(unconfirmed) => match unconfirmed.into_inner().downcast() {
                Ok(error) => *error,
                Err(other) => Self::Job(jobs::Error::Unconfirmed(Unconfirmed::new(other))),
            },
            error => Self::Job(error),
        }
    }
}

/// The option that says what a job calls so.
fn option_for(wish: &'static str) -> &'static str {
    match wish {
        BadPlaces::GO_ON => "--on-read-error zero",
        BadPlaces::STOP => "--on-read-error stop",
        BadPlaces::MAP => "--error-map",
        Cost::MEMORY => "--pbkdf-memory",
        Cost::LANES => "--pbkdf-parallel",
        Cost::PBKDF2 => "--pbkdf pbkdf2",
        Places::HEADER | clone::HEADER => "--header",
        new_image::WHOLE_SIZE => "--container-size",
        clone::KEEP => "--keep-passphrase",
        clone::NEW_HEADER => "--new-header",
        clone::UUID => "--uuid",
        clone::RECOVERY => "--recovery-key",
        clone::SERIES => "--count",
        EncryptInPlaceOptions::REDUCE => "--reduce-device-size",
        EncryptInPlaceOptions::OFFSET => "--offset",
        ReencryptOptions::KEEP_KEY => "--keep-key of a LUKS2 container",
        ReencryptOptions::HASH => "--hash",
        Zones::HASH => "--resilience-hash",
        Zones::OTHER => "another --resilience than checksum",
        other => other,
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::Key(error.into())
    }
}

/// Errors of a job's parts are those of the job.
macro_rules! from_parts {
    ($($part:ty),*) => {
        $(impl From<$part> for Error {
            fn from(error: $part) -> Self {
                jobs::Error::from(error).into()
            }
        })*
    };
}

from_parts!(
    dmcrypt::Error,
    jobs::error::ChangeError,
    jobs::error::DestinationError,
    jobs::error::PlainError,
    jobs::error::PolicyError,
    jobs::error::SourceError,
    jobs::error::TransferError
);
