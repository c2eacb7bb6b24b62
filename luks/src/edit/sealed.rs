//! A header is sealed, or is so no more.

use std::sync::Arc;

use serde_json::json;

use super::Edit;
use crate::device::{Header, Luks, Resealing, Unlocked};
use crate::error::{Error, InvalidOption, SealProblem, TokenProblem};
use crate::random::Random;
use crate::seal::{self, SEAL_TYPE, Sealer};

/// The highest number of a token.
const LAST: u32 = 31;

/// Seals the header of `luks` as it is, in place of a seal that is there, right or not; the number of its token.
///
/// # Errors
///
/// [`SealProblem::Luks1`], [`SealProblem::OtherKey`]; [`TokenProblem::Full`]; what [`Edit::begin`] and
/// [`Edit::commit_draft`] say.
pub fn seal(luks: &Luks, unlocked: &Unlocked, random: &mut dyn Random) -> Result<u32, Error> {
    if matches!(luks.header(), Header::Luks1(_)) {
        return Err(SealProblem::Luks1.into());
    }
    let key = unlocked.key_of_data().ok_or(SealProblem::OtherKey)?;
    let sealer = Arc::new(Sealer::new(key, random)?);
    let mut edit = Edit::begin_with(luks, Resealing::Anew(sealer))?;
    let mut draft = edit.draft()?;
    let before = seal::take_out(&mut draft.json);
    let tokens = draft.json["tokens"].as_object_mut();
    let tokens = tokens.expect("checked metadata has a tokens object");
    let is_free = |id: &u32| !tokens.contains_key(&id.to_string());
    let free = || (0..=LAST).find(is_free);
    let id = before.first().copied().or_else(free);
    let id = id.ok_or(InvalidOption::from(TokenProblem::Full))?;
    // The commit fills it in.
    let token = json!({"type": SEAL_TYPE, "keyslots": []});
    tokens.insert(id.to_string(), token);
    edit.commit_draft(draft, random)?;
    Ok(id)
}

/// Takes the seal out of the header of `luks`, right or not; the numbers of the tokens that said that they were one. No
/// key is needed: whoever can write to the container can do it.
///
/// # Errors
///
/// What [`Edit::begin`] and [`Edit::commit_draft`] say.
pub fn unseal(luks: &Luks, random: &mut dyn Random) -> Result<Vec<u32>, Error> {
    let mut edit = Edit::begin_with(luks, Resealing::Drop)?;
    if matches!(edit.header(), Header::Luks1(_)) {
        return Ok(Vec::new());
    }
    let draft = edit.draft()?;
    let seals = seal::numbers(&draft.json);
    if !seals.is_empty() {
        edit.commit_draft(draft, random)?;
    }
    Ok(seals)
}
