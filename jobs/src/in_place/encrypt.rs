//! A raw image that becomes a container where it is.

use std::path::PathBuf;
use std::sync::Arc;

use dmcrypt::SectorSize;
use luks::reencrypt::luks1::{Lowering, mark_new};
use luks::reencrypt::{Running, Shift, plan_encrypt, prepare_encrypt};
use luks::{Header, Layout, Luks, OsRandom, Version};
use recognise::{Class, largest_sector, recognise, within};
use volume::{Storage, Window};

use super::header_file::{self, Stage};
use super::site::Site;
use super::zones::reports;
use super::{InPlaceReport, Zones, finish, luks1, resume, room};
use crate::allow::Allow;
use crate::change::{ChangeOptions, check_new};
use crate::confirm::{Confirm, Loss};
use crate::error::{Error, InPlaceError, Meant, SourceError};
use crate::new_container;
use crate::new_luks::{LuksOptions, NewLuks};
use crate::place::Place;
use crate::secret::Secrets;
use crate::sector_size::SectorChoice;
use crate::unlock::Unlock;
use crate::watch::Watch;

/// How an image is encrypted in place.
#[derive(Clone, Debug, Default)]
pub struct EncryptInPlaceOptions {
    /// What every change takes.
    pub change: ChangeOptions,
    /// What it becomes. Sectors have 512 bytes unless said.
    pub format: LuksOptions,
    /// The header takes half of these bytes, which the end of the image gives up; one of LUKS1 all of them. Unless said a
    /// file grows for it.
    pub reduce_bytes: Option<u64>,
    /// Only so many bytes of the data are done, and the rest becomes noise. Of a detached header only.
    pub device_bytes: Option<u64>,
    /// How it is done.
    pub zones: Zones,
    /// It is only begun.
    pub init_only: bool,
    /// What is refused unless it is allowed.
    pub allow: Allow,
}

/// Encrypts the image where it is. The header goes to its start, or to the new file `header`.
///
/// # Errors
///
/// What is wrong with the places, the options or the secret, before anything is written; then [`InPlaceError::Stopped`] and
/// [`InPlaceError::Broken`].
pub fn encrypt(
    image: &Place,
    header: Option<&PathBuf>,
    options: &EncryptInPlaceOptions,
    secrets: &dyn Secrets,
    confirm: &dyn Confirm,
    watch: &dyn Watch,
) -> Result<InPlaceReport, Error> {
    let change = &options.change;
    let mut site = Site::open(image, None, change)?;
    let plan = Plan::of(&site, header, options, watch)?;
    let mut report = plan.report(&site, header, options)?;
    if options.zones.is_unprotected() && plan.moves == Shift::None {
        site.data.confirm(confirm, Loss::Unprotected)?;
    }
    if change.dry_run {
        return Ok(report);
    }
    let name = site.data.name.clone();
    let digest_cost = options.format.cost.digest_iterations(luks::defaults::HASH);
    let start = luks::reencrypt::StartOptions {
        cut: plan.moves == Shift::PutAside && options.reduce_bytes.is_none(),
        ..options
            .zones
            .start(&name, digest_cost, options.device_bytes)?
    };
    let lowering = plan.lowering;
    let mut container = new_container::prepare(plan.new, &name, secrets, &options.allow, watch)?;
    prepare_encrypt(
        &mut container,
        plan.payload,
        plan.moves,
        &start,
        &mut OsRandom,
    )
    .and_then(|()| match &lowering {
        Some(lowering) => mark_new(&mut container, lowering, &mut OsRandom),
        None => Ok(()),
    })
    .map_err(|error| site.luks_error(error))?;
    let key = resume::copied(container.volume_key());
    site.bypass_page_cache(options.zones.work)?;

    watch.changes_in_place();
    header_file::create(&plan.header, &change.inputs, |storage| {
        let failed = |error| Error::luks(&name, error);
        container
            .write_areas(&*storage, &mut OsRandom)
            .map_err(failed)?;
        container.commit(&*storage).map_err(failed)
    })?;
    site.take_header(&Place::Path(plan.header.clone()), change)?;
    if let Err(error) = room::take(&site.data, plan.whole) {
        if let Some(header) = site.header.take() {
            header_file::remove(&header)?;
        }
        return Err(error);
    }
    let luks = site.luks(&[], &())?;
    let _lock = site.keep_cryptsetup_out(&luks, watch)?;
    let how = Unlock::default();
    let (cancel, unusable) = (|| false, crate::unlock::telling_once(watch));
    let unlocked = luks
        .unlock_with_volume_key(key, &how.options(&cancel, &unusable))
        .map_err(|error| site.luks_error(error))?;
    let mut running = if plan.moves == Shift::PutAside {
        resume::into_image(&mut site, luks, &unlocked, Stage::PutAside, &how, watch)?
    } else {
        let data = Arc::clone(&site.data.storage);
        Running::open(&luks, unlocked, data).map_err(|error| site.luks_error(error))?
    };
    if !options.init_only {
        finish(&site, &mut running, &options.zones, start.digest, watch)?;
        if lowering.is_some() {
            luks1::lower(&mut site, change)?;
        }
        report.left_bytes = 0;
        report.state = "finished";
    }
    site.data.check_named()?;
    report.header = site.header_name();
    Ok(report)
}

