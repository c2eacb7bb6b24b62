//! `header erase IMG`.

use luks::OsRandom;
use luks::erase::erase;
use serde_json::json;

use crate::args::HeaderEraseArgs;
use crate::change::{Target, confirm};
use crate::error::Error;
use crate::output;

/// Overwrites every keyslot.
pub fn run(args: &HeaderEraseArgs) -> Result<(), Error> {
    let target = Target::open(&args.image)?;
    let luks = target.luks(&args.change.policy)?;
    let question = format!(
        "All keyslots of {} will be overwritten: no passphrase will open it again.",
        target.name
    );
    confirm(&question, args.change.batch_mode)?;
    if let Some(path) = &args.change.header_backup_file {
        crate::change::back_up(&target.name, &luks, path)?;
    }
    let keyslots = erase(&luks, &mut OsRandom).map_err(target.failed())?;
    if args.change.json {
        let members = json!({"image": target.name, "keyslots": keyslots});
        return Ok(output::json("header erase", members)?);
    }
    let text = format!(
        "{} keyslots of {} are erased\n",
        keyslots.len(),
        target.name
    );
    Ok(output::text(&text)?)
}
