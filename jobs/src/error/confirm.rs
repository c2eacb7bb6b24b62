//! Why somebody who was asked did not let a job go on.

use std::error;

/// Why somebody who was asked did not let a job go on: an error of theirs.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unconfirmed(Box<dyn error::Error + Send + Sync>);

impl Unconfirmed {
    /// From an error of one's own.
    pub fn new(error: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// The error that it was made of.
    pub fn into_inner(self) -> Box<dyn error::Error + Send + Sync> {
        self.0
    }
}
