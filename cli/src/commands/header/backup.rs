//! `header backup IMG`.

use luks::Backup;
use luks::backup::Hole;
use serde_json::{Value, json};

use crate::args::HeaderBackupArgs;
use crate::change;
use crate::error::Error;
use crate::output;
use crate::unlock;
use crate::watch::Warner;
use jobs::source::Source;

/// Writes the backup; the image is only read, whatever state its header copies are in.
pub fn run(args: &HeaderBackupArgs) -> Result<(), Error> {
    let source = Source::open(&args.image.header(), args.busy.read_in_use, &Warner)?;
    let luks = unlock::open(&source.name, source.seekable()?, &args.image.policy)?;
    let back_up = if args.dry.run {
        jobs::change::would_back_up
    } else {
        jobs::change::back_up
    };
    let backup = back_up(&source.name, &luks, &args.header_backup_file, &Warner)?;
    let bytes = backup.bytes().len();
    let file = output::path(&args.header_backup_file);
    let holes: Vec<_> = backup.holes().iter().map(hole).collect();
    let members = json!({"image": source.name, "file": file, "bytes": bytes, "holes": holes});
    let what = format!(
        "{bytes} bytes, the header and the keyslots of {}",
        source.name
    );
    change::wrote(
        "header backup",
        &file,
        &what,
        members,
        args.dry,
        args.output,
    )?;
    check_whole(&source.name, &file, &backup)
}

/// A backup without something that is needed is made, and is no success.
pub fn check_whole(name: &str, file: &str, backup: &Backup) -> Result<(), Error> {
    let needed = backup.holes().iter().filter(|hole| hole.is_in_use);
    let (places, bytes) = needed.fold((0, 0), |(places, bytes), hole| {
        (places + 1, bytes + hole.end - hole.start)
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

fn hole(hole: &Hole) -> Value {
    json!({
        "offset": hole.start,
        "length": hole.end - hole.start,
        "in_use": hole.is_in_use,
        "problem": hole.problem,
    })
}
