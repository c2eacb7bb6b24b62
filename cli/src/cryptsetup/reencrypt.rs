//! `reencrypt DEVICE`: encrypts, decrypts and gives new keys in place, and goes on with what is under way.
//!
//! What is refused is so before a byte is written; cryptsetup finds some of it out when the device is marked already.

mod begin;
mod face;
mod failure;
mod progress;
mod recovery;

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use dmcrypt::HashAlgorithm;
use jobs::Place;
use jobs::change::ChangeOptions;
use jobs::in_place::resume::{ResumeOptions, resume};
use jobs::in_place::{Resilience, Zones, header_file};
use jobs::unlock::Unlock;
use luks::luks2::{self, ReencryptionMode, Segment};
use luks::reencrypt::luks1::LUKS1;
use luks::reencrypt::{DECRYPT_IN_PLACE, WIPE};
use luks::reencryption::{State, state};
use luks::{Header, InvalidOption, Luks, Unfinished};

use super::action::Action;
use super::check::INTEGRITY;
use super::failure::Failure;
use super::mapping;
use super::open::not_built;
use super::session::{Session, check_unambiguous, open_for_reading, say};
use crate::exit::Exit;
use crate::output;
use crate::unlock;

use face::Face;
use failure::failed;
pub(super) use failure::of_keys;
pub(super) use recovery::{prove, recover};

/// Of options that a resilience is no choice for.
const CANNOT_BE_APPLIED: &str =
    "Requested --resilience option cannot be applied to current reencryption operation.";
/// Zones are no larger anyway: what is more says nothing, and cryptsetup cuts it too.
const MOST_HOT: u64 = 16 << 20;
/// What cannot be made of a device.
const NOT_INITIALIZED: &str = "Failed to initialize LUKS2 reencryption in metadata.";

/// A device that is mapped is reencrypted through its mapping there.
fn no_mapping() -> Failure {
    Failure::wrong("luksmith reencrypts no device through its mapping.").and(
        "Close it first: with --force-offline-reencrypt it is then done, and goes on wherever it was interrupted.",
    )
}

/// A device gets no mapping while it is encrypted.
fn no_new_mapping(device: &str, name: &OsStr) -> Failure {
    let name = output::path(Path::new(name));
    Failure::wrong(format!(
        "luksmith encrypts no device through a mapping: there is no {name}."
    ))
    .and(format!(
        "Encrypt {device} without a name, and open it by that one then."
    ))
}

pub(super) fn run(session: &Session) -> Result<(), Failure> {
    let given = &session.given;
    if let Some(name) = given.text("active-name") {
        mapping::check_active(Action::Reencrypt, name.as_ref())?;
        return Err(no_mapping());
    }
    if session.operands.is_empty() {
        return Err(Failure::wrong("Command requires device as argument."));
    }
    check_built(session)?;
    let device = session.device_path();
    let header = given.text("header").map(PathBuf::from);
    let missing = header.as_deref().filter(|header| !header.exists());
    if let Some(header) = missing
        && given.has("decrypt")
        && !encrypts(session)
    {
        return decrypt_into(session, &device, header);
    }
    open_for_reading(&device).map_err(wrong)?;
    let path = header.as_deref().unwrap_or(&device);
    let found = if missing.is_some() { None } else { look(path)? };
    if let Some(luks) = &found
        && let Header::Luks2(header) = luks.header()
    {
        let state = state(&header.metadata);
        if !matches!(state, State::None | State::Unknown) {
            check_under_way(session, header)?;
            return go_on(session, Some(&header.metadata));
        }
    }
    if given.has("resume-only") {
        if found.as_ref().is_some_and(is_left) {
            check_offline(session)?;
            return go_on(session, None);
        }
        let beside = header_file::beside(path, is_block_device(path));
        if found.is_none() && beside.exists() {
            check_offline(session)?;
            return go_on(session, None);
        }
        return Err(Failure::wrong("Device reencryption not in progress."));
    }
    match found {
        Some(luks) => on_luks(session, path, &luks),
        None if encrypts(session) => begin::encrypt(session),
        None if given.has("decrypt") => Err(Failure::not_luks(&output::path(path))),
        None => Err(Failure::silent(Exit::Wrong)),
    }
}

