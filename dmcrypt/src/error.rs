//! What can be wrong with a specification, a hash name or a key.

/// Why a specification cannot be used.
///
/// [`Spec`](Self::Spec) says that the text is malformed. The `Unsupported` kinds say that it is well formed but names
/// something that is not built here (whether or not the kernel has it). The others say that its parts do not fit.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no cipher specification.
    #[error("cipher specification {spec:?}: {reason}")]
    Spec {
        /// The text.
        spec: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The cipher is not built here.
    #[error("cipher {cipher:?} is not supported")]
    UnsupportedCipher {
        /// Its name.
        cipher: String,
    },
    /// The chaining mode is not built here, or not for this cipher.
    #[error("mode {mode:?} of cipher {cipher:?} is not supported")]
    UnsupportedMode {
        /// The name of the cipher.
        cipher: String,
        /// The name of the mode.
        mode: String,
    },
    /// The way to make IVs is not built here.
    #[error("IV {iv:?} is not supported")]
    UnsupportedIv {
        /// Its name, with its options.
        iv: String,
    },
    /// The hash is not built here, or exists nowhere.
    #[error("hash {hash:?} is not supported")]
    UnsupportedHash {
        /// Its name.
        hash: String,
    },
    /// The cipher takes no key of this length.
    #[error("{spec} takes a key of {expected} bytes, not of {bytes}")]
    KeySize {
        /// The specification.
        spec: String,
        /// The length that was given.
        bytes: usize,
        /// The lengths that it takes, as text: `32, 48 or 64`.
        expected: String,
    },
    /// The digest of an ESSIV hash must be a key of the cipher, and is not.
    #[error(
        "{spec}: a digest of {hash} has {bytes} bytes, and {cipher} takes a key of {expected} bytes"
    )]
    IvHash {
        /// The specification.
        spec: String,
        /// The hash.
        hash: &'static str,
        /// The length of its digest.
        bytes: usize,
        /// The cipher.
        cipher: &'static str,
        /// The lengths of a key that the cipher takes, as text: `16, 24 or 32`.
        expected: String,
    },
    /// Two parts of the specification, or one and the size of the sectors, do not go together.
    #[error("{spec}: {reason}")]
    Misfit {
        /// The specification.
        spec: String,
        /// Why not.
        reason: &'static str,
    },
}
