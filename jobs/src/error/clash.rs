//! What is read where something is to be written.

use std::fmt;

/// Something to be written that is read too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clash {
    /// What is read.
    pub what: &'static str,
    /// It is the same, not only where parts of it lie.
    pub is_itself: bool,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_itself {
            write!(f, "is {} itself", self.what)
        } else {
            write!(f, "lies in the same bytes as {}", self.what)
        }
    }
}
