//! Why the data of a container in the middle of a reencryption is not read.

/// What keeps the data of a reencryption that is under way from being read; nothing was written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfinished {
    /// Anybody can have written the state: cryptsetup before 2.4 made no digest of it.
    #[error("a reencryption is in progress, and no digest proves its state")]
    NoDigest,
    /// Whoever wrote the state did not have the keys.
    #[error(
        "a reencryption is in progress, and its digest does not fit its state: somebody without the keys changed it"
    )]
    Digest,
    /// The data is under two keys, and only one of them is there.
    #[error("a reencryption is in progress, and the key of digest {digest} is needed as well")]
    Key {
        /// The digest of the key that is missing.
        digest: u32,
    },
    /// A crash while something was written that nothing protects.
    #[error(
        "a reencryption was writing bytes {start} to {end}, and nothing tells which of them are still old"
    )]
    Unprotected {
        /// First byte in the data's storage.
        start: u64,
        /// First byte behind them.
        end: u64,
    },
    /// The data lies in several places, and what tells which bytes are still old is compared with them.
    #[error("a reencryption is in progress, and its data can be read in a file or device only")]
    Stream,
}
