//! A raw image to a new container.

use dmcrypt::SectorSize;
use luks::Layout;
use recognise::{SectorLimit, largest_sector};
use volume::Copied;

use crate::allow::Allow;
use crate::destination::Overwrite;
use crate::error::{Error, ImageError, Meant, SourceError};
use crate::inputs::Inputs;
use crate::losses::{BadPlaces, Losses};
use crate::new_container::{self, Places};
use crate::new_image::{self, ImageOptions};
use crate::new_luks::{self, LuksOptions, NewLuks};
use crate::open;
use crate::payload;
use crate::place::Place;
use crate::plain::Plain;
use crate::qcow::{self, Qcow2};
use crate::report::Report;
use crate::secret::Secrets;
use crate::sector_size::SectorChoice;
use crate::source::Source;
use crate::temporary::Content;
use crate::transfer::{Transfer, Work};
use crate::watch::Watch;

/// What a new container is to be.
#[derive(Clone, Debug)]
pub enum Format {
    /// With a header.
    Luks(LuksOptions),
    /// Without one.
    Plain(Plain),
}

impl Default for Format {
    fn default() -> Self {
        Self::Luks(LuksOptions::default())
    }
}

/// How a raw image is encrypted.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish by itself")]
pub struct EncryptOptions {
    /// What the new container is to be.
    pub format: Format,
    /// A qcow2 image is made around it.
    pub image: Option<ImageOptions>,
    /// Its header lies here, and the container holds data only.
    pub header: Option<Place>,
    /// How much plaintext there is, in units of 512 bytes; all that the source has unless said.
    pub size_sectors: Option<u64>,
    /// The source's holes are left unwritten, so that they read as noise and show which parts are empty.
    pub keep_holes: bool,
    /// Zeros fill the last sector where the source does not end on one.
    pub pad: bool,
    /// What becomes of what cannot be read.
    pub bad_places: BadPlaces,
    /// How the payload is copied.
    pub work: Work,
    /// The source is a qcow2 image that is not encrypted, and is read so.
    pub disk: Option<Qcow2>,
    /// What may be written over.
    pub overwrite: Overwrite,
    /// Nothing is written.
    pub dry_run: bool,
    /// What is refused unless it is allowed.
    pub allow: Allow,
    /// A source without a byte is allowed.
    pub allow_empty: bool,
    /// What is read beside the source, and must not be written: key files.
    pub inputs: Inputs,
}

/// Encrypts the image at `source` into a new container at `destination`, which is there whole or not at all.
///
/// # Errors
///
/// What is wrong with either place, the options or the secret; what cannot be read or written. Nothing is left then.
pub fn encrypt(
    source: &Place,
    destination: &Place,
    options: &EncryptOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Report, Error> {
    let in_use = options.allow.in_use;
    let disk = options.disk.as_ref();
    let disk = disk.map(|how| qcow::Opened::open(source, how, &[], in_use, watch));
    let disk = disk.transpose()?;
    let mut source = match &disk {
        Some(disk) => disk.plain_source(options.work, watch)?,
        None => open::source(source, in_use, watch)?,
    };
    let inputs = options.inputs.clone();
    let inputs = match &disk {
        Some(disk) => disk.inputs(inputs),
        None => inputs.origin("the source", source.origin.clone()),
    };
    let header = options.header.as_ref();
    let places = Places::check(destination, header, options.overwrite, &inputs)?;
    Losses::check(&options.bad_places, source.storage().is_none())?;
    let start = source.start()?;
    if !options.allow_empty {
        source.check_not_empty(&*start)?;
    }
    let may_lose = options.bad_places.go_on;
    if !options.allow.any_source {
        match source.check_raw(&*start, Meant::Raw) {
            Err(SourceError::Read { .. }) if may_lose => {}
            checked => checked?,
        }
    }
    let known = match largest_sector(&*start) {
        // What stands there may count in the smallest ones.
        Err(_) if may_lose => Some(SectorLimit {
            bytes: 512,
            found: "something that cannot be read".to_owned(),
        }),
        known => known.map_err(|error| source.unreadable(error))?,
    };
    let job = Job {
        options,
        known: known.as_ref(),
        secrets,
        watch,
    };
    match &options.format {
        Format::Plain(plain) => job.plain(plain, source, places),
        Format::Luks(wanted) => job.luks(wanted, source, places),
    }
}

/// All that does not change.
struct Job<'a> {
    options: &'a EncryptOptions,
    known: Option<&'a SectorLimit>,
    secrets: &'a dyn Secrets,
    watch: &'a dyn Watch,
}

