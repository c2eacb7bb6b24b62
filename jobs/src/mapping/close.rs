//! A mapping that ends.

use std::ffi::OsStr;
use std::time::Duration;

use devmapper::{Control, Name, Nodes, State, Wait};
use serde::Serialize;

use super::{UDEV_TIMEOUT, check_crypt, found, name_of, shown, with_wait};
use crate::block;
use crate::error::{Error, MappingError};
use crate::watch::Watch;

/// How a mapping is closed.
#[derive(Clone, Debug)]
pub struct CloseOptions {
    /// Where it is in use it goes once nobody uses it.
    pub deferred: bool,
    /// Takes that back, and closes nothing.
    pub cancel_deferred: bool,
    /// It may be a mapping that is of no encrypted volume.
    pub foreign: bool,
    /// How long udev is waited for.
    pub udev_timeout: Duration,
}

impl Default for CloseOptions {
    fn default() -> Self {
        Self {
            deferred: false,
            cancel_deferred: false,
            foreign: false,
            udev_timeout: UDEV_TIMEOUT,
        }
    }
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Closed {
    /// The name of the mapping.
    pub name: String,
    /// `closed`, `deferred`, or `kept` where that was taken back.
    pub outcome: &'static str,
}

/// Somebody who has only looked at it is waited for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried.
const STEP: Duration = Duration::from_millis(200);

/// Closes the mapping of this name, or whose node has this path.
///
/// # Errors
///
/// [`MappingError::Inactive`], [`MappingError::Foreign`], [`MappingError::Held`] where it is mounted, part of another device
/// or still open, and what the kernel refuses.
pub fn close(name: &OsStr, options: &CloseOptions, watch: &dyn Watch) -> Result<Closed, Error> {
    let name = name_of(name)?;
    let control = Control::open().map_err(MappingError::from)?;
    let nodes = Nodes::default();
    let state = match found(&control, &name) {
        Err(error @ MappingError::Inactive { .. }) => {
            // What is left of one that was killed would be taken for another one's.
            let _ = nodes.sweep(&name);
            return Err(error.into());
        }
        found => found?,
    };
    if !options.foreign {
        check_crypt(&state)?;
    }
    let closed = |outcome| Closed {
        name: shown(&name),
        outcome,
    };
    if options.cancel_deferred {
        control.cancel_deferred(&name).map_err(MappingError::from)?;
        // Where no udev runs it has lost its name.
        let named = with_wait(options.udev_timeout, watch, |wait| {
            nodes.appear(&name, state.device, wait)
        });
        if let Err(error) = named {
            watch.warn(&error);
        }
        return Ok(closed("kept"));
    }
    if !options.deferred {
        check_unheld(&state)?;
    }
    watch.must_not_be_cut_off();
    let is_udevs = nodes.is_udevs(state.device);
    if options.deferred && state.open_count > 0 {
        control.remove(&name, true).map_err(MappingError::from)?;
        // Nobody is to open it anew by its name; udev looks after its own links.
        if !is_udevs {
            let _ = nodes.sweep(&name);
        }
        return Ok(closed("deferred"));
    }
    match remove_patiently(&control, &name, watch) {
        Err(devmapper::Error::Mapping { .. }) if watch.is_cancelled() => {
            return Err(Error::Cancelled);
        }
        Err(error) if error.is_busy() => {
            return Err(held(&state).into());
        }
        removed => removed.map_err(MappingError::from)?,
    };
    let vanished = with_wait(options.udev_timeout, watch, |wait| {
        nodes.vanish(&name, is_udevs, wait)
    });
    if let Err(error) = vanished {
        let path = nodes.path(&name);
        watch.warn(&format_args!(
            "cannot remove {}: {error}",
            crate::text::path(&path)
        ));
    }
    Ok(closed("closed"))
}

/// Refuses what is mounted, swap space or part of another device.
fn check_unheld(state: &State) -> Result<(), MappingError> {
    if state.open_count == 0 {
        return Ok(());
    }
    let error = held(state);
    match &error {
        MappingError::Held { by, .. } if by.users.is_empty() => Ok(()),
        _ => Err(error),
    }
}

fn held(state: &State) -> MappingError {
    MappingError::Held {
        name: shown(&state.name),
        by: block::users_of_number(state.device),
    }
}

/// Takes a mapping away, trying again while somebody has it open.
pub(super) fn remove_patiently(
    control: &Control,
    name: &Name,
    watch: &dyn Watch,
) -> Result<State, devmapper::Error> {
    let wait = Wait {
        limit: PATIENCE,
        is_cancelled: &|| watch.is_cancelled(),
    };
    let mut removed = None;
    wait.until(STEP, || {
        let tried = removed.insert(control.remove(name, false));
        !matches!(tried, Err(error) if error.is_busy())
    });
    removed.expect("it is tried once at least")
}
