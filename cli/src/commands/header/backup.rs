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
    let source = Source::open(&args.image, args.force)?;
    let luks = unlock::open(&source.name, source.seekable()?, &args.policy)?;
    let bytes = change::back_up(&source.name, &luks, &args.header_backup_file)?;
    let file = output::path(&args.header_backup_file);
    if args.json {
        let members = json!({"image": source.name, "file": file, "bytes": bytes});
        return Ok(output::json("header backup", members)?);
    }
    let text = format!(
        "{file}: {bytes} bytes, the header and the keyslots of {}\n",
        source.name
    );
    Ok(output::text(&text)?)
}
