//! `header erase IMG`.

use luks::OsRandom;
use luks::erase::erase;
use serde_json::json;

use crate::args::HeaderEraseArgs;
use crate::change::Told as _;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::watch::Warner;
use jobs::block::Claim;
use jobs::change::Target;
use jobs::inputs::Inputs;
use jobs::policy;

/// Overwrites every keyslot.
pub fn run(args: &HeaderEraseArgs) -> Result<(), Error> {
    let inputs = Inputs::none().policies(&args.image.policy);
    let target = Target::open(
        &args.image.header(),
        args.change.dry.run,
        Claim::Header,
        &inputs,
    )?;
    let luks = target.luks(&policy::read(&args.image.policy.policy)?, &Warner)?;
    target.warn_of_mapping(&Warner)?;
    let question = format!(
        "All keyslots of {} will be overwritten: no passphrase will open it again.",
        target.name
    );
    target.confirm(&question, args.change.output.batch_mode)?;
    target.back_up(&luks, args.change.header_backup_file.as_deref(), &Warner)?;
    let keyslots = erase(&luks, &mut OsRandom).map_err(target.failed())?;
    let members = json!({"image": target.name, "keyslots": keyslots});
    let text = format!(
        "{} keyslots of {} are erased\n",
        keyslots.len(),
        target.name
    );
    target.done("header erase", args.change.output, members, &text)
}
