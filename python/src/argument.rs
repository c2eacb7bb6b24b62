//! What Python's users hand over: where an image is, and what else options are made of.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use jobs::Place;
use jobs::policy::Policies;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyList, PyString, PyTuple};

use crate::descriptor::Descriptor;
use crate::file_object::FileObject;

/// Where an image is that is only read: a path, a file descriptor, or a binary file object.
pub(crate) fn source(given: &Bound<'_, PyAny>) -> PyResult<Place> {
    if let Some(number) = descriptor(given)? {
        return Descriptor::place(given.py(), number);
    }
    if let Some(path) = path_of(given)? {
        return Ok(Place::Path(path));
    }
    FileObject::place(given)
}

/// Where an image is that is changed: a path or a file descriptor. A descriptor is opened anew, so that the file is checked
/// and locked as any other.
pub(crate) fn changed(given: &Bound<'_, PyAny>) -> PyResult<Place> {
    if let Some(number) = descriptor(given)? {
        return Ok(Place::Path(format!("/proc/self/fd/{number}").into()));
    }
    match path_of(given)? {
        Some(path) => Ok(Place::Path(path)),
        None => Err(PyTypeError::new_err(format!(
            "a path or a file descriptor is needed for what is written, not {}",
            given.get_type().name()?
        ))),
    }
}

/// A path.
pub(crate) fn path(given: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    path_of(given)?.ok_or_else(|| {
        let name = given.get_type().name();
        let name = name.map_or_else(|_| "this".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!("a path is needed, not {name}"))
    })
}

/// Policies: one, or several of which each is to hold; a path, or the name of one that comes along after `builtin:`.
pub(crate) fn policies(given: Option<&Bound<'_, PyAny>>) -> PyResult<Policies> {
    let Some(given) = given else {
        return Ok(Policies::default());
    };
    let files = if given.is_instance_of::<PyList>() || given.is_instance_of::<PyTuple>() {
        let all = given.try_iter()?.map(|one| path(&one?));
        all.collect::<PyResult<Vec<_>>>()?
    } else {
        vec![path(given)?]
    };
    Ok(Policies::from(&files[..]))
}

/// Those of a dict of options.
pub(crate) fn policies_of(options: &Bound<'_, PyAny>) -> PyResult<Policies> {
    let given = options.get_item("policy")?;
    policies((!given.is_none()).then_some(&given))
}

fn descriptor(given: &Bound<'_, PyAny>) -> PyResult<Option<u32>> {
    if !given.is_instance_of::<PyInt>() || given.is_instance_of::<PyBool>() {
        return Ok(None);
    }
    let number = given.extract::<i32>().ok();
    let number = number.and_then(|number| u32::try_from(number).ok());
    number
        .map(Some)
        .ok_or_else(|| PyValueError::new_err(format!("{given} is no file descriptor")))
}

fn path_of(given: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    let is_path = given.is_instance_of::<PyString>()
        || given.is_instance_of::<PyBytes>()
        || given.hasattr("__fspath__")?;
    if !is_path {
        return Ok(None);
    }
    let os = given.py().import("os")?;
    let bytes: Vec<u8> = os.call_method1("fsencode", (given,))?.extract()?;
    if bytes.contains(&0) {
        return Err(PyValueError::new_err("embedded null byte"));
    }
    Ok(Some(OsString::from_vec(bytes).into()))
}

/// What messages call a storage that has no name of its own.
pub(crate) fn place(name: String, storage: impl ::volume::Storage + 'static) -> Place {
    Place::Storage {
        name,
        storage: Arc::new(storage),
    }
}