/// What will be, checked as far as that needs no key.
struct Plan {
    new: NewLuks,
    /// What becomes of it in LUKS1.
    lowering: Option<Lowering>,
    /// Bytes of plaintext.
    payload: u64,
    /// Whether the data moves, and how.
    moves: Shift,
    /// Where the data will start.
    offset: u64,
    /// Bytes of the image while it is encrypted.
    whole: u64,
    /// Bytes that the file system has to give for that.
    room: Option<u64>,
    /// Where the header is made.
    header: PathBuf,
}

impl Plan {
    fn of(
        site: &Site,
        header: Option<&PathBuf>,
        options: &EncryptInPlaceOptions,
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        let name = site.data.name.clone();
        let mut place = header_place(site, header)?;
        if options.format.version == Version::Luks1
            && let Some(header) = header
        {
            place = header_file::beside(header, false);
            check_new(&place)?;
        }
        let len = length(site)?;
        if len == 0 {
            return Err(InPlaceError::Empty { name }.into());
        }
        let sectors = SectorChoice::kept(options.format.sector_bytes, SectorSize::B512)?;
        let is_detached = header.is_some();
        let format = reduced(options)?;
        let new = NewLuks::new(&name, &format, is_detached, sectors.size)?;
        let made = new.options().clone();
        if made.cipher.is_null() {
            return Err(InPlaceError::NewNullCipher.into());
        }
        new_container::check_cipher(&made.cipher, options.allow.weak_cipher, watch)?;
        let layout = Layout::new(&made).map_err(|error| Error::luks(&name, error.into()))?;
        let is_luks1 = options.format.version == Version::Luks1;
        let (shift, moves) = match (is_detached, options.reduce_bytes) {
            (true, _) => (0, Shift::None),
            // A header of LUKS1 goes to its place at the end, and needs room only once.
            (false, Some(_)) if is_luks1 => (layout.data_offset, Shift::Alone),
            (false, _) => (layout.data_offset, Shift::PutAside),
        };
        // What lies before the data of a detached header is none of it.
        let first = if is_detached { layout.data_offset } else { 0 };
        if first >= len {
            return Err(InPlaceError::Size {
                name,
                what: "what lies before the data",
                bytes: first,
                problem: format!("all that it has, {len} bytes"),
            }
            .into());
        }
        let raw: Arc<dyn Storage> = Arc::new(
            Window::new(Arc::clone(&site.data.storage), first..len)
                .map_err(|error| unread(site, error))?,
        );
        check_raw(site, &raw, options.allow.any_source)?;
        let known = largest_sector(&*raw).map_err(|error| unread(site, error))?;
        sectors.check(&name, known.as_ref(), options.allow.any_sector_size, watch)?;
        let reduce = options.reduce_bytes.unwrap_or(0);
        if reduce >= len {
            return Err(too_much(
                site,
                reduce,
                format!("all that it has, {len} bytes"),
            ));
        }
        let payload = len - first - reduce;
        let sector_bytes = made.sector_size.bytes();
        if !payload.is_multiple_of(sector_bytes as u64) {
            return Err(InPlaceError::PartialSector {
                name,
                bytes: payload,
                sector_bytes,
            }
            .into());
        }
        let whole = match (is_detached, options.reduce_bytes) {
            (true, Some(_)) => {
                return Err(Error::Conflict {
                    one: new_container::Places::HEADER,
                    other: Self::REDUCE,
                });
            }
            (true, None) => len,
            (false, Some(reduce)) => {
                check_tail(site, payload, reduce)?;
                len
            }
            (false, None) if site.data.is_device() => {
                return Err(InPlaceError::CannotGrow { name }.into());
            }
            (false, None) => shift
                .checked_mul(2)
                .and_then(|grown| grown.checked_add(len))
                .ok_or(Error::BeyondFiles {
                    bytes: len,
                    offset: shift,
                })?,
        };
        new_container::check_amount(
            &made.cipher,
            dmcrypt::SECTOR_BYTES,
            Some(payload),
            options.allow.weak_cipher,
            watch,
        )?;
        options.zones.wanted(&name)?;
        let room = room::check(&site.data, whole)?;
        let (new, lowering) = if is_luks1 {
            let lowering = Lowering::of_new(made.key_bytes, made.keyslot, shift)
                .map_err(|error| Error::luks(&name, error.into()))?;
            (new.raised(shift), Some(lowering))
        } else {
            (new, None)
        };
        Ok(Self {
            room,
            new,
            lowering,
            payload,
            moves,
            offset: layout.data_offset,
            whole,
            header: place,
        })
    }

