//! LUKS1 containers: a file beside the header describes the job in LUKS2, and the LUKS1 header is written at its end.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dmcrypt::CipherSpec;
use luks::reencrypt::luks1::{Lowering, lower as lower_to, mark, raise, take_magic};
use luks::{Header, InvalidOption, Luks, OsRandom, Policy, ReencryptionObstacle};
use volume::Storage;

use super::InPlaceReport;
use super::header_file::{self, SUFFIX};
use super::reencrypt::ReencryptOptions;
use super::site::Site;
use crate::change::{ChangeOptions, Target};
use crate::error::{ChangeError, Error, InPlaceError};
use crate::new_luks::Kdf;
use crate::place::Place;
use crate::watch::Watch;

/// A LUKS1 container, described by LUKS2 in memory.
pub(super) struct Raised {
    before: Luks,
    storage: Arc<dyn Storage>,
    /// Where the description goes.
    path: PathBuf,
}

impl Raised {
    /// Of the container at `site`, whose header this is.
    pub(super) fn of(site: &Site, before: Luks) -> Result<Self, Error> {
        let header = site.header();
        let path = header.path().ok_or(Error::Conflict {
            one: "a container that is open already",
            other: "no place for its header",
        })?;
        let path = header_file::beside(path, header.is_device());
        if path.symlink_metadata().is_ok() {
            return Err(InPlaceError::HeaderBeside {
                name: site.data.name.clone(),
                header: crate::text::path(&path),
            }
            .into());
        }
        let storage =
            raise(&before, &mut OsRandom).map_err(|error| Error::luks(&header.name, error))?;
        Ok(Self {
            before,
            storage,
            path,
        })
    }

    /// The container.
    pub(super) fn before(&self) -> &Luks {
        &self.before
    }

    /// The description, as it is now.
    pub(super) fn luks(&self) -> Result<Luks, luks::Error> {
        let luks = Luks::open(Arc::clone(&self.storage))?;
        // The seal of a LUKS1 header is in a file, over other bytes than these: where one is required, it is refused.
        if self.before.is_seal_required() {
            luks.require_seal();
        }
        Ok(luks)
    }

    /// What is asked for, with what LUKS1 has for what is not said.
    pub(super) fn options(
        &self,
        options: &ReencryptOptions,
    ) -> Result<ReencryptOptions, luks::Error> {
        let cannot = |what: &str| Err(InvalidOption::Luks1Cannot { what: what.into() }.into());
        if options.keep_key && options.cipher.is_none() && !options.asks_for_keyslots() {
            let nothing = ReencryptionObstacle::NothingToChange;
            return Err(InvalidOption::from(nothing).into());
        }
        let mut options = options.clone();
        match options.new.cost.kdf {
            None | Some(Kdf::Pbkdf2) => options.new.cost.kdf = Some(Kdf::Pbkdf2),
            Some(_) => return cannot("another key derivation than PBKDF2"),
        }
        if options.reduce_bytes.is_some() {
            return cannot("data that move while their key changes");
        }
        if options.new.cipher.is_some() {
            return cannot("a cipher of the keyslot's own");
        }
        if let Some(bytes) = options.sector_bytes.filter(|bytes| *bytes != 512) {
            return cannot(&format!("sector size {bytes}"));
        }
        if options.new.hash.is_none()
            && let Header::Luks1(header) = self.before.header()
        {
            options.new.hash = Some(header.hash()?.name().to_owned());
        }
        Ok(options)
    }

    /// What the header will be.
    pub(super) fn lowering(
        &self,
        numbers: &[u32],
        cipher: &CipherSpec,
        key_bytes: usize,
    ) -> Result<Lowering, luks::Error> {
        Lowering::of(&self.before, numbers, cipher, key_bytes)
    }

    /// The header as it is: what is decrypted gets no other one.
    pub(super) fn as_it_is(&self) -> Result<Lowering, luks::Error> {
        let Header::Luks1(header) = self.before.header() else {
            return Err(luks::Error::NotLuks);
        };
        let active = (0u32..)
            .zip(&header.keyslots)
            .filter(|(_, slot)| slot.active);
        let numbers: Vec<u32> = active.map(|(number, _)| number).collect();
        let key_bytes = header.key_bytes as usize;
        Lowering::of(&self.before, &numbers, &header.cipher()?, key_bytes)
    }

