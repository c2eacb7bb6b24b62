//! `measure`: how large a container becomes.

use std::fmt::Write as _;

use jobs::measure::{Measure, Measured, measure};
use luks::Version;

use crate::args::{ContainerType, MeasureArgs};
use crate::error::Error;
use crate::human;
use crate::options;
use crate::output;
use crate::watch::Warner;

/// Works the sizes out. Nothing is written.
pub fn run(args: &MeasureArgs) -> Result<(), Error> {
    let luks = |version| Measure::Luks {
        wanted: Box::new(options::luks(version, &args.container, &args.format)),
        detached: args.detached,
    };
    let what = match args.container.kind {
        Some(ContainerType::Plain) => {
            let header = args.detached.then_some("--detached");
            if let Some(one) = args.format.given().or(header) {
                return Err(Error::Conflict {
                    one,
                    other: "a plain container",
                });
            }
            Measure::Plain {
                offset_sectors: args.container.offset.unwrap_or(0),
                sector_bytes: args.container.sector_size,
            }
        }
        Some(ContainerType::Luks1) => luks(Version::Luks1),
        Some(ContainerType::Luks2) | None => luks(Version::Luks2),
    };
    let measured = measure(
        args.source.as_ref(),
        options::size(&args.size),
        &what,
        args.sectors.allow_any_sector_size,
        &Warner,
    )?;
    if args.output.json {
        let members = serde_json::to_value(&measured).expect("sizes are plain data");
        return Ok(output::json("measure", members)?);
    }
    Ok(output::text(&text(&measured))?)
}

fn text(measured: &Measured) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "header:    {}", human::size(measured.header_bytes));
    let _ = writeln!(
        text,
        "payload:   {} at {}, sectors of {} bytes",
        human::size(measured.payload_bytes),
        measured.payload_offset,
        measured.sector_size
    );
    let _ = writeln!(text, "sectors:   {}", measured.sector_size_reason);
    let _ = writeln!(text, "container: {}", human::size(measured.container_bytes));
    text
}