impl Job<'_> {
    fn plain(&self, plain: &Plain, source: Source, places: Places) -> Result<Report, Error> {
        let (options, watch) = (self.options, self.watch);
        let weak = options.allow.weak_cipher;
        let one = match (&places.header, &options.image) {
            (Some(_), _) => Some(Places::HEADER),
            (_, Some(_)) => Some(new_image::QCOW2),
            _ => None,
        };
        if let Some(one) = one {
            return Err(Error::Conflict {
                one,
                other: "a plain container",
            });
        }
        new_container::check_cipher(plain.cipher(), weak, watch)?;
        let sectors = SectorChoice::plain(plain.asked_sector_bytes())?;
        sectors.check(
            &source.name,
            self.known,
            options.allow.any_sector_size,
            watch,
        )?;
        let extent = Extent::of(&source, options, plain.sector_bytes())?;
        new_container::check_amount(plain.cipher(), plain.iv_unit(), extent.padded, weak, watch)?;
        let target = places.data;
        let report = Report {
            dry_run: options.dry_run,
            source: Some(source.name.clone()),
            sector_size_reason: Some(sectors.reason.clone()),
            ..plain.report(target.name.clone())?
        }
        .with_payload(extent.padded);
        if let Some(bytes) = report.container_bytes {
            target.check_room(bytes)?;
        }
        if options.dry_run {
            return Ok(report);
        }

        watch.planned(&report);
        let key = plain.volume_key(self.secrets, &target.name, true)?;
        let mapping = plain.mapping(&key, extent.padded)?;
        let destination = target.create(Content::Public)?;
        new_container::lead_in(&destination, report.payload_offset)?;
        let losses = Losses::begin(&options.bad_places)?;
        let transfer = self.transfer(&report, &extent, &sectors, &losses);
        let copied = payload::encrypt(source, extent.bytes, &destination, &mapping, &transfer)?;
        losses.write_map(copied.bytes)?;
        destination.commit()?;
        finish(report, copied, &losses)
    }

    fn luks(&self, wanted: &LuksOptions, source: Source, places: Places) -> Result<Report, Error> {
        let (options, watch) = (self.options, self.watch);
        let name = places.data.name.clone();
        let image = options.image.as_ref();
        if image.is_some() {
            new_image::check_target(&places.data, places.header.as_ref().map(|_| Places::HEADER))?;
        }
        // The payload decides on the sector size, and the sector size on what a whole payload is.
        let payload = payload::wanted_bytes(options.size_sectors).or(source.len()?);
        let sectors = SectorChoice::luks(wanted.version, wanted.sector_bytes, payload, self.known)?;
        sectors.check(
            &source.name,
            self.known,
            options.allow.any_sector_size,
            watch,
        )?;
        let new = NewLuks::new(&name, wanted, places.header.is_some(), sectors.size)?;
        let made = new.options().clone();
        let weak = options.allow.weak_cipher;
        new_container::check_cipher(&made.cipher, weak, watch)?;
        let layout = Layout::new(&made).map_err(|error| Error::luks(&name, error.into()))?;
        let extent = Extent::of(&source, options, made.sector_size.bytes())?;
        new_container::check_amount(
            &made.cipher,
            dmcrypt::SECTOR_BYTES,
            extent.padded,
            weak,
            watch,
        )?;
        let report = Report {
            dry_run: options.dry_run,
            source: Some(source.name.clone()),
            header: places.header.as_ref().map(|header| header.name.clone()),
            sector_size_reason: Some(sectors.reason.clone()),
            ..new_luks::report(&made, &layout, name.clone())
        }
        .with_payload(extent.padded);
        let report = match (image, extent.padded) {
            (None, _) => report,
            (Some(image), Some(bytes)) => {
                let measured = image.check_luks(&name, &made, &layout, bytes)?;
                places.data.check_room(measured.empty)?;
                report.in_qcow2(None)
            }
            (Some(_), None) => {
                let name = source.name;
                return Err(ImageError::SizeUnknown { name }.into());
            }
        };
        if let Some(bytes) = report.container_bytes {
            places.data.check_room(bytes)?;
        }
        if let Some(header) = &places.header {
            header.check_room(layout.reserved_bytes)?;
        }
        if options.dry_run {
            return Ok(report);
        }

        watch.planned(&report);
        let container = new_container::prepare(new, &name, self.secrets, &options.allow, watch)?;
        let losses = Losses::begin(&options.bad_places)?;
        let transfer = self.transfer(&report, &extent, &sectors, &losses);
        let (copied, bytes) = new_container::write(
            container,
            extent.padded,
            places,
            image,
            |destination, mapping| {
                let copied =
                    payload::encrypt(source, extent.bytes, destination, mapping, &transfer)?;
                losses.write_map(copied.bytes)?;
                if !options.pad {
                    tell_filled(&copied, &report, watch)?;
                }
                Ok(copied)
            },
        )?;
        let report = finish(report, copied, &losses)?;
        Ok(match image {
            Some(_) => report.in_qcow2(bytes),
            None => report,
        })
    }

    fn transfer<'a>(
        &'a self,
        report: &'a Report,
        extent: &Extent,
        sectors: &SectorChoice,
        losses: &'a Losses,
    ) -> Transfer<'a> {
        let may_fill = self.options.pad || sectors.may_fill;
        Transfer {
            source: report.source.as_deref().unwrap_or_default(),
            destination: &report.destination,
            bytes: extent.bytes,
            // What an image does not have is zeros.
            keep_holes: self.options.keep_holes || self.options.image.is_some(),
            losses,
            pad_to: may_fill.then_some(sectors.size.bytes()),
            work: self.options.work,
            watch: self.watch,
        }
    }
}

