//! `luksHeaderBackup`, `luksHeaderRestore`, `erase`, `convert`, `config`, `repair`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use jobs::Place;
use jobs::block::Claim;
use jobs::change::{back_up, read_backup};
use jobs::error::ChangeError;
use jobs::header::backup::holes;
use jobs::inputs::Inputs;
use jobs::open;
use luks::backup::{Comparison, restore};
use luks::defaults::STRIPES;
use luks::luks1::Damage;
use luks::luks2::Priority;
use luks::reencryption::{self, State};
use luks::repair::{RepairOptions, repair as mend};
use luks::{
    Backup, ConversionObstacle, Edit, Header, Luks, Mismatch, OsRandom, Refused, Repair, Version,
    convert as converting, erase as erasing,
};

use super::failure::Failure;
use super::key::unlocking;
use super::reencrypt::{of_keys, prove, recover};
use super::session::{Session, container_in};
use crate::exit::Exit;
use crate::losses;
use crate::output;
use crate::watch::Warner;

fn backup_file(session: &Session) -> Result<PathBuf, Failure> {
    let file = session.given.text("header-backup-file");
    file.map(PathBuf::from)
        .ok_or_else(|| Failure::wrong("Option --header-backup-file is required."))
}

/// `luksHeaderBackup DEVICE --header-backup-file FILE`.
pub(super) fn backup(session: &Session) -> Result<(), Failure> {
    let path = backup_file(session)?;
    let luks = session.read()?;
    let name = output::path(&path);
    match back_up(&session.device(), &luks, &path, &Warner) {
        Ok(backup) => Ok(losses::check_whole(
            &session.device(),
            &name,
            &holes(&backup),
        )?),
        Err(jobs::Error::Change(ChangeError::Exists { .. })) => Err(Failure::wrong(format!(
            "Requested header backup file {name} already exists."
        ))),
        Err(jobs::Error::Change(ChangeError::Write { source, .. })) => Err(Failure::wrong(
            format!("Cannot create header backup file {name}."),
        )
        .and(format!("{source}."))),
        Err(error) => Err(error.into()),
    }
}

/// `luksHeaderRestore DEVICE --header-backup-file FILE`.
pub(super) fn bring_back(session: &Session) -> Result<(), Failure> {
    let path = backup_file(session)?;
    let target = session.target(Claim::Header)?;
    let backup = sound_backup(&path)?;
    let (luks, comparison) = match Luks::open(target.storage.clone()) {
        Ok(luks) => {
            let comparison = backup.compare(luks.header());
            (Some(luks), comparison)
        }
        Err(error @ luks::Error::Io { .. }) => return Err(Failure::luks(&target.name, error)),
        Err(_) => (None, Comparison::default()),
    };
    let mut other_uuid = false;
    let kind_of_backup = match backup.header() {
        Header::Luks1(_) => Version::Luks1,
        Header::Luks2(_) => Version::Luks2,
    };
    for mismatch in &comparison.mismatches {
        match mismatch {
            Mismatch::Uuid { .. } => other_uuid = true,
            Mismatch::DataOffset { .. } if kind_of_backup == Version::Luks2 => {
                return Err(Failure::wrong(
                    "Data offset differ on device and backup, restore failed.",
                ));
            }
            Mismatch::DataOffset { .. } | Mismatch::KeySize { .. } => {
                return Err(Failure::wrong(
                    "Data offset or key size differs on device and backup, restore failed.",
                ));
            }
            // Restoring the format that was before a conversion is what a backup is for.
            _ => {}
        }
    }
    let kind = match backup.header() {
        Header::Luks1(_) => "LUKS",
        Header::Luks2(_) => "LUKS2",
    };
    let mut question = match &luks {
        Some(_) => format!(
            "Device {} already contains {kind} header. Replacing header will destroy existing keyslots.",
            target.name
        ),
        None => format!(
            "Device {} does not contain {kind} header. Replacing header can destroy data on that device.",
            target.name
        ),
    };
    if other_uuid {
        question.push_str("\nWARNING: real device header has different UUID than backup!");
    }
    if let Err(refused) = backup.check_settled() {
        output::aside(format_args!("WARNING: {refused}."));
    }
    session.confirm(&question, || Failure::silent(Exit::Wrong))?;
    restore(&*target.storage, luks.as_ref(), &backup)
        .map_err(|error| Failure::luks(&target.name, error))
}

fn sound_backup(path: &Path) -> Result<Backup, Failure> {
    let name = output::path(path);
    let incompatible =
        || Failure::wrong("Header backup file does not contain compatible LUKS header.");
    let bytes = read_backup(path).map_err(|_| {
        Failure::wrong(format!("Device {name} does not exist or access denied."))
            .and("Header backup file does not contain compatible LUKS header.")
    })?;
    let backup = match Backup::parse(bytes) {
        Ok(backup) => backup,
        Err(luks::Error::NotLuks) => return Err(incompatible()),
        Err(error) => return Err(incompatible().and(format!("{error}."))),
    };
    backup
        .check_sound()
        .map_err(|refused| incompatible().and(format!("{refused}.")))?;
    Ok(backup)
}

