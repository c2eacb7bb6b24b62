//! Why a copy ended early.

use std::io;

use volume::CopyError;

use crate::blame::Blame;

/// Why a copy ended early.
#[derive(Debug, thiserror::Error)]
#[error("{source_name} to {destination}: {error}")]
pub struct TransferError {
    /// The source, as messages name it.
    pub source_name: String,
    /// The destination, as messages name it.
    pub destination: String,
    /// What happened.
    #[source]
    pub error: CopyError,
}

impl TransferError {
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match &self.error {
            CopyError::Read { error, .. } | CopyError::Write { error, .. }
                if error.kind() == io::ErrorKind::OutOfMemory =>
            {
                Blame::Memory
            }
            CopyError::Read { .. } | CopyError::SourceShrank { .. } => Blame::Image,
            _ => Blame::Request,
        }
    }
}
