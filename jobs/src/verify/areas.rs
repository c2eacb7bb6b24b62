//! What the content of the keyslots area means.

use luks::verify::{Content, Role, Stretch};
use serde::Serialize;

use super::Findings;

/// One stretch of the keyslots area. Sectors have 512 bytes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Area {
    /// The keyslot that it belongs to, or did.
    pub keyslot: Option<u32>,
    /// The keyslot is in use.
    pub in_use: bool,
    /// First byte.
    pub offset: u64,
    /// How many there are.
    pub bytes: u64,
    /// Sectors that look random.
    pub random_sectors: u64,
    /// Sectors of nothing but zeros.
    pub zero_sectors: u64,
    /// Sectors that are neither.
    pub other_sectors: u64,
    /// Bytes that the image is too short for.
    pub missing_bytes: u64,
    /// Sectors that cannot be read.
    pub unreadable_sectors: u64,
    /// What the header says of it.
    #[serde(skip)]
    pub role: Role,
}

impl From<&Stretch> for Area {
    fn from(stretch: &Stretch) -> Self {
        let (keyslot, in_use) = match stretch.role {
            Role::Keyslot(keyslot) | Role::Other(keyslot) => (Some(keyslot), true),
            Role::Inactive { keyslot, .. } => (Some(keyslot), false),
            Role::Free => (None, false),
        };
        let content = &stretch.content;
        Self {
            keyslot,
            in_use,
            offset: stretch.start,
            bytes: stretch.end - stretch.start,
            random_sectors: content.random,
            zero_sectors: content.zeros,
            other_sectors: content.other,
            missing_bytes: content.missing_bytes,
            unreadable_sectors: content.unreadable,
            role: stretch.role,
        }
    }
}

impl Area {
    /// How messages name it.
    pub fn name(&self) -> String {
        name(self.role)
    }

    /// What of it is there and can be read, in sectors.
    pub fn sectors(&self) -> u64 {
        // Each is one sector of at most 2^55.
        self.random_sectors
            .saturating_add(self.zero_sectors)
            .saturating_add(self.other_sectors)
    }
}

/// Adds what is wrong with a stretch, or worth knowing.
pub(super) fn judge(stretch: &Stretch, findings: &mut Findings) {
    let content = &stretch.content;
    let odd = content.zeros + content.other;
    let opens = match stretch.role {
        Role::Keyslot(_) => ": nothing opens it",
        _ => "",
    };
    if content.missing_bytes > 0 {
        findings.problem(
            stretch.role,
            &format!(
                "its area ends at {}, {} bytes beyond the end of the image{opens}",
                stretch.end, content.missing_bytes
            ),
        );
    }
    if let Some(first) = content.first_unreadable {
        findings.problem(
            stretch.role,
            &format!(
                "{} of its sectors cannot be read, the first at {first}{opens}",
                content.unreadable
            ),
        );
    }
    match stretch.role {
        Role::Keyslot(_) => {
            if let Some(first) = content.first_not_random {
                findings.problem(
                    stretch.role,
                    &format!(
                        "{odd} of {} sectors are no ciphertext ({}), the first at {first}: it is overwritten, and \
                         nothing opens it",
                        content.sectors(),
                        what_else(content)
                    ),
                );
            }
        }
        Role::Inactive {
            keeps_parameters: true,
            ..
        } if content.random > 0 => findings.problem(
            stretch.role,
            &format!(
                "it is not in use, but its salt and iterations are still in the header and {} sectors look like key \
                 material: who knows its passphrase may still open it",
                content.random
            ),
        ),
        Role::Inactive { .. } | Role::Free => leftovers(stretch, findings),
        Role::Other(_) => {}
    }
}

/// Of what nobody uses only so much can be said: random filler, a wiped keyslot and a forgotten one look the same.
fn leftovers(stretch: &Stretch, findings: &mut Findings) {
    let content = &stretch.content;
    if content.other > 0 {
        findings.note(
            stretch.role,
            &format!(
                "sectors that are neither zeros nor random: {}; what was there before, or somebody else's",
                content.other
            ),
        );
    }
    if let Some(first) = content.first_random.filter(|_| content.zeros > 0) {
        findings.note(
            stretch.role,
            &format!(
                "sectors that look random among zeros: {}, the first at {first}; a wiped keyslot, or key material that was \
                 left; it is of use only with an old copy of the header",
                content.random
            ),
        );
    }
}

/// How messages name a stretch.
pub(super) fn name(role: Role) -> String {
    match role {
        Role::Keyslot(keyslot) | Role::Other(keyslot) | Role::Inactive { keyslot, .. } => {
            format!("keyslot {keyslot}")
        }
        Role::Free => "free".to_owned(),
    }
}

/// What stands where ciphertext should.
fn what_else(content: &Content) -> &'static str {
    match (content.zeros, content.other) {
        (_, 0) => "zeros",
        (0, _) => "text, tables or a pattern",
        _ => "zeros and something else",
    }
}
