//! Why a secret that is kept elsewhere is not to be had. No text of a server's stands here, and nothing of a secret.

use std::io;

use super::stored::Reference;
use crate::blame::Blame;

/// Why a secret that is kept elsewhere is not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// Its file cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(Reference, io::Error),
    /// What is there is no secret.
    #[error("{0}: {1}")]
    NotASecret(Reference, String),
    /// There is no such secret, or not any more.
    #[error("{0} is not there: missing, or expired")]
    Missing(Reference),
    /// It has been announced, and nothing was put into it.
    #[error("{0} has no payload")]
    NoPayload(Reference),
    /// It may not be read.
    #[error("{0} may not be read: it is of another project, or the role does not suffice")]
    Forbidden(Reference),
    /// Whoever asks is not known.
    #[error("{server} does not know who asks: {what}")]
    Unauthorised {
        /// Who was asked.
        server: String,
        /// What was shown to it.
        what: String,
    },
    /// The environment does not say what is needed.
    #[error("{0}")]
    Environment(String),
    /// A file of settings cannot be used.
    #[error("{name}: {why}")]
    Settings {
        /// The file.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A server would be asked in the clear.
    #[error("{0} would be asked over a network in the clear")]
    InTheClear(String),
    /// A server cannot be reached.
    #[error("cannot reach {server}: {why}")]
    Unreachable {
        /// Who was asked.
        server: String,
        /// What came in between.
        why: String,
    },
    /// A server answers in a way that it should not.
    #[error("{server} answers {what}")]
    Answer {
        /// Who was asked.
        server: String,
        /// What is odd.
        what: String,
    },
    /// There is no TLS.
    #[error("no TLS to {server}: {why}")]
    NoTls {
        /// Who was to be asked.
        server: String,
        /// What there is not.
        why: String,
    },
    /// This program speaks with no server.
    #[error("{0}: this program was built without key managers")]
    NoNetwork(Reference),
}

impl StoredError {
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        Blame::Request
    }
}
