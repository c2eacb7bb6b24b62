//! `header convert IMG`.

use luks::convert::convert;
use luks::{OsRandom, Version};
use serde_json::json;

use crate::args::{ContainerType, HeaderConvertArgs};
use crate::change::Told as _;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::watch::Warner;
use jobs::block::Claim;
use jobs::change::Target;
use jobs::inputs::Inputs;
use jobs::policy;

/// Converts the header to the other version.
pub fn run(args: &HeaderConvertArgs) -> Result<(), Error> {
    let (to, name) = match args.kind {
        ContainerType::Luks1 => (Version::Luks1, "luks1"),
        ContainerType::Luks2 => (Version::Luks2, "luks2"),
        ContainerType::Plain => {
            return Err(Error::Conflict {
                one: "header convert",
                other: "--type plain",
            });
        }
    };
    let inputs = Inputs::none().policies(&args.image.policy);
    let target = Target::open(
        &args.image.header(),
        args.change.dry.run,
        Claim::Whole,
        &inputs,
    )?;
    let luks = target.luks(&policy::read(&args.image.policy.policy)?, &Warner)?;
    target.refuse_mapped(&luks)?;
    let question = format!("The header of {} will be converted to {name}.", target.name);
    target.confirm(&question, args.change.output.batch_mode)?;
    target.back_up(&luks, args.change.header_backup_file.as_deref(), &Warner)?;
    convert(&luks, to, &mut OsRandom).map_err(target.failed())?;
    let members = json!({"image": target.name, "type": name});
    let text = format!("{} is {name} now\n", target.name);
    target.done("header convert", args.change.output, members, &text)
}
