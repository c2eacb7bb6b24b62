//! `--link-vk-to-keyring KEYRING::KEY`: the volume key of what is opened, for others in a keyring of the kernel's.

use devmapper::keyring::{AddedKey, KeyKind, Keyring};
use dmcrypt::VolumeKey;
use luks::Header;

use super::failure::Failure;
use super::session::Session;
use crate::output;

const INVALID: &str = "Invalid --link-vk-to-keyring value.";

/// Where the volume key goes.
pub(super) struct Link {
    keyring: Keyring,
    kind: KeyKind,
    description: String,
}

impl Link {
    /// What the option says, looked at before anybody is asked for a key.
    pub(super) fn of(session: &Session, header: &Header) -> Result<Option<Self>, Failure> {
        let Some(said) = session.given.string("link-vk-to-keyring") else {
            return Ok(None);
        };
        if matches!(header, Header::Luks1(_)) {
            return Err(
                Failure::wrong("This operation is supported only for LUKS2 device.").and(INVALID),
            );
        }
        let invalid = || Failure::wrong(INVALID);
        let (keyring, key) = said.split_once("::").ok_or_else(invalid)?;
        let (kind, description) = match key.strip_prefix('%') {
            None => (KeyKind::User, key),
            Some(typed) => match typed.split_once(':') {
                Some(("user", description)) => (KeyKind::User, description),
                Some(("logon", description)) => (KeyKind::Logon, description),
                _ => return Err(invalid()),
            },
        };
        let found = Keyring::named(keyring).ok_or_else(|| {
            let keyring = output::escape(keyring);
            Failure::wrong(format!(
                "Could not find keyring described by \"{keyring}\"."
            ))
            .and(INVALID)
        })?;
        Ok(Some(Self {
            keyring: found,
            kind,
            description: description.to_owned(),
        }))
    }

    /// Puts it there. It goes again unless it is kept.
    pub(super) fn put(&self, key: &VolumeKey) -> Result<AddedKey, Failure> {
        let added = self.keyring.add(self.kind, &self.description, key.expose());
        added.map_err(|error| {
            Failure::wrong("Failed to link volume key in user defined keyring.")
                .and(format!("{error}."))
        })
    }
}
