//! `UUID=...` in place of a device: the link that udev makes to what has this UUID.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use super::action::Action;
use super::session::Session;

/// Puts the devices that are meant in the place of such names. What a new header goes to is always named by its path, and a
/// mapping by its own name.
pub(super) fn resolve(action: Action, session: &mut Session) {
    let is_luks = session
        .kind
        .as_deref()
        .is_none_or(|kind| kind.starts_with("luks"));
    let takes_device = match action {
        Action::Open => is_luks && !session.given.has("refresh"),
        Action::Format
        | Action::Benchmark
        | Action::Close
        | Action::Resize
        | Action::Status
        | Action::Suspend
        | Action::Resume
        | Action::TcryptDump
        | Action::BitlkDump
        | Action::Fvault2Dump => false,
        _ => true,
    };
    if takes_device && let Some(device) = session.operands.first_mut() {
        replace(device);
    }
    if action != Action::Format {
        session.given.change_text("header", replace);
    }
}

fn replace(word: &mut OsString) {
    if let Some(link) = link_of(word) {
        *word = link;
    }
}

/// Digits of a UUID and hyphens; anything else is a path after all.
fn link_of(word: &OsStr) -> Option<OsString> {
    let uuid = word.as_bytes().strip_prefix(b"UUID=")?;
    let is_uuid = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    let text = std::str::from_utf8(uuid).ok()?.to_ascii_lowercase();
    uuid.iter()
        .all(is_uuid)
        .then(|| format!("/dev/disk/by-uuid/{text}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_a_link_and_everything_else_a_path() {
        let link = |word: &str| link_of(word.as_ref()).map(|link| link.into_string().unwrap());
        let uuid = "UUID=ABCDEF12-3456-7890-abcd-ef1234567890";
        let path = "/dev/disk/by-uuid/abcdef12-3456-7890-abcd-ef1234567890";
        assert_eq!(link(uuid).as_deref(), Some(path));
        for path in [
            "UUID=xyz",
            "uuid=ab",
            "LABEL=ab",
            "UUID=../sda",
            "UUID",
            "/dev/sda",
        ] {
            assert_eq!(link(path), None, "{path}");
        }
    }
}
