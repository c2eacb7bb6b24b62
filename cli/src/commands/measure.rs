//! `measure`: how large a container becomes.

use std::fmt::Write as _;

use jobs::measure::{Measure, Measured, measure};
use luks::Version;

use crate::args::{ContainerType, MeasureArgs, SourceFormat};
use crate::cinder;
use crate::error::Error;
use crate::human;
use crate::options;
use crate::output;
use crate::watch::Warner;

/// Works the sizes out. Nothing is written.
pub fn run(mut args: MeasureArgs) -> Result<(), Error> {
    options::check_compat(args.compat.compat)?;
    let image = options::encrypted_image(&args.to, None, args.compat.compat)?;
    cinder::take(&args.cinder, &mut args.container, image.is_some())?;
    let luks = |version| Measure::Luks {
        image,
        wanted: Box::new(options::luks(version, &args.container, &args.format)),
        detached: args.detached,
    };
    let what = match args.container.kind {
        Some(ContainerType::Plain) => {
            let header = args.detached.then_some("--detached");
            let header = header.or(image.map(|_| "--to qcow2"));
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
        // QEMU knows no other one.
        None if image.is_some() => luks(Version::Luks1),
        Some(ContainerType::Luks2) | None => luks(Version::Luks2),
    };
    let disk = options::disk(args.from.from, &args.from.disk)?;
    if args.from.from == Some(SourceFormat::Luks) {
        return Err(Error::Conflict {
            one: "--from luks",
            other: "measure: give the size of its data with --payload-size",
        });
    }
    let measured = measure(
        args.source.as_ref(),
        disk.as_ref(),
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
    let _ = match measured.least_bytes {
        Some(least) => writeln!(
            text,
            "image:     {} to {}: what is zeros takes no room",
            human::size(least),
            human::size(measured.container_bytes)
        ),
        None => writeln!(text, "container: {}", human::size(measured.container_bytes)),
    };
    text
}
