//! `repair` of a reencryption that is under way: what a crash left half written, and a state that no digest proves.

use std::path::PathBuf;

use jobs::Place;
use jobs::block::Claim;
use jobs::in_place::resume::{ResumeOptions, resume};
use luks::luks2::{Metadata, Reencryption, Segment, SegmentKind, SegmentSize};
use luks::reencryption::{Progress, progress};
use luks::{Header, Luks, OsRandom, defaults, reencrypt};

use super::{Face, change, failed, how, not_opened};
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::key::unlocking;
use crate::cryptsetup::session::Session;
use crate::exit::Exit;
use crate::output;

/// `repair` of what a crash left half written: that is finished, and nothing more.
pub(in crate::cryptsetup) fn recover(session: &Session) -> Result<(), Failure> {
    session.confirm("Really proceed with LUKS2 reencryption recovery?", || {
        Failure::aborted(Exit::Wrong)
    })?;
    let luks = session.read()?;
    let Header::Luks2(header) = luks.header() else {
        return Err(Failure::silent(Exit::Wrong));
    };
    let options = ResumeOptions {
        change: change(session),
        unlock: how(session)?,
        recover_only: true,
        ..ResumeOptions::default()
    };
    let prompt = "Enter passphrase for reencryption recovery: ";
    let face = Face::new(session, session.key(None)?).prompting(prompt);
    let image = Place::Path(session.device_path());
    let of_file = session.given.text("header").map(PathBuf::from);
    let of_file = of_file.map(Place::Path);
    let done = resume(&image, of_file.as_ref(), &options, &face, &face);
    done.map(drop).map_err(|error| {
        not_opened(session, Some(&header.metadata), &error).unwrap_or_else(|| failed(&face, error))
    })
}

/// `repair` of a state that no digest proves: it is taken for genuine by whoever says so, who is told first what it is.
pub(in crate::cryptsetup) fn prove(session: &Session) -> Result<(), Failure> {
    let luks = session.read()?;
    let Header::Luks2(header) = luks.header() else {
        return Err(Failure::silent(Exit::Wrong));
    };
    let metadata = &header.metadata;
    if let Some(state) = &metadata.reencryption {
        for line in what_it_does(session, metadata, state) {
            output::aside(line);
        }
    }
    session.confirm(
        "Unprotected LUKS2 reencryption metadata detected. Please verify the reencryption operation is desirable (see luksDump output)\n\
         and continue (upgrade metadata) only if you acknowledge the operation as genuine.",
        || Failure::aborted(Exit::Wrong),
    )?;
    let target = session.target(Claim::Nothing)?;
    let luks =
        Luks::open(target.storage.clone()).map_err(|error| Failure::luks(&target.name, error))?;
    let place = session.key(None)?;
    let prompt = "Enter passphrase to protect and upgrade reencryption metadata: ";
    let passphrase = session.ask(&place, prompt)?;
    let failed = |error| match error {
        luks::Error::NoKeyFits { .. } | luks::Error::Unfinished(_) => Failure::no_keyslot(),
        error => Failure::luks(&target.name, error),
    };
    let unlocked = luks
        .unlock(&passphrase, &unlocking(None)?)
        .map_err(failed)?;
    let iterations = session.costs(false)?.digest_iterations(defaults::HASH);
    reencrypt::make_digest(
        &luks,
        &unlocked,
        (defaults::HASH, iterations),
        &mut OsRandom,
    )
    .map_err(failed)
}

/// What would be done to the data, line by line.
fn what_it_does(session: &Session, metadata: &Metadata, state: &Reencryption) -> Vec<String> {
    let cipher = |segment: &Segment| match &segment.kind {
        SegmentKind::Crypt(crypt) => format!(
            "{} in sectors of {} bytes",
            output::escape(&crypt.text),
            crypt.sector_size
        ),
        _ => "plaintext".to_owned(),
    };
    let mut lines = vec![format!(
        "WARNING: nothing proves that somebody with the keys began this. It would {} the data of {}, {}: from {} to {}.",
        state.slot.mode.name(),
        session.device(),
        state.slot.direction.name(),
        cipher(&state.before.segment),
        cipher(&state.after.segment),
    )];
    for (segment, progress) in progress(metadata, state) {
        let size = match segment.size {
            SegmentSize::Bytes(bytes) => format!("{bytes} bytes"),
            SegmentSize::Dynamic => "all bytes".to_owned(),
        };
        let what = match progress {
            Progress::Old => "would be done",
            Progress::Hot => "would be recovered",
            Progress::New => "are said to be done",
        };
        lines.push(format!("{size} from {} on {what}.", segment.offset));
    }
    lines
}
