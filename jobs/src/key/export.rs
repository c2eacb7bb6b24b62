//! The volume key itself, in a file.

use std::path::Path;

use serde::Serialize;

use crate::change::{check_new, write_new};
use crate::confirm::{Confirm, Loss, Question};
use crate::error::Error;
use crate::place::Place;
use crate::policy::Policies;
use crate::secret::Secrets;
use crate::source::Source;
use crate::temporary::Content;
use crate::text;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How a volume key is exported.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// What the header must look like.
    pub policies: Policies,
    /// How the container is unlocked; an unbound keyslot that is named gives its own key.
    pub unlock: Unlock,
    /// It may be read even while somebody else may be writing it.
    pub allow_in_use: bool,
    /// Nothing is written.
    pub dry_run: bool,
}

/// What was exported.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Exported {
    /// How messages name the container.
    pub image: String,
    /// The keyslot that was opened.
    pub keyslot: Option<u32>,
    /// How messages name the file.
    pub volume_key_file: String,
    /// Size of the key.
    pub bits: usize,
    /// Nothing was written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Writes the key into a new file that only its owner can read. The image is only read.
///
/// # Errors
///
/// What is wrong with the place, the policies, the header or the passphrase; a no; what cannot be written.
pub fn export(
    place: &Place,
    path: &Path,
    options: &ExportOptions,
    secrets: &dyn Secrets,
    confirm: &dyn Confirm,
    watch: &dyn Watch,
) -> Result<Exported, Error> {
    let source = Source::open(place, options.allow_in_use, watch)?;
    let file = text::path(path);
    let storage = source.seekable()?;
    let luks = unlock::open(&source.name, storage, &options.policies.read()?, watch)?;
    confirm.confirm(&Question {
        image: &source.name,
        loss: Loss::VolumeKey { file: &file },
        dry_run: options.dry_run,
    })?;
    let (cancel, unusable) = (|| watch.is_cancelled(), unlock::telling_once(watch));
    let how = options.unlock.options(&cancel, &unusable);
    let (unlocked, _) =
        unlock::with_passphrase(&source.name, secrets, |secret| luks.unlock(secret, &how))?;
    let key = unlocked.volume_key();
    if options.dry_run {
        check_new(path)?;
    } else {
        write_new(path, 0o600, Content::Secret, key.expose())?;
    }
    Ok(Exported {
        keyslot: unlocked.keyslot(),
        volume_key_file: file,
        bits: key.len() * 8,
        dry_run: options.dry_run,
        image: source.name,
    })
}
