//! The library's errors as Python's exceptions, by blame.

use std::error::Error as StdError;
use std::io;

use jobs::Blame;
use jobs::error::{ChangeError, CloneError, DestinationError, Error, PolicyError, SourceError};
use luks::kdf::Excess;
use pyo3::exceptions::{PyMemoryError, PyOSError};
use pyo3::prelude::*;
use serve::fuse::MountError;

/// Python's own classes: `luksmith/errors.py`.
mod class {
    use pyo3::import_exception;

    import_exception!(luksmith.errors, BusyError);
    import_exception!(luksmith.errors, CancelledError);
    import_exception!(luksmith.errors, CorruptError);
    import_exception!(luksmith.errors, InvalidOptionError);
    import_exception!(luksmith.errors, NoKeyFitsError);
    import_exception!(luksmith.errors, NotLuksError);
    import_exception!(luksmith.errors, PolicyError);
    import_exception!(luksmith.errors, TooCostlyError);
    import_exception!(luksmith.errors, UnsupportedError);
}

/// What Python raises for an error of a job.
pub(crate) fn of_job(py: Python<'_>, error: &Error) -> PyErr {
    if let Error::Secret(secret) = error
        && let Some(raised) = secret.get_ref().downcast_ref::<PyErr>()
    {
        return raised.clone_ref(py);
    }
    if let Some(raised) = of_python(py, error) {
        return raised;
    }
    let text = error.to_string();
    match error {
        Error::Cancelled => class::CancelledError::new_err(text),
        Error::NotLuks { .. } => class::NotLuksError::new_err(text),
        Error::Luks { error, .. } => of_luks(error, text),
        Error::KdfTooCostly { .. } => class::TooCostlyError::new_err(text),
        Error::NullCipher
        | Error::RiskyCipher { .. }
        | Error::EmptyPassphrase { .. }
        | Error::SectorTooLarge { .. }
        | Error::Unconfirmed(_)
        | Error::Clone(
            CloneError::SmallerKey { .. }
            | CloneError::WeakerCipher { .. }
            | CloneError::CheaperKdf { .. },
        ) => class::PolicyError::new_err(text),
        Error::Policy(PolicyError::Wrong { .. } | PolicyError::Unknown { .. }) => {
            class::InvalidOptionError::new_err(text)
        }
        Error::Source(SourceError::Directory { .. })
        | Error::Change(ChangeError::Directory { .. }) => system(EISDIR, &text),
        Error::Destination(DestinationError::Exists { .. })
        | Error::Change(ChangeError::Exists { .. }) => system(EEXIST, &text),
        error => match io_error(error) {
            Some(cause) => of_io(cause, &text),
            None => of_blame(error.blame(), text),
        },
    }
}

/// What Python raises for an error of a read, a write or a sync.
pub(crate) fn of_storage(py: Python<'_>, error: &io::Error) -> PyErr {
    of_python(py, error).unwrap_or_else(|| of_io(error, &error.to_string()))
}

/// What Python raises where nothing can be mounted.
pub(crate) fn of_mount(error: &MountError) -> PyErr {
    let text = error.to_string();
    match error {
        MountError::Busy { .. } | MountError::Mounted { .. } | MountError::Dead { .. } => {
            class::BusyError::new_err(text)
        }
        error => match io_error(error) {
            Some(cause) => of_io(cause, &text),
            None => class::InvalidOptionError::new_err(text),
        },
    }
}

fn of_blame(blame: Blame, text: String) -> PyErr {
    match blame {
        Blame::Key => class::NoKeyFitsError::new_err(text),
        Blame::Memory => PyMemoryError::new_err(text),
        Blame::Image => class::CorruptError::new_err(text),
        Blame::Taken => class::BusyError::new_err(text),
        _ => class::InvalidOptionError::new_err(text),
    }
}

fn of_luks(error: &luks::Error, text: String) -> PyErr {
    use luks::Error as Luks;
    match error {
        Luks::Io { source, .. } => of_io(source, &text),
        Luks::NotLuks => class::NotLuksError::new_err(text),
        Luks::Unsupported(_) | Luks::NeedsRecovery { .. } => class::UnsupportedError::new_err(text),
        Luks::NoKeyFits { .. } => class::NoKeyFitsError::new_err(text),
        Luks::TooCostly { refused } => {
            let (need, limit, unit) = match refused.first() {
                Some((
                    _,
                    Excess::Memory {
                        need_kib,
                        limit_kib,
                    },
                )) => (Some(*need_kib), Some(*limit_kib), "KiB"),
                Some((_, Excess::Lanes { need, limit })) => {
                    (Some((*need).into()), Some((*limit).into()), "lanes")
                }
                Some((_, Excess::Work { times })) => (Some(*times), Some(1), "times the work"),
                Some((_, Excess::Total { slots })) => (None, Some((*slots).into()), "keyslots"),
                _ => (None, None, ""),
            };
            class::TooCostlyError::new_err((text, need, limit, unit))
        }
        Luks::NullCipher { .. } | Luks::Linear { .. } | Luks::PolicyRefuses(_) | Luks::Seal(_) => {
            class::PolicyError::new_err(text)
        }
        Luks::OutOfMemory { .. } => PyMemoryError::new_err(text),
        Luks::Busy | Luks::Changed => class::BusyError::new_err(text),
        Luks::Cancelled => class::CancelledError::new_err(text),
        Luks::NoUsableKeyslot(_)
        | Luks::LastKeyslot { .. }
        | Luks::Refused(_)
        | Luks::Sealed
        | Luks::InvalidOption(_) => class::InvalidOptionError::new_err(text),
        Luks::Random(_) => system(EIO, &text),
        _ => class::CorruptError::new_err(text),
    }
}

/// What Python code has raised, on the way through the library.
fn of_python(py: Python<'_>, error: &(dyn StdError + 'static)) -> Option<PyErr> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(raised) = error.downcast_ref::<PyErr>() {
            return Some(raised.clone_ref(py));
        }
        // What an I/O error was made of is none of its sources.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn io_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn of_io(error: &io::Error, text: &str) -> PyErr {
    use io::ErrorKind as Kind;
    let errno = match (error.raw_os_error(), error.kind()) {
        (Some(errno), _) => errno,
        (None, Kind::WouldBlock) => return class::BusyError::new_err(text.to_owned()),
        (None, Kind::OutOfMemory) => return PyMemoryError::new_err(text.to_owned()),
        (None, Kind::StorageFull) => ENOSPC,
        (None, Kind::ReadOnlyFilesystem) => EROFS,
        (None, Kind::InvalidInput) => EINVAL,
        (None, Kind::PermissionDenied) => EACCES,
        (None, Kind::NotFound) => ENOENT,
        (None, Kind::AlreadyExists) => EEXIST,
        (None, _) => EIO,
    };
    system(errno, text)
}

/// Python makes the class that it has for the number.
pub(crate) fn system(errno: i32, text: &str) -> PyErr {
    // Python says the number itself.
    let said = text.replace(&format!(" (os error {errno})"), "");
    PyOSError::new_err((errno, said))
}

const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EACCES: i32 = 13;
const EEXIST: i32 = 17;
const EISDIR: i32 = 21;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
