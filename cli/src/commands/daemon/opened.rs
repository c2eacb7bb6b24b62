//! A container that is opened for others to reach: in this process, or in one in the background.

use std::sync::Arc;

use dmcrypt::LockedBytes;
use jobs::Place as Image;
use jobs::inputs::Inputs;
use jobs::serve::{Served, open as open_served};
use serve::{Export, ExportOptions, Stop};

use super::end_with_parent;
use crate::args::{ServedArgs, StayArgs};
use crate::background::{self, Begun, Given};
use crate::commands::decrypt::{container_of, disk_of};
use crate::error::{Error, ServeError};
use crate::exit::Exit;
use crate::inputs::InputsOf as _;
use crate::options;
use crate::output;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::signals;
use crate::unlock;
use crate::watch::Warner;

/// Where a container is open.
pub(in crate::commands) enum Opened {
    /// Here.
    Here(Box<Served>),
    /// In the background, or nowhere; this process is done.
    Elsewhere(Exit),
}

/// Refuses what cannot be before anybody is asked for anything.
pub(in crate::commands) fn check(
    args: &ServedArgs,
    stay: &StayArgs,
    allow_discards: bool,
) -> Result<(), Error> {
    if args.image == Image::Standard {
        return Err(ServeError::Stream.into());
    }
    if args.busy.read_in_use && !stay.read_only {
        return Err(Error::Conflict {
            one: "--read-in-use",
            other: "a container that is written: --read-only",
        });
    }
    if allow_discards && stay.read_only {
        return Err(Error::Conflict {
            one: "--allow-discards",
            other: "--read-only",
        });
    }
    if stay.exit_with_parent {
        end_with_parent()?;
    }
    Ok(())
}

/// Opens it: here where the process stays, else in the background.
pub(in crate::commands) fn open(
    args: &ServedArgs,
    stay: &StayArgs,
    stays: bool,
) -> Result<Opened, Error> {
    let stays = stays || stay.foreground || stay.exit_with_parent;
    options::check_age(args.plain.compat)?;
    let keys = KeyInput::to_open(&args.keys, false)?;
    let how = jobs::serve::ServeOptions {
        container: container_of(
            &args.container,
            &args.plain,
            &keys,
            &args.unlock,
            &args.header,
            &args.policy,
        )?,
        disk: disk_of(
            &args.from,
            &args.container,
            "one that is served: nothing of a raw image is encrypted",
        )?,
        header: args.header.header.clone().map(Image::Path),
        size_sectors: args.size,
        policies: (&args.policy.policy[..]).into(),
        unlock: unlock::how(&args.unlock)?,
        read_only: stay.read_only,
        allow_in_use: args.busy.read_in_use,
        allow_any_source: args.any.allow_any_source,
        inputs: Inputs::none()
            .open_keys(&args.keys, &args.unlock)?
            .backing_keys(&args.below)
            .policies(&args.policy),
    };
    if stay.in_background {
        let given = Given::read()?;
        let served = open_served(&args.image, &how.with_keys(), &given, &Warner)?;
        return Ok(Opened::Here(Box::new(served)));
    }
    let below = options::backing_keys(&args.below, &args.keys.read)?;
    let secrets = Keys::to_unlock(&keys, &args.unlock).with_backing_keys(&below);
    let served = open_served(&args.image, &how, &secrets, &Warner)?;
    if stays {
        return Ok(Opened::Here(Box::new(served)));
    }
    let keys = served.keys().iter();
    let keys: Vec<_> = keys.map(|key| LockedBytes::copy_of(key)).collect();
    // The image is the other process's now.
    drop(served);
    Ok(Opened::Elsewhere(match background::begin(&keys)? {
        Begun::Ready(line) => {
            if args.output.json || !args.output.batch_mode {
                output::as_it_is(&line)?;
            }
            Exit::Done
        }
        Begun::Ended(exit) => exit,
    }))
}

/// What others reach of it, and what ends that: signals do.
pub(in crate::commands) fn export(
    served: &Served,
    allow_discards: bool,
) -> Result<(Export, Arc<Stop>), ServeError> {
    let options = ExportOptions {
        read_only: served.report.read_only,
        discard: allow_discards,
    };
    let export = Export::new(Arc::clone(&served.storage), options).map_err(ServeError::Ended)?;
    let stop = Arc::new(Stop::new().map_err(ServeError::Ended)?);
    let asked = Arc::clone(&stop);
    signals::hold_and_call(move || asked.ask());
    Ok((export, stop))
}
