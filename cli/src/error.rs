//! Everything that ends a command early, and with which exit code.

use std::io;

use crate::destination::DestinationError;
use crate::exit::Exit;
use crate::passphrase::KeyError;
use crate::plain::PlainError;
use crate::source::SourceError;
use crate::transfer::TransferError;

/// Why a command ended early. Each kind knows its exit code and, where something can be done about it, what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The destination.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The key or passphrase.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The options of a plain container.
    #[error(transparent)]
    Plain(#[from] PlainError),
    /// The copy of the payload.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// Two options, or an option and an operand, that exclude each other.
    #[error("{one} does not go with {other}")]
    Conflict {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A cipher that encrypts nothing, and nobody asked for it by force.
    #[error("the null cipher encrypts nothing")]
    NullCipher,
    /// A generated file cannot be written.
    #[error("cannot write {name}: {source}")]
    Generate {
        /// Which.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A result cannot be printed.
    #[error("cannot write standard output: {0}")]
    Output(#[source] io::Error),
    /// Signals cannot be taken.
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
}

impl Error {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Source(error) => error.exit(),
            Self::Destination(error) => error.exit(),
            Self::Key(error) => error.exit(),
            Self::Plain(error) => error.exit(),
            Self::Transfer(error) => error.exit(),
            Self::Conflict { .. }
            | Self::NullCipher
            | Self::Generate { .. }
            | Self::Output(_)
            | Self::Signals(_) => Exit::Wrong,
        }
    }

    /// What to do about it, where something can be done.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.advice(),
            Self::Destination(error) => error.advice(),
            Self::Key(error) => error.advice(),
            Self::Plain(error) => error.advice(),
            Self::Transfer(error) => error.advice(),
            Self::NullCipher => {
                Some("--force makes such a container, --allow-null-cipher reads one".to_owned())
            }
            Self::Conflict { .. } | Self::Generate { .. } | Self::Output(_) | Self::Signals(_) => {
                None
            }
        }
    }
}
