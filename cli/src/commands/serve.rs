//! `serve IMG`: the plaintext of a container over NBD.

#[cfg(any(test, not(feature = "tls")))]
mod no_tls;
mod place;
#[cfg(feature = "tls")]
mod tls;

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::Path;

use jobs::serve::ServedReport;
use serde_json::Value;

#[cfg(not(feature = "tls"))]
use self::no_tls as tls;
use self::place::{Listening, Place};
use super::daemon::command;
use super::daemon::opened::{self, Opened};
use super::daemon::{Log, PidFile, ended_as};
use crate::args::ServeArgs;
use crate::background::detach;
use crate::error::{Error, ServeError};
use crate::exit::Exit;
use crate::human;
use crate::output;

/// Serves until it is asked to end, or goes to the background.
pub fn run(args: &ServeArgs) -> Result<Exit, Error> {
    let (server, stay) = (&args.server, &args.stay);
    opened::check(&args.served, stay, server.allow_discards)?;
    if server.insecure && server.listen.is_none() {
        return Err(Error::Conflict {
            one: "--insecure",
            other: "anything but --listen",
        });
    }
    let place = Place::of(server)?;
    let tls = tls::server(server)?;
    if tls.is_some() && !server.tls_verify_peer && !stay.in_background && place.is_far() {
        output::warn(
            "every client that reaches the address is served: with --tls-verify-peer those with a certificate are",
        );
    }
    let stays = server.run.is_some() || place.is_passed();
    let served = match opened::open(&args.served, stay, stays)? {
        Opened::Here(served) => served,
        Opened::Elsewhere(exit) => return Ok(exit),
    };
    let (export, stop) = opened::export(&served, server.allow_discards)?;
    let listening = place.listen(tls.is_some())?;
    let pid_file = stay.pid_file.as_deref().map(PidFile::write).transpose()?;
    let log = Log::of(stay, args.served.output.batch_mode || server.run.is_some());
    // Standard output is that of whoever has passed the sockets on, or runs a command.
    let speaks = !(server.run.is_some() || listening.uri.is_none());
    if speaks {
        say_ready(&served.report, &listening, args)?;
    }
    if stay.in_background {
        detach().map_err(ServeError::Background)?;
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
    let options = tls::options(tls, threads());
    let ended = serve::nbd::serve(&listening.listeners, &export, options, &stop, &|event| {
        log.line(&event.to_string());
    });
    drop(listening);
    drop(pid_file);
    Ok(ended_as(command, ended, &log)?)
}

/// So many requests of one connection at once: more than processors, since some of them wait for the disk.
fn threads() -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new((2 * processors).clamp(4, 16)).expect("it is not 0")
}

/// One line: what is served where.
fn say_ready(report: &ServedReport, listening: &Listening, args: &ServeArgs) -> Result<(), Error> {
    let uri = listening.uri.as_deref().unwrap_or_default();
    if args.served.output.json {
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
    if args.served.output.batch_mode && !args.stay.in_background {
        return Ok(());
    }
    Ok(output::text(&line)?)
}
