//! `header config IMG`.

use luks::config::{ConfigChanges, configure};
use luks::{OsRandom, keyslots};
use serde_json::json;

use crate::args::HeaderConfigArgs;
use crate::change::Told as _;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::watch::Warner;
use jobs::block::Claim;
use jobs::change::Target;
use jobs::inputs::Inputs;
use jobs::policy;

/// Changes what was given.
pub fn run(args: &HeaderConfigArgs) -> Result<(), Error> {
    let inputs = Inputs::none().policies(&args.image.policy);
    let target = Target::open(
        &args.image.header(),
        args.change.dry.run,
        Claim::Header,
        &inputs,
    )?;
    let luks = target.luks_after_backup(
        &policy::read(&args.image.policy.policy)?,
        args.change.header_backup_file.as_deref(),
        &Warner,
    )?;
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
