//! `header config IMG`.

use luks::OsRandom;
use luks::config::{ConfigChanges, configure};
use serde_json::json;

use crate::args::HeaderConfigArgs;
use crate::change::Target;
use crate::error::Error;
use crate::output;

/// Changes what was given.
pub fn run(args: &HeaderConfigArgs) -> Result<(), Error> {
    let target = Target::open(&args.image)?;
    let luks = target.luks_after_backup(&args.change)?;
    let flags = args.flags.iter().map(|flag| flag.name().to_owned());
    let changes = ConfigChanges {
        label: args.label.clone(),
        subsystem: args.subsystem.clone(),
        uuid: args.uuid.clone(),
        flags: (args.no_flags || !args.flags.is_empty()).then(|| flags.collect()),
    };
    configure(&luks, &changes, &mut OsRandom).map_err(target.failed())?;
    if args.change.json {
        let members = json!({"image": target.name, "changed": true});
        return Ok(output::json("header config", members)?);
    }
    Ok(output::text(&format!(
        "the header of {} is changed\n",
        target.name
    ))?)
}
