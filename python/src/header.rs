//! What a header says.

use jobs::inspect::{InspectOptions, inspect};
use jobs::{Error, Watch as _, open};
use pyo3::prelude::*;

use crate::argument;
use crate::job;

/// Whether there is a LUKS header, be it damaged or of a kind that is not built.
#[pyfunction]
pub(crate) fn is_luks(source: &Bound<'_, PyAny>) -> PyResult<bool> {
    let place = argument::source(source)?;
    job::run(source.py(), None, |watch, _| {
        let source = open::source(&place, true, &())?;
        let storage = source.seekable()?;
        if watch.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match luks::Luks::open(storage) {
            Err(luks::Error::NotLuks) => Ok(false),
            Err(error @ luks::Error::Io { .. }) => Err(Error::luks(&source.name, error)),
            _ => Ok(true),
        }
    })
}

/// What the header says, as `luksmith inspect --json` has it.
#[pyfunction]
#[pyo3(signature = (source, *, data, policy, allow_in_use))]
pub(crate) fn info<'py>(
    source: &Bound<'py, PyAny>,
    data: Option<&Bound<'py, PyAny>>,
    policy: Option<&Bound<'py, PyAny>>,
    allow_in_use: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let place = argument::source(source)?;
    let options = InspectOptions {
        data: data.map(argument::source).transpose()?,
        policies: argument::policies(policy)?,
        allow_in_use,
        ..InspectOptions::default()
    };
    let report = job::run(source.py(), None, |watch, _| {
        inspect(&place, &options, watch)
    })?;
    job::document(source.py(), "inspect", &report)
}