/// What is asked for by options that would have something else done if they were passed over.
fn check_built(session: &Session) -> Result<(), Failure> {
    let given = &session.given;
    if given.string("integrity").is_some_and(|kind| kind != "none") {
        return Err(not_built(INTEGRITY));
    }
    let is_new = given.has("new-volume-key-file") || given.has("new-volume-key-keyring");
    let is_old = given.has("volume-key-file") && is_new;
    let is_forced = given.has("force-no-keyslots");
    if (is_old || given.has("volume-key-keyring")) && !is_forced {
        return Err(Failure::wrong(
            "Use --force-no-keyslots to reencrypt device with active keyslots by passing volume keys directly.",
        ));
    }
    if is_forced {
        return Err(not_built("a reencryption by given volume keys"));
    }
    if given.has("new-volume-key-file") && !given.has("new-key-size") {
        return Err(Failure::wrong(
            "Option --new-volume-key-file must be paired with --new-key-size",
        ));
    }
    Ok(())
}

/// `--encrypt`, by any of its names.
fn encrypts(session: &Session) -> bool {
    session.given.has("encrypt") || session.given.has("new")
}

/// What is wrong with a place is a wrong parameter here.
fn wrong(failure: Failure) -> Failure {
    Failure {
        exit: Exit::Wrong,
        ..failure
    }
}

/// The container in a file or on a device, if it is one.
fn look(path: &Path) -> Result<Option<Luks>, Failure> {
    let storage = open_for_reading(path).map_err(wrong)?;
    match Luks::open(storage.clone()) {
        Ok(luks) => {
            check_unambiguous(&luks, &*storage)?;
            Ok(Some(luks))
        }
        Err(luks::Error::NotLuks) => Ok(None),
        Err(error) => Err(wrong(Failure::of_image(
            &output::path(path),
            error,
            &*storage,
        ))),
    }
}

fn is_block_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    path.metadata()
        .is_ok_and(|metadata| metadata.file_type().is_block_device())
}

/// Decrypts a device whose header is to go to a file that is not there yet.
fn decrypt_into(session: &Session, device: &Path, header: &Path) -> Result<(), Failure> {
    let missing = || wrong(Failure::missing(&output::path(header)));
    let found = look(device).map_err(|failure| {
        let lines = missing().lines;
        lines.into_iter().fold(failure, Failure::and)
    })?;
    match found {
        Some(luks) if is_settled(&luks) && !session.given.has("resume-only") => {
            begin::decrypt_into(session, &luks, header)
        }
        _ => Err(missing()),
    }
}

/// Whether a token of ours says what is still to be done.
fn is_left(luks: &Luks) -> bool {
    let Header::Luks2(header) = luks.header() else {
        return false;
    };
    let mut tokens = header.metadata.tokens.iter();
    tokens.any(|token| [WIPE, DECRYPT_IN_PLACE, LUKS1].contains(&&*token.kind))
}

fn is_settled(luks: &Luks) -> bool {
    match luks.header() {
        Header::Luks2(header) => matches!(state(&header.metadata), State::None),
        Header::Luks1(_) => false,
    }
}

