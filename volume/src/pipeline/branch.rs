//! One of several sinks of a copy, which fails alone.

use std::sync::OnceLock;

use crate::error::CopyError;
use crate::volume::Volume;

/// A volume that gets the same as others, and what went wrong with it.
pub struct Branch {
    volume: Volume,
    error: OnceLock<CopyError>,
}

impl Branch {
    /// Nothing went wrong so far.
    pub fn new(volume: Volume) -> Self {
        Self {
            volume,
            error: OnceLock::new(),
        }
    }

    /// The volume.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// The volume and what went wrong with it: then it does not hold what was copied.
    pub fn into_parts(self) -> (Volume, Option<CopyError>) {
        (self.volume, self.error.into_inner())
    }

    pub(super) fn is_alive(&self) -> bool {
        self.error.get().is_none()
    }

    /// Writes to it and may encrypt in place; the first error is its last.
    pub(super) fn write(&self, offset: u64, buffer: &mut [u8]) {
        if let Err(error) = self.volume.write_in_place(offset, buffer) {
            self.fail(CopyError::Write { offset, error });
        }
    }

    pub(super) fn fail(&self, error: CopyError) {
        let _ = self.error.set(error);
    }
}
