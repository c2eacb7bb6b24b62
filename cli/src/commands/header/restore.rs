//! `header restore IMG`.

use jobs::header::restore::{RestoreOptions, restore};
use luks::Version;

use crate::args::HeaderRestoreArgs;
use crate::change::{self, Asker};
use crate::error::Error;
use crate::watch::Warner;

/// Restores, after it was said which passphrases come back and which are lost.
pub fn run(args: &HeaderRestoreArgs) -> Result<(), Error> {
    let options = RestoreOptions {
        policies: (&args.image.policy.policy[..]).into(),
        dry_run: args.dry.run,
        force: args.force,
    };
    let asker = Asker::new(args.output);
    let (place, backup) = (args.image.header(), &args.header_backup_file);
    let restored = restore(&place, backup, &options, &asker, &Warner)?;
    let image = &restored.image;
    let kind = match restored.version {
        Version::Luks1 => "LUKS1",
        Version::Luks2 => "LUKS2",
    };
    let text = format!("the {kind} header of {image} is restored\n");
    let rehearsed = restored.rehearsed.as_ref();
    change::done(
        "header restore",
        args.output,
        &restored,
        image,
        rehearsed,
        &text,
    )
}
