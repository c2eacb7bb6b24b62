//! Why there is no secret.

use std::error;
use std::fmt;

use crate::blame::Blame;

/// Why there is no secret: an error of whoever has them.
#[derive(Debug)]
pub struct SecretError {
    blame: Blame,
    source: Box<dyn error::Error + Send + Sync>,
}

impl SecretError {
    /// From an error of one's own.
    pub fn new(blame: Blame, source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self { blame, source }
    }

    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        self.blame
    }

    /// The error that it was made of.
    pub fn get_ref(&self) -> &(dyn error::Error + Send + Sync + 'static) {
        &*self.source
    }

    /// The same, taken out.
    pub fn into_inner(self) -> Box<dyn error::Error + Send + Sync> {
        self.source
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl error::Error for SecretError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.source()
    }
}
