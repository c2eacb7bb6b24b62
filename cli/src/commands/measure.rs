//! `measure`: how large a container becomes.

use std::fmt::Write as _;

use luks::Version;
use serde_json::json;

use crate::args::{ContainerType, MeasureArgs};
use crate::error::Error;
use crate::human;
use crate::output::{self, OutputError};
use crate::sizes::{Given, Sizes};

/// Works the sizes out. Nothing is written.
pub fn run(args: &MeasureArgs) -> Result<(), Error> {
    let given = Given::of(&args.size).ok_or(Error::NoSize)?;
    let luks = |version| {
        let sizes = Sizes::of_luks(
            "measure",
            version,
            &args.container,
            &args.format,
            args.detached,
            given,
        )?;
        let sector_size = sizes.new.options().sector_size.bytes() as u64;
        Ok::<_, Error>(Measured {
            header_bytes: sizes.layout.reserved_bytes,
            payload_offset: sizes.layout.data_offset,
            payload_bytes: sizes.payload_bytes,
            container_bytes: sizes.container_bytes(),
            sector_size,
        })
    };
    let (kind, measured) = match args.container.kind {
        Some(ContainerType::Plain) => ("plain", plain(args, given)?),
        Some(ContainerType::Luks1) => ("luks1", luks(Version::Luks1)?),
        Some(ContainerType::Luks2) | None => ("luks2", luks(Version::Luks2)?),
    };
    Ok(measured.print(kind, args.output.json)?)
}

fn plain(args: &MeasureArgs, given: Given) -> Result<Measured, Error> {
    let header = args.detached.then_some("--detached");
    if let Some(one) = args.format.given().or(header) {
        return Err(Error::Conflict {
            one,
            other: "a plain container",
        });
    }
    let sector_bytes = args.container.sector_size.unwrap_or(512);
    let sector_size = dmcrypt::SectorSize::new(sector_bytes);
    let sector_size = sector_size.ok_or(Error::SectorSize {
        bytes: sector_bytes,
    })?;
    let offset = args.container.offset.unwrap_or(0);
    let offset = offset.saturating_mul(dmcrypt::SECTOR_BYTES);
    let sector_size = sector_size.bytes() as u64;
    let payload_bytes = given.payload_bytes(offset, sector_size)?;
    Ok(Measured {
        header_bytes: 0,
        payload_offset: offset,
        payload_bytes,
        // `Given::payload_bytes` has seen that the sum is a file's size.
        container_bytes: offset + payload_bytes,
        sector_size,
    })
}

/// Sizes in bytes.
struct Measured {
    header_bytes: u64,
    payload_offset: u64,
    payload_bytes: u64,
    container_bytes: u64,
    sector_size: u64,
}

impl Measured {
    fn print(&self, kind: &str, as_json: bool) -> Result<(), OutputError> {
        let Self {
            header_bytes,
            payload_offset,
            payload_bytes,
            container_bytes,
            sector_size,
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
        let _ = writeln!(text, "container: {}", human::size(*container_bytes));
        output::text(&text)
    }
}
