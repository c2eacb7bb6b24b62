//! `mapping VERB NAME`: what is open, changed.

use dmcrypt::SECTOR_BYTES;
use jobs::mapping::HeaderOptions;
use jobs::mapping::refresh::{RefreshOptions, refresh};
use jobs::mapping::resize::{ResizeOptions, resize};
use jobs::mapping::resume::{ResumeOptions, resume};
use jobs::mapping::suspend::suspend;
use serde::Serialize;

use super::open::flags;
use crate::args::{
    MappingHeaderArgs, MappingRefreshArgs, MappingResizeArgs, MappingResumeArgs,
    MappingSuspendArgs, MappingVerb, OutputArgs,
};
use crate::error::Error;
use crate::human;
use crate::output;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Warner;

/// Does what was asked for.
pub fn run(verb: &MappingVerb) -> Result<(), Error> {
    match verb {
        MappingVerb::Resize(args) => run_resize(args),
        MappingVerb::Suspend(args) => run_suspend(args),
        MappingVerb::Resume(args) => run_resume(args),
        MappingVerb::Refresh(args) => run_refresh(args),
    }
}

fn run_resize(args: &MappingResizeArgs) -> Result<(), Error> {
    let by_bytes = args.device_size.map(|bytes| {
        let sectors = bytes / SECTOR_BYTES;
        if bytes.is_multiple_of(SECTOR_BYTES) {
            Ok(sectors)
        } else {
            Err(Error::Conflict {
                one: "--device-size",
                other: "what is no whole number of sectors of 512 bytes",
            })
        }
    });
    let options = ResizeOptions {
        size_sectors: args.size.or(by_bytes.transpose()?),
        header: header(&args.header)?,
    };
    let keys = KeyInput::to_open(&args.header.keys, false)?;
    let secrets = Keys::to_unlock(&keys, &args.header.unlock);
    let resized = resize(&args.name, &options, &secrets, &Warner)?;
    let said = format!(
        "{}: {}, which was {}\n",
        resized.name,
        human::size(resized.bytes),
        human::size(resized.bytes_before)
    );
    say("mapping resize", &resized, &said, args.output)
}

fn run_suspend(args: &MappingSuspendArgs) -> Result<(), Error> {
    let suspended = suspend(&args.name, &Warner)?;
    let said = format!(
        "{}: suspended, and the kernel has no key of it; mapping resume goes on\n",
        suspended.name
    );
    say("mapping suspend", &suspended, &said, args.output)
}

fn run_resume(args: &MappingResumeArgs) -> Result<(), Error> {
    let options = ResumeOptions {
        header: header(&args.header)?,
        no_keyring: args.disable_keyring,
    };
    let keys = KeyInput::to_open(&args.header.keys, false)?;
    let secrets = Keys::to_unlock(&keys, &args.header.unlock);
    let resumed = resume(&args.name, &options, &secrets, &Warner)?;
    let said = format!("{}: goes on\n", resumed.name);
    say("mapping resume", &resumed, &said, args.output)
}

fn run_refresh(args: &MappingRefreshArgs) -> Result<(), Error> {
    let options = RefreshOptions {
        header: header(&args.header)?,
        flags: flags(args.treat),
        persistent: args.treat.persistent,
        no_keyring: args.treat.disable_keyring,
    };
    let keys = KeyInput::to_open(&args.header.keys, false)?;
    let secrets = Keys::to_unlock(&keys, &args.header.unlock);
    let refreshed = refresh(&args.name, &options, &secrets, &Warner)?;
    let flags = if refreshed.flags.is_empty() {
        "no flags".to_owned()
    } else {
        refreshed.flags.join(", ")
    };
    let said = format!("{}: {flags}\n", refreshed.name);
    say("mapping refresh", &refreshed, &said, args.output)
}

fn header(args: &MappingHeaderArgs) -> Result<HeaderOptions, Error> {
    Ok(HeaderOptions {
        header: args.header.header.clone().map(jobs::Place::Path),
        policies: (&args.policy.policy[..]).into(),
        unlock: unlock::how(&args.unlock)?,
    })
}

fn say(verb: &str, outcome: &impl Serialize, said: &str, output: OutputArgs) -> Result<(), Error> {
    if output.json {
        let members = serde_json::to_value(outcome).expect("an outcome is plain data");
        output::json(verb, members)?;
    } else if !output.batch_mode {
        output::text(said)?;
    }
    Ok(())
}