/// What was made, and what was lost.
fn finish(report: Report, copied: Copied, losses: &Losses) -> Result<Report, Error> {
    losses.keep()?;
    let payload_bytes = copied.bytes + copied.padding_bytes;
    Ok(report
        .with_payload(Some(payload_bytes))
        .with_lost(losses.list()))
}

/// A stream that turned out to end within a sector that was larger than it had to be: what lies behind the last whole
/// block of a file system is none of its. One that ends within 512 bytes was cut off.
fn tell_filled(copied: &Copied, report: &Report, watch: &dyn Watch) -> Result<(), Error> {
    let name = report.source.clone().unwrap_or_default();
    let bytes = copied.bytes;
    if !bytes.is_multiple_of(dmcrypt::SECTOR_BYTES) {
        return Err(SourceError::PartialSector {
            name,
            bytes,
            sector_bytes: SectorSize::B512.bytes(),
        }
        .into());
    }
    if copied.padding_bytes != 0 {
        watch.warn(&format_args!(
            "{name}: {bytes} bytes are no multiple of the sector size {}, so that {} zeros follow them",
            report.sector_size, copied.padding_bytes
        ));
    }
    Ok(())
}

/// How much of the source is encrypted.
struct Extent {
    /// Bytes read; unknown for a stream that no size ends.
    bytes: Option<u64>,
    /// The same, filled up to whole sectors.
    padded: Option<u64>,
}

impl Extent {
    fn of(source: &Source, options: &EncryptOptions, sector_bytes: usize) -> Result<Self, Error> {
        let len = source.len()?;
        let wanted = payload::wanted_bytes(options.size_sectors);
        let bytes = match (wanted, len) {
            (Some(needed), Some(bytes)) if bytes < needed => {
                return Err(SourceError::TooSmall {
                    name: source.name.clone(),
                    bytes,
                    needed,
                }
                .into());
            }
            (wanted, len) => wanted.or(len),
        };
        let sector = sector_bytes as u64;
        match bytes {
            Some(bytes) if !bytes.is_multiple_of(sector) && !options.pad => {
                Err(SourceError::PartialSector {
                    name: source.name.clone(),
                    bytes,
                    sector_bytes,
                }
                .into())
            }
            _ => Ok(Self {
                bytes,
                padded: bytes.map(|bytes| bytes.next_multiple_of(sector)),
            }),
        }
    }
}
