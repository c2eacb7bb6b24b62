//! Secrets that Python's users hand over.

use dmcrypt::{LockedBytes, VolumeKey};
use jobs::secret::{Asked, Secrets};
use jobs::{Blame, SecretError};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::job::Asker;

/// A passphrase: bytes, or a function that is asked for them when it is known that the job can run.
pub(crate) enum Passphrase {
    Bytes(LockedBytes),
    Function(Py<PyAny>),
}

impl Passphrase {
    /// Of text it is the bytes in UTF-8.
    pub(crate) fn of(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if given.is_callable() {
            return Ok(Self::Function(given.clone().unbind()));
        }
        bytes_of(given).map(Self::Bytes)
    }
}

/// A copy of what is given, text as UTF-8, on locked pages. Python's own copy is Python's.
pub(crate) fn bytes_of(given: &Bound<'_, PyAny>) -> PyResult<LockedBytes> {
    if let Ok(text) = given.cast::<PyString>() {
        // Python's own exception has the text in it.
        let bytes = text.to_str().map_err(|_| {
            PyValueError::new_err("the passphrase has surrogates, which UTF-8 cannot say")
        })?;
        return Ok(LockedBytes::copy_of(bytes.as_bytes()));
    }
    let name = given.get_type().name()?;
    let buffer = PyBuffer::<u8>::get(given).map_err(|_| {
        PyTypeError::new_err(format!("a secret is bytes, str or a function, not {name}"))
    })?;
    let mut bytes = LockedBytes::zeroed(buffer.len_bytes());
    buffer.copy_to_slice(given.py(), &mut bytes)?;
    Ok(bytes)
}

/// The secrets that were handed over for a job.
pub(crate) struct Given {
    passphrase: Option<Passphrase>,
    /// That of what is made, where it is another one.
    new: Option<Passphrase>,
    volume_key: Option<LockedBytes>,
}

impl Given {
    pub(crate) fn parse(
        passphrase: Option<&Bound<'_, PyAny>>,
        volume_key: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            passphrase: passphrase.map(Passphrase::of).transpose()?,
            new: None,
            volume_key: volume_key.map(bytes_of).transpose()?,
        })
    }

    pub(crate) fn and_new(self, new: Option<Passphrase>) -> Self {
        Self { new, ..self }
    }

    /// The same, with who calls functions.
    pub(crate) fn with(&self, asker: Asker) -> Known<'_> {
        Known { given: self, asker }
    }
}

/// Who has the secrets of a job.
pub(crate) struct Known<'a> {
    given: &'a Given,
    asker: Asker,
}

impl Secrets for Known<'_> {
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        let new = self.given.new.as_ref().filter(|_| asked.is_new);
        match new.or(self.given.passphrase.as_ref()) {
            Some(Passphrase::Bytes(bytes)) => Ok(LockedBytes::copy_of(bytes)),
            Some(Passphrase::Function(function)) => self
                .asker
                .ask(function)
                .map_err(|raised| SecretError::new(Blame::Request, raised)),
            None => {
                let missing = PyTypeError::new_err("a passphrase is needed");
                Err(SecretError::new(Blame::Request, missing))
            }
        }
    }

    fn volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        let key = self.given.volume_key.as_ref();
        Ok(key.map(|key| VolumeKey::from_locked(LockedBytes::copy_of(key))))
    }

    fn is_one(&self) -> bool {
        true
    }
}