    /// What giving up the end is in an [`Error::Conflict`].
    const REDUCE: &str = EncryptInPlaceOptions::REDUCE;

    fn report(
        &self,
        site: &Site,
        header: Option<&PathBuf>,
        options: &EncryptInPlaceOptions,
    ) -> Result<InPlaceReport, Error> {
        let made = self.new.options();
        let start = options
            .zones
            .start(&site.data.name, 0, options.device_bytes)?;
        let zones = plan_encrypt(made, self.payload, self.moves, &start)
            .map_err(|error| site.luks_error(error))?;
        let is_dry = options.change.dry_run;
        Ok(InPlaceReport {
            dry_run: is_dry,
            image: site.data.name.clone(),
            header: header.map(|header| crate::text::path(header)),
            operation: "encrypt",
            kind: options.format.kind(),
            state: "begun",
            cipher: made.cipher.to_string(),
            key_bits: made.key_bytes as u64 * 8,
            sector_size: made.sector_size.bytes() as u64,
            payload_offset: self.offset,
            payload_bytes: self.payload,
            left_bytes: self.payload,
            more_bytes: self
                .whole
                .checked_sub(self.payload)
                .filter(|more| *more != 0 && self.moves != Shift::None)
                .filter(|_| options.reduce_bytes.is_none()),
            room_bytes: self.room.filter(|_| is_dry),
            zones: if is_dry { reports(zones) } else { Vec::new() },
            keyslots: vec![made.keyslot],
            dropped: Vec::new(),
        })
    }
}

impl EncryptInPlaceOptions {
    /// What giving up the end is in an [`Error::Conflict`].
    pub const REDUCE: &str = "bytes that the end gives up";
    /// What a place for the data is in one.
    pub const OFFSET: &str = "a place for the data";
}

