//! Why there is no key.

use std::io;

use crate::blame::Blame;
use crate::error::SecretError;
use crate::secret::stored::StoredError;

/// Why there is no key where one should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be opened.
    #[error("cannot read {name}: {source}")]
    Opening {
        /// The input.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The file or the pipe cannot be read.
    #[error("cannot read {name}: {source}")]
    Unreadable {
        /// The input.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// There was not one byte to read.
    #[error("{name}: nothing to read, not even an empty line")]
    Nothing {
        /// The input.
        name: String,
    },
    /// The input is larger than any key is.
    #[error("{name}: more than 8388608 bytes")]
    TooLong {
        /// The input.
        name: String,
    },
    /// Fewer bytes than were asked for.
    #[error("{name}: {bytes} bytes where {wanted} are needed")]
    Short {
        /// The input.
        name: String,
        /// How many there are.
        bytes: u64,
        /// How many were asked for.
        wanted: u64,
    },
    /// The offset lies behind the end.
    #[error("{name}: offset {offset} is beyond its {bytes} bytes")]
    OffsetBeyondEnd {
        /// The input.
        name: String,
        /// The offset asked for.
        offset: u64,
        /// How many bytes there are.
        bytes: u64,
    },
    /// The offset lies further in a stream than anybody waits for.
    #[error("{name}: offset {offset} is beyond 4294967296 bytes, so many as are read of a stream")]
    OffsetInStream {
        /// The input.
        name: String,
        /// The offset asked for.
        offset: u64,
    },
    /// The bytes are no hexadecimal digits, or no base64.
    #[error("{name}: {reason}")]
    Encoding {
        /// The input.
        name: String,
        /// What is wrong with them.
        reason: String,
    },
    /// What becomes of the key of something new is left open.
    #[error("{name}: nothing tells in which form a new key is to be used")]
    OpenFormat {
        /// The input.
        name: String,
    },
    /// A secret that is kept elsewhere is not to be had.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// Standard input was to be image and key at once.
    #[error("standard input is the image, so no key can be read from it")]
    StdinIsData,
}

impl KeyError {
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Stored(error) => error.blame(),
            _ => Blame::Request,
        }
    }
}

impl From<KeyError> for SecretError {
    fn from(error: KeyError) -> Self {
        Self::new(error.blame(), error)
    }
}
