//! What a header says about the whole container, and can say otherwise at any time: texts, UUID, persistent flags.

use serde_json::Value;

use crate::device::{Header, Luks};
use crate::edit::Edit;
use crate::error::{Error, InvalidOption};
use crate::random::Random;

/// What to change; `None` leaves a value as it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConfigChanges {
    /// LUKS2: label, at most 47 bytes; empty for none.
    pub label: Option<String>,
    /// LUKS2: second label, at most 47 bytes; empty for none.
    pub subsystem: Option<String>,
    /// UUID as text, in one of its usual spellings.
    pub uuid: Option<String>,
    /// LUKS2: all persistent activation flags; empty for none (LUKS2 specification 3.5, table 4).
    pub flags: Option<Vec<String>>,
}

/// Makes the changes in one commit.
///
/// # Errors
///
/// [`InvalidOption::Uuid`], [`InvalidOption::OtherFormat`] for what LUKS1 has not, and what [`Edit::begin`] and
/// [`Edit::commit_draft`] say.
pub fn configure(
    luks: &Luks,
    changes: &ConfigChanges,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let uuid = match &changes.uuid {
        None => None,
        Some(text) => Some(
            uuid::Uuid::parse_str(text)
                .map_err(|_| InvalidOption::Uuid(text.clone()))?
                .to_string(),
        ),
    };
    if let Header::Luks1(_) = luks.header() {
        for (what, is_given) in [
            ("label", changes.label.is_some()),
            ("subsystem", changes.subsystem.is_some()),
            ("persistent flags", changes.flags.is_some()),
        ] {
            if is_given {
                return Err(InvalidOption::OtherFormat {
                    format: "LUKS1",
                    what,
                }
                .into());
            }
        }
    }
    let mut edit = Edit::begin(luks)?;
    if let Ok(header) = edit.luks1() {
        let mut header = header.clone();
        if let Some(uuid) = uuid {
            header.uuid = uuid;
        }
        return edit.commit_luks1(header);
    }
    let mut draft = edit.draft()?;
    if let Some(label) = &changes.label {
        draft.label.clone_from(label);
    }
    if let Some(subsystem) = &changes.subsystem {
        draft.subsystem.clone_from(subsystem);
    }
    if let Some(uuid) = uuid {
        draft.uuid = uuid;
    }
    if let (Some(flags), Some(Value::Object(config))) =
        (&changes.flags, draft.json.get_mut("config"))
    {
        if flags.is_empty() {
            config.shift_remove("flags");
        } else {
            config.insert("flags".into(), flags.clone().into());
        }
    }
    edit.commit_draft(draft, random)
}
