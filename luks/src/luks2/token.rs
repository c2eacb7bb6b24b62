//! Tokens (LUKS2 specification 3.6): kept as they came, whatever their type.

use super::json::Object;
use crate::error::Corrupt;

/// A token object.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its number.
    pub id: u32,
    /// Its type.
    pub kind: String,
    /// Keyslots that it can open.
    pub keyslots: Vec<u32>,
}

impl Token {
    pub(super) fn parse(
        id: u32,
        object: &Object<'_>,
        keyslot_exists: impl Fn(u32) -> bool,
    ) -> Result<Self, Corrupt> {
        let kind = object.text("type")?.into();
        let keyslots = object.references("keyslots", keyslot_exists)?;
        Ok(Self { id, kind, keyslots })
    }
}
