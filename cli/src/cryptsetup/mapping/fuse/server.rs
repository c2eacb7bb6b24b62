//! The process that serves a mapping, in the background, with the keys from its parent.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use jobs::Watch;
use jobs::error::MappingError;
use jobs::fuse::Control;
use jobs::fuse::open::target;
use jobs::serve::open as open_served;
use rustix::process::{Signal, set_parent_process_death_signal};
use serve::fuse::{MountOptions, Mounted};
use serve::{Export, ExportOptions, Stop};

use super::open::{allows_discards, image, options};
use super::room;
use crate::background::{Given, detach, threads};
use crate::cryptsetup::action::Action;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::mapping::failure;
use crate::cryptsetup::mapping::open::look;
use crate::cryptsetup::session::{Session, say};
use crate::error::{Error, ServeError};
use crate::signals;

/// The parent has said it already.
struct Silent;

impl Watch for Silent {
    fn warn(&self, _: &dyn Display) {}
}

/// Serves until somebody unmounts it.
pub(in crate::cryptsetup) fn serve(session: &Session) -> Result<(), Failure> {
    // Until it is ready nobody else knows of it.
    let ends_with_parent = |signal| {
        let set = set_parent_process_death_signal(signal);
        set.map_err(|error| Error::from(ServeError::Parent(error.into())))
    };
    ends_with_parent(Some(Signal::KILL))?;
    let failed = |error| failure::of(Action::Open, session, error);
    let of_system = |error| Error::from(ServeError::Ended(error));
    let given = Given::read().map_err(Error::from)?;
    let (room, name) = (room()?, &session.operands[1]);
    let luks = match session.kind.as_deref() {
        Some("plain") => None,
        _ => Some(look(session)?),
    };
    let options = options(session, luks.as_ref())?.with_keys();
    let served = open_served(&image(session), &options, &given, &Silent).map_err(failed)?;
    drop(given);
    let export = ExportOptions {
        read_only: served.report.read_only,
        discard: allows_discards(session, luks.as_ref()),
    };
    let export = Export::new(Arc::clone(&served.storage), export).map_err(of_system)?;
    let export = Arc::new(export);
    let target = target(&room, name).map_err(failed)?;
    let (control, plain) = Control::listen(&room, name).map_err(failed)?;
    let options = MountOptions {
        source: std::path::absolute(session.device_path())
            .unwrap_or_else(|_| session.device_path())
            .into(),
        threads: threads(),
        ..MountOptions::default()
    };
    let mounted = Mounted::at(&target, Arc::clone(&export), &options)
        .map_err(|error| failed(MappingError::Fuse(error).into()))?;
    end_where_unused(&plain)?;
    let resized = Arc::clone(&export);
    thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || {
            control.serve(|sectors| {
                let storage = served.resized(sectors)?;
                resized.replace(storage).map_err(|source| {
                    let name = served.report.image.clone();
                    MappingError::Server { name, source }.into()
                })
            });
        })
        .map_err(of_system)?;
    say("ready")?;
    ends_with_parent(None)?;
    detach().map_err(|error| Error::from(ServeError::Background(error)))?;
    let stop = Arc::new(Stop::new().map_err(of_system)?);
    Ok(mounted.serve(&stop).map_err(of_system)?)
}

/// A signal that asks for an end is one where nobody has the plaintext open: a mapping ends by being closed.
fn end_where_unused(plain: &Path) -> Result<(), Failure> {
    let plain = plain.to_owned();
    let asked = move || {
        let _ = serve::fuse::unmount(&plain, false);
    };
    Ok(signals::call(asked).map_err(Error::Signals)?)
}
