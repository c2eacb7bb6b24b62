//! `header backup IMG`.

use jobs::header::backup::{BackupOptions, Hole, backup};

use crate::args::HeaderBackupArgs;
use crate::change;
use crate::error::Error;
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
    check_whole(image, file, &done.holes)
}

/// A backup without something that is needed is made, and is no success.
pub fn check_whole(name: &str, file: &str, holes: &[Hole]) -> Result<(), Error> {
    let needed = holes.iter().filter(|hole| hole.in_use);
    let (places, bytes) = needed.fold((0, 0), |(places, bytes), hole| {
        (places + 1, bytes + hole.length)
    });
    if places == 0 {
        return Ok(());
    }
    Err(Error::Lost {
        source_name: name.to_owned(),
        bytes,
        places,
        result: format!("they are zeros in {file}, which holds all the rest"),
    })
}
