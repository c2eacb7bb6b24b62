//! A header is sealed, in a token of its own or in a file, or is so no more.

use std::path::{Path, PathBuf};

use luks::edit;
use luks::seal::FileSeal;
use luks::{Luks, OsRandom, SealProblem, Unlocked};
use serde::Serialize;

use crate::block::Claim;
use crate::change::{self, ChangeOptions, Rehearsed, check_new, read_start, replace, write_new};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::secret::Secrets;
use crate::temporary::Content;
use crate::text;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How a header is sealed.
#[derive(Clone, Debug, Default)]
pub struct SealOptions {
    /// What every change takes.
    pub change: ChangeOptions,
    /// How the container is unlocked.
    pub unlock: Unlock,
    /// The seal is kept in this file, and nothing in the container is changed. A seal that is there already is replaced.
    pub file: Option<PathBuf>,
}

/// What was sealed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Sealed {
    /// How messages name the container.
    pub image: String,
    /// The token that is the seal, where it is one.
    pub token: Option<u32>,
    /// How messages name the file that has it, where it is in one.
    pub file: Option<String>,
    /// How many bytes the seal in the file covers, from the first on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed_bytes: Option<u64>,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// What was unsealed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Unsealed {
    /// How messages name the container.
    pub image: String,
    /// The tokens that are gone: one, where all was right.
    pub tokens: Vec<u32>,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Seals the header as it is; a seal that was there and is broken is told, and replaced.
///
/// # Errors
///
/// What is wrong with the place, the options, the header or the key; what cannot be written.
pub fn seal(
    place: &Place,
    options: &SealOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Sealed, Error> {
    let change = &options.change;
    let target = open::changed_by(place, change, Claim::Header)?;
    let luks = target.luks_by(change, watch)?;
    let unlocked = unlock::unlock_as_given(&luks, &target.name, secrets, &options.unlock, watch)?;
    unlock::warn_of_seal(&luks, &target.name, watch);
    target.back_up(&luks, change.backup.as_deref(), watch)?;
    if let Some(path) = &options.file {
        let bytes = in_file(&luks, &unlocked, &target, path)?;
        return Ok(Sealed {
            token: None,
            file: Some(text::path(path)),
            sealed_bytes: Some(bytes),
            rehearsed: target.finish()?,
            image: target.name,
        });
    }
    let token = edit::seal(&luks, &unlocked, &mut OsRandom).map_err(target.failed())?;
    Ok(Sealed {
        token: Some(token),
        file: None,
        sealed_bytes: None,
        rehearsed: target.finish()?,
        image: target.name,
    })
}

fn in_file(
    luks: &Luks,
    unlocked: &Unlocked,
    target: &change::Target,
    path: &Path,
) -> Result<u64, Error> {
    let seal = luks
        .seal_in_file(unlocked, &mut OsRandom)
        .map_err(target.failed())?;
    let (is_dry, text) = (target.is_rehearsed(), seal.to_text());
    // Only a seal is replaced by one.
    if path.symlink_metadata().is_ok() && read_file(path).is_ok() {
        if !is_dry {
            replace(path, 0o644, Content::Public, text.as_bytes())?;
        }
    } else if is_dry {
        check_new(path)?;
    } else {
        write_new(path, 0o644, Content::Public, text.as_bytes())?;
    }
    Ok(seal.bytes())
}

/// Takes the seal out of the header. No key is needed.
///
/// # Errors
///
/// What is wrong with the place, the options or the header; a header that is not sealed.
pub fn unseal(
    place: &Place,
    options: &ChangeOptions,
    watch: &dyn Watch,
) -> Result<Unsealed, Error> {
    let target = open::changed_by(place, options, Claim::Header)?;
    let luks =
        target.luks_after_backup(&options.policies.read()?, options.backup.as_deref(), watch)?;
    let tokens = edit::unseal(&luks, &mut OsRandom).map_err(target.failed())?;
    if tokens.is_empty() {
        return Err(Error::luks(&target.name, SealProblem::Missing.into()));
    }
    Ok(Unsealed {
        tokens,
        rehearsed: target.finish()?,
        image: target.name,
    })
}

/// Reads a seal that is kept in a file.
///
/// # Errors
///
/// What cannot be read, and what is no seal.
pub fn read_file(path: &Path) -> Result<FileSeal, Error> {
    let name = text::path(path);
    let text = read_start(path, FileSeal::MAX_FILE_BYTES)?;
    FileSeal::parse(&text).map_err(|problem| Error::luks(&name, problem.into()))
}