    /// Writes the description through to its file, and takes its magic from the header that there was. What comes out is
    /// gone on from.
    pub(super) fn begin(
        &self,
        site: &mut Site,
        lowering: &Lowering,
        change: &ChangeOptions,
    ) -> Result<Luks, Error> {
        let marked = self
            .luks()
            .and_then(|luks| mark(&luks, lowering, &mut OsRandom));
        marked.map_err(|error| site.luks_error(error))?;
        self.write(&self.path, change)?;
        site.lowered = site.header.take();
        site.take_header(&Place::Path(self.path.clone()), change)?;
        take(site)
    }

    /// Writes the description through to a file.
    pub(super) fn write(&self, path: &Path, change: &ChangeOptions) -> Result<(), Error> {
        header_file::create(path, &change.inputs, |storage| {
            copy(&*self.storage, &*storage).map_err(|source| {
                ChangeError::Write {
                    name: crate::text::path(path),
                    source,
                }
                .into()
            })
        })
    }
}

/// The container at `site`, in which nothing may be under way: one of LUKS1 by its description.
pub(super) fn settled(
    site: &Site,
    policies: &[Policy],
    watch: &dyn Watch,
) -> Result<(Luks, Option<Raised>), Error> {
    let luks = site.settled(policies, watch)?;
    if let Header::Luks2(_) = luks.header() {
        return Ok((luks, None));
    }
    let raised = Raised::of(site, luks)?;
    let luks = raised.luks().map_err(|error| site.luks_error(error))?;
    Ok((luks, Some(raised)))
}

fn copy(from: &dyn Storage, to: &dyn Storage) -> std::io::Result<()> {
    let len = from.len()?;
    to.set_len(len)?;
    let mut at = 0;
    let mut chunk = vec![0; 1 << 16];
    while let Some(extent) = from.data_extent(at)? {
        at = extent.start;
        while at < extent.end {
            let step = (extent.end - at).min(chunk.len() as u64);
            let piece = &mut chunk[..usize::try_from(step).unwrap_or(0)];
            from.read_at(at, piece)?;
            to.write_at(at, piece)?;
            at += step;
        }
    }
    Ok(())
}

/// Takes its magic from the LUKS1 header, where the description says that it has it still.
pub(super) fn take(site: &Site) -> Result<Luks, Error> {
    let luks = site.luks(&[], &())?;
    let header = target(site, &luks).ok_or_else(|| no_target(site))?;
    take_magic(&luks, &*header.storage, &mut OsRandom).map_err(|error| match error {
        luks::Error::Changed => InPlaceError::HeaderOfAnother {
            name: header.name.clone(),
            header: site.header().name.clone(),
            problem: "its LUKS1 header is not the one that the job began with".to_owned(),
        }
        .into(),
        error => site.left_by(error),
    })?;
    site.luks(&[], &())
}

/// Writes the LUKS1 header, and removes the description.
pub(super) fn lower(site: &mut Site, change: &ChangeOptions) -> Result<(), Error> {
    let luks = site.luks(&[], &())?;
    if let Some(header) = target(site, &luks) {
        lower_to(&luks, &*header.storage, &mut OsRandom).map_err(|error| site.left_by(error))?;
    } else {
        let path = lowered_path(site).ok_or_else(|| no_target(site))?;
        header_file::create(&path, &change.inputs, |storage| {
            lower_to(&luks, &*storage, &mut OsRandom).map_err(|error| site.left_by(error))
        })?;
        site.lowered_name = Some(crate::text::path(&path));
    }
    if let Some(header) = site.header.take() {
        header_file::remove(&header)?;
    }
    Ok(())
}

/// Writes the LUKS1 header of what is done but for that: no key is needed.
pub(super) fn lower_alone(
    site: &mut Site,
    luks: &Luks,
    change: &ChangeOptions,
    watch: &dyn Watch,
) -> Result<InPlaceReport, Error> {
    let offset = luks.header().data_offset().unwrap_or(0);
    let len = site.data.storage.len().unwrap_or(0);
    let report = InPlaceReport {
        dry_run: change.dry_run,
        operation: "reencrypt",
        left_bytes: 0,
        ..InPlaceReport::about(site, luks.header(), len.saturating_sub(offset), "finished")
    };
    if change.dry_run {
        return Ok(report);
    }
    watch.changes_in_place();
    lower(site, change)?;
    Ok(InPlaceReport {
        header: site.header_name(),
        ..report
    })
}

