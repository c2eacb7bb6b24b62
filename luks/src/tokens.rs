//! Changing tokens (LUKS2 specification 3.6). What a token says is its owner's business: types that are not known here
//! are added, kept and handed out as they are.

use serde_json::{Map, Value, json};

use crate::device::Luks;
use crate::edit::{Draft, Edit};
use crate::error::{Corrupt, Error, InvalidOption, MemberProblem, TokenProblem};
use crate::format::{NewContainer, NewHeader};
use crate::luks2::{self, KeyslotKind};
use crate::random::Random;
use crate::seal::SEAL_TYPE;

/// The type of token that names a key of the kernel's keyring, in which a passphrase waits.
pub const KEYRING: &str = "luks2-keyring";
/// What the types begin with that are cryptsetup's own.
const RESERVED: &str = "luks2-";
/// The highest number of a token.
const LAST: u32 = 31;

/// A `luks2-keyring` token for the keyslots given.
pub fn keyring(description: &str, keyslots: &[u32]) -> Map<String, Value> {
    let keyslots: Vec<_> = keyslots.iter().map(u32::to_string).collect();
    let token = json!({"type": KEYRING, "keyslots": keyslots, "key_description": description});
    match token {
        Value::Object(token) => token,
        _ => unreachable!("the macro above builds an object"),
    }
}

/// The keyslots that a token may be for: those that a passphrase opens.
pub fn assignable(metadata: &luks2::Metadata) -> Vec<u32> {
    metadata
        .keyslots
        .iter()
        .filter(|slot| matches!(slot.kind, KeyslotKind::Luks2(_)))
        .map(|slot| slot.id)
        .collect()
}

/// Reads a token from JSON text. Programs hand to cryptsetup what its JSON library takes and others do not (of equal
/// members the last one counts, for one); that is taken here too, and becomes JSON that everybody reads.
///
/// # Errors
///
/// [`TokenProblem::NotAnObject`].
pub fn parse(text: &[u8]) -> Result<Map<String, Value>, InvalidOption> {
    luks2::parse_json_generously(text).map_err(|reason| TokenProblem::NotAnObject(reason).into())
}

/// The JSON text of a token, members that are not known included.
///
/// # Errors
///
/// [`TokenProblem::Number`], [`TokenProblem::Missing`].
pub fn export(metadata: &luks2::Metadata, id: u32) -> Result<String, InvalidOption> {
    let tokens = metadata.raw().get("tokens").and_then(Value::as_object);
    let token = tokens.and_then(|tokens| tokens.get(&id.to_string()));
    token
        .map(ToString::to_string)
        .ok_or_else(|| missing(id).into())
}

/// Adds a token under the number given, or the lowest that is free; that number. `replace`: over one that is there.
///
/// # Errors
///
/// [`TokenProblem`]; [`InvalidOption::Breaks`] for a token that breaks a rule; what [`Edit::begin`] and
/// [`Edit::commit_draft`] say.
pub fn add(
    luks: &Luks,
    token: Map<String, Value>,
    id: Option<u32>,
    replace: bool,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    check_type(&token)?;
    change(luks, random, |draft| {
        let tokens = tokens(draft);
        let id = match id {
            Some(id) if id > LAST => return Err(TokenProblem::Number(id)),
            Some(id) if !replace && tokens.contains_key(&id.to_string()) => {
                return Err(TokenProblem::InUse(id));
            }
            Some(id) => id,
            None => (0..=LAST)
                .find(|id| !tokens.contains_key(&id.to_string()))
                .ok_or(TokenProblem::Full)?,
        };
        tokens.insert(id.to_string(), Value::Object(token));
        Ok(id)
    })
}

/// Adds a token to a container that is not written yet, under the lowest number that is free; that number. LUKS1 has
/// none.
///
/// # Errors
///
/// As [`add`].
pub fn add_to_new(
    new: &mut NewContainer,
    token: Map<String, Value>,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    check_type(&token)?;
    let NewHeader::Luks2(header) = new.header() else {
        return Err(InvalidOption::Luks1Cannot {
            what: "tokens".into(),
        }
        .into());
    };
    let mut json = header.metadata.raw().clone();
    let section = json.get_mut("tokens").and_then(Value::as_object_mut);
    let tokens = section.expect("checked metadata has a tokens object");
    let id = (0..=LAST)
        .find(|id| !tokens.contains_key(&id.to_string()))
        .ok_or(InvalidOption::from(TokenProblem::Full))?;
    tokens.insert(id.to_string(), Value::Object(token));
    let header = header
        .with_json(json)
        .map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))?;
    new.change(NewHeader::Luks2(header), None, random)?;
    Ok(id)
}

