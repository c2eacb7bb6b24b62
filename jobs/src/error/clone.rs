//! Why there is no clone.

use crate::blame::Blame;

/// Why there is no clone, or not as it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloneError {
    /// The key would be easier to guess than the source's.
    #[error(
        "{cipher} with a key of {bits} bits is weaker than the {source_bits} bits of {source_cipher} in {name}"
    )]
    SmallerKey {
        /// The source.
        name: String,
        /// The clone's cipher.
        cipher: String,
        /// Its key.
        bits: u64,
        /// The source's cipher.
        source_cipher: String,
        /// Its key.
        source_bits: u64,
    },
    /// The cipher has a weakness that the source's has not.
    #[error("{cipher} is weaker than {source_cipher} of {name}: {weakness}")]
    WeakerCipher {
        /// The source.
        name: String,
        /// The clone's cipher.
        cipher: String,
        /// The source's.
        source_cipher: String,
        /// What is wrong with it.
        weakness: &'static str,
    },
    /// Passphrases would be cheaper to guess than the source's.
    #[error("{kdf} is cheaper to guess than {source_kdf} of {name}")]
    CheaperKdf {
        /// The source.
        name: String,
        /// The clone's.
        kdf: String,
        /// The source's.
        source_kdf: String,
    },
    /// Data would be lost.
    #[error("a payload of {payload} bytes cuts off data of {name}, the first at byte {offset}")]
    Cut {
        /// The source.
        name: String,
        /// The payload asked for.
        payload: u64,
        /// The first byte that is not zero.
        offset: u64,
    },
    /// A pattern that names no files.
    #[error("{pattern:?} is no pattern of names: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        reason: &'static str,
    },
    /// No clone is asked for.
    #[error("{count} is no number of clones from 1 to {most}")]
    Count {
        /// The number asked for.
        count: u64,
        /// The highest.
        most: u64,
    },
    /// The place of many clones is none.
    #[error("{name} is no folder")]
    NoFolder {
        /// The place.
        name: String,
    },
    /// The file system has no room.
    #[error("no room for {name}: {needed} bytes are needed, {free} are free")]
    NoRoom {
        /// The clone.
        name: String,
        /// Its size.
        needed: u64,
        /// What is left.
        free: u64,
    },
    /// What was written does not say what was meant to be written.
    #[error("{name} is not proven: {problem}")]
    NotProven {
        /// The clone.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl CloneError {
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::NotProven { .. } => Blame::Image,
            _ => Blame::Request,
        }
    }
}