/// Where the LUKS1 header lies or goes, where that is there. Data that lie where it would go are nobody's header.
fn target<'a>(site: &'a Site, luks: &Luks) -> Option<&'a Target> {
    let offset = luks.header().data_offset();
    let has_room = offset.is_some_and(|offset| offset != 0);
    site.lowered
        .as_ref()
        .or_else(|| has_room.then_some(&site.data))
}

fn no_target(site: &Site) -> Error {
    InPlaceError::HeaderOfAnother {
        name: site.data.name.clone(),
        header: site.header().name.clone(),
        problem: "it is of a detached LUKS1 header, and not beside it".to_owned(),
    }
    .into()
}

/// The file that this one describes, by its name.
fn lowered_path(site: &Site) -> Option<PathBuf> {
    let bytes = site.header().path()?.as_os_str().as_bytes();
    let named = bytes.strip_suffix(SUFFIX.as_bytes())?;
    Some(OsString::from_vec(named.to_vec()).into())
}

/// What describes a detached header that is not there yet.
pub(super) fn description(header: &Place) -> Option<Place> {
    let Place::Path(path) = header else {
        return None;
    };
    let beside = header_file::beside(path, false);
    let is_missing = path.symlink_metadata().is_err();
    (is_missing && beside.symlink_metadata().is_ok()).then_some(Place::Path(beside))
}

/// Takes the description beside a detached header for the header, or opens the header that a given description is of.
pub(super) fn find(site: &mut Site, change: &ChangeOptions) -> Result<(), Error> {
    let Some(header) = &site.header else {
        return Ok(());
    };
    let is_description = |target: &Target| {
        let luks = Luks::open(Arc::clone(&target.storage));
        luks.is_ok_and(|luks| Lowering::said(luks.header()).is_some())
    };
    if is_description(header) {
        if let Some(path) = lowered_path(site).filter(|path| path.exists()) {
            let place = Place::Path(path);
            let opened = crate::open::changed_by(&place, change, crate::block::Claim::Whole)?;
            if !opened.is_same_as(&site.data) {
                site.lowered = Some(opened);
            }
        }
        return Ok(());
    }
    let Some(path) = header.path() else {
        return Ok(());
    };
    let beside = header_file::beside(path, header.is_device());
    if beside.symlink_metadata().is_err() {
        return Ok(());
    }
    let given = (site.header.take(), site.header_place.take());
    site.take_header(&Place::Path(beside), change)?;
    if is_description(site.header()) {
        site.lowered = given.0;
    } else {
        (site.header, site.header_place) = given;
    }
    Ok(())
}

/// A header that has its magic again, and is not the one that will be, has been put there by somebody.
pub(super) fn check_target(site: &Site, luks: &Luks) -> Result<(), Error> {
    if Lowering::said(luks.header()).is_none()
        || luks::reencrypt::luks1::is_magic_to_be_taken(luks.header())
    {
        return Ok(());
    }
    let Some(header) = target(site, luks) else {
        return Ok(());
    };
    match Luks::open(Arc::clone(&header.storage)) {
        Ok(found) if !luks::reencrypt::luks1::is_lowered(luks, &found) => {
            Err(InPlaceError::HeaderOfAnother {
                name: header.name.clone(),
                header: site.header().name.clone(),
                problem: "a header was put there since".to_owned(),
            }
            .into())
        }
        _ => Ok(()),
    }
}

/// Removes the detached LUKS1 header of what is decrypted.
pub(super) fn remove(site: &mut Site) -> Result<(), Error> {
    match site.lowered.take() {
        Some(header) => header_file::remove(&header),
        None => Ok(()),
    }
}

/// `luks1` where a header describes such a container.
pub(super) fn kind(header: &Header) -> &'static str {
    match header {
        Header::Luks2(_) if Lowering::said(header).is_none() => "luks2",
        _ => "luks1",
    }
}
