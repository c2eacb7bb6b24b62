//! `encrypt SRC DST`: a raw image to a new container.

use dmcrypt::SectorSize;
use luks::{Layout, Version};
use recognise::{SectorLimit, largest_sector};
use volume::Copied;

use super::decrypt::zeros_in;
use crate::args::{ContainerType, EncryptArgs, Holes, OnReadError, Operand};
use crate::error::Error;
use crate::format::NewLuks;
use crate::inputs::Inputs;
use crate::losses::Losses;
use crate::new_container::{self, Places};
use crate::output;
use crate::passphrase::KeyInput;
use crate::payload;
use crate::plain::Plain;
use crate::report::Report;
use crate::sector_size::SectorChoice;
use crate::source::{Meant, Source, SourceError};
use crate::transfer::Transfer;
use jobs::temporary::Content;

/// Encrypts.
pub fn run(args: &EncryptArgs) -> Result<(), Error> {
    let mut source = Source::open(&args.source, args.busy.read_in_use)?;
    let overwrite = (&args.result).into();
    let inputs = Inputs::none()
        .source("the source", &source)
        .keys(&args.keys)
        .path("the volume key file", args.format.volume_key_file.as_ref());
    let places = Places::check(&args.destination, &args.header, overwrite, &inputs)?;
    if args.result.output.json && places.data.is_stdout() {
        return Err(Error::Conflict {
            one: "--json",
            other: "image data on standard output",
        });
    }
    Losses::check(&args.bad_places, source.storage().is_none())?;
    let keys = KeyInput::new(&args.keys, args.source == Operand::Standard)?;
    let start = source.start()?;
    if !args.odd.allow_empty {
        source.check_not_empty(&*start)?;
    }
    let may_lose = args.bad_places.on_read_error == OnReadError::Zero;
    if !args.odd.any.allow_any_source {
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
    let known = known.as_ref();
    match args.container.kind.unwrap_or(ContainerType::Luks2) {
        ContainerType::Plain => plain(args, source, known, places, &keys),
        ContainerType::Luks1 => luks(args, Version::Luks1, source, known, places, &keys),
        ContainerType::Luks2 => luks(args, Version::Luks2, source, known, places, &keys),
    }
}

fn plain(
    args: &EncryptArgs,
    source: Source,
    known: Option<&SectorLimit>,
    places: Places,
    keys: &KeyInput,
) -> Result<(), Error> {
    let header = args.header.header.as_ref().map(|_| "--header");
    if let Some(one) = args.format.given().or(header) {
        return Err(Error::Conflict {
            one,
            other: "a plain container",
        });
    }
    let plain = Plain::new(&args.container, &args.plain, keys)?;
    new_container::check_cipher(plain.cipher(), args.weak.allow_weak_cipher)?;
    let sectors = SectorChoice::plain(args.container.sector_size)?;
    sectors.check(&source.name, known, args.odd.sectors.allow_any_sector_size)?;
    let extent = Extent::of(&source, args, plain.sector_bytes())?;
    new_container::check_amount(
        plain.cipher(),
        plain.iv_unit(),
        extent.padded,
        args.weak.allow_weak_cipher,
    )?;
    let target = places.data;
    let report = Report {
        dry_run: args.result.dry.run,
        source: Some(source.name.clone()),
        destination: target.name.clone(),
        header: None,
        kind: "plain",
        cipher: plain.cipher().to_string(),
        key_bits: plain.key_bytes() as u64 * 8,
        sector_size: plain.sector_bytes() as u64,
        sector_size_reason: Some(sectors.reason.clone()),
        payload_offset: plain.offset_bytes()?,
        payload_bytes: None,
        container_bytes: None,
        keyslot: None,
        lost: None,
    }
    .with_payload(extent.padded);
    if let Some(bytes) = report.container_bytes {
        target.check_room(bytes)?;
    }
    if args.result.dry.run {
        return report.print("encrypt", &args.work, args.result.output);
    }

    report.begin("encrypt", &args.work, args.result.output);
    let key = plain.key(keys, &target.name, !args.result.output.batch_mode)?;
    let mapping = plain.mapping(&key, extent.padded)?;
    let destination = target.create(Content::Public)?;
    new_container::lead_in(&destination, report.payload_offset)?;
    let losses = Losses::begin(&args.bad_places)?;
    let transfer = transfer(args, &report, &extent, &sectors, &losses);
    let copied = payload::encrypt(source, extent.bytes, &destination, &mapping, &transfer)?;
    losses.write_map(copied.bytes)?;
    destination.commit()?;
    finish(args, &report, copied, &losses)
}

fn luks(
    args: &EncryptArgs,
    version: Version,
    source: Source,
    known: Option<&SectorLimit>,
    places: Places,
    keys: &KeyInput,
) -> Result<(), Error> {
    if let Some(one) = args.plain.given() {
        return Err(Error::Conflict {
            one,
            other: "a LUKS container",
        });
    }
    let name = places.data.name.clone();
    let detached = places.header.is_some();
    // The payload decides on the sector size, and the sector size on what a whole payload is.
    let payload = payload::wanted_bytes(args.size).or(source.len()?);
    let sectors = SectorChoice::luks(version, args.container.sector_size, payload, known)?;
    sectors.check(&source.name, known, args.odd.sectors.allow_any_sector_size)?;
    let new = NewLuks::new(
        &name,
        version,
        &args.container,
        &args.format,
        detached,
        sectors.size,
    )?;
    let options = new.options().clone();
    new_container::check_cipher(&options.cipher, args.weak.allow_weak_cipher)?;
    let layout = Layout::new(&options).map_err(|error| Error::luks(&name, error.into()))?;
    let sector_bytes = options.sector_size.bytes();
    let extent = Extent::of(&source, args, sector_bytes)?;
    new_container::check_amount(
        &options.cipher,
        dmcrypt::SECTOR_BYTES,
        extent.padded,
        args.weak.allow_weak_cipher,
    )?;
    let report = Report {
        dry_run: args.result.dry.run,
        source: Some(source.name.clone()),
        destination: name.clone(),
        header: places.header.as_ref().map(|header| header.name.clone()),
        kind: match version {
            Version::Luks1 => "luks1",
            Version::Luks2 => "luks2",
        },
        cipher: options.cipher.to_string(),
        key_bits: options.key_bytes as u64 * 8,
        sector_size: sector_bytes as u64,
        sector_size_reason: Some(sectors.reason.clone()),
        payload_offset: layout.data_offset,
        payload_bytes: None,
        container_bytes: None,
        keyslot: Some(options.keyslot),
        lost: None,
    }
    .with_payload(extent.padded);
    if let Some(bytes) = report.container_bytes {
        places.data.check_room(bytes)?;
    }
    if let Some(header) = &places.header {
        header.check_room(layout.reserved_bytes)?;
    }
    if args.result.dry.run {
        return report.print("encrypt", &args.work, args.result.output);
    }

    report.begin("encrypt", &args.work, args.result.output);
    let container = new_container::prepare(
        new,
        &name,
        keys,
        &args.format,
        args.result.output.batch_mode,
        args.weak.allow_empty_passphrase,
    )?;
    let losses = Losses::begin(&args.bad_places)?;
    let transfer = transfer(args, &report, &extent, &sectors, &losses);
    let copied = new_container::write(container, extent.padded, places, |destination, mapping| {
        let copied = payload::encrypt(source, extent.bytes, destination, mapping, &transfer)?;
        losses.write_map(copied.bytes)?;
        if !args.pad {
            tell_filled(&copied, &report)?;
        }
        Ok(copied)
    })?;
    finish(args, &report, copied, &losses)
}

/// Says what was made, and what was lost.
fn finish(
    args: &EncryptArgs,
    report: &Report,
    copied: Copied,
    losses: &Losses,
) -> Result<(), Error> {
    losses.keep()?;
    let payload_bytes = copied.bytes + copied.padding_bytes;
    report
        .clone()
        .with_payload(Some(payload_bytes))
        .with_lost(losses.list())
        .print("encrypt", &args.work, args.result.output)?;
    let source = report.source.as_deref().unwrap_or_default();
    losses.say(source, &zeros_in(&report.destination))
}

fn transfer<'a>(
    args: &'a EncryptArgs,
    report: &'a Report,
    extent: &Extent,
    sectors: &SectorChoice,
    losses: &'a Losses,
) -> Transfer<'a> {
    Transfer {
        source: report.source.as_deref().unwrap_or_default(),
        destination: &report.destination,
        bytes: extent.bytes,
        keep_holes: args.holes == Holes::Keep,
        losses,
        pad_to: (args.pad || sectors.may_fill).then_some(sectors.size.bytes()),
        work: &args.work,
        say: args.result.output,
    }
}

/// A stream that turned out to end within a sector that was larger than it had to be: what lies behind the last whole
/// block of a file system is none of its. One that ends within 512 bytes was cut off.
fn tell_filled(copied: &Copied, report: &Report) -> Result<(), Error> {
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
        output::warn(format_args!(
            "{name}: {bytes} bytes are no multiple of the sector size {}, so that {} zeros follow them",
            report.sector_size, copied.padding_bytes
        ));
    }
    Ok(())
}

/// How much of the source is encrypted.
struct Extent {
    /// Bytes read; unknown for a stream that no `--size` ends.
    bytes: Option<u64>,
    /// The same, filled up to whole sectors.
    padded: Option<u64>,
}

impl Extent {
    fn of(source: &Source, args: &EncryptArgs, sector_bytes: usize) -> Result<Self, Error> {
        let len = source.len()?;
        let wanted = payload::wanted_bytes(args.size);
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
            Some(bytes) if !bytes.is_multiple_of(sector) && !args.pad => {
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