/// `erase DEVICE`: all keyslots.
pub(super) fn erase(session: &Session) -> Result<(), Failure> {
    let target = session.target(Claim::Nothing)?;
    let luks = session.read_for_change(&target)?;
    target.claim(Claim::Header)?;
    let question = format!(
        "This operation will erase all keyslots on device {}.\nDevice will become unusable after this operation.",
        target.name
    );
    session.confirm(&question, || {
        Failure::new(
            Exit::NoKeyFits,
            "Operation aborted, keyslots were NOT wiped.\n",
        )
    })?;
    let erased =
        erasing::erase(&luks, &mut OsRandom).map_err(|error| Failure::luks(&target.name, error))?;
    for keyslot in erased {
        session.tell(format!("Key slot {keyslot} removed."))?;
    }
    Ok(())
}

/// `convert DEVICE --type TYPE`.
pub(super) fn convert(session: &Session) -> Result<(), Failure> {
    let to = match session.kind.as_deref() {
        Some("luks1") => Version::Luks1,
        Some("luks2") => Version::Luks2,
        _ => {
            return Err(Failure::wrong(
                "Invalid LUKS type, only luks1 and luks2 are supported.",
            ));
        }
    };
    let target = session.target(Claim::Nothing)?;
    let luks = container_in(&target.name, &target.storage)?;
    let name = match to {
        Version::Luks1 => "LUKS1",
        Version::Luks2 => "LUKS2",
    };
    let is = match luks.header() {
        Header::Luks1(_) => Version::Luks1,
        Header::Luks2(_) => Version::Luks2,
    };
    if is == to {
        return Err(Failure::wrong(format!("Device is already {name} type.")));
    }
    target.claim(Claim::Header)?;
    let question = format!(
        "This operation will convert {} to {name} format.\n",
        target.name
    );
    session.confirm(&question, || {
        Failure::new(
            Exit::NoKeyFits,
            "Operation aborted, device was NOT converted.\n",
        )
    })?;
    let convert = |luks: &Luks| {
        converting::convert(luks, to, &mut OsRandom).map_err(|error| match error {
            luks::Error::Refused(Refused::Conversion {
                obstacle: ConversionObstacle::LuksMeta,
                ..
            }) => Failure::wrong("Unable to convert header with LUKSMETA additional metadata."),
            luks::Error::Refused(refused @ Refused::Conversion { .. }) => Failure::wrong(format!(
                "Cannot convert to {name} format - {}.",
                obstacle(&refused)
            )),
            error => Failure::luks(&target.name, error),
        })
    };
    if target.refuse_mapped(&luks).is_err() {
        // What stands against a conversion to LUKS1 is said before.
        if to == Version::Luks1 {
            let luks = Luks::open(target.rehearsal()?);
            convert(&luks.map_err(|error| Failure::luks(&target.name, error))?)?;
        }
        return Err(Failure::new(
            Exit::ExistsOrBusy,
            format!(
                "Cannot convert device {} which is still in use.",
                target.name
            ),
        ));
    }
    convert(&luks)
}

fn obstacle(refused: &Refused) -> String {
    match refused {
        Refused::Conversion {
            obstacle: ConversionObstacle::SectorSize(_),
            ..
        } => "default segment encryption sector size is not 512 bytes".to_owned(),
        Refused::Conversion { obstacle, .. } => obstacle.to_string(),
        other => other.to_string(),
    }
}

/// `config DEVICE`.
pub(super) fn configure(session: &Session) -> Result<(), Failure> {
    let given = &session.given;
    if !["priority", "label", "subsystem"]
        .iter()
        .any(|option| given.has(option))
    {
        return Err(Failure::wrong(
            "Option --priority, --label or --subsystem is missing.",
        ));
    }
    let target = session.target(Claim::Nothing)?;
    let luks = session.read_luks2_for_change(&target)?;
    let failed = |error| Failure::luks(&target.name, error);
    let mut edit = Edit::begin(&luks).map_err(failed)?;
    let mut draft = edit.draft().map_err(|option| failed(option.into()))?;
    if let Some(priority) = given.string("priority") {
        let priority = match &*priority {
            "ignore" => Priority::Ignore,
            "prefer" => Priority::Prefer,
            _ => Priority::Normal,
        };
        let keyslot = session.keyslot().expect("checked with the options");
        // cryptsetup says nothing more.
        draft
            .set_priority(keyslot, priority)
            .map_err(|_| Failure::silent(Exit::Wrong))?;
    }
    if let Some(label) = given.string("label") {
        draft.label = label;
    }
    if let Some(subsystem) = given.string("subsystem") {
        draft.subsystem = subsystem;
    }
    edit.commit_draft(draft, &mut OsRandom).map_err(failed)
}

