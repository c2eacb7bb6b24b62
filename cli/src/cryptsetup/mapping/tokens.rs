//! Tokens of LUKS2 that give a passphrase: those that name a key of the kernel's.

use devmapper::keyring::read_user_key;
use dmcrypt::Passphrase;
use luks::luks2::{Metadata, Token};
use luks::{Header, Luks, Unlocked, tokens};

use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::key::unlocking;
use crate::cryptsetup::session::Session;
use crate::exit::Exit;
use crate::output;

/// The only type whose passphrase is had without a plugin.
const KEYRING: &str = "luks2-keyring";

const NO_TOKEN: &str = "No usable token is available.";

/// Unlocks a header by what its tokens give, each for the keyslots that it is of, or for the one of `--key-slot`. Where
/// none does, that is told, and it is an error where nothing else may.
pub(in crate::cryptsetup) fn unlock_by_token(
    session: &Session,
    luks: &Luks,
) -> Result<Option<Unlocked>, Failure> {
    match try_tokens(session, luks, session.keyslot())? {
        Err(failure) if session.given.has("token-only") => Err(failure),
        tried => Ok(tried.ok().map(|(unlocked, _)| unlocked)),
    }
}

/// The same where nothing else may: tokens are asked for, for any keyslot or for that one. Which of them it was is told.
pub(in crate::cryptsetup) fn unlock_by_token_only(
    session: &Session,
    luks: &Luks,
    keyslot: Option<u32>,
) -> Result<(Unlocked, u32), Failure> {
    try_tokens(session, luks, keyslot)?
}

/// What they give, or what it is where they give nothing, which is told.
fn try_tokens(
    session: &Session,
    luks: &Luks,
    keyslot: Option<u32>,
) -> Result<Result<(Unlocked, u32), Failure>, Failure> {
    let Header::Luks2(header) = luks.header() else {
        return Ok(Err(Failure::silent(Exit::Wrong)));
    };
    let usable = usable(session, &header.metadata, keyslot);
    let is_meant = |number: &&u32| keyslot.is_none_or(|keyslot| **number == keyslot);
    for token in &usable {
        let Some(passphrase) = passphrase(&header.metadata, token.id) else {
            continue;
        };
        for keyslot in token.keyslots.iter().filter(is_meant) {
            if let Ok(unlocked) = luks.unlock(&passphrase, &unlocking(Some(*keyslot))?) {
                return Ok(Ok((unlocked, token.id)));
            }
        }
    }
    if let Some(told) = told(session, !usable.is_empty()) {
        session.tell(told)?;
    }
    Ok(Err(Failure::silent(if usable.is_empty() {
        Exit::Wrong
    } else {
        Exit::NoKeyFits
    })))
}

/// Those that are meant and that a passphrase is had of.
fn usable<'a>(session: &Session, metadata: &'a Metadata, keyslot: Option<u32>) -> Vec<&'a Token> {
    let id = id(session);
    let kind = session.given.string("token-type");
    let is_meant = |token: &&Token| {
        let is_it = id.is_none_or(|id| token.id == id);
        let is_of_keyslot = keyslot.is_none_or(|keyslot| token.keyslots.contains(&keyslot));
        is_it && is_of_keyslot && kind.as_ref().is_none_or(|kind| token.kind == *kind)
    };
    let all = metadata.tokens.iter().filter(|token| token.kind == KEYRING);
    all.filter(is_meant).collect()
}

fn id(session: &Session) -> Option<u32> {
    let id = session.given.signed("token-id")?;
    u32::try_from(id).ok()
}

/// What is told where none of them opens anything.
fn told(session: &Session, is_any: bool) -> Option<String> {
    let kind = session.given.string("token-type");
    let kind = kind.map(|kind| format!(" (type {})", output::escape(&kind)));
    if !is_any {
        let kind = kind.filter(|_| id(session).is_none()).unwrap_or_default();
        return Some(format!("No usable token{kind} is available."));
    }
    let who = match (id(session), kind) {
        (Some(id), _) => format!("Token {id}"),
        (None, Some(kind)) => format!("Token{kind}"),
        (None, None) => return None,
    };
    Some(cannot_unlock(&who))
}

fn cannot_unlock(who: &str) -> String {
    format!("{who} cannot unlock assigned keyslot(s) (wrong keyslot passphrase).")
}

/// What the token of that number gives, for a new keyslot.
pub(in crate::cryptsetup) fn passphrase_of_token(
    session: &Session,
    luks: &Luks,
    id: u32,
) -> Result<Passphrase, Failure> {
    let none = Failure::silent(Exit::Wrong);
    let Header::Luks2(header) = luks.header() else {
        return Err(none);
    };
    let tokens = &header.metadata.tokens;
    if !tokens
        .iter()
        .any(|token| token.id == id && token.kind == KEYRING)
    {
        session.tell(NO_TOKEN)?;
        return Err(none);
    }
    let Some(passphrase) = passphrase(&header.metadata, id) else {
        session.tell(cannot_unlock(&format!("Token {id}")))?;
        return Err(Failure::silent(Exit::NoKeyFits));
    };
    Ok(passphrase)
}

/// The key of the kernel's that a token names. Where there is none, or the kernel has no keys, it gives nothing.
fn passphrase(metadata: &Metadata, id: u32) -> Option<Passphrase> {
    let json = tokens::export(metadata, id).ok()?;
    let token: serde_json::Value = serde_json::from_str(&json).ok()?;
    let description = token["key_description"].as_str()?;
    let key = read_user_key(description).ok()??;
    Some(Passphrase::from_locked(key))
}
