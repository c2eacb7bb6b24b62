//! Why the kernel has no mapping, or still has one.

use std::io;

use devmapper::NameProblem;

use crate::blame::Blame;
use crate::block::InUse;

/// Why the kernel has no mapping, or still has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// There is no device-mapper.
    #[error("there is no device-mapper here: {source}")]
    NoDeviceMapper {
        /// The system's reason.
        source: io::Error,
    },
    /// It is root's.
    #[error("device-mapper is not for this user: {source}")]
    NotPermitted {
        /// The system's reason.
        source: io::Error,
    },
    /// There is no dm-crypt.
    #[error("this kernel has no dm-crypt")]
    NoDmCrypt,
    /// No mapping can be called so.
    #[error("{name} is no name for a mapping: {problem}")]
    Name {
        /// The name, escaped.
        name: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// What is to be mapped has no path.
    #[error("{name} is neither a file nor a block device, which is what the kernel maps")]
    NoPath {
        /// What it is.
        name: String,
    },
    /// There is one of this name.
    #[error("{name} is active already")]
    Active {
        /// The name.
        name: String,
    },
    /// There is one of this name that maps nothing.
    #[error("{name} is a device without a table, left by a program that was killed")]
    NoTable {
        /// The name.
        name: String,
    },
    /// There is none of this name.
    #[error("{name} is not active")]
    Inactive {
        /// The name.
        name: String,
    },
    /// Somebody else has made it, for another purpose.
    #[error("{name} is no mapping of an encrypted volume: {what}")]
    Foreign {
        /// The name.
        name: String,
        /// What it is instead.
        what: String,
    },
    /// The image is mounted, mapped or something else already.
    #[error("{name} is in use{by}")]
    InUse {
        /// The image.
        name: String,
        /// By whom, as far as the kernel tells.
        by: InUse,
    },
    /// The mapping is mounted, or part of another device.
    #[error("{name} is still in use{by}")]
    Held {
        /// The mapping.
        name: String,
        /// By whom, as far as the kernel tells.
        by: InUse,
    },
    /// The file is another one by now.
    #[error("{name} was replaced while it was being opened")]
    Exchanged {
        /// The image.
        name: String,
    },
    /// There is a header and no data.
    #[error("{name} has no whole sector behind its header: there is nothing to map")]
    NoData {
        /// The image.
        name: String,
    },
    /// A size that is none.
    #[error("{name}: a size of {sectors} sectors (of 512 bytes) is {problem}")]
    Size {
        /// The mapping.
        name: String,
        /// The size asked for.
        sectors: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The kernel refuses the table.
    #[error("the kernel does not map {name}: {reason}")]
    Refused {
        /// The image.
        name: String,
        /// Its reason, from its log where that tells more.
        reason: String,
    },
    /// The kernel takes no key.
    #[error("the kernel takes no key into the keyring of this thread: {source}")]
    Keyring {
        /// Its reason.
        source: io::Error,
    },
    /// It is not suspended.
    #[error("{name} is not suspended")]
    NotSuspended {
        /// The mapping.
        name: String,
    },
    /// It is suspended.
    #[error("{name} is suspended")]
    Suspended {
        /// The mapping.
        name: String,
    },
    /// It has no header, where one is needed.
    #[error("{name} is no mapping of a LUKS container")]
    NotLuks {
        /// The mapping.
        name: String,
    },
    /// The header is another container's, and so is its key.
    #[error("{image} is not what {name} is a mapping of: {difference}")]
    OtherHeader {
        /// The mapping.
        name: String,
        /// The image that the header is in.
        image: String,
        /// What is not the same.
        difference: String,
    },
    /// A folder in which mappings by FUSE lie, or a file in it.
    #[error("{folder}: {source}")]
    Folder {
        /// Which.
        folder: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Something else stands where the mapping is to be found.
    #[error("{path} is there already")]
    Occupied {
        /// Where.
        path: String,
    },
    /// It is not mounted, or still is.
    #[error(transparent)]
    Fuse(#[from] serve::fuse::MountError),
    /// What serves a mapping does not do what it is asked for.
    #[error("{name}: its server: {source}")]
    Server {
        /// The mapping.
        name: String,
        /// What it says.
        source: io::Error,
    },
    /// Any other call.
    #[error(transparent)]
    Kernel(devmapper::Error),
}

impl MappingError {
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Active { .. }
            | Self::NoTable { .. }
            | Self::InUse { .. }
            | Self::Held { .. }
            | Self::Occupied { .. }
            | Self::Fuse(serve::fuse::MountError::Busy { .. })
            | Self::Exchanged { .. } => Blame::Taken,
            Self::Inactive { .. }
            | Self::NoData { .. }
            | Self::Refused { .. }
            | Self::OtherHeader { .. } => Blame::Image,
            Self::NoDeviceMapper { .. }
            | Self::NotPermitted { .. }
            | Self::NoDmCrypt
            | Self::Name { .. }
            | Self::NoPath { .. }
            | Self::Foreign { .. }
            | Self::Size { .. }
            | Self::Keyring { .. }
            | Self::NotSuspended { .. }
            | Self::Suspended { .. }
            | Self::NotLuks { .. }
            | Self::Folder { .. }
            | Self::Fuse(_)
            | Self::Server { .. }
            | Self::Kernel(_) => Blame::Request,
        }
    }
}

impl From<devmapper::Error> for MappingError {
    fn from(error: devmapper::Error) -> Self {
        match error {
            devmapper::Error::NoDeviceMapper(source) => Self::NoDeviceMapper { source },
            devmapper::Error::NotPermitted(source) => Self::NotPermitted { source },
            error => Self::Kernel(error),
        }
    }
}
