//! Is a qcow2 image sound, as far as can be seen: its tables, its refcounts, and its LUKS header.

use qcow2::Image;
use qcow2::check::Checked;
use serde::Serialize;

use super::{Verified, VerifyOptions, verify as verify_luks};
use crate::error::Error;
use crate::inspect::disk::Clusters;
use crate::new_container::Places;
use crate::open;
use crate::place::Place;
use crate::qcow::{self, image_error};
use crate::secret::Secrets;
use crate::watch::Watch;

/// What was found.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct VerifiedDisk {
    /// How messages name the image.
    pub image: String,
    /// `qcow2`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Nothing is wrong with it.
    pub sound: bool,
    /// What is wrong with it, its LUKS header included.
    pub problems: Vec<String>,
    /// What is worth knowing, and may be as it should.
    pub notes: Vec<String>,
    /// The clusters of the disk.
    pub clusters: Clusters,
    /// Clusters of the file that nothing uses, or not as often as is said.
    pub leaked_clusters: u64,
    /// What was found of its LUKS header.
    pub luks: Option<Verified>,
}

/// Verifies a qcow2 image. Nothing that it refers to is opened, and nothing is written; a key is checked where `options`
/// say so.
///
/// # Errors
///
/// What is wrong with the place or the policies; a header that cannot be read. An image that is not sound, or a key that
/// opens nothing, is no error.
pub fn verify(
    place: &Place,
    options: &VerifyOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<VerifiedDisk, Error> {
    if options.data.is_some() {
        return Err(Error::Conflict {
            one: Places::HEADER,
            other: qcow::IMAGE,
        });
    }
    let source = open::source(place, options.allow_in_use, watch)?;
    let storage = source.seekable()?;
    let image = Image::open(storage.clone());
    let image = image.map_err(|error| image_error(&source.name, error))?;
    let window = image.luks_header();
    let window = window.map_err(|error| image_error(&source.name, error))?;
    if window.is_none() && options.key.is_some() {
        return Err(Error::Conflict {
            one: "a key",
            other: "a qcow2 image that is not encrypted",
        });
    }
    let checked = image.check().map_err(|error| source.unreadable(error))?;
    let luks = window.map(|window| {
        let own = image.luks_header();
        let own = own.map_err(|error| image_error(&source.name, error))?;
        own.map(|own| qcow::open_luks(&source.name, own))
            .transpose()?;
        let stored = |storage| Place::Storage {
            name: source.name.clone(),
            storage,
        };
        let options = VerifyOptions {
            // The data lie all over the file.
            data: Some(stored(storage)),
            ..options.clone()
        };
        let header = stored(std::sync::Arc::new(window));
        verify_luks(&header, &options, secrets, watch)
    });
    let luks = luks.transpose()?;
    let (mut problems, mut notes) = found(&checked);
    let header = image.header();
    if header.is_corrupt {
        problems.insert(0, qcow::CORRUPT.to_owned());
    }
    if header.is_dirty {
        notes.insert(0, qcow::DIRTY.to_owned());
    }
    if let Some(luks) = &luks {
        problems.extend(luks.problems.iter().cloned());
    }
    Ok(VerifiedDisk {
        kind: "qcow2",
        sound: problems.is_empty(),
        problems,
        notes,
        clusters: checked.clusters.into(),
        leaked_clusters: checked.leaked,
        luks,
        image: source.name,
    })
}

/// Problems and notes.
fn found(checked: &Checked) -> (Vec<String>, Vec<String>) {
    let problems = checked.problems.iter().map(ToString::to_string);
    let more = (checked.more > 0).then(|| format!("and {} more of that kind", checked.more));
    let left_out = checked
        .left_out
        .map(|what| format!("not looked at: {what}"));
    let leaked = checked.leaked;
    let leaks = (leaked > 0).then(|| {
        format!("{leaked} clusters are said to be used more often than they are: room that nobody gets back by itself")
    });
    (
        problems.chain(more).chain(left_out).collect(),
        leaks.into_iter().collect(),
    )
}
