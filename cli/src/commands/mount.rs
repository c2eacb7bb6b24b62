//! `mount IMG TARGET`: the plaintext of a container as a file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use jobs::Place as Image;
use jobs::serve::ServedReport;
use serde_json::Value;
use serve::fuse::{MountOptions, Mounted, Target, check_device};

use super::daemon::command;
use super::daemon::opened::{self, Opened};
use super::daemon::{Log, PidFile, ended_as};
use crate::args::MountArgs;
use crate::background::{detach, threads};
use crate::error::{Error, ServeError};
use crate::exit::Exit;
use crate::human;
use crate::output;

/// Answers until it is unmounted or asked to end, or goes to the background.
pub fn run(args: &MountArgs) -> Result<Exit, Error> {
    let (mounted, stay) = (&args.mounted, &args.stay);
    opened::check(&args.served, stay, mounted.allow_discards)?;
    check_device()?;
    let target = Target::of(&args.target)?;
    check_other(&args.served.image, &target)?;
    let served = match opened::open(&args.served, stay, mounted.run.is_some())? {
        Opened::Here(served) => served,
        Opened::Elsewhere(exit) => return Ok(exit),
    };
    let (export, stop) = opened::export(&served, mounted.allow_discards)?;
    let options = MountOptions {
        source: source(&args.served.image).into(),
        allow_other: mounted.allow_other,
        threads: threads(),
    };
    let at = Mounted::at(&target, export, &options)?;
    let pid_file = stay.pid_file.as_deref().map(PidFile::write).transpose()?;
    let log = Log::of(stay, args.served.output.batch_mode || mounted.run.is_some());
    // Standard output is the command's.
    if mounted.run.is_none() {
        say_ready(&served.report, &target, args)?;
    }
    if stay.in_background {
        detach().map_err(ServeError::Background)?;
    }
    let command = mounted.run.as_deref();
    let command = command.map(|command| {
        let plain = target.plaintext();
        command::begin(command, &[("plain", Some(plain.as_os_str()))], &stop)
    });
    let command = command.transpose()?;
    let ended = at.serve(&stop);
    drop(pid_file);
    Ok(ended_as(command, ended, &log)?)
}

/// Nobody could get at a container that lies below its own plaintext.
fn check_other(image: &Image, target: &Target) -> Result<(), Error> {
    let Image::Path(image) = image else {
        return Ok(());
    };
    let is_same = fs::metadata(image)
        .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == target.identity());
    if is_same {
        return Err(Error::Conflict {
            one: "TARGET",
            other: "IMG, which is the same file",
        });
    }
    Ok(())
}

/// What the table of mounts calls it.
fn source(image: &Image) -> PathBuf {
    match image {
        Image::Path(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        _ => "luksmith".into(),
    }
}

/// One line: what is where.
fn say_ready(report: &ServedReport, target: &Target, args: &MountArgs) -> Result<(), Error> {
    let plain = target.plaintext();
    if args.served.output.json {
        let mut members = serde_json::to_value(report).expect("a report is plain data");
        if let Value::Object(members) = &mut members {
            members.insert("target".to_owned(), output::path(target.path()).into());
            members.insert("plain".to_owned(), output::path(&plain).into());
        }
        return Ok(output::json("mount", members)?);
    }
    // The process in the foreground waits for it.
    if args.served.output.batch_mode && !args.stay.in_background {
        return Ok(());
    }
    let how = if report.read_only { ", read-only" } else { "" };
    Ok(output::text(&format!(
        "{}: {}, {}{how}, mounted at {}\n",
        report.image,
        report.kind,
        human::short_size(report.payload_bytes),
        output::path(&plain),
    ))?)
}
