//! `token add IMG` and `token import IMG`.

use jobs::change::ChangeOptions;
use jobs::inputs::Inputs;
use jobs::token::add::{AddOptions, NewToken, add as add_token};

use crate::args::{ImageArgs, OutputArgs, TokenAddArgs, TokenImportArgs};
use crate::change::{self, Sealing};
use crate::error::Error;
use crate::inputs::InputsOf as _;
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
    let sealing = Sealing::of(&args.key, false)?;
    let options = change::options(
        &args.image,
        &args.change,
        Inputs::none().seal_key(&args.key),
    );
    insert(
        "token add",
        &args.image,
        (options, args.change.output),
        &sealing,
        &new,
        number,
    )
}

/// Adds a token from its JSON.
pub fn import(args: &TokenImportArgs) -> Result<(), Error> {
    let new = NewToken::Json(args.json_file.clone().into_os_string().into());
    let number = (args.token_id, args.token_replace);
    let sealing = Sealing::of(&args.key, args.json_file.as_os_str() == "-")?;
    let options = change::options(
        &args.image,
        &args.change,
        Inputs::none().seal_key(&args.key),
    );
    insert(
        "token import",
        &args.image,
        (options, args.change.output),
        &sealing,
        &new,
        number,
    )
}

fn insert(
    verb: &str,
    image: &ImageArgs,
    (change, say): (ChangeOptions, OutputArgs),
    sealing: &Sealing,
    new: &NewToken,
    (token, replace): (Option<u32>, bool),
) -> Result<(), Error> {
    let options = AddOptions {
        change,
        token,
        replace,
    };
    let keys = sealing.keys();
    let key = sealing.key(&keys);
    let added = add_token(&image.header(), new, &options, key, &Warner)?;
    let image = &added.image;
    let text = format!("token {} of {image} is added\n", added.token);
    let rehearsed = added.rehearsed.as_ref();
    change::done(verb, say, &added, image, rehearsed, &text)
}
