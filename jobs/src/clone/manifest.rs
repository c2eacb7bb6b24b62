//! A line for each clone, written as soon as it is known what became of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Cloned;
use crate::error::{ChangeError, Error};
use crate::text;

/// The file. It tells at every moment what is there so far, and it is there unless nothing could be begun.
pub(super) struct Manifest {
    name: String,
    file: File,
}

impl Manifest {
    /// Makes it.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let name = text::path(path);
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path);
        match made {
            Ok(file) => Ok(Self { name, file }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(ChangeError::Exists { name }.into())
            }
            Err(source) => Err(ChangeError::Write { name, source }.into()),
        }
    }

    /// Adds a line.
    pub(super) fn add(&mut self, cloned: &Cloned) -> Result<(), Error> {
        let mut line = serde_json::to_vec(cloned).expect("plain data");
        line.push(b'\n');
        let written = self.file.write_all(&line);
        let written = written.and_then(|()| self.file.sync_data());
        written.map_err(|source| {
            let name = self.name.clone();
            ChangeError::Write { name, source }.into()
        })
    }
}
