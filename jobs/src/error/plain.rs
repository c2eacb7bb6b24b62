//! Why there is no plain container.

/// Why the options make no plain container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlainError {
    /// Something that has no default is not said.
    #[error("the {what} of a plain container is not given")]
    Missing {
        /// What: [`Self::CIPHER`], [`Self::KEY_SIZE`] or [`Self::HASH`].
        what: &'static str,
    },
    /// It is not said in which form the key is used.
    #[error("nothing tells in which form a key fits a plain container")]
    OpenFormat,
    /// A key is whole bytes.
    #[error("a key of {bits} bits is not a whole number of bytes")]
    KeyBits {
        /// The size asked for.
        bits: u32,
    },
    /// There are four sector sizes.
    #[error("sector size {bytes} is none of 512, 1024, 2048, 4096")]
    SectorSize {
        /// The size asked for.
        bytes: u32,
    },
    /// An offset beyond any disk.
    #[error("offset {sectors} sectors is beyond 64 bits of bytes")]
    Offset {
        /// The offset asked for.
        sectors: u64,
    },
    /// The cipher is none, is not built, or does not take the key.
    #[error(transparent)]
    Cipher(#[from] dmcrypt::Error),
    /// Hash, key or offsets.
    #[error(transparent)]
    Container(#[from] dmcrypt_plain::Error),
}

impl PlainError {
    /// What is not said in a [`Self::Missing`].
    pub const CIPHER: &str = "cipher";
    /// The same.
    pub const KEY_SIZE: &str = "key size";
    /// The same.
    pub const HASH: &str = "hash of the passphrase";
}
