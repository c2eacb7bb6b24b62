//! What is refused unless it is allowed, where an image becomes a container.

/// What is refused unless it is allowed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is allowed by itself")]
pub struct Allow {
    /// A source that somebody may be writing.
    pub in_use: bool,
    /// A raw or plain source that is an image in a format of its own, or a container: its bytes are taken as they are.
    pub any_source: bool,
    /// Sectors in which Linux cannot use what is in the source.
    pub any_sector_size: bool,
    /// An empty passphrase, with which everybody opens the container.
    pub empty_passphrase: bool,
    /// A cipher that protects little or nothing, or less than a source's, or more data under one key than it is good for.
    pub weak_cipher: bool,
    /// A given volume key whose two halves for XTS are equal, which breaks the mode.
    pub equal_xts_halves: bool,
}
