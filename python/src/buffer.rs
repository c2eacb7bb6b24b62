//! Bytes that cross between Python's objects and the library.
//!
//! Python code may change or give up what is in a buffer whenever it runs. So a buffer is filled and emptied by copy under the
//! interpreter's lock, and the library only ever sees memory that no Python code can reach.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PySlice};

/// As much is copied and moved at once: between two of them signals are looked after.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// A buffer that is filled, whatever its items are.
pub(crate) struct Filled<'py> {
    view: Bound<'py, PyAny>,
    len: usize,
}

impl<'py> Filled<'py> {
    /// Refuses what cannot be written, and what is in pieces.
    pub(crate) fn of(given: &Bound<'py, PyAny>) -> PyResult<Self> {
        let view = bytes_view(given)?;
        if view.getattr("readonly")?.extract()? {
            return Err(PyTypeError::new_err(
                "the buffer is read-only, where bytes are to be put into it",
            ));
        }
        let len = view.len()?;
        Ok(Self { view, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Copies to a place in it.
    pub(crate) fn put(&self, at: usize, bytes: &[u8]) -> PyResult<()> {
        let py = self.view.py();
        let part = part(&self.view, at, bytes.len())?;
        PyBuffer::<u8>::get(&part)?.copy_from_slice(py, bytes)
    }
}

/// Bytes that are written.
pub(crate) enum Emptied<'py> {
    /// Those of an object that never changes.
    Fixed(Bound<'py, PyBytes>),
    /// Those of any other.
    Copied { view: Bound<'py, PyAny>, len: usize },
}

impl<'py> Emptied<'py> {
    pub(crate) fn of(given: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = given.cast_exact::<PyBytes>() {
            return Ok(Self::Fixed(bytes.clone()));
        }
        let view = bytes_view(given)?;
        let len = view.len()?;
        Ok(Self::Copied { view, len })
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Fixed(bytes) => bytes.as_bytes().len(),
            Self::Copied { len, .. } => *len,
        }
    }

    /// Copies so many bytes from a place in it.
    pub(crate) fn take(&self, at: usize, bytes: usize) -> PyResult<Vec<u8>> {
        match self {
            Self::Fixed(all) => Ok(all.as_bytes()[at..at + bytes].to_vec()),
            Self::Copied { view, .. } => {
                PyBuffer::<u8>::get(&part(view, at, bytes)?)?.to_vec(view.py())
            }
        }
    }
}

/// A view of bytes, one after another. As long as it lives the object keeps its size.
fn bytes_view<'py>(given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let view = PyMemoryView::from(given)?.into_any();
    if !view.getattr("c_contiguous")?.extract::<bool>()? {
        return Err(PyBufferError::new_err("the buffer is in pieces"));
    }
    view.call_method1("cast", ("B",))
}

fn part<'py>(view: &Bound<'py, PyAny>, at: usize, bytes: usize) -> PyResult<Bound<'py, PyAny>> {
    // No object has more bytes than this.
    let index = |number: usize| isize::try_from(number).expect("it lies in an object");
    view.get_item(PySlice::new(view.py(), index(at), index(at + bytes), 1))
}
