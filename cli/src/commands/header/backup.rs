//! `header backup IMG`.

use serde_json::json;

use crate::args::HeaderBackupArgs;
use crate::change;
use crate::error::Error;
use crate::output;
use crate::source::Source;
use crate::unlock;

/// Writes the backup; the image is only read, whatever state its header copies are in.
pub fn run(args: &HeaderBackupArgs) -> Result<(), Error> {
    let source = Source::open(&args.image.header(), args.busy.read_in_use)?;
    let luks = unlock::open(&source.name, source.seekable()?, &args.image.policy)?;
    let back_up = if args.dry.run {
        change::would_back_up
    } else {
        change::back_up
    };
    let bytes = back_up(&source.name, &luks, &args.header_backup_file)?;
    let file = output::path(&args.header_backup_file);
    let members = json!({"image": source.name, "file": file, "bytes": bytes});
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
    )
}
