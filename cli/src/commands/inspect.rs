//! `inspect IMG`: what is in a container.

use jobs::inspect::{InspectOptions, inspect, svg, template};

use crate::args::{InspectArgs, MapFormat};
use crate::error::Error;
use crate::inspect::{map, text};
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
    let options = InspectOptions {
        max_time: unlock::max_time(None)?,
        max_memory_kib: unlock::max_memory_kib(None)?,
        ..options
    };
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
