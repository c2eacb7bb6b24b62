//! What was put together, and why that is right.

use std::fmt;

use crate::luks2::Which;

/// Pieces of a header that were found, not all where they belong, and joined.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Join {
    /// Where the binary header lies whose checksum proves it or whose texts are taken; `None` where none is left, and
    /// with it no UUID: there is a new one.
    pub binary: Option<(Which, u64)>,
    /// That binary header's magic or another field that is always the same was not there.
    pub binary_mended: bool,
    /// Where the JSON areas begin of which the metadata are taken.
    pub json: Vec<u64>,
    /// Why they belong together.
    pub proof: Proof,
}

/// Why pieces are taken for what was there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Proof {
    /// The checksum of the binary header fits them.
    Checksum,
    /// No checksum is left, and the metadata are whole by every rule, among them that of their place.
    Rules,
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<_> = self.json.iter().map(u64::to_string).collect();
        let json = format!("the metadata (JSON) at byte {}", places.join(" and "));
        let mended = if self.binary_mended {
            ", its magic and what else is known put right,"
        } else {
            ""
        };
        match (self.binary, self.proof) {
            (Some((which, at)), Proof::Checksum) => write!(
                f,
                "the {which} binary header at byte {at}{mended} and {json} belong together: the checksum fits"
            ),
            (Some((which, at)), Proof::Rules) => write!(
                f,
                "{json} are whole by every rule, their place among them, and no checksum is left to prove them; \
                 the texts are those of the {which} binary header at byte {at}"
            ),
            (None, _) => write!(
                f,
                "{json} are whole by every rule, their place among them, and no checksum is left to prove them; \
                 the UUID is lost, there is a new one"
            ),
        }
    }
}
