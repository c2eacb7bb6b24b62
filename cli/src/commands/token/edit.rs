//! `token remove IMG`, `token assign IMG` and `token unassign IMG`.

use luks::{Luks, OsRandom, tokens};
use serde_json::json;

use crate::args::{ChangeArgs, ImageArgs, TokenAssignArgs, TokenRemoveArgs};
use crate::change::Told as _;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::watch::Warner;
use jobs::block::Claim;
use jobs::change::Target;
use jobs::inputs::Inputs;
use jobs::policy;

/// Removes a token.
pub fn remove(args: &TokenRemoveArgs) -> Result<(), Error> {
    let done = Done {
        verb: "token remove",
        id: args.token_id,
        text: "is removed".to_owned(),
    };
    change(&args.image, &args.change, &done, |luks| {
        tokens::remove(luks, args.token_id, &mut OsRandom)
    })
}

/// Assigns a token to a keyslot.
pub fn assign(args: &TokenAssignArgs) -> Result<(), Error> {
    let done = Done {
        verb: "token assign",
        id: args.token_id,
        text: format!("is assigned to keyslot {}", args.key_slot),
    };
    change(&args.image, &args.change, &done, |luks| {
        tokens::assign(luks, args.token_id, args.key_slot, &mut OsRandom)
    })
}

/// Takes a keyslot off a token.
pub fn unassign(args: &TokenAssignArgs) -> Result<(), Error> {
    let done = Done {
        verb: "token unassign",
        id: args.token_id,
        text: format!("is no longer assigned to keyslot {}", args.key_slot),
    };
    change(&args.image, &args.change, &done, |luks| {
        tokens::unassign(luks, args.token_id, args.key_slot, &mut OsRandom)
    })
}

/// What is said afterwards.
struct Done {
    verb: &'static str,
    id: u32,
    text: String,
}

fn change(
    image: &ImageArgs,
    args: &ChangeArgs,
    done: &Done,
    change: impl FnOnce(&Luks) -> Result<(), luks::Error>,
) -> Result<(), Error> {
    let inputs = Inputs::none().policies(&image.policy);
    let target = Target::open(&image.header(), args.dry.run, Claim::Header, &inputs)?;
    let luks = target.luks_after_backup(
        &policy::read(&image.policy.policy)?,
        args.header_backup_file.as_deref(),
        &Warner,
    )?;
    change(&luks).map_err(target.failed())?;
    let members = json!({"image": target.name, "token": done.id});
    let text = format!("token {} of {} {}\n", done.id, target.name, done.text);
    target.done(done.verb, args.output, members, &text)
}
