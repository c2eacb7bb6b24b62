//! A plaintext that stays open.

use std::mem;
use std::process;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ::volume::Storage;
use jobs::serve::{self, ServeOptions, Served, ServedReport};
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::argument;
use crate::buffer::{CHUNK_BYTES, Emptied, Filled};
use crate::error;
use crate::job;
use crate::options::Unlocking;
use crate::secret::Given;

/// A plaintext that stays open, for any number of threads. `luksmith.File` is the file object over it.
#[pyclass(frozen, module = "luksmith._luksmith")]
pub(crate) struct Volume {
    opened: RwLock<Option<Arc<Opened>>>,
    report: ServedReport,
    keyslot: Option<u32>,
    /// The process that has opened it. Another one that has come out of it shares its locks, which only the first may
    /// release.
    process: u32,
}

struct Opened {
    storage: Arc<dyn Storage>,
    /// Keeps others away; nobody looks at it.
    _held: Mutex<Served>,
}

/// Opens a container.
#[pyfunction]
pub(crate) fn open(
    source: &Bound<'_, PyAny>,
    passphrase: Option<&Bound<'_, PyAny>>,
    volume_key: Option<&Bound<'_, PyAny>>,
    options: &Bound<'_, PyAny>,
) -> PyResult<Volume> {
    let served = served(source, passphrase, volume_key, options)?;
    Ok(Volume {
        report: served.report.clone(),
        keyslot: served.keyslot,
        process: process::id(),
        opened: RwLock::new(Some(Arc::new(Opened {
            storage: Arc::clone(&served.storage),
            _held: Mutex::new(served),
        }))),
    })
}

/// Opens what is to stay open.
pub(crate) fn served(
    source: &Bound<'_, PyAny>,
    passphrase: Option<&Bound<'_, PyAny>>,
    volume_key: Option<&Bound<'_, PyAny>>,
    options: &Bound<'_, PyAny>,
) -> PyResult<Served> {
    let read_only: bool = options.get_item("readonly")?.extract()?;
    let place = if read_only {
        argument::source(source)?
    } else {
        argument::changed(source)?
    };
    let header: Option<Bound<'_, PyAny>> = options.get_item("header")?.extract()?;
    let options = ServeOptions {
        header: header.as_ref().map(argument::source).transpose()?,
        policies: argument::policies_of(options)?,
        unlock: options.extract::<Unlocking>()?.into(),
        read_only,
        allow_in_use: options.get_item("allow_in_use")?.extract()?,
        ..ServeOptions::default()
    };
    let secrets = Given::parse(passphrase, volume_key)?;
    job::run(source.py(), None, |watch, asker| {
        serve::open(&place, &options, &secrets.with(asker), watch)
    })
}

#[pymethods]
impl Volume {
    #[getter]
    fn size(&self) -> u64 {
        self.report.payload_bytes
    }

    #[getter]
    fn sector_size(&self) -> u64 {
        self.report.sector_size
    }

    #[getter]
    fn readonly(&self) -> bool {
        self.report.read_only
    }

    #[getter]
    fn name(&self) -> &str {
        &self.report.image
    }

    #[getter]
    fn keyslot(&self) -> Option<u32> {
        self.keyslot
    }

    #[getter]
    fn closed(&self) -> bool {
        let opened = self.opened.read();
        opened.unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Whether this process is another than the one that has opened it.
    #[getter]
    fn is_foreign(&self) -> bool {
        self.process != process::id()
    }

    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        job::document(py, "serve", &self.report)
    }

    /// At most `bytes` bytes from `offset` on, fewer only at the end.
    fn pread<'py>(
        &self,
        py: Python<'py>,
        offset: u64,
        bytes: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let opened = self.opened()?;
        let bytes = self.within(offset, bytes)?;
        PyBytes::new_with(py, bytes, |buf| {
            // No Python code knows of the object yet.
            for (offset, part) in (offset..)
                .step_by(CHUNK_BYTES)
                .zip(buf.chunks_mut(CHUNK_BYTES))
            {
                py.detach(|| opened.storage.read_at(offset, part))
                    .map_err(|error| error::of_storage(py, &error))?;
                py.check_signals()?;
            }
            Ok(())
        })
    }

    /// Fills a buffer from `offset` on, as far as there is something. The number of bytes.
    fn pread_into(
        &self,
        py: Python<'_>,
        offset: u64,
        buffer: &Bound<'_, PyAny>,
    ) -> PyResult<usize> {
        let opened = self.opened()?;
        let buffer = Filled::of(buffer)?;
        let bytes = self.within(offset, buffer.len())?;
        let mut scratch = vec![0; bytes.min(CHUNK_BYTES)];
        for at in (0..bytes).step_by(CHUNK_BYTES) {
            let part = &mut scratch[..CHUNK_BYTES.min(bytes - at)];
            py.detach(|| opened.storage.read_at(offset + at as u64, part))
                .map_err(|error| error::of_storage(py, &error))?;
            buffer.put(at, part)?;
            py.check_signals()?;
        }
        Ok(bytes)
    }

    /// Writes all of `data` from `offset` on, or nothing where they go past the end.
    fn pwrite(&self, py: Python<'_>, offset: u64, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        let opened = self.opened()?;
        if self.report.read_only {
            let text = format!("{} is open for reading only", self.report.image);
            return Err(error::system(EROFS, &text));
        }
        let data = Emptied::of(data)?;
        let bytes = data.len();
        if offset
            .checked_add(bytes as u64)
            .is_none_or(|end| end > self.size())
        {
            let text = format!(
                "{bytes} bytes at offset {offset} go past the end at byte {}",
                self.size()
            );
            return Err(error::system(ENOSPC, &text));
        }
        for at in (0..bytes).step_by(CHUNK_BYTES) {
            let mut part = data.take(at, CHUNK_BYTES.min(bytes - at))?;
            py.detach(|| opened.storage.write_in_place(offset + at as u64, &mut part))
                .map_err(|error| error::of_storage(py, &error))?;
            py.check_signals()?;
        }
        Ok(bytes)
    }

    /// Returns once all that was written will survive a loss of power.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        let opened = self.opened()?;
        if self.report.read_only {
            return Ok(());
        }
        py.detach(|| opened.storage.sync())
            .map_err(|error| error::of_storage(py, &error))
    }

    /// Wipes the keys and lets others have the image again, once what other threads are at has ended.
    fn close(&self, py: Python<'_>) {
        let is_foreign = self.is_foreign();
        py.detach(|| {
            let opened = self.opened.write();
            let opened = opened.unwrap_or_else(PoisonError::into_inner).take();
            if is_foreign {
                // Its locks are the other process's too, and are released by whoever drops them.
                mem::forget(opened);
            }
        });
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_foreign() {
            let opened = self.opened.get_mut();
            mem::forget(opened.unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

impl Volume {
    fn opened(&self) -> PyResult<Arc<Opened>> {
        if self.is_foreign() {
            return Err(PyValueError::new_err(format!(
                "{} was opened in another process: each opens it for itself",
                self.report.image
            )));
        }
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        opened
            .clone()
            .ok_or_else(|| PyValueError::new_err("I/O operation on closed file"))
    }

    /// How many of so many bytes there are.
    fn within(&self, offset: u64, bytes: usize) -> PyResult<usize> {
        let rest = self.size().saturating_sub(offset).min(bytes as u64);
        usize::try_from(rest).map_err(|_| PyOverflowError::new_err("more bytes than an object has"))
    }
}

const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
