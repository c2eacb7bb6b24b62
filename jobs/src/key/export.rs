//! The volume key itself, in a file.

use std::path::{Path, PathBuf};

use luks::{Header, Luks, Unlocked};
use serde::Serialize;

use crate::change::{check_new, write_new};
use crate::confirm::{Confirm, Loss, Question};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::policy::Policies;
use crate::secret::Secrets;
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
    /// Both keys of a reencryption that is under way are exported: the one of the data before it, and into this file the
    /// one after it.
    pub after: Option<PathBuf>,
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
    /// How messages name the file of the key after a reencryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_file: Option<String>,
    /// Size of the key.
    pub bits: usize,
    /// Nothing was written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Writes the key into a new file that only its owner can read. The image is only read. In the middle of a reencryption it
/// is the key that was opened, or both.
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
    let source = open::source(place, options.allow_in_use, watch)?;
    let file = text::path(path);
    let storage = source.seekable()?;
    let luks = unlock::open(&source.name, storage, &options.policies.read()?, watch)?;
    confirm.confirm(&Question {
        image: &source.name,
        loss: Loss::VolumeKey { file: &file },
        dry_run: options.dry_run,
    })?;
    let (unlocked, files) = match &options.after {
        None => {
            let how = &options.unlock;
            let unlocked = unlock::unlock_as_given(&luks, &source.name, secrets, how, watch)?;
            warn_of_other(&luks, &unlocked, &source.name, watch);
            (unlocked, vec![(path, None)])
        }
        Some(after) => {
            let [old, new] = both_keys(&luks, &source.name)?;
            let how = &options.unlock;
            let (unlocked, _) = unlock::unlock(&luks, &source.name, secrets, how, watch)?;
            if let Some(digest) = unlocked.missing_key() {
                let missing = luks::Unfinished::Key { digest };
                return Err(Error::luks(&source.name, missing.into()));
            }
            let files = vec![(path, Some(old)), (after.as_path(), Some(new))];
            (unlocked, files)
        }
    };
    // Both or none, as far as that can be known.
    for (file, _) in &files {
        check_new(file)?;
    }
    for (file, digest) in files.iter().filter(|_| !options.dry_run) {
        let mut keys = unlocked.keys();
        let key = keys.find(|(id, ..)| digest.is_none_or(|digest| digest == *id));
        let (_, key, _) = key.expect("what unlocks finds a key, and none is missing");
        write_new(file, 0o600, Content::Secret, key.expose())?;
    }
    Ok(Exported {
        keyslot: unlocked.keyslot(),
        volume_key_file: file,
        after_file: options.after.as_deref().map(text::path),
        bits: unlocked.volume_key().len() * 8,
        dry_run: options.dry_run,
        image: source.name,
    })
}

/// The digests of the keys before and after a reencryption that is under way.
fn both_keys(luks: &Luks, name: &str) -> Result<[u32; 2], Error> {
    let state = match luks.header() {
        Header::Luks1(_) => None,
        Header::Luks2(header) => header.metadata.reencryption.as_ref(),
    };
    let digests = state.map(|state| state.key_digests()).unwrap_or_default();
    digests.try_into().map_err(|_| Error::OneKey {
        name: name.to_owned(),
    })
}

/// Tells that a key is one of two.
fn warn_of_other(luks: &Luks, unlocked: &Unlocked, name: &str, watch: &dyn Watch) {
    let Ok([old, _]) = both_keys(luks, name) else {
        return;
    };
    let of = unlocked.keys().next();
    let which = if of.is_some_and(|(digest, ..)| digest == old) {
        "before"
    } else {
        "after"
    };
    watch.warn(&format_args!(
        "{name} is being reencrypted, and its data is under two keys: this is the one {which} it"
    ));
}
