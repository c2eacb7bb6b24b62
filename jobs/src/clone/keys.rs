//! The passphrases of a clone.

use dmcrypt::Passphrase;

use super::{CloneOptions, KEEP, OpenedBy};
use crate::error::Error;
use crate::secret::{Asked, Secrets};

/// The passphrases that all clones share.
pub(super) struct Keys {
    kept: Option<Passphrase>,
    new: Option<Passphrase>,
}

impl Keys {
    pub(super) fn ask(
        options: &CloneOptions,
        opened_by: Option<Passphrase>,
        secrets: &dyn Secrets,
        name: &str,
    ) -> Result<Self, Error> {
        let kept = if options.keys.keep_passphrase {
            Some(opened_by.ok_or(Error::Conflict {
                one: KEEP,
                other: "a volume key in place of it",
            })?)
        } else {
            None
        };
        let new = if options.keys.asks_for_new() {
            Some(Passphrase::from_locked(
                secrets.passphrase(&Asked::for_new(name))?,
            ))
        } else {
            None
        };
        let mut all = kept.iter().chain(&new);
        if !options.allow.empty_passphrase && all.any(Passphrase::is_empty) {
            return Err(Error::EmptyPassphrase {
                name: secrets.name(),
            });
        }
        Ok(Self { kept, new })
    }

    /// Of one clone, in the order of its keyslots.
    pub(super) fn with<'a>(
        &'a self,
        recovery: Option<&'a Passphrase>,
    ) -> Vec<(OpenedBy, &'a Passphrase)> {
        let kept = self
            .kept
            .as_ref()
            .map(|key| (OpenedBy::SourcePassphrase, key));
        let new = self.new.as_ref().map(|key| (OpenedBy::NewPassphrase, key));
        let recovery = recovery.map(|key| (OpenedBy::RecoveryKey, key));
        kept.into_iter().chain(new).chain(recovery).collect()
    }
}
