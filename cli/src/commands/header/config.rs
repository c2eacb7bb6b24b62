//! `header config IMG`.

use jobs::header::config::{Config, config};
use jobs::inputs::Inputs;
use luks::config::ConfigChanges;

use crate::args::HeaderConfigArgs;
use crate::change::{self, Sealing};
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::watch::Warner;

/// Changes what was given.
pub fn run(args: &HeaderConfigArgs) -> Result<(), Error> {
    let wanted = match (args.priority, args.key_slot) {
        (Some(priority), Some(keyslot)) => Config::Keyslot {
            keyslot,
            priority: priority.into(),
        },
        _ => Config::Container(changes(args)),
    };
    let inputs = Inputs::none().seal_key(&args.key);
    let options = change::options(&args.image, &args.change, inputs);
    let sealing = Sealing::of(&args.key, false)?;
    let keys = sealing.keys();
    let key = sealing.key(&keys);
    let done = config(&args.image.header(), &wanted, &options, key, &Warner)?;
    let (say, image) = (args.change.output, &done.image);
    let text = format!("the header of {image} is changed\n");
    change::done(
        "header config",
        say,
        &done,
        image,
        done.rehearsed.as_ref(),
        &text,
    )
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
