//! The properties by which Glance knows an encrypted image, and which images those may be: LUKS1, or qcow2 with LUKS1
//! inside.

use serde::Serialize;

use crate::error::{Error, OpenstackError};
use crate::inspect::{self, InspectOptions, disk};
use crate::place::Place;
use crate::watch::Watch;

/// What is said of the image.
#[derive(Clone, Debug)]
pub struct GlanceOptions {
    /// How it is looked at.
    pub inspect: InspectOptions,
    /// It is a qcow2 image.
    pub is_qcow2: bool,
    /// The UUID of its key in the key manager.
    pub key_id: String,
    /// What becomes of that key.
    pub deletion: KeyDeletion,
}

/// What becomes of the key when the image is deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyDeletion {
    /// It stays.
    #[default]
    DoNotDelete,
    /// It is deleted too.
    OnImageDeletion,
}

/// The properties, all of which are texts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Properties {
    /// `LUKSv1`.
    pub os_encrypt_format: &'static str,
    /// The UUID of the key.
    pub os_encrypt_key_id: String,
    /// What becomes of the key.
    pub os_encrypt_key_deletion_policy: KeyDeletion,
    /// Bytes of the plaintext.
    pub os_decrypt_size: String,
    /// What the plaintext is in.
    pub os_decrypt_container_format: &'static str,
}

/// Finds them out. Nothing is unlocked and nothing is written.
///
/// # Errors
///
/// What is wrong with the place, the policies or the header; [`OpenstackError::NotForGlance`].
pub fn properties(
    place: &Place,
    options: &GlanceOptions,
    watch: &dyn Watch,
) -> Result<Properties, Error> {
    let bytes = if options.is_qcow2 {
        of_qcow2(place, options, watch)?
    } else {
        of_luks(place, options, watch)?
    };
    Ok(Properties {
        os_encrypt_format: "LUKSv1",
        os_encrypt_key_id: options.key_id.clone(),
        os_encrypt_key_deletion_policy: options.deletion,
        os_decrypt_size: bytes.to_string(),
        os_decrypt_container_format: "bare",
    })
}

fn of_luks(place: &Place, options: &GlanceOptions, watch: &dyn Watch) -> Result<u64, Error> {
    let report = inspect::inspect(place, &options.inspect, watch)?;
    let refused = |what: &str| Err(OpenstackError::not_for_glance(&report.image, what).into());
    if report.kind != "luks1" {
        return refused("a LUKS2 container");
    }
    let start = report.segments.first().map_or(0, |segment| segment.offset);
    if start == 0 {
        return refused("a header without its data");
    }
    match report.image_bytes.checked_sub(start) {
        None | Some(0) => refused("a container without data"),
        Some(bytes) => Ok(bytes - bytes % dmcrypt::SECTOR_BYTES),
    }
}

fn of_qcow2(place: &Place, options: &GlanceOptions, watch: &dyn Watch) -> Result<u64, Error> {
    let report = disk::inspect(place, &options.inspect, watch)?;
    let odd = [
        (report.luks.is_none(), "a qcow2 image without encryption"),
        (
            report.backing_file.is_some(),
            "a qcow2 image that stands on another file",
        ),
        (
            report.data_file.is_some(),
            "a qcow2 image whose data are in another file",
        ),
        (report.extended_l2, "a qcow2 image with extended L2 entries"),
    ];
    match odd.iter().find(|(is_odd, _)| *is_odd) {
        Some((_, what)) => Err(OpenstackError::not_for_glance(&report.image, what).into()),
        None => Ok(report.disk_bytes),
    }
}
