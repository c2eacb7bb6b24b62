//! Why data are not changed where they lie, or not to the end.

use crate::blame::Blame;

/// Why data are not changed where they lie, or not to the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InPlaceError {
    /// It is in the middle of a job already.
    #[error("{name} is in the middle of a reencryption already")]
    UnderWay {
        /// The image.
        name: String,
        /// Its header, where that is detached.
        header: Option<String>,
    },
    /// The image has no header, and beside it lies a file that has one for it.
    #[error("{name} is in the middle of a job that {header} tells of")]
    HeaderBeside {
        /// The image.
        name: String,
        /// The file.
        header: String,
    },
    /// The header in a file is not of the image that it lies beside.
    #[error("{header} is no header of {name}: {problem}")]
    HeaderOfAnother {
        /// The image.
        name: String,
        /// The file.
        header: String,
        /// What does not fit.
        problem: String,
    },
    /// What is asked for is there already.
    #[error("nothing of {name} would change: key, cipher and sector size stay")]
    Nothing {
        /// The container.
        name: String,
    },
    /// The old key is too long or too short for the new cipher.
    #[error("{name}: the key that is to be kept has {have} bits, {asked} are asked for")]
    KeptKey {
        /// The container.
        name: String,
        /// Bits that it has.
        have: usize,
        /// Bits asked for.
        asked: usize,
    },
    /// A cipher that encrypts nothing, for what is encrypted.
    #[error("the null cipher encrypts nothing: what is encrypted is not given it")]
    NewNullCipher,
    /// There are several keyslots, and one key.
    #[error("{name} has several keyslots in use ({}), and one key is given", numbers(.keyslots))]
    OneKey {
        /// The container.
        name: String,
        /// All of them.
        keyslots: Vec<u32>,
    },
    /// A keyslot that does not open the data.
    #[error("keyslot {keyslot} of {name} does not open its data")]
    OtherKeyslot {
        /// The container.
        name: String,
        /// The keyslot.
        keyslot: u32,
    },
    /// A part of the data only, and nobody said that the rest may go.
    #[error("{name}: behind the first {bytes} bytes {rest} more would become noise")]
    Rest {
        /// The container.
        name: String,
        /// Bytes that are done.
        bytes: u64,
        /// Bytes behind them.
        rest: u64,
    },
    /// There is nothing in it.
    #[error("{name} is empty (0 bytes)")]
    Empty {
        /// The image.
        name: String,
    },
    /// Its size is no multiple of the sector size, and no sector is filled up in place.
    #[error("{name}: {bytes} bytes are no multiple of the sector size {sector_bytes}")]
    PartialSector {
        /// The image.
        name: String,
        /// Its size.
        bytes: u64,
        /// The sector size.
        sector_bytes: usize,
    },
    /// A size that is no number of whole sectors, or larger than what there is.
    #[error("{name}: {what} of {bytes} bytes is {problem}")]
    Size {
        /// The image.
        name: String,
        /// What is as large.
        what: &'static str,
        /// How large.
        bytes: u64,
        /// What is wrong with that.
        problem: String,
    },
    /// A decryption that is done, as far as its header says, whose keyslots are wiped already: what is left of it has no
    /// key to be proven by.
    #[error("{name} is decrypted, as {header} says, and no keyslot is left that proves it")]
    NoKeyLeft {
        /// The image.
        name: String,
        /// The header.
        header: String,
    },
    /// Bytes that are to be given up are something's.
    #[error(
        "the last {bytes} bytes of {name} are to be given up, and {content} has some of them, up to byte {end}"
    )]
    Reaches {
        /// The image.
        name: String,
        /// How many.
        bytes: u64,
        /// What was recognised.
        content: String,
        /// Where that ends.
        end: u64,
    },
    /// A block device cannot grow, and nobody said what of it may go.
    #[error("{name} is a block device and cannot grow for a header")]
    CannotGrow {
        /// The device.
        name: String,
    },
    /// The file system has no room.
    #[error("{name} needs {needed} more bytes, and its file system has {free}")]
    NoRoom {
        /// The image.
        name: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A file may not become as long.
    #[error("{name} would become {needed} bytes long, and files of this process end at {limit}")]
    Limit {
        /// The image.
        name: String,
        /// Bytes needed.
        needed: u64,
        /// The limit on the size of files.
        limit: u64,
    },
    /// cryptsetup works on it.
    #[error("{name} is being reencrypted by cryptsetup, which holds {lock}")]
    CryptsetupHas {
        /// The image.
        name: String,
        /// The lock.
        lock: String,
    },
    /// Whoever watched the job has ended it, between two commits.
    #[error("stopped: {left_bytes} bytes of {name} are still to be done")]
    Stopped {
        /// The image.
        name: String,
        /// Its header, where that is detached.
        header: Option<String>,
        /// Bytes that are as before.
        left_bytes: u64,
    },
    /// The disk failed in the midst of it.
    #[error("{name} is left in the middle: {error}")]
    Broken {
        /// The image.
        name: String,
        /// Its header, where that is detached.
        header: Option<String>,
        /// What failed.
        #[source]
        error: Box<luks::Error>,
    },
}

impl InPlaceError {
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::HeaderBeside { .. }
            | Self::HeaderOfAnother { .. }
            | Self::NoKeyLeft { .. }
            | Self::Reaches { .. }
            | Self::Broken { .. } => Blame::Image,
            Self::CryptsetupHas { .. } => Blame::Taken,
            Self::UnderWay { .. }
            | Self::Nothing { .. }
            | Self::KeptKey { .. }
            | Self::NewNullCipher
            | Self::OneKey { .. }
            | Self::OtherKeyslot { .. }
            | Self::Rest { .. }
            | Self::Empty { .. }
            | Self::PartialSector { .. }
            | Self::Size { .. }
            | Self::CannotGrow { .. }
            | Self::NoRoom { .. }
            | Self::Limit { .. }
            | Self::Stopped { .. } => Blame::Request,
        }
    }
}

fn numbers(keyslots: &[u32]) -> String {
    let numbers: Vec<_> = keyslots.iter().map(u32::to_string).collect();
    numbers.join(", ")
}