/// Does it to a container in which nothing is under way.
fn on_luks(session: &Session, path: &Path, luks: &Luks) -> Result<(), Failure> {
    let given = &session.given;
    let device = output::path(path);
    let version = match luks.header() {
        Header::Luks1(_) => 1,
        Header::Luks2(_) => 2,
    };
    let other = if version == 1 { "luks2" } else { "luks1" };
    if encrypts(session) {
        return Err(Failure::wrong(format!(
            "Device {device} is already LUKS device. Aborting operation."
        )));
    }
    if session.kind.as_deref() == Some(other) {
        return Err(Failure::wrong(format!(
            "Conflicting versions. Device {device} is LUKS{version}."
        )));
    }
    if !given.has("decrypt") {
        return begin::change_key(session, luks);
    }
    let Header::Luks2(header) = luks.header() else {
        return begin::decrypt_luks1(session, luks);
    };
    if !given.has("header") {
        return Err(Failure::wrong("LUKS2 decryption requires --header option."));
    }
    let offset = luks.header().data_offset();
    if is_same_file(path, &session.device_path()) || offset != Some(0) {
        return Err(Failure::wrong(
            "LUKS2 decryption is supported with detached header device only (with data offset set to 0).",
        ));
    }
    begin::decrypt(session, &header.metadata)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let id = |path: &Path| {
        let metadata = path.metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    id(one).is_some() && id(one) == id(other)
}

/// What options ask for that is not what is under way.
fn check_under_way(session: &Session, header: &luks2::Header) -> Result<(), Failure> {
    let given = &session.given;
    let metadata = &header.metadata;
    let Some(state) = &metadata.reencryption else {
        return Err(Failure::silent(Exit::Wrong));
    };
    if given.has("init-only") {
        return Err(Failure::wrong(
            "LUKS2 reencryption already initialized. Aborting operation.",
        ));
    }
    if session.kind.as_deref() == Some("luks1") {
        return Err(Failure::wrong(format!(
            "Conflicting versions. Device {} is in LUKS2 reencryption.",
            session.device()
        )));
    }
    if metadata.data_segments().any(Segment::is_hot) {
        return Err(Failure::wrong(
            "Device requires reencryption recovery. Run repair first.",
        ));
    }
    for (asked, mode, name, option) in [
        (
            encrypts(session),
            ReencryptionMode::Encrypt,
            "encryption",
            "--encrypt",
        ),
        (
            given.has("decrypt"),
            ReencryptionMode::Decrypt,
            "decryption",
            "--decrypt",
        ),
    ] {
        if asked && state.slot.mode != mode {
            return Err(Failure::wrong(format!(
                "Device is not in LUKS2 {name}. Conflicting option {option}."
            )));
        }
    }
    check_resilience(session, &state.slot.resilience)?;
    check_offline(session)
}

/// Whether a resilience that is asked for can take the place of the one that there is.
fn check_resilience(session: &Session, now: &luks2::Resilience) -> Result<(), Failure> {
    let Some(asked) = session.given.string("resilience") else {
        return Ok(());
    };
    check_known(&asked)?;
    let is_shift = matches!(now, luks2::Resilience::Shift(_));
    if is_shift && asked != "datashift" {
        return Err(Failure::wrong(
            "Device is in reencryption using datashift resilience. Requested --resilience option cannot be applied.",
        ));
    }
    let is_of_shift = asked.starts_with("datashift");
    let cannot = match now.shift_bytes() {
        Some(_) => !is_shift && (asked == "none" || asked == "datashift"),
        None => is_of_shift,
    };
    if cannot {
        return Err(Failure::wrong(CANNOT_BE_APPLIED));
    }
    Ok(())
}

fn check_known(resilience: &str) -> Result<(), Failure> {
    match resilience {
        "none" | "checksum" | "journal" | "datashift" | "datashift-checksum"
        | "datashift-journal" => Ok(()),
        other => Err(Failure::wrong(format!(
            "Unsupported resilience mode {}",
            output::escape(other)
        ))),
    }
}

/// Whether somebody uses a file cannot be known: who says so, or answers, takes it on.
fn check_offline(session: &Session) -> Result<(), Failure> {
    let path = session.device_path();
    if session.given.has("force-offline-reencrypt") || is_block_device(&path) {
        return Ok(());
    }
    let device = session.device();
    if session.is_batch() {
        return Err(Failure::wrong(format!(
            "Device {device} is not a block device. Can not auto-detect if it is active or not."
        ))
        .and("Use --force-offline-reencrypt to bypass the check and run in offline mode (dangerous!)."));
    }
    say(format!("Device {device} is not a block device."))?;
    if !io::stdin().is_terminal() {
        return Err(Failure::silent(Exit::Wrong));
    }
    let question = format!(
        "Unable to decide if device {device} is activated or not.\n\
         Are you sure you want to proceed with reencryption in offline mode?\n\
         It may lead to data corruption if the device is actually activated.\n\
         To run reencryption in online mode, use --active-name parameter instead.\n"
    );
    session.confirm(&question, || Failure::aborted(Exit::Wrong))
}

/// What the library asks of who unlocks.
fn how(session: &Session) -> Result<Unlock, Failure> {
    Ok(Unlock {
        keyslot: session.keyslot(),
        allow_unencrypted: true,
        ..unlock::unless_typed()?
    })
}

fn change(session: &Session) -> ChangeOptions {
    ChangeOptions {
        inputs: session.inputs(),
        ..ChangeOptions::default()
    }
}

/// How zones are protected and how large they are, as options say it. What protects moved data is no choice.
fn zones(session: &Session, is_shifted: bool) -> Result<Zones, Failure> {
    let given = &session.given;
    let resilience = match given.string("resilience").as_deref() {
        Some("none") => Some(Resilience::None),
        Some("journal" | "datashift-journal") => Some(Resilience::Journal),
        Some("checksum" | "datashift-checksum") => Some(Resilience::Checksum),
        _ => None,
    };
    let hash = given.string("resilience-hash");
    let hash = hash.filter(|_| matches!(resilience, None | Some(Resilience::Checksum)));
    if hash
        .as_ref()
        .is_some_and(|hash| HashAlgorithm::parse(hash).is_err())
    {
        return Err(Failure::wrong(NOT_INITIALIZED));
    }
    Ok(Zones {
        resilience: resilience.filter(|_| !is_shifted),
        hash: hash.filter(|_| !is_shifted),
        hotzone_bytes: given
            .number("hotzone-size")
            .filter(|bytes| !is_shifted && *bytes < MOST_HOT),
        ..Zones::default()
    })
}

/// What is said of a key that does not open what is under way: nothing.
fn not_opened(
    session: &Session,
    metadata: Option<&luks2::Metadata>,
    error: &jobs::Error,
) -> Option<Failure> {
    let jobs::Error::Luks { error, .. } = error else {
        return None;
    };
    let is_of_keyslot = matches!(
        **error,
        luks::Error::InvalidOption(
            InvalidOption::KeyslotInactive { .. } | InvalidOption::KeyslotNumber { .. }
        ) | luks::Error::Unfinished(Unfinished::Key { .. })
    );
    if session.keyslot().is_some() && is_of_keyslot {
        return Some(Failure::silent(Exit::Wrong));
    }
    of_keys(metadata?, error)
}

/// Goes on with what is under way, which its digest proves, to the end.
fn go_on(session: &Session, metadata: Option<&luks2::Metadata>) -> Result<(), Failure> {
    let is_shifted = metadata.is_none_or(|metadata| {
        let state = metadata.reencryption.as_ref();
        state.is_some_and(|state| matches!(state.slot.resilience, luks2::Resilience::Shift(_)))
    });
    let options = ResumeOptions {
        change: change(session),
        unlock: how(session)?,
        zones: zones(session, is_shifted)?,
        ..ResumeOptions::default()
    };
    let face = Face::new(session, session.key(None)?);
    let image = Place::Path(session.device_path());
    let header = session.given.text("header").map(PathBuf::from);
    let header = header.map(Place::Path);
    let done = resume(&image, header.as_ref(), &options, &face, &face);
    done.map_err(|error| {
        not_opened(session, metadata, &error).unwrap_or_else(|| failed(&face, error))
    })?;
    face.end();
    Ok(())
}
