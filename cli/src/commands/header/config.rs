//! `header config IMG`.

use luks::config::{ConfigChanges, configure};
use luks::{OsRandom, keyslots};
use serde_json::json;

use crate::args::HeaderConfigArgs;
use crate::change::Target;
use crate::error::Error;
use crate::inputs::Inputs;
use jobs::block::Claim;

/// Changes what was given.
pub fn run(args: &HeaderConfigArgs) -> Result<(), Error> {
    let inputs = Inputs::none().policies(&args.image.policy);
    let target = Target::open(
        &args.image.header(),
        args.change.dry.run,
        Claim::Header,
        &inputs,
    )?;
    let luks = target.luks_after_backup(&args.image.policy, &args.change)?;
    if let (Some(priority), Some(keyslot)) = (args.priority, args.key_slot) {
        keyslots::set_priority(&luks, keyslot, priority.into(), &mut OsRandom)
            .map_err(target.failed())?;
    } else {
        configure(&luks, &changes(args), &mut OsRandom).map_err(target.failed())?;
    }
    let members = json!({"image": target.name, "changed": true});
    let text = format!("the header of {} is changed\n", target.name);
    target.done("header config", args.change.output, members, &text)
}

fn changes(args: &HeaderConfigArgs) -> ConfigChanges {
    let flags = args.flags.iter().map(|flag| flag.name().to_owned());
    ConfigChanges {
        label: args.label.clone(),
        subsystem: args.subsystem.clone(),
        uuid: args.uuid.clone(),
        flags: (args.no_flags || !args.flags.is_empty()).then(|| flags.collect()),
    }
}
