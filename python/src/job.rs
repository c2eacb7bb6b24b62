//! How a job runs: on a thread of its own, without the interpreter's lock. The thread that has called it waits, and again and
//! again takes the lock to look after signals, to tell how far the job is, and to ask for secrets: Python handles signals on
//! its first thread alone, and a function is called by the thread that has handed it over.

use std::fmt::Display;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use dmcrypt::LockedBytes;
use jobs::Watch;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error;
use crate::secret;

/// So long a signal may have to wait for the thread that looks after it.
const TICK: Duration = Duration::from_millis(40);

/// Runs `job` to its end. `progress` is called with bytes that are done and bytes in all, or `None` where nobody knows. An
/// exception in it, or of a signal, ends the job, and is raised once that is over.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    job: impl FnOnce(&Observer, Asker) -> Result<T, jobs::Error> + Send,
) -> PyResult<T> {
    let observer = Observer::default();
    let mut caller = Caller {
        observer: &observer,
        progress: progress.map(|progress| progress.clone().unbind()),
        told: None,
        raised: None,
    };
    let caller_mut = &mut caller;
    let outcome = py.detach(|| {
        thread::scope(|scope| {
            let (to_caller, messages) = mpsc::channel();
            let observer = &observer;
            let job = scope.spawn(move || job(observer, Asker(Mutex::new(to_caller))));
            loop {
                // The job has the only sender: it is over when that has gone.
                match messages.recv_timeout(TICK) {
                    Ok(Request { function, reply }) => {
                        // Who does not wait for it any more does not need it.
                        let _ = reply.send(Python::attach(|py| asked(py, &function)));
                    }
                    Err(RecvTimeoutError::Timeout) => Python::attach(|py| caller_mut.look(py)),
                    Err(RecvTimeoutError::Disconnected) => break job.join(),
                }
            }
        })
    });
    let outcome = outcome.unwrap_or_else(|panic| panic::resume_unwind(panic));
    if let Some(raised) = caller.raised.take() {
        return Err(raised);
    }
    let done = outcome.map_err(|error| error::of_job(py, &error))?;
    caller.tell(py)?;
    observer.warn_in(py)?;
    Ok(done)
}

/// What the thread that has called does meanwhile.
struct Caller<'a> {
    observer: &'a Observer,
    progress: Option<Py<PyAny>>,
    /// What was told last.
    told: Option<(u64, Option<u64>)>,
    /// What has ended the job.
    raised: Option<PyErr>,
}

impl Caller<'_> {
    fn look(&mut self, py: Python<'_>) {
        if self.raised.is_some() {
            return;
        }
        if let Err(raised) = py.check_signals().and_then(|()| self.tell(py)) {
            self.observer.is_cancelled.store(true, Ordering::Relaxed);
            self.raised = Some(raised);
        }
    }

    fn tell(&mut self, py: Python<'_>) -> PyResult<()> {
        let (Some(progress), Some(now)) = (&self.progress, self.observer.how_far()) else {
            return Ok(());
        };
        if self.told != Some(now) {
            self.told = Some(now);
            progress.bind(py).call1(now)?;
        }
        Ok(())
    }
}

/// Watches a job from the inside.
#[derive(Default)]
pub(crate) struct Observer {
    is_cancelled: AtomicBool,
    has_begun: AtomicBool,
    done: AtomicU64,
    total: Mutex<Option<u64>>,
    warnings: Mutex<Vec<String>>,
}

impl Observer {
    fn how_far(&self) -> Option<(u64, Option<u64>)> {
        if !self.has_begun.load(Ordering::Acquire) {
            return None;
        }
        let total = *self.total.lock().unwrap_or_else(PoisonError::into_inner);
        Some((self.done.load(Ordering::Relaxed), total))
    }

    /// Says what the job was worried about, as Python's warnings.
    fn warn_in(&self, py: Python<'_>) -> PyResult<()> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.is_empty() {
            return Ok(());
        }
        let class = py.import("luksmith.errors")?.getattr("LuksmithWarning")?;
        let warn = py.import("warnings")?.getattr("warn")?;
        for warning in warnings.drain(..) {
            warn.call1((warning, &class, 3))?;
        }
        Ok(())
    }
}

impl Watch for Observer {
    fn warn(&self, warning: &dyn Display) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(warning.to_string());
    }

    fn begin(&self, _name: &str, bytes: Option<u64>) {
        self.done.store(0, Ordering::Relaxed);
        *self.total.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
        self.has_begun.store(true, Ordering::Release);
    }

    fn advance(&self, done: u64) {
        self.done.fetch_max(done, Ordering::Relaxed);
    }

    fn finish(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

/// Has functions called by the thread that has called the job.
pub(crate) struct Asker(Mutex<mpsc::Sender<Request>>);

struct Request {
    function: Py<PyAny>,
    reply: mpsc::SyncSender<PyResult<LockedBytes>>,
}

impl Asker {
    /// The secret that `function` gives.
    pub(crate) fn ask(&self, function: &Py<PyAny>) -> PyResult<LockedBytes> {
        let gone = || PyRuntimeError::new_err("nobody waits for the job any more");
        let (reply, answer) = mpsc::sync_channel(1);
        let function = Python::attach(|py| function.clone_ref(py));
        let sent = {
            let to_caller = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            to_caller.send(Request { function, reply })
        };
        sent.map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

fn asked(py: Python<'_>, function: &Py<PyAny>) -> PyResult<LockedBytes> {
    secret::bytes_of(&function.bind(py).call0()?)
}

/// A result as Python has it: what JSON says of it, after the name of its schema.
pub(crate) fn document<'py>(
    py: Python<'py>,
    schema: &str,
    result: &impl serde::Serialize,
) -> PyResult<Bound<'py, PyAny>> {
    let members = serde_json::to_value(result).expect("a result is plain data");
    let mut document = serde_json::Map::new();
    document.insert("schema".to_owned(), format!("luksmith.{schema}/1").into());
    if let serde_json::Value::Object(members) = members {
        document.extend(members);
    }
    let text = serde_json::Value::Object(document).to_string();
    py.import("json")?
        .call_method1("loads", (PyString::new(py, &text),))
}
