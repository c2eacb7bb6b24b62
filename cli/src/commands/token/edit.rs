//! `token remove IMG`, `token assign IMG` and `token unassign IMG`.

use jobs::inputs::Inputs;
use jobs::token::edit::{Edit, edit};

use crate::args::{ChangeArgs, ImageArgs, SealKeyArgs, TokenAssignArgs, TokenRemoveArgs};
use crate::change::{self, Sealing};
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::watch::Warner;

/// Removes a token.
pub fn remove(args: &TokenRemoveArgs) -> Result<(), Error> {
    let what = ("token remove", "is removed".to_owned());
    run(
        &args.image,
        args.token_id,
        Edit::Remove,
        (&args.change, &args.key),
        &what,
    )
}

/// Assigns a token to a keyslot.
pub fn assign(args: &TokenAssignArgs) -> Result<(), Error> {
    let keyslot = args.key_slot;
    let what = ("token assign", format!("is assigned to keyslot {keyslot}"));
    let edit = Edit::Assign(keyslot);
    run(
        &args.image,
        args.token_id,
        edit,
        (&args.change, &args.key),
        &what,
    )
}

/// Takes a keyslot off a token.
pub fn unassign(args: &TokenAssignArgs) -> Result<(), Error> {
    let keyslot = args.key_slot;
    let what = (
        "token unassign",
        format!("is no longer assigned to keyslot {keyslot}"),
    );
    let edit = Edit::Unassign(keyslot);
    run(
        &args.image,
        args.token_id,
        edit,
        (&args.change, &args.key),
        &what,
    )
}

fn run(
    image: &ImageArgs,
    token: u32,
    what: Edit,
    (args, key): (&ChangeArgs, &SealKeyArgs),
    (verb, is_done): &(&str, String),
) -> Result<(), Error> {
    let options = change::options(image, args, Inputs::none().seal_key(key));
    let sealing = Sealing::of(key, false)?;
    let keys = sealing.keys();
    let key = sealing.key(&keys);
    let edited = edit(&image.header(), token, what, &options, key, &Warner)?;
    let image = &edited.image;
    let text = format!("token {token} of {image} {is_done}\n");
    let rehearsed = edited.rehearsed.as_ref();
    change::done(verb, args.output, &edited, image, rehearsed, &text)
}
