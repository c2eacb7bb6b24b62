//! `serve IMG`: the plaintext of a container over NBD.

mod place;

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use dmcrypt::LockedBytes;
use jobs::Place as Image;
use jobs::inputs::Inputs;
use jobs::serve::{ServedReport, open};
use serde_json::Value;
use serve::nbd::ServeOptions;
use serve::{Export, ExportOptions, Stop};

use self::place::{Listening, Place};
use super::daemon::background::{self, Begun, Given};
use super::daemon::command::{self, Running};
use super::daemon::{Log, PidFile, end_with_parent};
use super::decrypt::container_of;
use crate::args::ServeArgs;
use crate::error::{Error, ServeError};
use crate::exit::Exit;
use crate::human;
use crate::inputs::InputsOf as _;
use crate::output;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::signals;
use crate::unlock;
use crate::watch::Warner;

/// Serves until it is asked to end, or goes to the background.
pub fn run(args: &ServeArgs) -> Result<Exit, Error> {
    let server = &args.server;
    if args.image == Image::Standard {
        return Err(ServeError::Stream.into());
    }
    if args.busy.read_in_use && !server.read_only {
        return Err(Error::Conflict {
            one: "--read-in-use",
            other: "a container that is written: --read-only",
        });
    }
    if server.allow_discards && server.read_only {
        return Err(Error::Conflict {
            one: "--allow-discards",
            other: "--read-only",
        });
    }
    if server.insecure && server.listen.is_none() {
        return Err(Error::Conflict {
            one: "--insecure",
            other: "anything but --listen",
        });
    }
    if server.exit_with_parent {
        end_with_parent()?;
    }
    let place = Place::of(server)?;
    let stays =
        server.foreground || server.exit_with_parent || server.run.is_some() || place.is_passed();
    let keys = KeyInput::to_open(&args.keys, false)?;
    let options = jobs::serve::ServeOptions {
        container: container_of(
            &args.container,
            &args.plain,
            &keys,
            &args.unlock,
            &args.header,
            &args.policy,
        )?,
        header: args.header.header.clone().map(Image::Path),
        size_sectors: args.size,
        policies: (&args.policy.policy[..]).into(),
        unlock: unlock::how(&args.unlock)?,
        read_only: server.read_only,
        allow_in_use: args.busy.read_in_use,
        allow_any_source: args.any.allow_any_source,
        inputs: Inputs::none()
            .open_keys(&args.keys, &args.unlock)?
            .policies(&args.policy),
    };
    let served = if server.in_background {
        open(&args.image, &options.with_keys(), &Given::read()?, &Warner)?
    } else {
        let secrets = Keys::to_unlock(&keys, &args.unlock);
        open(&args.image, &options, &secrets, &Warner)?
    };
    if !stays && !server.in_background {
        let keys = served.keys().iter();
        let keys: Vec<_> = keys.map(|key| LockedBytes::copy_of(key)).collect();
        // The image is the other process's now.
        drop(served);
        return Ok(match background::begin(&keys)? {
            Begun::Ready(line) => {
                if args.output.json || !args.output.batch_mode {
                    output::as_it_is(&line)?;
                }
                Exit::Done
            }
            Begun::Ended(exit) => exit,
        });
    }
    let export = ExportOptions {
        read_only: served.report.read_only,
        discard: server.allow_discards,
    };
    let export = Export::new(Arc::clone(&served.storage), export).map_err(ServeError::Ended)?;
    let stop = Arc::new(Stop::new().map_err(ServeError::Ended)?);
    let asked = Arc::clone(&stop);
    signals::hold_and_call(move || asked.ask());
    let listening = place.listen()?;
    let pid_file = server.pid_file.as_deref().map(PidFile::write).transpose()?;
    let log = if server.in_background {
        Log::of_system()
    } else if args.output.batch_mode || server.run.is_some() {
        Log::Quiet
    } else {
        Log::Here
    };
    // Standard output is that of whoever has passed the sockets on, or runs a command.
    let speaks = !(server.run.is_some() || listening.uri.is_none());
    if speaks {
        say_ready(&served.report, &listening, args)?;
    }
    if server.in_background {
        background::detach().map_err(ServeError::Background)?;
    }
    let command = server
        .run
        .as_deref()
        .map(|command| {
            let socket = listening.socket.as_deref().map(Path::as_os_str);
            let uri = listening.uri.as_deref().map(OsStr::new);
            let variables = [("uri", uri), ("unixsocket", socket)];
            command::begin(command, &variables, &stop)
        })
        .transpose()?;
    let options = ServeOptions {
        threads: threads(),
        ..ServeOptions::default()
    };
    let ended = serve::nbd::serve(&listening.listeners, &export, options, &stop, &|event| {
        log.line(&event.to_string());
    });
    drop(listening);
    drop(pid_file);
    let exit = command.map_or(Ok(Exit::Done), Running::end)?;
    if let Err(error) = ended {
        let error = ServeError::Ended(error);
        log.line(&error.to_string());
        return Err(error.into());
    }
    Ok(exit)
}

/// So many requests of one connection at once: more than processors, since some of them wait for the disk.
fn threads() -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new((2 * processors).clamp(4, 16)).expect("it is not 0")
}

/// One line: what is served where.
fn say_ready(report: &ServedReport, listening: &Listening, args: &ServeArgs) -> Result<(), Error> {
    let uri = listening.uri.as_deref().unwrap_or_default();
    if args.output.json {
        let mut members = serde_json::to_value(report).expect("a report is plain data");
        if let Value::Object(members) = &mut members {
            members.insert("uri".to_owned(), uri.into());
        }
        return Ok(output::json("serve", members)?);
    }
    let how = if report.read_only { ", read-only" } else { "" };
    let line = format!(
        "{}: {}, {}{how}, served at {uri}\n",
        report.image,
        report.kind,
        human::short_size(report.payload_bytes),
    );
    // The process in the foreground waits for it.
    if args.output.batch_mode && !args.server.in_background {
        return Ok(());
    }
    Ok(output::text(&line)?)
}
