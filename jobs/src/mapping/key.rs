//! Where the kernel gets a key from: a keyring, or the table itself.

use devmapper::{Key, LogonKey};
use dmcrypt::VolumeKey;
use rustix::io::Errno;

use crate::error::MappingError;
use crate::watch::Watch;

/// A key in its place. One in a keyring is unusable once this is dropped; a table that was loaded before has its own.
pub(super) struct Placed<'a> {
    key: Option<&'a VolumeKey>,
    in_keyring: Option<(LogonKey, String)>,
}

impl<'a> Placed<'a> {
    /// Puts it into the keyring of this thread, where it is wanted there, under this description; a kernel without keyrings
    /// gets it in the table.
    pub(super) fn place(
        key: &'a VolumeKey,
        description: Option<String>,
        watch: &dyn Watch,
    ) -> Result<Self, MappingError> {
        let Some(description) = description else {
            return Ok(Self::in_table(key));
        };
        match LogonKey::add(&description, key.expose()) {
            Ok(added) => Ok(Self {
                key: Some(key),
                in_keyring: Some((added, description)),
            }),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOSYS) => {
                watch.warn(&"this kernel has no keyrings: the key stands in the table");
                Ok(Self::in_table(key))
            }
            Err(source) => Err(MappingError::Keyring { source }),
        }
    }

    fn in_table(key: &'a VolumeKey) -> Self {
        Self {
            key: Some(key),
            in_keyring: None,
        }
    }

    /// The key of a table that encrypts nothing, and so has none.
    pub(super) fn nowhere() -> Self {
        Self {
            key: None,
            in_keyring: None,
        }
    }

    /// As a table has it.
    pub(super) fn in_terms_of_tables(&self) -> Key<'_> {
        match (self.key, &self.in_keyring) {
            (Some(key), Some((_, description))) => Key::Keyring {
                bytes: key.len(),
                description,
            },
            (Some(key), None) => Key::Bytes(key.expose()),
            (None, _) => Key::Bytes(&[]),
        }
    }

    /// Whether it is in a keyring.
    pub(super) fn is_in_keyring(&self) -> bool {
        self.in_keyring.is_some()
    }
}

/// What cryptsetup calls the key of a digest in the keyring.
pub(super) fn description(uuid: &str, digest: u32) -> String {
    format!("cryptsetup:{uuid}-d{digest}")
}
