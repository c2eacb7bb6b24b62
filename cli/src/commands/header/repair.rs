//! `header repair IMG`.

use jobs::change::ChangeOptions;
use jobs::header::repair::{RepairOptions, repair};

use crate::args::HeaderRepairArgs;
use crate::change;
use crate::error::Error;
use crate::output;
use crate::watch::Warner;

/// Mends what is damaged, and says what.
pub fn run(args: &HeaderRepairArgs) -> Result<(), Error> {
    let options = RepairOptions {
        change: ChangeOptions {
            policies: (&args.image.policy.policy[..]).into(),
            backup: args.header_backup_file.clone(),
            dry_run: args.dry.run,
            ..ChangeOptions::default()
        },
        overwrite_foreign: args.force,
    };
    let done = repair(&args.image.header(), &options, &Warner)?;
    let image = &done.image;
    let damages = done.damages.iter();
    let mut lines: Vec<_> = damages.map(|damage| output::escape(damage)).collect();
    lines.push(match lines.len() {
        0 => format!("nothing is wrong with the header of {image}"),
        _ => format!("the header of {image} is repaired"),
    });
    let text = format!("{}\n", lines.join("\n"));
    let rehearsed = done.rehearsed.as_ref();
    change::done("header repair", args.output, &done, image, rehearsed, &text)
}
