//! A container that becomes a raw image where it is.

use std::path::PathBuf;
use std::sync::Arc;

use luks::reencrypt::{
    Running, StartOptions, mark_decrypt_in_place, plan_decrypt, plan_decrypt_shift, start_decrypt,
    start_decrypt_shift,
};
use luks::{Backup, Luks, OsRandom, Unlocked};

use super::luks1::Raised;
use super::said::{data_bytes, metadata, one_segment};
use super::site::Site;
use super::zones::reports;
use super::{InPlaceReport, Zones, finish, header_file, luks1, resume, room};
use crate::change::{ChangeOptions, check_new};
use crate::confirm::{Confirm, Loss};
use crate::error::{Error, InPlaceError, SourceError};
use crate::place::Place;
use crate::secret::Secrets;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How a container is decrypted in place.
#[derive(Clone, Debug, Default)]
pub struct DecryptInPlaceOptions {
    /// What every change takes.
    pub change: ChangeOptions,
    /// How the container is unlocked.
    pub unlock: Unlock,
    /// How it is done.
    pub zones: Zones,
    /// It is only begun.
    pub init_only: bool,
}

/// Decrypts the container where it is. A header that lies in it goes to the new file `header`, beside the image unless said,
/// until all is decrypted; one that is detached lies there, and its data stay where they begin, whatever lies before them.
/// Either file is removed at the end.
///
/// # Errors
///
/// What is wrong with the places, the options or the secret, before anything is written; then [`InPlaceError::Stopped`] and
/// [`InPlaceError::Broken`].
pub fn decrypt(
    image: &Place,
    header: Option<&PathBuf>,
    options: &DecryptInPlaceOptions,
    secrets: &dyn Secrets,
    confirm: &dyn Confirm,
    watch: &dyn Watch,
) -> Result<InPlaceReport, Error> {
    let change = &options.change;
    let policies = change.policies.read()?;
    let mut site = Site::open(image, None, change)?;
    let in_image = Luks::open(Arc::clone(&site.data.storage));
    let is_detached = in_image.is_err();
    let new_header = if is_detached {
        let Some(header) = header else {
            return Err(without_header(&site, in_image.err()));
        };
        site.take_header(&Place::Path(header.clone()), change)?;
        None
    } else {
        Some(place(&site, header)?)
    };
    let (luks, luks1) = luks1::settled(&site, &policies, watch)?;
    let report = plan(&site, &luks, new_header.as_ref(), luks1.is_some(), options)?;
    if options.zones.is_unprotected() && is_detached {
        site.data.confirm(confirm, Loss::Unprotected)?;
    }
    if change.dry_run {
        return Ok(report);
    }
    let lock = site.keep_cryptsetup_out(&luks, watch)?;
    let name = site.header().name.clone();
    let (unlocked, _) = unlock::unlock(&luks, &name, secrets, &options.unlock, watch)?;
    let iterations = crate::limits::calibrated_digest(luks::defaults::HASH);
    let start = StartOptions {
        cut: !is_detached && !site.data.is_device(),
        ..options.zones.start(&name, iterations, None)?
    };
    site.bypass_page_cache(options.zones.work)?;
    room::take_kept(&site.data)?;
    site.header().back_up(
        luks1.as_ref().map_or(&luks, Raised::before),
        change.backup.as_deref(),
        watch,
    )?;
    watch.changes_in_place();
    let mut running = if let Some(path) = new_header {
        match &luks1 {
            Some(raised) => {
                mark_decrypt_in_place(&luks, start.cut, &mut OsRandom)
                    .map_err(|error| site.luks_error(error))?;
                raised.write(&path, change)?;
            }
            None => copy_header(&luks, &path, start.cut, &name, change)?,
        }
        site.take_header(&Place::Path(path), change)?;
        out_of_image(&site, &unlocked, &start, &options.unlock, watch)?
    } else {
        let data = Arc::clone(&site.data.storage);
        let begun = start_decrypt(&luks, unlocked, data, &start, &mut OsRandom)
            .map_err(|error| site.luks_error(error))?;
        match &luks1 {
            Some(raised) => {
                let lowering = raised.as_it_is().map_err(|error| site.luks_error(error))?;
                let luks = raised.begin(&mut site, &lowering, change)?;
                begun.moved(&luks).map_err(|error| site.left_by(error))?
            }
            None => begun,
        }
    };
    let mut report = InPlaceReport {
        header: site.header_name(),
        ..report
    };
    if options.init_only {
        report.left_bytes = running.left_bytes();
        return Ok(report);
    }
    finish(&site, &mut running, &options.zones, start.digest, watch)?;
    drop(lock);
    site.data.check_named()?;
    luks1::remove(&mut site)?;
    if let Some(header) = &site.header {
        header_file::remove(header)?;
    }
    Ok(InPlaceReport {
        left_bytes: 0,
        state: "finished",
        header: None,
        // Where a header lay before them, that has gone.
        payload_offset: if is_detached {
            report.payload_offset
        } else {
            0
        },
        ..report
    })
}

