//! `header backup IMG`.

use jobs::header::backup::{BackupOptions, backup};

use crate::args::HeaderBackupArgs;
use crate::change;
use crate::error::Error;
use crate::losses;
use crate::watch::Warner;

/// Writes the backup; the image is only read, whatever state its header copies are in.
pub fn run(args: &HeaderBackupArgs) -> Result<(), Error> {
    let options = BackupOptions {
        policies: (&args.image.policy.policy[..]).into(),
        allow_in_use: args.busy.read_in_use,
        dry_run: args.dry.run,
    };
    let place = args.image.header();
    let done = backup(&place, &args.header_backup_file, &options, &Warner)?;
    let (image, file) = (&done.image, &done.file);
    let what = format!(
        "{} bytes, the header and the keyslots of {image}",
        done.bytes
    );
    change::wrote(
        "header backup",
        args.output,
        &done,
        file,
        done.dry_run,
        &what,
    )?;
    losses::check_whole(image, file, &done.holes)
}