/// `repair DEVICE`.
pub(super) fn repair(session: &Session) -> Result<(), Failure> {
    if plan(session)? == Repair::Nothing {
        session.tell("No known problems detected for LUKS header.")?;
        return check_reencryption(session);
    }
    session.confirm("Really try to repair LUKS device header?", || {
        Failure::aborted(Exit::Wrong)
    })?;
    // Something else that was written there is lost only where somebody said yes to it.
    let options = RepairOptions {
        overwrite_foreign: session.is_batch() || std::io::stdin().is_terminal(),
    };
    let target = session.target(Claim::Header)?;
    let done = mend(&*target.storage, options, &mut OsRandom)
        .map_err(|error| Failure::luks(&target.name, error))?;
    told(session, &done)?;
    check_reencryption(session)
}

/// Says what was mended.
fn told(session: &Session, done: &Repair) -> Result<(), Failure> {
    match done {
        Repair::Nothing => Ok(()),
        Repair::Copy { which, fault } => {
            session.tell(format!("The {which} header is written anew ({fault})."))
        }
        Repair::Joined(join) => session.tell(format!("Both headers are written anew: {join}.")),
        Repair::Epoch(end) => session.tell(format!("The epoch is 1 now ({end}).")),
        Repair::Luks1(damages) => {
            session.tell("Repairing keyslots.")?;
            for line in damages.iter().flat_map(mended) {
                output::aside(line);
            }
            session.tell("Writing LUKS header to disk.")
        }
        other => session.tell(format!("The header is repaired ({other}).")),
    }
}

/// What a reencryption left is held to its digest, and recovered where a crash left it half written.
fn check_reencryption(session: &Session) -> Result<(), Failure> {
    let luks = session.read()?;
    let Header::Luks2(header) = luks.header() else {
        return Ok(());
    };
    let state = reencryption::state(&header.metadata);
    match state {
        State::None => return Ok(()),
        // cryptsetup says nothing more.
        State::Unknown => return Err(Failure::silent(Exit::Wrong)),
        State::NoDigest => return prove(session),
        State::NeedsRecovery => return recover(session),
        State::Clean => {}
    }
    let place = session.key(None)?;
    let prompt = "Enter passphrase to verify reencryption metadata digest: ";
    let passphrase = session.ask(&place, prompt)?;
    let options = unlocking(None)?;
    match reencryption::is_proven(&luks, &passphrase, &options) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(
            Exit::NoKeyFits,
            "Reencryption metadata is invalid.",
        )),
        Err(error) => Err(of_keys(&header.metadata, &error)
            .unwrap_or_else(|| Failure::luks(&session.device(), error))),
    }
}

/// What was wrong, and what it is now.
fn mended(damage: &Damage) -> Vec<String> {
    let keyslot_is = |keyslot: &u32, now: String| {
        vec![
            format!("LUKS keyslot {keyslot} is invalid."),
            format!("Keyslot {keyslot}: {now}."),
            format!("Keyslot {keyslot}: salt wiped."),
        ]
    };
    match damage {
        Damage::EcbMode(mode) => {
            let mode = output::escape(mode);
            vec![
                format!("LUKS cipher mode {mode} is invalid."),
                format!("Cipher mode repaired ({mode} -> ecb)."),
            ]
        }
        Damage::HashCase(hash) => {
            let hash = output::escape(hash);
            vec![
                format!("LUKS hash {hash} is invalid."),
                format!(
                    "Cipher hash repaired to lowercase ({}).",
                    hash.to_ascii_lowercase()
                ),
            ]
        }
        Damage::Stripes { keyslot, stripes } => keyslot_is(
            keyslot,
            format!("stripes repaired ({stripes} -> {STRIPES})"),
        ),
        Damage::Place { keyslot, have, now } => {
            keyslot_is(keyslot, format!("offset repaired ({have} -> {now})"))
        }
        other => vec![format!("{other}.")],
    }
}

/// What would be mended; the type that was asked for must be the one that is there.
fn plan(session: &Session) -> Result<Repair, Failure> {
    let rehearsed = open::changed(
        &Place::Path(session.header_path()),
        true,
        Claim::Nothing,
        &Inputs::none(),
    )?;
    let options = RepairOptions {
        overwrite_foreign: true,
    };
    let found = mend(&*rehearsed.storage, options, &mut OsRandom).map_err(|error| {
        let is_beyond = matches!(error, luks::Error::Refused(Refused::Irreparable(_)));
        let failure = Failure::of_image(&rehearsed.name, error, &*rehearsed.storage);
        if is_beyond {
            Failure {
                exit: Exit::Wrong,
                ..failure
            }
        } else {
            failure
        }
    })?;
    let luks = Luks::open(rehearsed.storage.clone())
        .map_err(|error| Failure::luks(&rehearsed.name, error))?;
    if session.allows(luks.header()) {
        Ok(found)
    } else {
        Err(Failure::silent(Exit::Wrong))
    }
}