/// The new container, whose data start behind half of what the end gives up; of LUKS1 behind as much.
fn reduced(options: &EncryptInPlaceOptions) -> Result<LuksOptions, Error> {
    let format = options.format.clone();
    let Some(bytes) = options.reduce_bytes else {
        return Ok(format);
    };
    if format.offset_sectors.is_some() {
        return Err(Error::Conflict {
            one: EncryptInPlaceOptions::REDUCE,
            other: EncryptInPlaceOptions::OFFSET,
        });
    }
    // An odd number of sectors has no half, which the layout refuses: data start at multiples of 4096 bytes.
    let offset = match format.version {
        Version::Luks1 => bytes,
        Version::Luks2 => bytes / 2,
    };
    Ok(LuksOptions {
        offset_sectors: Some(offset / dmcrypt::SECTOR_BYTES),
        ..format
    })
}

/// Where the header is made: a file that is not there yet.
fn header_place(site: &Site, header: Option<&PathBuf>) -> Result<PathBuf, Error> {
    let place = match (header, site.data.path()) {
        (Some(header), _) => header.clone(),
        (None, Some(image)) => header_file::beside(image, site.data.is_device()),
        // Something that was open already has no file beside it.
        (None, None) => {
            return Err(InPlaceError::CannotGrow {
                name: site.data.name.clone(),
            }
            .into());
        }
    };
    if header.is_none() && place.symlink_metadata().is_ok() {
        return Err(InPlaceError::HeaderBeside {
            name: site.data.name.clone(),
            header: crate::text::path(&place),
        }
        .into());
    }
    check_new(&place)?;
    Ok(place)
}

fn check_raw(site: &Site, raw: &Arc<dyn Storage>, any: bool) -> Result<(), Error> {
    if let Ok(luks) = Luks::open(Arc::clone(raw))
        && let Header::Luks2(header) = luks.header()
        && header.metadata.reencryption.is_some()
    {
        return Err(InPlaceError::UnderWay {
            name: site.data.name.clone(),
            header: None,
        }
        .into());
    }
    if any {
        return Ok(());
    }
    let found = recognise(&**raw).map_err(|error| unread(site, error))?;
    match found {
        Some(found) if matches!(found.content.class(), Class::Luks | Class::Image) => {
            Err(SourceError::NotRaw {
                name: site.data.name.clone(),
                content: found.content,
                meant: Meant::Raw,
            }
            .into())
        }
        _ => Ok(()),
    }
}

/// Refuses to give up bytes that something has.
fn check_tail(site: &Site, payload: u64, reduce: u64) -> Result<(), Error> {
    let storage = &*site.data.storage;
    let end = payload.saturating_add(reduce);
    let reaches = |content: String, end: u64| {
        Error::from(InPlaceError::Reaches {
            name: site.data.name.clone(),
            bytes: reduce,
            content,
            end,
        })
    };
    let marks = within(storage, payload..end).map_err(|error| unread(site, error))?;
    if let Some(found) = marks.first() {
        return Err(reaches(found.content.name().to_owned(), found.bytes().end));
    }
    let partitions = recognise::partitions(storage).map_err(|error| unread(site, error))?;
    if let Some(last) = partitions.iter().map(|one| one.range().end).max()
        && last > payload
    {
        return Err(reaches("a partition".to_owned(), last));
    }
    let size = recognise::file_system_bytes(storage).map_err(|error| unread(site, error))?;
    match size {
        Some((content, bytes)) if bytes > payload => Err(reaches(content.to_owned(), bytes)),
        _ => Ok(()),
    }
}

fn too_much(site: &Site, bytes: u64, problem: String) -> Error {
    InPlaceError::Size {
        name: site.data.name.clone(),
        what: "the end that is given up",
        bytes,
        problem,
    }
    .into()
}

fn length(site: &Site) -> Result<u64, Error> {
    site.data.storage.len().map_err(|error| unread(site, error))
}

fn unread(site: &Site, source: std::io::Error) -> Error {
    SourceError::Read {
        name: site.data.name.clone(),
        source,
    }
    .into()
}
