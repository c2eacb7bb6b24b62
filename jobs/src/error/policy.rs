//! Why there is no policy to hold a header to.

use std::io;

/// Why there is no policy to hold a header to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file.
    #[error("cannot read policy {name}: {source}")]
    Unreadable {
        /// The file.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Its content.
    #[error("policy {name}, line {line}: {problem}")]
    Wrong {
        /// The file.
        name: String,
        /// Where.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// No policy of this name comes with the program.
    #[error("no policy {name} comes with luksmith")]
    Unknown {
        /// The name.
        name: String,
    },
}
