//! What a job on a mapping asks and tells of on this command line.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

use dmcrypt::{LockedBytes, VolumeKey};
use jobs::{Asked, Blame, SecretError, Secrets, Watch};

use super::failure;
use crate::cryptsetup::action::Action;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::key::Place;
use crate::cryptsetup::session::{Session, source};
use crate::output;
use crate::signals;

/// Tells of what is done.
pub(super) struct Teller;

impl Watch for Teller {
    fn warn(&self, warning: &dyn Display) {
        output::aside(format_args!("WARNING: {warning}."));
    }

    fn must_not_be_cut_off(&self) {
        signals::hold();
    }

    fn is_cancelled(&self) -> bool {
        signals::is_asked()
    }
}

/// Has passphrases that are typed or lie in a file, or the volume key itself.
pub(super) struct Asker<'a> {
    session: &'a Session,
    place: Place,
    prompt: String,
    volume_key: Mutex<Option<VolumeKey>>,
    /// Why a secret could not be had.
    failure: Mutex<Option<Failure>>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(session: &'a Session, prompt: String) -> Result<Self, Failure> {
        Ok(Self {
            session,
            place: session.key(None)?,
            prompt,
            volume_key: Mutex::default(),
            failure: Mutex::default(),
        })
    }

    /// Has this one.
    pub(super) fn with_volume_key(self, key: VolumeKey) -> Self {
        let volume_key = Mutex::new(Some(key));
        Self { volume_key, ..self }
    }

    /// What an error of a job is here, which may be that it had no answer.
    pub(super) fn failure(&self, action: Action, error: jobs::Error) -> Failure {
        let own = self
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        own.unwrap_or_else(|| failure::of(action, self.session, error))
    }

    fn refused(&self, failure: Failure) -> SecretError {
        let text = failure.lines.join(" ");
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        SecretError::new(Blame::Request, text)
    }
}

impl Secrets for Asker<'_> {
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        self.session
            .read_given(&self.place, &self.prompt, asked.exactly)
            .map_err(|failure| self.refused(failure))
    }

    fn volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        let mut key = self
            .volume_key
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(key.take())
    }

    fn tries(&self) -> u32 {
        self.session.tries(&self.place)
    }

    fn is_one(&self) -> bool {
        !self.place.is_asked
    }

    fn did_not_fit(&self, error: &jobs::Error) {
        let _ = error;
        Failure::wrong("No key available with this passphrase.").print();
    }
}

/// Where the key of a plain container is.
pub(super) fn source_of(session: &Session) -> jobs::key_source::KeySource {
    source(
        session.given.text("key-file"),
        session.given.number("keyfile-offset"),
        session.given.number("keyfile-size"),
    )
}
