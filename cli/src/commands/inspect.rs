//! `inspect IMG`: what is in a container.

use jobs::Place;
use jobs::inspect::disk::inspect as inspect_disk;
use jobs::inspect::{InspectOptions, inspect, svg, template};

use crate::args::{InspectArgs, MapFormat, SourceFormat};
use crate::error::Error;
use crate::inspect::{disk, map, text};
use crate::output;
use crate::unlock;
use crate::watch::Warner;

/// Inspects. Nothing is unlocked and nothing is written.
pub fn run(args: &InspectArgs) -> Result<(), Error> {
    let place = args.image.header();
    let options = InspectOptions {
        data: args.image.data().cloned(),
        policies: (&args.image.policy.policy[..]).into(),
        allow_in_use: args.busy.read_in_use,
        ..InspectOptions::default()
    };
    match args.from {
        Some(SourceFormat::Raw) => {
            return Err(Error::Conflict {
                one: "--from raw",
                other: "inspect: a raw image says nothing",
            });
        }
        Some(SourceFormat::Qcow2) => return of_disk(args, &place, options),
        Some(SourceFormat::Luks) | None => {}
    }
    if args.policy_template {
        let template = template(&place, &options, &Warner)?;
        return match template.policy {
            Some(text) => Ok(output::text(&text)?),
            None => Err(Error::NotSound {
                name: template.image,
                problems: template.problems,
            }),
        };
    }
    let options = with_limits(options)?;
    let report = inspect(&place, &options, &Warner)?;
    let printed = match (args.output.json, args.map) {
        (true, _) => {
            let members = serde_json::to_value(&report).expect("a report is plain data");
            output::json("inspect", members)
        }
        (false, Some(MapFormat::Text)) => output::text(&map::text(&report)),
        (false, Some(MapFormat::Svg)) => output::text(&svg(&report)),
        (false, None) => output::text(&text::render(&report)),
    };
    Ok(printed?)
}

/// What an unlock would be allowed.
fn with_limits(options: InspectOptions) -> Result<InspectOptions, Error> {
    Ok(InspectOptions {
        max_time: unlock::max_time(None)?,
        max_memory_kib: unlock::max_memory_kib(None)?,
        ..options
    })
}

/// A qcow2 image.
fn of_disk(args: &InspectArgs, place: &Place, options: InspectOptions) -> Result<(), Error> {
    let map = args.map.map(|_| "--map");
    let template = args.policy_template.then_some("--policy-template");
    if let Some(one) = map.or(template) {
        return Err(Error::Conflict {
            one,
            other: "--from qcow2",
        });
    }
    let report = inspect_disk(place, &with_limits(options)?, &Warner)?;
    if args.output.json {
        let members = serde_json::to_value(&report).expect("a report is plain data");
        return Ok(output::json("inspect qcow2", members)?);
    }
    Ok(output::text(&disk::render(&report))?)
}
