//! What the content of the keyslots area means.

use std::fmt::Write as _;

use luks::verify::{Content, Role, Stretch};
use serde_json::{Value, json};

use super::Findings;

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

/// What is there, for a person.
pub(super) fn line(stretch: &Stretch) -> String {
    let content = &stretch.content;
    let place = format!("{} bytes at {}", stretch.end - stretch.start, stretch.start);
    let what = match stretch.role {
        _ if content.sectors() == 0 && content.unreadable > 0 => "cannot be read".to_owned(),
        _ if content.sectors() == 0 => "not there: the image ends before it".to_owned(),
        Role::Keyslot(_) if content.random == content.sectors() && is_whole(content) => {
            "looks random throughout, as key material does".to_owned()
        }
        Role::Keyslot(_) if content.random == content.sectors() => {
            "looks random as far as it is there, as key material does".to_owned()
        }
        Role::Other(_) => format!("not a passphrase's keyslot, not judged ({})", mixture(content)),
        Role::Inactive { .. } | Role::Free if content.random == content.sectors() => {
            "looks random, as the filler of a format or a wipe does, and as a key would that was only forgotten"
                .to_owned()
        }
        _ => mixture(content),
    };
    let mut line = match stretch.role {
        Role::Inactive { .. } => format!("{place}, not in use: {what}"),
        _ => format!("{place}: {what}"),
    };
    if content.missing_bytes > 0 {
        let _ = write!(
            line,
            "; {} bytes of it are beyond the end of the image",
            content.missing_bytes
        );
    }
    if content.unreadable > 0 {
        let _ = write!(
            line,
            "; {} sectors of it cannot be read",
            content.unreadable
        );
    }
    line
}

/// Is all of it there, and can be read?
fn is_whole(content: &Content) -> bool {
    content.missing_bytes == 0 && content.unreadable == 0
}

/// The same for a program.
pub(super) fn members(stretch: &Stretch) -> Value {
    let (keyslot, in_use) = match stretch.role {
        Role::Keyslot(keyslot) | Role::Other(keyslot) => (Some(keyslot), true),
        Role::Inactive { keyslot, .. } => (Some(keyslot), false),
        Role::Free => (None, false),
    };
    let content = &stretch.content;
    json!({
        "keyslot": keyslot,
        "in_use": in_use,
        "offset": stretch.start,
        "bytes": stretch.end - stretch.start,
        "random_sectors": content.random,
        "zero_sectors": content.zeros,
        "other_sectors": content.other,
        "missing_bytes": content.missing_bytes,
        "unreadable_sectors": content.unreadable,
    })
}

fn mixture(content: &Content) -> String {
    match (content.zeros, content.random, content.other) {
        (_, 0, 0) => "zeros".to_owned(),
        (zeros, random, other) => {
            format!(
                "{zeros} sectors of zeros, {random} that look random, {other} of something else"
            )
        }
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
