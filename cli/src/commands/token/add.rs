//! `token add IMG` and `token import IMG`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use luks::{OsRandom, tokens};
use serde_json::{Map, Value, json};

use super::show::metadata;
use crate::args::{ChangeArgs, ImageArgs, TokenAddArgs, TokenImportArgs};
use crate::change::Told as _;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::output;
use crate::watch::Warner;
use jobs::block::Claim;
use jobs::change::Target;
use jobs::error::ChangeError;
use jobs::inputs::Inputs;
use jobs::policy;

/// Adds a keyring token.
pub fn add(args: &TokenAddArgs) -> Result<(), Error> {
    let number = Number {
        id: args.token_id,
        replace: args.token_replace,
    };
    insert(
        &args.image,
        &args.change,
        number,
        Inputs::none(),
        "token add",
        |all| {
            let keyslots = if args.unbound {
                &[][..]
            } else if args.key_slot.is_empty() {
                all
            } else {
                &args.key_slot
            };
            Ok(tokens::keyring(&args.key_description, keyslots))
        },
    )
}

/// Adds a token from its JSON.
pub fn import(args: &TokenImportArgs) -> Result<(), Error> {
    let number = Number {
        id: args.token_id,
        replace: args.token_replace,
    };
    let inputs = Inputs::none().path("the token file", Some(&args.json_file));
    insert(
        &args.image,
        &args.change,
        number,
        inputs,
        "token import",
        |_| {
            let (name, text) = read(&args.json_file)?;
            tokens::parse(&text).map_err(|error| Error::luks(&name, error.into()))
        },
    )
}

/// The place that was asked for.
#[derive(Clone, Copy)]
struct Number {
    id: Option<u32>,
    replace: bool,
}

fn insert(
    image: &ImageArgs,
    change: &ChangeArgs,
    number: Number,
    inputs: Inputs,
    verb: &str,
    token: impl FnOnce(&[u32]) -> Result<Map<String, Value>, Error>,
) -> Result<(), Error> {
    let inputs = inputs.policies(&image.policy);
    let target = Target::open(&image.header(), change.dry.run, Claim::Header, &inputs)?;
    let luks = target.luks_after_backup(
        &policy::read(&image.policy.policy)?,
        change.header_backup_file.as_deref(),
        &Warner,
    )?;
    let metadata = metadata(&luks).map_err(|error| target.failed()(error.into()))?;
    let token = token(&tokens::assignable(metadata))?;
    let id = tokens::add(&luks, token, number.id, number.replace, &mut OsRandom)
        .map_err(target.failed())?;
    let members = json!({"image": target.name, "token": id});
    let text = format!("token {id} of {} is added\n", target.name);
    target.done(verb, change.output, members, &text)
}

/// No JSON area is larger than this, in bytes.
const MAX_TOKEN_BYTES: u64 = 4 << 20;

fn read(path: &Path) -> Result<(String, Vec<u8>), ChangeError> {
    let name = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        output::path(path)
    };
    match json_input(path).and_then(read_json) {
        Ok(text) => Ok((name, text)),
        Err(source) => Err(ChangeError::Read { name, source }),
    }
}

/// Opens the file that a token's JSON is in, or for `-` standard input.
pub fn json_input(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    })
}

/// Reads a token's JSON, or of something that is none as much as one can have.
pub fn read_json(input: Box<dyn Read>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.take(MAX_TOKEN_BYTES).read_to_end(&mut text)?;
    Ok(text)
}
