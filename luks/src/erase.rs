//! Erasing: every keyslot is overwritten and taken out of the header. The data stays, and no passphrase opens it again;
//! only a header backup or a copy of the volume key does. A seal of the header goes, too.

use serde_json::Value;

use crate::device::{Header, Luks};
use crate::edit::Edit;
use crate::error::Error;
use crate::random::Random;

/// Overwrites the areas of all keyslots in use, unbound ones too, then takes them out of the header; their numbers. A
/// header that has none stays as it is.
///
/// A crash leaves a sound header some of whose keyslots open no more; a second run ends what the first began. On flash
/// storage and on file systems that copy what is written, old bytes may survive where no program reaches them.
///
/// # Errors
///
/// What [`Edit::begin`], [`Edit::wipe`] and the commits say.
pub fn erase(luks: &Luks, random: &mut dyn Random) -> Result<Vec<u32>, Error> {
    // Nobody is left who could check a seal, and nobody is to be asked for a key before all of them go.
    luks.drop_seal();
    let mut edit = Edit::begin(luks)?;
    let areas: Vec<_> = match edit.header() {
        Header::Luks1(header) => (0u32..)
            .zip(&header.keyslots)
            .filter(|(_, slot)| slot.active)
            .map(|(id, slot)| {
                let start = slot.area_offset();
                (id, start..start.saturating_add(header.area_length()))
            })
            .collect(),
        Header::Luks2(header) => header
            .metadata
            .keyslots
            .iter()
            .map(|slot| (slot.id, slot.area.offset..slot.area.end()))
            .collect(),
    };
    if areas.is_empty() {
        return Ok(Vec::new());
    }
    for (_, area) in &areas {
        edit.wipe(area.clone(), random)?;
    }
    let erased = areas.into_iter().map(|(id, _)| id).collect();
    if let Ok(header) = edit.luks1() {
        let mut header = header.clone();
        for slot in header.keyslots.iter_mut().filter(|slot| slot.active) {
            slot.active = false;
            slot.iterations = 0;
            slot.salt = [0; 32];
        }
        edit.commit_luks1(header)?;
        return Ok(erased);
    }
    let mut draft = edit.draft()?;
    if let Some(Value::Object(keyslots)) = draft.json.get_mut("keyslots") {
        keyslots.clear();
    }
    for section in ["digests", "tokens"] {
        let Some(Value::Object(objects)) = draft.json.get_mut(section) else {
            continue;
        };
        for (_, object) in objects.iter_mut() {
            object["keyslots"] = Value::Array(Vec::new());
        }
        // The digest of an unbound key tells nothing any more.
        objects.retain(|_, object| object.get("segments") != Some(&Value::Array(Vec::new())));
    }
    edit.commit_draft(draft, random)?;
    Ok(erased)
}
