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

/// Who has the secrets of a job.
pub(crate) struct Given {
    pub(crate) passphrase: Option<Passphrase>,
    pub(crate) volume_key: Option<LockedBytes>,
    /// Where a function is called.
    pub(crate) asker: Asker,
}

impl Secrets for Given {
    fn passphrase(&self, _asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        match &self.passphrase {
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
        let key = self.volume_key.as_ref();
        Ok(key.map(|key| VolumeKey::from_locked(LockedBytes::copy_of(key))))
    }

    fn is_one(&self) -> bool {
        true
    }
}
