//! What a job in place asks and tells of on this command line.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dmcrypt::{LockedBytes, VolumeKey};
use jobs::{Asked, Blame, SecretError, Secrets, Watch};
use luks::Luks;
use luks::luks2::KeyslotKind;

use super::progress::Progress;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::format::warn_of_key;
use crate::cryptsetup::key::{Place, read_volume_key};
use crate::cryptsetup::session::{Session, open_for_reading, say};
use crate::output;
use crate::signals;

/// Asks, as cryptsetup does, and tells of what is done.
pub(in crate::cryptsetup) struct Face<'a> {
    session: &'a Session,
    place: Place,
    /// Where the name of what is opened is to be another one.
    prompt: Option<String>,
    tries: u32,
    /// The keyslot whose passphrase is asked for where the job does not say.
    keyslot: Option<u32>,
    /// The only keyslot that can have been opened.
    only: Option<u32>,
    /// Bytes of the key of `--volume-key-file`.
    key_bytes: usize,
    /// The key that the data are given.
    new_key: Mutex<Option<VolumeKey>>,
    /// What is told before the data are changed.
    notes: Vec<String>,
    /// Keyslots that were there before.
    before: Option<Vec<u32>>,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    /// Why a secret could not be had.
    failure: Option<Failure>,
    /// The keyslot whose passphrase was given last, until that is told.
    given: Option<u32>,
    progress: Option<Progress>,
    begun: bool,
}

impl<'a> Face<'a> {
    pub(in crate::cryptsetup) fn new(session: &'a Session, place: Place) -> Self {
        Self {
            session,
            place,
            prompt: None,
            tries: 1,
            keyslot: None,
            only: None,
            key_bytes: 0,
            new_key: Mutex::new(None),
            notes: Vec::new(),
            before: None,
            said: Mutex::default(),
        }
    }

    /// Asks as often as `--tries` lets it.
    pub(super) fn trying(self) -> Self {
        let tries = self.session.tries(&self.place);
        Self { tries, ..self }
    }

    /// Names that keyslot where one passphrase is asked for.
    pub(super) fn of_keyslot(self, keyslot: Option<u32>) -> Self {
        Self { keyslot, ..self }
    }

    /// Tells which keyslot was opened, where there is one only.
    pub(super) fn unlocking(self, slots: &[u32]) -> Self {
        let only = match slots {
            [slot] => Some(*slot),
            _ => self.session.keyslot(),
        };
        Self { only, ..self }
    }

    /// Asks in these words.
    pub(in crate::cryptsetup) fn prompting(self, prompt: &str) -> Self {
        Self {
            prompt: Some(prompt.to_owned()),
            ..self
        }
    }

    pub(super) fn with_key_bytes(self, key_bytes: usize) -> Self {
        Self { key_bytes, ..self }
    }

    pub(super) fn with_new_key(self, key: Option<VolumeKey>) -> Self {
        let new_key = Mutex::new(key);
        Self { new_key, ..self }
    }

    /// Tells that when nothing stands against it any more.
    pub(super) fn noting(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// Tells which keyslots come to these.
    pub(super) fn adding_to(self, before: Vec<u32>) -> Self {
        Self {
            before: Some(before),
            ..self
        }
    }

    /// What kept it from answering.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        let mut said = self.said();
        if let Some(progress) = said.progress.take() {
            progress.interrupt();
        }
        said.failure.take()
    }

    /// What is told of a job that is done.
    pub(super) fn end(&self) {
        let is_told = self.said().begun;
        if !is_told {
            self.tell_created();
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_unlocked(&self) {
        let given = self.said().given.take();
        if let Some(keyslot) = given {
            let _ = self.session.tell(format!("Key slot {keyslot} unlocked."));
        }
    }

    /// As the header on the disk has it.
    fn tell_created(&self) {
        let Some(before) = &self.before else { return };
        if !self.session.is_verbose() {
            return;
        }
        let storage = open_for_reading(&self.session.header_path());
        let Some(luks) = storage.ok().and_then(|storage| Luks::open(storage).ok()) else {
            return;
        };
        let luks::Header::Luks2(header) = luks.header() else {
            return;
        };
        for slot in &header.metadata.keyslots {
            if matches!(slot.kind, KeyslotKind::Luks2(_)) && !before.contains(&slot.id) {
                let _ = self.session.tell(format!("Key slot {} created.", slot.id));
            }
        }
    }

    fn refused(&self, failure: Failure) -> SecretError {
        let text = failure.lines.join(" ");
        self.said().failure = Some(failure);
        SecretError::new(Blame::Request, text)
    }

    fn prompt_for(&self, asked: &Asked<'_>) -> String {
        if let Some(prompt) = &self.prompt {
            return prompt.clone();
        }
        match asked.keyslot.or(self.keyslot) {
            Some(keyslot) => format!("Enter passphrase for key slot {keyslot}: "),
            None if asked.is_new => {
                let path = self.session.header_path();
                format!("Enter passphrase for {}: ", output::path(&path))
            }
            None => format!("Enter passphrase for {}: ", self.session.device()),
        }
    }
}

impl Secrets for Face<'_> {
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        self.tell_unlocked();
        let prompt = self.prompt_for(asked);
        let read = self.session.read_secret(&self.place, &prompt, asked.is_new);
        let secret = read.map_err(|failure| self.refused(failure))?;
        if !asked.is_new {
            self.said().given = asked.keyslot.or(self.keyslot).or(self.only);
        }
        Ok(secret)
    }

    fn volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        let file = self.session.given.text("volume-key-file");
        let Some(file) = file.filter(|_| self.key_bytes != 0) else {
            return Ok(None);
        };
        let key = read_volume_key(file, self.key_bytes).map_err(|failure| self.refused(failure))?;
        let said = self.session.given.string("cipher");
        let cipher = said.as_deref().unwrap_or(luks::defaults::CIPHER).parse();
        if let Ok(cipher) = cipher {
            warn_of_key(&cipher, &key);
        }
        Ok(Some(key))
    }

    fn new_volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        let mut key = self.new_key.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(key.take())
    }

    fn tries(&self) -> u32 {
        self.tries
    }

    fn is_one(&self) -> bool {
        !self.place.is_asked
    }

    fn did_not_fit(&self, error: &jobs::Error) {
        self.said().given = None;
        let _ = error;
        Failure::wrong("No key available with this passphrase.").print();
    }
}

impl Watch for Face<'_> {
    fn warn(&self, warning: &dyn Display) {
        output::aside(format_args!("WARNING: {warning}."));
    }

    fn changes_in_place(&self) {
        self.tell_unlocked();
        for note in &self.notes {
            let _ = say(note);
        }
        signals::hold();
    }

    fn is_cancelled(&self) -> bool {
        signals::is_asked()
    }

    fn begin(&self, _name: &str, bytes: Option<u64>) {
        self.tell_created();
        if self.session.given.has("force-offline-reencrypt") && !self.session.is_batch() {
            let _ = say("Resuming LUKS reencryption in forced offline mode.");
        }
        let mut said = self.said();
        said.begun = true;
        said.progress = Some(Progress::begin(self.session, bytes.unwrap_or(0)));
    }

    fn advance(&self, done: u64) {
        if let Some(progress) = &mut self.said().progress {
            progress.advance(done);
        }
    }

    fn finish(&self, done: u64) {
        if let Some(progress) = self.said().progress.take() {
            progress.finish(done);
        }
    }
}
