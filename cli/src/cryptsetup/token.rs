//! `token add|remove|import|export|unassign DEVICE`.

use std::io::{self, IsTerminal};
use std::path::Path;

use jobs::Place;
use jobs::block::{Claim, Ground};
use jobs::change::Target;
use jobs::destination::Overwrite;
use jobs::inputs::Inputs;
use jobs::open;
use jobs::temporary::Content;
use jobs::token::add::{open_json, read_json};
use luks::luks2::Metadata;
use luks::{Header, InvalidOption, Luks, OsRandom, TokenProblem, tokens};
use serde_json::{Map, Value};

use super::failure::Failure;
use super::session::{Session, say};
use crate::output;

pub(super) fn run(session: &Session) -> Result<(), Failure> {
    let verb = session.verb.as_ref().expect("a token action has one");
    let verb = verb.to_string_lossy();
    if verb == "export" {
        return export(session);
    }
    let target = session.target(Claim::Nothing)?;
    let luks = session.read_luks2_for_change(&target)?;
    match &*verb {
        "add" => add(session, &target, &luks),
        "import" => import(session, &target, &luks),
        "remove" => remove(session, &target, &luks),
        _ => unassign(session, &target, &luks),
    }
}

fn metadata(luks: &Luks) -> &Metadata {
    match luks.header() {
        Header::Luks2(header) => &header.metadata,
        Header::Luks1(_) => unreachable!("only LUKS2 was let through"),
    }
}

/// `--token-id`; none or a negative one is any.
fn id(session: &Session) -> Option<u32> {
    session
        .given
        .signed("token-id")
        .and_then(|id| u32::try_from(id).ok())
}

/// The keyslot that the token is for, which must be in use.
fn keyslot(session: &Session, luks: &Luks) -> Result<Option<u32>, Failure> {
    let Some(keyslot) = session.keyslot() else {
        return Ok(None);
    };
    if tokens::assignable(metadata(luks)).contains(&keyslot) {
        Ok(Some(keyslot))
    } else {
        let inactive = InvalidOption::KeyslotInactive { keyslot };
        Err(Failure::luks(&session.device(), inactive.into()))
    }
}

/// A number that there is no token of, or one that is in use.
fn check_id(session: &Session, luks: &Luks) -> Result<(), Failure> {
    let Some(id) = id(session) else {
        return Ok(());
    };
    if id > 31 {
        return Err(Failure::wrong(format!("Token {id} is invalid.")));
    }
    let in_use = metadata(luks).tokens.iter().any(|token| token.id == id);
    if in_use && !session.given.has("token-replace") {
        return Err(Failure::wrong(format!("Token {id} in use.")));
    }
    Ok(())
}

fn add(session: &Session, target: &Target, luks: &Luks) -> Result<(), Failure> {
    check_id(session, luks)?;
    let keyslots = match keyslot(session, luks)? {
        _ if session.given.has("unbound") => Vec::new(),
        Some(keyslot) => vec![keyslot],
        None => tokens::assignable(metadata(luks)),
    };
    let description = session.given.string("key-description").unwrap_or_default();
    let token = tokens::keyring(&description, &keyslots);
    let shown = id(session).map_or_else(|| "-1".to_owned(), |id| id.to_string());
    store(session, luks, token)
        .map_err(|error| match error {
            luks::Error::InvalidOption(InvalidOption::Breaks(_)) => {
                Failure::wrong(format!("Failed to add luks2-keyring token {shown}."))
            }
            error => Failure::luks(&target.name, error),
        })
        .and_then(|id| session.tell(format!("Token {id} created.")))
}

fn import(session: &Session, target: &Target, luks: &Luks) -> Result<(), Failure> {
    check_id(session, luks)?;
    let keyslot = keyslot(session, luks)?;
    let failed = || Failure::wrong("Failed to import token from file.");
    let mut token =
        tokens::parse(&json_of(session)?).map_err(|error| failed().and(format!("{error}.")))?;
    if let Some(keyslot) = keyslot {
        tokens::assign_new(&mut token, keyslot);
    }
    store(session, luks, token)
        .map_err(|error| match error {
            luks::Error::InvalidOption(option) => failed().and(format!("{option}.")),
            error => Failure::luks(&target.name, error),
        })
        .and_then(|id| session.tell(format!("Token {id} created.")))
}

fn store(session: &Session, luks: &Luks, token: Map<String, Value>) -> Result<u32, luks::Error> {
    let replace = session.given.has("token-replace");
    tokens::add(luks, token, id(session), replace, &mut OsRandom)
}

fn json_of(session: &Session) -> Result<Vec<u8>, Failure> {
    let path = Path::new(session.given.text("json-file").unwrap_or("-".as_ref()));
    if path == Path::new("-") && io::stdin().is_terminal() {
        say("Provide valid LUKS2 token JSON:")?;
    }
    let open = open_json(&Place::from(path.as_os_str().to_owned())).map_err(|_| {
        Failure::wrong(format!(
            "Failed to open file {} in read-only mode.",
            output::path(path)
        ))
    })?;
    read_json(open).map_err(|_| Failure::wrong("Failed to read JSON file."))
}

fn export(session: &Session) -> Result<(), Failure> {
    let luks = session.read()?;
    if matches!(luks.header(), Header::Luks1(_)) {
        return Err(Failure::not_luks2(&session.device()));
    }
    let id = id(session).expect("checked with the options");
    let json = tokens::export(metadata(&luks), id)
        .map_err(|_| Failure::wrong(format!("Failed to get token {id} for export.")))?;
    let Some(path) = session.given.text("json-file").filter(|file| *file != "-") else {
        return Ok(output::text(&output::escape_json(&json))?);
    };
    // A file that is there is replaced, not written through whatever leads to it.
    let overwrite = Overwrite {
        files: true,
        devices: false,
    };
    let name = output::path(Path::new(path));
    let opened = Ground::of_path(&session.header_path());
    let inputs = Inputs::none().ground("the device", opened);
    let operand = Place::Path(path.into());
    let file = open::target(&operand, overwrite, &inputs)
        .and_then(|file| file.create(Content::Public))
        .map_err(|error| {
            Failure::wrong(format!("Failed to open file {name} in write mode."))
                .and(format!("{error}."))
        })?;
    let failed = |reason: String| Failure::wrong("Failed to write JSON file.").and(reason);
    file.write_all(json.as_bytes())
        .and_then(|()| file.commit())
        .map_err(|error| failed(format!("{error}.")))
}

fn remove(session: &Session, target: &Target, luks: &Luks) -> Result<(), Failure> {
    let id = id(session).expect("checked with the options");
    tokens::remove(luks, id, &mut OsRandom).map_err(|error| match error {
        luks::Error::InvalidOption(InvalidOption::Token(TokenProblem::Number(id))) => {
            Failure::wrong(format!("Token {id} is invalid."))
        }
        luks::Error::InvalidOption(InvalidOption::Token(TokenProblem::Missing(id))) => {
            Failure::wrong(format!("Token {id} is not in use."))
        }
        error => Failure::luks(&target.name, error),
    })?;
    session.tell(format!("Token {id} removed."))
}

fn unassign(session: &Session, target: &Target, luks: &Luks) -> Result<(), Failure> {
    let id = id(session).expect("checked with the options");
    let keyslot = session.keyslot().expect("checked with the options");
    tokens::unassign(luks, id, keyslot, &mut OsRandom).map_err(|error| match error {
        luks::Error::InvalidOption(InvalidOption::Token(_)) => {
            Failure::wrong(format!("Token {id} is not assigned to keyslot {keyslot}."))
        }
        error => Failure::luks(&target.name, error),
    })
}
