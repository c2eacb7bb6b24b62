//! `measure`: how large a container becomes.

use std::fmt::Write as _;

use luks::Version;
use recognise::{SectorLimit, largest_sector};
use serde_json::json;
use volume::Storage;

use crate::args::{ContainerType, MeasureArgs, Operand};
use crate::error::Error;
use crate::human;
use crate::output::{self, OutputError};
use crate::sector_size::SectorChoice;
use crate::sizes::{Given, Sizes};
use crate::source::Source;

/// Works the sizes out. Nothing is written.
pub fn run(args: &MeasureArgs) -> Result<(), Error> {
    let image = args.source.as_ref().map(Image::look).transpose()?;
    let given = Given::of(&args.size).or(image.as_ref().map(|image| image.size));
    let given = given.ok_or(Error::NoSize)?;
    let known = image.as_ref().and_then(|image| image.sectors.as_ref());
    let check = |sectors: &SectorChoice| match &image {
        Some(image) => sectors.check(&image.name, known, args.sectors.allow_any_sector_size),
        None => Ok(()),
    };
    let luks = |version| {
        let sizes = Sizes::of_luks(
            "measure",
            version,
            &args.container,
            &args.format,
            args.detached,
            given,
            known,
        )?;
        check(&sizes.sectors)?;
        let sector_size = sizes.new.options().sector_size.bytes() as u64;
        Ok::<_, Error>(Measured {
            header_bytes: sizes.layout.reserved_bytes,
            payload_offset: sizes.layout.data_offset,
            payload_bytes: sizes.payload_bytes,
            container_bytes: sizes.container_bytes(),
            sector_size,
            sector_size_reason: sizes.sectors.reason,
        })
    };
    let (kind, measured) = match args.container.kind {
        Some(ContainerType::Plain) => {
            let sectors = SectorChoice::plain(args.container.sector_size)?;
            check(&sectors)?;
            ("plain", plain(args, given, sectors)?)
        }
        Some(ContainerType::Luks1) => ("luks1", luks(Version::Luks1)?),
        Some(ContainerType::Luks2) | None => ("luks2", luks(Version::Luks2)?),
    };
    Ok(measured.print(kind, args.output.json)?)
}

/// The image that is to be encrypted.
struct Image {
    name: String,
    size: Given,
    sectors: Option<SectorLimit>,
}

impl Image {
    fn look(operand: &Operand) -> Result<Self, Error> {
        // Nothing of it is kept: it does not matter who writes it meanwhile.
        let source = Source::open(operand, true)?;
        let storage = source.seekable()?;
        let len = storage.len().map_err(|error| source.unreadable(error))?;
        let sectors = largest_sector(&*storage).map_err(|error| source.unreadable(error))?;
        Ok(Self {
            name: source.name,
            size: Given::Payload(len),
            sectors,
        })
    }
}

fn plain(args: &MeasureArgs, given: Given, sectors: SectorChoice) -> Result<Measured, Error> {
    let header = args.detached.then_some("--detached");
    if let Some(one) = args.format.given().or(header) {
        return Err(Error::Conflict {
            one,
            other: "a plain container",
        });
    }
    let offset = args.container.offset.unwrap_or(0);
    let offset = offset.saturating_mul(dmcrypt::SECTOR_BYTES);
    let sector_size = sectors.size.bytes() as u64;
    let payload_bytes = given.payload_bytes(offset, sector_size)?;
    Ok(Measured {
        header_bytes: 0,
        payload_offset: offset,
        payload_bytes,
        // `Given::payload_bytes` has seen that the sum is a file's size.
        container_bytes: offset + payload_bytes,
        sector_size,
        sector_size_reason: sectors.reason,
    })
}

/// Sizes in bytes.
struct Measured {
    header_bytes: u64,
    payload_offset: u64,
    payload_bytes: u64,
    container_bytes: u64,
    sector_size: u64,
    sector_size_reason: String,
}

impl Measured {
    fn print(&self, kind: &str, as_json: bool) -> Result<(), OutputError> {
        let Self {
            header_bytes,
            payload_offset,
            payload_bytes,
            container_bytes,
            sector_size,
            sector_size_reason,
        } = self;
        if as_json {
            return output::json(
                "measure",
                json!({
                    "type": kind,
                    "header_bytes": header_bytes,
                    "payload_offset": payload_offset,
                    "payload_bytes": payload_bytes,
                    "container_bytes": container_bytes,
                    "sector_size": sector_size,
                    "sector_size_reason": sector_size_reason,
                }),
            );
        }
        let mut text = String::new();
        let _ = writeln!(text, "header:    {}", human::size(*header_bytes));
        let _ = writeln!(
            text,
            "payload:   {} at {payload_offset}, sectors of {sector_size} bytes",
            human::size(*payload_bytes)
        );
        let _ = writeln!(text, "sectors:   {sector_size_reason}");
        let _ = writeln!(text, "container: {}", human::size(*container_bytes));
        output::text(&text)
    }
}
