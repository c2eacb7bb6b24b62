//! A binary file object of Python as a source: whatever can seek and read.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use jobs::Place;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};
use volume::{HeaderLock, LockMode, Storage};

use crate::argument;

/// What is read by calls of Python code. It has one position, so that one thread reads at a time.
///
/// Whoever waits for its turn does so without the interpreter's lock: who has the turn needs that.
pub(crate) struct FileObject {
    object: Py<PyAny>,
    turn: Mutex<()>,
    /// The thread that has the turn: it must not wait for itself.
    holder: Mutex<Option<ThreadId>>,
}

impl FileObject {
    pub(crate) fn place(given: &Bound<'_, PyAny>) -> PyResult<Place> {
        let class = given.get_type().name()?.to_string();
        for method in ["seek", "read"] {
            if !given.hasattr(method)? {
                return Err(PyTypeError::new_err(format!(
                    "a path, a file descriptor or a binary file object is needed, not {class}"
                )));
            }
        }
        let name = match given.getattr_opt("name")? {
            Some(name) if name.is_instance_of::<PyString>() => {
                format!("{class} {}", name.extract::<String>()?)
            }
            _ => format!("a file object ({class})"),
        };
        let object = Self {
            object: given.clone().unbind(),
            turn: Mutex::default(),
            holder: Mutex::default(),
        };
        // Texts and pipes show here, with Python's own exceptions.
        object.seek(given.py(), 0, 0)?;
        object.read_some(given.py(), 0)?;
        Ok(argument::place(name, object))
    }

    /// Waits for the turn. The interpreter's lock must not be held.
    fn turn(&self) -> io::Result<Turn<'_>> {
        let own = thread::current().id();
        if *self.holder() == Some(own) {
            let message = "the file object reads what it is itself the source of";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let guard = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *self.holder() = Some(own);
        Ok(Turn {
            of: self,
            _guard: guard,
        })
    }

    fn holder(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seek(&self, py: Python<'_>, offset: u64, whence: i32) -> PyResult<Option<u64>> {
        let at = self
            .object
            .bind(py)
            .call_method1("seek", (offset, whence))?;
        // Some say nothing.
        if at.is_instance_of::<PyInt>() {
            at.extract().map(Some)
        } else {
            Ok(None)
        }
    }

    fn end(&self, py: Python<'_>) -> PyResult<u64> {
        match self.seek(py, 0, 2)? {
            Some(end) => Ok(end),
            None => self.object.bind(py).call_method0("tell")?.extract(),
        }
    }

    /// At most so many bytes from where it stands.
    fn read_some<'py>(&self, py: Python<'py>, bytes: usize) -> PyResult<Bound<'py, PyBytes>> {
        let read = self.object.bind(py).call_method1("read", (bytes,))?;
        let read = match read.cast_into::<PyBytes>() {
            Ok(read) => read,
            Err(other) => {
                let other = other.into_inner();
                // Any other kind of bytes will do, and a text will not.
                let name = other.get_type().name()?.to_string();
                let is_bytes = ["bytearray", "memoryview"].contains(&name.as_str());
                if !is_bytes {
                    return Err(PyTypeError::new_err(format!(
                        "read() gave {name}, not bytes: a binary file object is needed"
                    )));
                }
                py.get_type::<PyBytes>().call1((other,))?.cast_into()?
            }
        };
        Ok(read)
    }

    fn fill(&self, py: Python<'_>, offset: u64, buf: &mut [u8]) -> PyResult<io::Result<()>> {
        let wanted = buf.len();
        match self.seek(py, offset, 0)? {
            Some(at) if at != offset => {
                let message = format!("seek to byte {offset} led to byte {at}");
                return Ok(Err(io::Error::other(message)));
            }
            _ => {}
        }
        let mut done = 0;
        while done < wanted {
            let some = self.read_some(py, wanted - done)?;
            let some = some.as_bytes();
            if some.is_empty() {
                let message = format!(
                    "read of {wanted} bytes at offset {offset}: the file object has given {done}"
                );
                return Ok(Err(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
            }
            let Some(place) = buf.get_mut(done..done + some.len()) else {
                let message = "read() has given more bytes than were asked for";
                return Ok(Err(io::Error::other(message)));
            };
            place.copy_from_slice(some);
            done += some.len();
        }
        Ok(Ok(()))
    }
}

/// The right to move the position.
struct Turn<'a> {
    of: &'a FileObject,
    _guard: MutexGuard<'a, ()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.of.holder() = None;
    }
}

impl Storage for FileObject {
    fn len(&self) -> io::Result<u64> {
        let _turn = self.turn()?;
        Python::attach(|py| self.end(py)).map_err(io::Error::other)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let _turn = self.turn()?;
        Python::attach(|py| self.fill(py, offset, buf))
            .unwrap_or_else(|raised| Err(io::Error::other(raised)))
    }

    fn write_at(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        let message = "a file object of Python is only read";
        Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, message))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _mode: LockMode) -> io::Result<HeaderLock> {
        // Whoever has the object answers for who else writes it.
        Ok(HeaderLock::new(()))
    }
}
