//! The file that tells others the number of the process.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::ServeError;
use crate::output;

/// The file with the number of the process; it goes with it.
pub(in crate::commands) struct PidFile(PathBuf);

impl PidFile {
    /// Writes it, over what an earlier process has left.
    pub(in crate::commands) fn write(path: &Path) -> Result<Self, ServeError> {
        let failed = |source| ServeError::PidFile {
            path: output::path(path),
            source,
        };
        let absolute = std::path::absolute(path).map_err(failed)?;
        // What an earlier process has left is written over, but nothing that a link leads to.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let is_number = metadata.len() <= 16;
        if !metadata.is_file()
            || !is_number
            || metadata.uid() != rustix::process::geteuid().as_raw()
        {
            return Err(failed(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "it is no file with a number, or somebody else's",
            )));
        }
        file.set_len(0).map_err(failed)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
            .map_err(failed)?;
        // What was refused is not ours to remove.
        Ok(Self(absolute))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
