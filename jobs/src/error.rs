//! Everything that ends a job early, and whom it is to blame on.

mod change;
mod clash;
mod clone;
mod confirm;
mod destination;
mod image;
mod in_place;
mod mapping;
mod openstack;
mod plain;
mod policy;
mod qcow;
mod secret;
mod source;
mod transfer;

use std::io;

use volume::Storage;

use crate::blame::Blame;
use crate::instead::Instead;

pub use change::{ChangeError, Exchanged, is_exchanged};
pub use clash::Clash;
pub use clone::CloneError;
pub use confirm::Unconfirmed;
pub use destination::DestinationError;
pub use image::ImageError;
pub use in_place::InPlaceError;
pub use mapping::MappingError;
pub use openstack::OpenstackError;
pub use plain::PlainError;
pub use policy::PolicyError;
pub use qcow::QcowError;
pub use secret::SecretError;
pub use source::{Meant, SourceError};
pub use transfer::TransferError;

/// Why a job ended early. It says what is wrong; what to do about it knows whoever called the job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The destination.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// A qcow2 image.
    #[error(transparent)]
    Qcow(#[from] QcowError),
    /// A new qcow2 image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image whose header is to be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A clone.
    #[error(transparent)]
    Clone(#[from] CloneError),
    /// A job that changes data where they lie.
    #[error(transparent)]
    InPlace(#[from] InPlaceError),
    /// A mapping of the kernel.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The options of a plain container.
    #[error(transparent)]
    Plain(#[from] PlainError),
    /// A cipher or hash that is none, is not built, or does not take the key.
    #[error(transparent)]
    Cipher(#[from] dmcrypt::Error),
    /// The policy that a header is to be held to.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The copy of the payload.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The LUKS container.
    #[error("{name}: {error}")]
    Luks {
        /// The container.
        name: String,
        /// What is wrong with it.
        #[source]
        error: Box<luks::Error>,
    },
    /// No LUKS container, in an image that can be looked at.
    #[error("{name}: {}{instead}", luks::Error::NotLuks)]
    NotLuks {
        /// The image.
        name: String,
        /// What it is.
        instead: Box<Instead>,
    },
    /// Two wishes that exclude each other.
    #[error("{one} does not go with {other}")]
    Conflict {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// An image cannot be compared to its end.
    #[error("{name}: cannot read at byte {offset}: {source}")]
    Compare {
        /// The image.
        name: String,
        /// Where in its plaintext.
        offset: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// Data past the page cache on a file system that has no such access.
    #[error("cannot move data of {name} past the page cache: {source}")]
    Direct {
        /// The image.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// What `OpenStack` does not do.
    #[error(transparent)]
    Openstack(#[from] OpenstackError),
    /// The header is of another type than the one asked for.
    #[error("{name} is {found}, which is not the type asked for")]
    OtherType {
        /// The container.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// Two keys of a container that has one.
    #[error("{name} is not under two keys: no reencryption is in progress that changes the key")]
    OneKey {
        /// The container.
        name: String,
    },
    /// A header whose data are in another file, taken for a container.
    #[error("{name} is a detached header: its data lie in another file")]
    Detached {
        /// The header.
        name: String,
    },
    /// A new container whose size nobody said.
    #[error("no size is given")]
    NoSize,
    /// A payload that is no whole number of sectors.
    #[error("a payload of {bytes} bytes is no multiple of the sector size {sector_bytes}")]
    PayloadSize {
        /// The size asked for.
        bytes: u64,
        /// The sector size.
        sector_bytes: u64,
    },
    /// A container that has no room for its header.
    #[error("a container of {bytes} bytes has no room for its header, which needs {needed}")]
    ContainerSize {
        /// The size asked for.
        bytes: u64,
        /// What the header needs.
        needed: u64,
    },
    /// A payload that ends where no file can end.
    #[error("a payload of {bytes} bytes at {offset} ends beyond 2^63 bytes, where no file does")]
    BeyondFiles {
        /// Size of the payload.
        bytes: u64,
        /// Where it starts.
        offset: u64,
    },
    /// The payload asked for ends within a sector.
    #[error("size of {bytes} bytes: {source}")]
    Size {
        /// The size asked for.
        bytes: u64,
        /// What does not fit.
        source: volume::Error,
    },
    /// A cipher that encrypts nothing, in a container that somebody reads.
    #[error("the null cipher encrypts nothing")]
    NullCipher,
    /// A cipher that no new container should have, and nobody allowed it.
    #[error("{cipher}: {risk}")]
    RiskyCipher {
        /// The specification.
        cipher: String,
        /// What is wrong with it.
        risk: &'static str,
    },
    /// A key size that is no number of bytes.
    #[error("a key size of {bits} bits is no whole number of bytes")]
    KeyBits {
        /// The size asked for.
        bits: u32,
    },
    /// A key derivation that nobody would wait for.
    #[error(
        "{kdf} takes longer than {minutes} minutes on most machines, which nobody would wait for"
    )]
    KdfTooCostly {
        /// The key derivation with its costs.
        kdf: String,
        /// The longest time.
        minutes: u64,
    },
    /// A sector size that dm-crypt does not have.
    #[error("sector size {bytes} is none of 512, 1024, 2048 and 4096")]
    SectorSize {
        /// The size asked for.
        bytes: u32,
    },
    /// Sectors in which Linux cannot use what is in the image.
    #[error("{name} holds {found}: Linux cannot use that in sectors of {bytes} bytes")]
    SectorTooLarge {
        /// The image.
        name: String,
        /// What is in it.
        found: String,
        /// The sector size asked for.
        bytes: u32,
        /// The largest that would do.
        limit: u32,
    },
    /// Whoever watched the job has ended it.
    #[error("cancelled")]
    Cancelled,
    /// Where a secret was to come from.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Somebody was asked, and did not say yes.
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
    /// A new container or keyslot that everybody would open, and nobody allowed it.
    #[error("{name}: the key is empty (0 bytes)")]
    EmptyPassphrase {
        /// Where it came from.
        name: String,
    },
}

impl Error {
    /// What is wrong with the container that messages call `name`.
    pub fn luks(name: &str, error: luks::Error) -> Self {
        Self::Luks {
            name: name.to_owned(),
            error: Box::new(error),
        }
    }

    /// The same of a container whose bytes are in `storage`: where it is none, that is looked at.
    pub fn of_image(name: &str, error: luks::Error, storage: &dyn Storage) -> Self {
        match error {
            luks::Error::NotLuks => Self::NotLuks {
                name: name.to_owned(),
                instead: Box::new(Instead::look(storage)),
            },
            error => Self::luks(name, error),
        }
    }

    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Source(error) => error.blame(),
            Self::Qcow(error) => error.blame(),
            Self::Destination(error) => error.blame(),
            Self::Image(error) => error.blame(),
            Self::Change(error) => error.blame(),
            Self::Clone(error) => error.blame(),
            Self::InPlace(error) => error.blame(),
            Self::Mapping(error) => error.blame(),
            Self::Openstack(error) => error.blame(),
            Self::Transfer(error) => error.blame(),
            Self::Secret(error) => error.blame(),
            Self::Luks { error, .. } => blame_of_luks(error),
            Self::OtherType { .. }
            | Self::Compare { .. }
            | Self::NotLuks { .. }
            | Self::Detached { .. } => Blame::Image,
            Self::Plain(_)
            | Self::Conflict { .. }
            | Self::NoSize
            | Self::PayloadSize { .. }
            | Self::ContainerSize { .. }
            | Self::BeyondFiles { .. }
            | Self::Size { .. }
            | Self::KeyBits { .. }
            | Self::Cipher(_)
            | Self::Policy(_)
            | Self::NullCipher
            | Self::RiskyCipher { .. }
            | Self::SectorSize { .. }
            | Self::SectorTooLarge { .. }
            | Self::KdfTooCostly { .. }
            | Self::Direct { .. }
            | Self::Cancelled
            | Self::OneKey { .. }
            | Self::Unconfirmed(_)
            | Self::EmptyPassphrase { .. } => Blame::Request,
        }
    }
}

fn blame_of_luks(error: &luks::Error) -> Blame {
    match error {
        luks::Error::Io { source, .. } if is_exchanged(source) => Blame::Taken,
        luks::Error::NoKeyFits { .. } | luks::Error::Unfinished(luks::Unfinished::Key { .. }) => {
            Blame::Key
        }
        luks::Error::OutOfMemory { .. } => Blame::Memory,
        luks::Error::Busy | luks::Error::Changed => Blame::Taken,
        luks::Error::NoUsableKeyslot(_)
        | luks::Error::Sealed
        | luks::Error::LastKeyslot { .. }
        | luks::Error::Cancelled
        | luks::Error::InvalidOption(_)
        | luks::Error::Random(_) => Blame::Request,
        _ => Blame::Image,
    }
}