fn plan(
    site: &Site,
    luks: &Luks,
    new_header: Option<&PathBuf>,
    is_luks1: bool,
    options: &DecryptInPlaceOptions,
) -> Result<InPlaceReport, Error> {
    let name = site.header().name.clone();
    let (crypt, offset, size) = one_segment(metadata(luks.header()))
        .ok_or_else(|| Error::luks(&name, luks::Unsupported::NoSegment.into()))?;
    let bytes = data_bytes(site, offset, size)?;
    let payload = bytes - bytes % u64::from(crypt.sector_size.max(1));
    if payload == 0 {
        return Err(InPlaceError::Empty {
            name: site.data.name.clone(),
        }
        .into());
    }
    let room = room::check_kept(&site.data)?;
    let data = &*site.data.storage;
    let start = options.zones.start(&name, 0, None)?;
    let zones = if site.header.is_some() {
        plan_decrypt(luks, data, &start)
    } else {
        plan_decrypt_shift(luks, data, &start)
    };
    let zones = zones.map_err(|error| site.luks_error(error))?;
    let is_dry = options.change.dry_run;
    let report = InPlaceReport::about(site, luks.header(), payload, "begun");
    Ok(InPlaceReport {
        dry_run: is_dry,
        operation: "decrypt",
        room_bytes: room.filter(|_| is_dry),
        zones: if is_dry { reports(zones) } else { Vec::new() },
        kind: if is_luks1 { "luks1" } else { "luks2" },
        header: new_header
            .map(|path| crate::text::path(path))
            .or(report.header),
        ..report
    })
}

/// The file that the header goes to, which is not there yet.
fn place(site: &Site, header: Option<&PathBuf>) -> Result<PathBuf, Error> {
    let path = match (header, site.data.path()) {
        (Some(header), _) => header.clone(),
        (None, Some(image)) => header_file::beside(image, site.data.is_device()),
        (None, None) => {
            return Err(Error::Conflict {
                one: "a container that is open already",
                other: "no place for its header",
            });
        }
    };
    if header.is_none() && path.symlink_metadata().is_ok() {
        return Err(InPlaceError::HeaderBeside {
            name: site.data.name.clone(),
            header: crate::text::path(&path),
        }
        .into());
    }
    check_new(&path)?;
    Ok(path)
}

/// An image without a header, of which one may lie beside it.
fn without_header(site: &Site, error: Option<luks::Error>) -> Error {
    let beside = site
        .data
        .path()
        .map(|path| header_file::beside(path, site.data.is_device()));
    match (beside, error) {
        (Some(beside), _) if beside.symlink_metadata().is_ok() => InPlaceError::HeaderBeside {
            name: site.data.name.clone(),
            header: crate::text::path(&beside),
        }
        .into(),
        (_, Some(error)) => site.luks_error(error),
        (_, None) => site.luks_error(luks::Error::NotLuks),
    }
}

/// Puts a copy of the header into a file of its own, which says what it is for.
fn copy_header(
    luks: &Luks,
    path: &std::path::Path,
    cut: bool,
    name: &str,
    change: &ChangeOptions,
) -> Result<(), Error> {
    let failed = |error| Error::luks(name, error);
    let backup = Backup::read(luks).map_err(failed)?;
    if let Some(hole) = backup.holes().first() {
        return Err(SourceError::Read {
            name: name.to_owned(),
            source: std::io::Error::other(hole.problem.clone()),
        }
        .into());
    }
    header_file::create(path, &change.inputs, |storage| {
        storage
            .write_at(0, backup.bytes())
            .map_err(|source| crate::error::ChangeError::Write {
                name: crate::text::path(path),
                source,
            })?;
        let copy = Luks::open(storage).map_err(failed)?;
        mark_decrypt_in_place(&copy, cut, &mut OsRandom).map_err(failed)
    })
}

/// Begins by the header in its file. Where that is refused, there is no such file.
fn out_of_image(
    site: &Site,
    unlocked: &Unlocked,
    start: &StartOptions,
    how: &Unlock,
    watch: &dyn Watch,
) -> Result<Running, Error> {
    let luks = site.luks(&[], watch)?;
    let key = resume::copied(unlocked.volume_key());
    let (cancel, unusable) = (|| false, unlock::telling_once(watch));
    let begun = luks
        .unlock_with_volume_key(key, &how.options(&cancel, &unusable))
        .and_then(|unlocked| {
            let data = Arc::clone(&site.data.storage);
            start_decrypt_shift(&luks, unlocked, data, start, &mut OsRandom)
        });
    begun.map_err(|error| {
        let is_refused = matches!(error, luks::Error::InvalidOption(_));
        if let (Some(header), true) = (&site.header, is_refused) {
            // What is refused comes first: nothing was written to the image.
            let _ = header_file::remove(header);
        }
        site.left_by(error)
    })
}
