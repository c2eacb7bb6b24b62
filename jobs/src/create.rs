//! An empty container.

use crate::allow::Allow;
use crate::destination::Overwrite;
use crate::error::{DestinationError, Error};
use crate::inputs::Inputs;
use crate::new_container::{self, Places};
use crate::new_image::{self, ImageOptions};
use crate::new_luks::{self, LuksOptions};
use crate::place::Place;
use crate::report::Report;
use crate::secret::Secrets;
use crate::sizes::{Given, Sizes};
use crate::watch::Watch;

/// How an empty container is made.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// What it is to be.
    pub format: LuksOptions,
    /// A qcow2 image is made around it.
    pub image: Option<ImageOptions>,
    /// Its header lies here, and the container holds data only.
    pub header: Option<Place>,
    /// How large it becomes; a device is as large as it is.
    pub size: Option<Given>,
    /// What may be written over.
    pub overwrite: Overwrite,
    /// Nothing is written.
    pub dry_run: bool,
    /// What is refused unless it is allowed: an empty passphrase, a weak cipher. There is no source.
    pub allow: Allow,
    /// What is read, and must not be written: key files.
    pub inputs: Inputs,
}

/// Makes an empty container at `destination`, which is there whole or not at all.
///
/// # Errors
///
/// What is wrong with the place, the options or the secret; what cannot be written. Nothing is left then.
pub fn create(
    destination: &Place,
    options: &CreateOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Report, Error> {
    let header = options.header.as_ref();
    let places = Places::check(destination, header, options.overwrite, &options.inputs)?;
    let name = places.data.name.clone();
    if places.data.is_stream() {
        return Err(Error::Conflict {
            one: "create",
            other: "a pipe",
        });
    }
    let image = options.image.as_ref();
    if image.is_some() {
        new_image::check_target(&places.data, header.map(|_| Places::HEADER))?;
        if matches!(options.size, Some(Given::Container(_))) {
            return Err(Error::Conflict {
                one: new_image::WHOLE_SIZE,
                other: new_image::QCOW2,
            });
        }
    }
    // A device is as large as it is, and an image in it as large as is said.
    let capacity = places.data.capacity()?.filter(|_| image.is_none());
    let given = options.size.or(capacity.map(Given::Container));
    let given = given.ok_or(Error::NoSize)?;
    let detached = places.header.is_some();
    let sizes = Sizes::of_luks(&name, &options.format, detached, given, None)?;
    let measured = image.map(|image| {
        image.check_luks(
            &name,
            sizes.new.options(),
            &sizes.layout,
            sizes.payload_bytes,
        )
    });
    let measured = measured.transpose()?;
    let container_bytes = measured.map_or(sizes.container_bytes(), |measured| measured.empty);
    places.data.check_room(container_bytes)?;
    if let Some(header) = &places.header {
        header.check_room(sizes.layout.reserved_bytes)?;
    }
    let made = sizes.new.options();
    let weak = options.allow.weak_cipher;
    new_container::check_cipher(&made.cipher, weak, watch)?;
    new_container::check_amount(
        &made.cipher,
        dmcrypt::SECTOR_BYTES,
        Some(sizes.payload_bytes),
        weak,
        watch,
    )?;
    let report = Report {
        dry_run: options.dry_run,
        header: places.header.as_ref().map(|header| header.name.clone()),
        sector_size_reason: Some(sizes.sectors.reason.clone()),
        ..new_luks::report(made, &sizes.layout, name.clone())
    }
    .with_payload(Some(sizes.payload_bytes));
    let report = match image {
        Some(_) => report.in_qcow2(Some(container_bytes)),
        None => report,
    };
    if options.dry_run {
        return Ok(report);
    }

    watch.planned(&report);
    let payload_bytes = sizes.payload_bytes;
    let container = new_container::prepare(sizes.new, &name, secrets, &options.allow, watch)?;
    let payload = Some(payload_bytes);
    new_container::write(container, payload, places, image, |destination, _| {
        // The payload of a new file is a hole; that of a device is what was there.
        match destination.storage() {
            Some(storage) if destination.is_new() && image.is_none() => {
                storage.set_len(container_bytes).map_err(|source| {
                    DestinationError::Write {
                        name: name.clone(),
                        source,
                    }
                    .into()
                })
            }
            _ => Ok(()),
        }
    })?;
    Ok(report)
}
