//! What a policy does not allow.

use std::fmt;

/// Something that a header says and that its policy does not allow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyViolation {
    /// Which part of the header.
    pub object: String,
    /// What is wrong with it, both values named; texts of the header are escaped.
    pub problem: String,
}

impl fmt::Display for PolicyViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.object, self.problem)
    }
}
