//! The config object (LUKS2 specification 3.5).

use super::BinaryHeader;
use super::json::Object;
use crate::defaults::{AREA_ALIGNMENT, LUKS2_MAX_KEYSLOTS_BYTES};
use crate::error::{Corrupt, Error, MemberProblem, Unsupported};
use crate::number::to_u64;

/// Requirements of a reencryption that was begun, by their beginnings.
const REENCRYPTION: [&str; 2] = ["online-reencrypt", "offline-reencrypt"];

/// What holds for the whole container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Bytes of the JSON area of one copy.
    pub json_bytes: u64,
    /// Bytes of the keyslots area, which follows the second copy.
    pub keyslots_bytes: u64,
    /// Persistent activation flags, unknown ones too.
    pub flags: Vec<String>,
    /// Features without which the container must not be opened or changed.
    pub requirements: Vec<String>,
}

impl Config {
    pub(super) fn parse(object: &Object<'_>, header_bytes: u64) -> Result<Self, Corrupt> {
        let json_size = object.u64_string("json_size")?;
        let need = header_bytes.saturating_sub(to_u64(BinaryHeader::BYTES));
        if json_size != need {
            return Err(Corrupt::JsonSize {
                have: json_size,
                need,
            });
        }
        let keyslots_bytes = object.u64_string("keyslots_size")?;
        if keyslots_bytes % AREA_ALIGNMENT != 0 {
            return Err(Corrupt::KeyslotsSizeAlignment(keyslots_bytes));
        }
        if keyslots_bytes > LUKS2_MAX_KEYSLOTS_BYTES {
            return Err(Corrupt::KeyslotsSizeTooLarge(keyslots_bytes));
        }
        Ok(Self {
            json_bytes: json_size,
            keyslots_bytes,
            flags: object.optional_strings("flags")?,
            requirements: requirements(object)?,
        })
    }

    /// The requirement of a reencryption that was begun.
    pub fn reencryption(&self) -> Option<&str> {
        let mut names = self.requirements.iter().map(String::as_str);
        names.find(|name| REENCRYPTION.iter().any(|prefix| name.starts_with(prefix)))
    }

    /// Whether no reencryption is under way.
    ///
    /// # Errors
    ///
    /// [`Error::NeedsRecovery`].
    pub fn refuse_reencryption(&self) -> Result<(), Error> {
        match self.reencryption() {
            None => Ok(()),
            Some(requirement) => Err(Error::NeedsRecovery {
                requirement: requirement.into(),
            }),
        }
    }

    /// Whoever does not know a requirement must neither open the data nor change the header
    /// (LUKS2 specification 3.5); under those that are known nothing is changed either.
    ///
    /// # Errors
    ///
    /// [`Error::NeedsRecovery`] during a reencryption, [`Error::Unsupported`] for any other requirement.
    pub fn refuse_requirements(&self) -> Result<(), Error> {
        self.refuse_reencryption()?;
        if self.requirements.is_empty() {
            Ok(())
        } else {
            let named = self.requirements.iter().map(|name| name.as_str().into());
            Err(Unsupported::Requirements(named.collect()).into())
        }
    }
}

/// The specification has an array of strings; cryptsetup writes an object with the array `mandatory` in it.
fn requirements(config: &Object<'_>) -> Result<Vec<String>, Corrupt> {
    if !config.has("requirements") {
        return Ok(Vec::new());
    }
    match config.object("requirements") {
        Ok(requirements) => requirements.optional_strings("mandatory"),
        Err(_) => config.strings("requirements").map_err(|_| {
            config.problem(
                "requirements",
                MemberProblem::NotA("an object with an array of strings"),
            )
        }),
    }
}
