//! What can be wrong with a plain volume.

use std::io;

/// Why there is no key, or no volume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The container's size cannot be found out.
    #[error("cannot find out the size of the container: {0}")]
    Io(#[source] io::Error),
    /// The cipher or the hash is not built, or does not take such a key.
    #[error(transparent)]
    Cipher(#[from] dmcrypt::Error),
    /// The text is no way to hash a passphrase.
    #[error("passphrase hash {hash:?}: {reason}")]
    Hash {
        /// The text.
        hash: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A passphrase is given, and no way to make a key of it.
    #[error("no hash is given that makes a key of the passphrase")]
    NoHash,
    /// More bytes are asked of the hash than the key has.
    #[error("{bytes} bytes are asked of the passphrase's hash, and the key has {key_bytes}")]
    HashLength {
        /// How many are asked for.
        bytes: usize,
        /// How many the key has.
        key_bytes: usize,
    },
    /// A passphrase that is used as it is has fewer bytes than are asked of it.
    #[error("the passphrase has {bytes} bytes, and {needed} are to be used")]
    PassphraseLength {
        /// How many it has.
        bytes: usize,
        /// How many are asked for.
        needed: usize,
    },
    /// A key file has fewer bytes than the key.
    #[error("the key file has {bytes} bytes, and the key has {key_bytes}")]
    KeyFileLength {
        /// How many the file has.
        bytes: usize,
        /// How many the key has.
        key_bytes: usize,
    },
    /// An offset, IV number or size that is no whole number of sectors. The kernel refuses it too.
    #[error("{what} {sectors} (of 512 bytes) is no multiple of the sector size {sector_bytes}")]
    Unaligned {
        /// Which of the options: `offset`, `skip` or `size`.
        what: &'static str,
        /// Its value in 512-byte sectors.
        sectors: u64,
        /// The sector size in bytes.
        sector_bytes: usize,
    },
    /// An offset or a size that is no 64-bit number of bytes.
    #[error(
        "offset {offset_sectors} and size {size_sectors} (of 512 bytes) exceed 64 bits of bytes"
    )]
    Overflow {
        /// The offset in 512-byte sectors.
        offset_sectors: u64,
        /// The size in 512-byte sectors.
        size_sectors: u64,
    },
    /// The volume starts where the container has no whole sector left.
    #[error(
        "offset {offset_sectors} (of 512 bytes) leaves no sector of a container of {container_bytes} bytes"
    )]
    OffsetBeyondEnd {
        /// The offset in 512-byte sectors.
        offset_sectors: u64,
        /// The container's size in bytes.
        container_bytes: u64,
    },
    /// The volume ends behind the end of the container.
    #[error(
        "size {size_sectors} at offset {offset_sectors} (of 512 bytes) is beyond the end of a container of {container_bytes} bytes"
    )]
    SizeBeyondEnd {
        /// The size in 512-byte sectors.
        size_sectors: u64,
        /// The offset in 512-byte sectors.
        offset_sectors: u64,
        /// The container's size in bytes.
        container_bytes: u64,
    },
}
