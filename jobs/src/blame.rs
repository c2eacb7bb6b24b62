//! What an error is to be blamed on.

/// What an error is to be blamed on: whoever called the job decides by it what to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Blame {
    /// What was asked for cannot be done, or anything else that has no kind of its own.
    Request,
    /// No keyslot opens with the key given.
    Key,
    /// There is not enough memory.
    Memory,
    /// An image is wrong, damaged, refused (cost and policy too) or cannot be read.
    Image,
    /// Something exists already, or is in use.
    Taken,
}
