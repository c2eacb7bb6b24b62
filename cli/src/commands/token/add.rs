//! `token add IMG` and `token import IMG`.

use jobs::inputs::Inputs;
use jobs::token::add::{AddOptions, NewToken, add as add_token};

use crate::args::{ChangeArgs, ImageArgs, TokenAddArgs, TokenImportArgs};
use crate::change;
use crate::error::Error;
use crate::watch::Warner;

/// Adds a keyring token.
pub fn add(args: &TokenAddArgs) -> Result<(), Error> {
    let new = NewToken::Keyring {
        description: args.key_description.clone(),
        keyslots: if args.unbound {
            Some(Vec::new())
        } else {
            Some(args.key_slot.clone()).filter(|keyslots| !keyslots.is_empty())
        },
    };
    let number = (args.token_id, args.token_replace);
    insert("token add", &args.image, &args.change, &new, number)
}

/// Adds a token from its JSON.
pub fn import(args: &TokenImportArgs) -> Result<(), Error> {
    let new = NewToken::Json(args.json_file.clone().into_os_string().into());
    let number = (args.token_id, args.token_replace);
    insert("token import", &args.image, &args.change, &new, number)
}

fn insert(
    verb: &str,
    image: &ImageArgs,
    args: &ChangeArgs,
    new: &NewToken,
    (token, replace): (Option<u32>, bool),
) -> Result<(), Error> {
    let options = AddOptions {
        change: change::options(image, args, Inputs::none()),
        token,
        replace,
    };
    let added = add_token(&image.header(), new, &options, &Warner)?;
    let image = &added.image;
    let text = format!("token {} of {image} is added\n", added.token);
    let rehearsed = added.rehearsed.as_ref();
    change::done(verb, args.output, &added, image, rehearsed, &text)
}
