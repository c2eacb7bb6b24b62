//! `inspect IMG`: what is in a container.

use luks::Luks;
use serde_json::Value;

use crate::args::{InspectArgs, MapFormat};
use crate::error::Error;
use crate::inspect::{map, text};
use crate::output;
use crate::unlock;
use crate::watch::Warner;
use jobs::inspect::Report;
use jobs::policy;
use jobs::source::{Data, Source};

/// Inspects. Nothing is unlocked and nothing is written.
pub fn run(args: &InspectArgs) -> Result<(), Error> {
    let source = Source::open(&args.image.header(), args.busy.read_in_use, &Warner)?;
    let storage = source.seekable()?;
    let image_bytes = storage.len().map_err(|error| source.unreadable(error))?;
    let luks = Luks::open(storage.clone())
        .map_err(|error| jobs::Error::of_image(&source.name, error, &*storage))?;
    let policies = policy::read(&args.image.policy.policy)?;
    policy::check(&policies, &luks, &source.name)?;
    policy::check_data(&policies, &luks, &source.name, Some(image_bytes))?;
    if args.policy_template {
        return match policy::template(&luks, image_bytes) {
            Some(text) => Ok(output::text(&text)?),
            None => Err(Error::NotSound {
                name: source.name,
                problems: luks.warnings().iter().map(ToString::to_string).collect(),
            }),
        };
    }
    let mut report = Report::new(
        source.name,
        &luks,
        image_bytes,
        &unlock::kdf_limits(None, None)?,
    );
    report.data = Data::of(args.image.data(), args.busy.read_in_use, &Warner)?;
    let printed = match (args.output.json, args.map) {
        (true, _) => output::json("inspect", members(&report)),
        (false, Some(MapFormat::Text)) => output::text(&map::text(&report)),
        (false, Some(MapFormat::Svg)) => output::text(&map::svg(&report)),
        (false, None) => output::text(&text::render(&report)),
    };
    Ok(printed?)
}

fn members(report: &Report) -> Value {
    let mut members = serde_json::to_value(report).expect("a report is plain data");
    members["map"] = map::regions(report)
        .into_iter()
        .map(|region| serde_json::json!({"start": region.start, "end": region.end, "name": region.name, "kind": region.kind.name()}))
        .collect();
    members
}