/// Removes a token.
///
/// # Errors
///
/// [`TokenProblem`], and what [`Edit::begin`] and [`Edit::commit_draft`] say.
pub fn remove(luks: &Luks, id: u32, random: &mut dyn Random) -> Result<(), Error> {
    change(luks, random, |draft| {
        tokens(draft)
            .shift_remove(&id.to_string())
            .map(drop)
            .ok_or_else(|| missing(id))
    })
}

/// Assigns a token to a keyslot.
///
/// # Errors
///
/// [`TokenProblem`]; [`InvalidOption::KeyslotInactive`]; what [`Edit::begin`] and [`Edit::commit_draft`] say.
pub fn assign(luks: &Luks, id: u32, keyslot: u32, random: &mut dyn Random) -> Result<(), Error> {
    change(luks, random, |draft| {
        let keyslots = keyslots(draft, id)?;
        if push(keyslots, keyslot) {
            Ok(())
        } else {
            Err(TokenProblem::Assigned { token: id, keyslot })
        }
    })
}

/// The same of a token that is not in a header yet: one that names keyslots names this one too.
pub fn assign_new(token: &mut Map<String, Value>, keyslot: u32) {
    if let Some(Value::Array(keyslots)) = token.get_mut("keyslots") {
        push(keyslots, keyslot);
    }
}

/// Whether it was not there.
fn push(keyslots: &mut Vec<Value>, keyslot: u32) -> bool {
    let name = Value::from(keyslot.to_string());
    let is_new = !keyslots.contains(&name);
    if is_new {
        keyslots.push(name);
    }
    is_new
}

/// Takes a keyslot off a token.
///
/// # Errors
///
/// [`TokenProblem`], and what [`Edit::begin`] and [`Edit::commit_draft`] say.
pub fn unassign(luks: &Luks, id: u32, keyslot: u32, random: &mut dyn Random) -> Result<(), Error> {
    change(luks, random, |draft| {
        let keyslots = keyslots(draft, id)?;
        let name = Value::from(keyslot.to_string());
        let before = keyslots.len();
        keyslots.retain(|other| *other != name);
        if keyslots.len() == before {
            return Err(TokenProblem::NotAssigned { token: id, keyslot });
        }
        Ok(())
    })
}

fn change<T>(
    luks: &Luks,
    random: &mut dyn Random,
    change: impl FnOnce(&mut Draft) -> Result<T, TokenProblem>,
) -> Result<T, Error> {
    let mut edit = Edit::begin(luks)?;
    let mut draft = edit.draft()?;
    let outcome = change(&mut draft).map_err(InvalidOption::from)?;
    for (id, token) in tokens(&mut draft) {
        check_keyring(id, token).map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))?;
    }
    edit.commit_draft(draft, random)?;
    Ok(outcome)
}

/// Types that begin as cryptsetup's own do are for those that there are, and its one type has no other members than its own.
/// A seal is made of the header that it stands in.
fn check_type(token: &Map<String, Value>) -> Result<(), InvalidOption> {
    let kind = token.get("type").and_then(Value::as_str);
    match kind.filter(|kind| kind.starts_with(RESERVED) || *kind == SEAL_TYPE) {
        None => Ok(()),
        Some(SEAL_TYPE) => Err(TokenProblem::Seal.into()),
        Some(KEYRING) => {
            let known = ["type", "keyslots", "key_description"];
            match token.keys().find(|name| !known.contains(&&***name)) {
                Some(name) => Err(TokenProblem::Member(name.clone()).into()),
                None => Ok(()),
            }
        }
        Some(kind) => Err(TokenProblem::Reserved(kind.to_owned()).into()),
    }
}

/// The one type whose members are known.
fn check_keyring(id: &str, token: &Value) -> Result<(), Corrupt> {
    if token.get("type").and_then(Value::as_str) != Some(KEYRING) {
        return Ok(());
    }
    let problem = match token.get("key_description").map(Value::as_str) {
        None => MemberProblem::Missing,
        Some(None) => MemberProblem::NotA("a string"),
        Some(Some("")) => MemberProblem::Empty,
        Some(Some(_)) => return Ok(()),
    };
    Err(Corrupt::Member {
        path: format!("tokens.{id}.key_description").into(),
        problem,
    })
}

fn missing(id: u32) -> TokenProblem {
    if id > LAST {
        TokenProblem::Number(id)
    } else {
        TokenProblem::Missing(id)
    }
}

fn tokens(draft: &mut Draft) -> &mut Map<String, Value> {
    let section = draft.json.get_mut("tokens").and_then(Value::as_object_mut);
    section.expect("checked metadata has a tokens object")
}

fn keyslots(draft: &mut Draft, id: u32) -> Result<&mut Vec<Value>, TokenProblem> {
    let token = tokens(draft)
        .get_mut(&id.to_string())
        .ok_or_else(|| missing(id))?;
    let keyslots = token.get_mut("keyslots").and_then(Value::as_array_mut);
    Ok(keyslots.expect("a checked token has an array of keyslots"))
}
