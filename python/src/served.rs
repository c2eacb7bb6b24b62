//! A plaintext for other programs: over NBD, or as a file by the kernel's FUSE.

use std::io;
use std::mem;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use ::serve::fuse::{MountOptions, Mounted, PLAIN, Target};
use ::serve::nbd::{self, Listener};
use ::serve::{Export, ExportOptions, Stop};
use jobs::serve::{Served, ServedReport};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::argument;
use crate::error;
use crate::job;
use crate::volume;

type Any<'a, 'py> = &'a Bound<'py, PyAny>;

/// A container that is served until somebody ends it.
#[pyclass(frozen, module = "luksmith._luksmith")]
pub(crate) struct Server {
    running: Mutex<Option<Running>>,
    report: ServedReport,
    place: PathBuf,
    /// The process that serves. One that has come out of it shares what rings at its end.
    process: u32,
}

struct Running {
    stop: Arc<Stop>,
    /// It has the keys and the locks, which go with it.
    thread: JoinHandle<io::Result<()>>,
}

/// Serves a container over NBD at a new Unix socket.
#[pyfunction]
pub(crate) fn serve(
    source: Any<'_, '_>,
    passphrase: Option<Any<'_, '_>>,
    volume_key: Option<Any<'_, '_>>,
    options: Any<'_, '_>,
    socket: Any<'_, '_>,
) -> PyResult<Server> {
    let py = source.py();
    let place = argument::path(socket)?;
    let served = volume::served(source, passphrase, volume_key, options)?;
    let failed = |error: io::Error| error::of_storage(py, &error);
    let export = export(&served).map_err(failed)?;
    let listeners = [Listener::Unix(UnixListener::bind(&place).map_err(failed)?)];
    Server::start(place, served, "nbd server", move |stop| {
        let options = nbd::ServeOptions::default();
        nbd::serve(&listeners, &export, options, stop, &|_| {})
    })
    .map_err(failed)
}

/// Mounts a container's plaintext as a file.
#[pyfunction]
pub(crate) fn mount(
    source: Any<'_, '_>,
    target: Any<'_, '_>,
    passphrase: Option<Any<'_, '_>>,
    volume_key: Option<Any<'_, '_>>,
    options: Any<'_, '_>,
    allow_other: bool,
) -> PyResult<Server> {
    let py = source.py();
    let target = Target::of(&argument::path(target)?);
    let target = target.map_err(|error| error::of_mount(&error))?;
    let served = volume::served(source, passphrase, volume_key, options)?;
    let failed = |error: io::Error| error::of_storage(py, &error);
    let place = if target.path().is_dir() {
        target.path().join(PLAIN)
    } else {
        target.path().to_owned()
    };
    let options = MountOptions {
        source: served.report.image.clone().into(),
        allow_other,
        ..MountOptions::default()
    };
    let export = export(&served).map_err(failed)?;
    let mounted = py.detach(|| Mounted::at(&target, export, &options));
    let mounted = mounted.map_err(|error| error::of_mount(&error))?;
    Server::start(place, served, "mount", move |stop| mounted.serve(stop)).map_err(failed)
}

fn export(served: &Served) -> io::Result<Export> {
    let options = ExportOptions {
        read_only: served.report.read_only,
        discard: false,
    };
    Export::new(Arc::clone(&served.storage), options)
}

#[pymethods]
impl Server {
    /// The socket, or the file with the plaintext.
    #[getter]
    fn place(&self) -> &PathBuf {
        &self.place
    }

    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        job::document(py, "serve", &self.report)
    }

    /// Whether it is still served: somebody may have unmounted it.
    #[getter]
    fn is_running(&self) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .as_ref()
            .is_some_and(|running| !running.thread.is_finished())
    }

    /// Whether this process is another than the one that serves.
    #[getter]
    fn is_foreign(&self) -> bool {
        self.process != process::id()
    }

    /// Ends it: what is at work is answered, and what was written is made durable.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if self.is_foreign() {
            mem::forget(running);
            return Ok(());
        }
        let Some(Running { stop, thread }) = running else {
            return Ok(());
        };
        stop.ask();
        match py.detach(|| thread.join()) {
            Ok(ended) => ended.map_err(|error| error::of_storage(py, &error)),
            Err(_) => Err(PyRuntimeError::new_err("the server has panicked")),
        }
    }
}

impl Server {
    fn start(
        place: PathBuf,
        served: Served,
        name: &str,
        serve: impl FnOnce(&Arc<Stop>) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(Stop::new()?);
        let report = served.report.clone();
        let asked = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // What is not made durable must not be given up.
                let ended = serve(&asked);
                drop(served);
                ended
            })?;
        Ok(Self {
            running: Mutex::new(Some(Running { stop, thread })),
            report,
            place,
            process: process::id(),
        })
    }
}

/// Nobody waits for the end then: whoever drops it has the interpreter's lock, which the end may need.
impl Drop for Server {
    fn drop(&mut self) {
        let running = self
            .running
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if self.process != process::id() {
            mem::forget(running.take());
        } else if let Some(running) = running.take() {
            running.stop.ask();
        }
    }
}
