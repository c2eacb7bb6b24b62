//! What `OpenStack` does not do.

use crate::blame::Blame;

/// What `OpenStack` does not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenstackError {
    /// No volume of this type is made through QEMU.
    #[error("QEMU refuses {cipher} with a key size of {bits}: {why}")]
    QemuRefuses {
        /// The cipher of the type.
        cipher: String,
        /// Its key size.
        bits: u32,
        /// Why.
        why: String,
    },
    /// It is not encrypted, or says itself how.
    #[error("{name} holds {found}, so it is no plain container")]
    NotPlain {
        /// The image.
        name: String,
        /// What is in it.
        found: &'static str,
    },
    /// No guess at a plain container makes anything of it that is known.
    #[error(
        "{name}: none of {tried} guesses makes a file system, partition table, swap space or LUKS of it; tried: {what}"
    )]
    NothingFits {
        /// The image.
        name: String,
        /// How many guesses there were.
        tried: usize,
        /// What was guessed.
        what: String,
    },
    /// No such image is known to be encrypted.
    #[error("{name} is {what}, which Glance does not know as an encrypted image")]
    NotForGlance {
        /// The image.
        name: String,
        /// What it is.
        what: String,
    },
}

impl OpenstackError {
    pub(crate) fn not_for_glance(name: &str, what: &str) -> Self {
        Self::NotForGlance {
            name: name.to_owned(),
            what: what.to_owned(),
        }
    }

    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::QemuRefuses { .. } => Blame::Request,
            Self::NothingFits { .. } => Blame::Key,
            Self::NotForGlance { .. } | Self::NotPlain { .. } => Blame::Image,
        }
    }
}
