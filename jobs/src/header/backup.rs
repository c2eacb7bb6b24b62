//! Header and keyslots, saved in a file.

use std::path::Path;

use luks::Backup;
use serde::Serialize;

use crate::change::{back_up, would_back_up};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::policy::Policies;
use crate::text;
use crate::unlock;
use crate::watch::Watch;

/// How a header is saved.
#[derive(Clone, Debug, Default)]
pub struct BackupOptions {
    /// What it must look like.
    pub policies: Policies,
    /// It may be read even while somebody else may be writing it.
    pub allow_in_use: bool,
    /// Nothing is written.
    pub dry_run: bool,
}

/// What was saved.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct BackedUp {
    /// How messages name the container.
    pub image: String,
    /// The same of the file.
    pub file: String,
    /// Its size.
    pub bytes: usize,
    /// What of the container could not be read, and is zeros in the file.
    pub holes: Vec<Hole>,
    /// Nothing was written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Bytes that are zeros in the file.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Hole {
    /// The first.
    pub offset: u64,
    /// How many.
    pub length: u64,
    /// A header copy or the area of a keyslot in use has lost something.
    pub in_use: bool,
    /// Why.
    pub problem: String,
}

/// Writes the backup into a new file; the image is only read, whatever state its header copies are in.
///
/// # Errors
///
/// What is wrong with the place, the policies or the header; what cannot be written. A backup with holes is no error.
pub fn backup(
    place: &Place,
    path: &Path,
    options: &BackupOptions,
    watch: &dyn Watch,
) -> Result<BackedUp, Error> {
    let source = open::source(place, options.allow_in_use, watch)?;
    let policies = options.policies.read()?;
    let luks = unlock::open(&source.name, source.seekable()?, &policies, watch)?;
    if let luks::Header::Luks2(header) = luks.header()
        && let Err(error) = header.metadata.config.refuse_reencryption()
    {
        watch.warn(&format_args!(
            "{}: {error}: once it has gone on, this backup opens the data no more",
            source.name
        ));
    }
    let back_up = if options.dry_run {
        would_back_up
    } else {
        back_up
    };
    let backup = back_up(&source.name, &luks, path, watch)?;
    Ok(BackedUp {
        image: source.name,
        file: text::path(path),
        bytes: backup.bytes().len(),
        holes: holes(&backup),
        dry_run: options.dry_run,
    })
}

/// What is zeros in a backup.
pub fn holes(backup: &Backup) -> Vec<Hole> {
    let hole = |hole: &luks::backup::Hole| Hole {
        offset: hole.start,
        length: hole.end - hole.start,
        in_use: hole.is_in_use,
        problem: hole.problem.clone(),
    };
    backup.holes().iter().map(hole).collect()
}
