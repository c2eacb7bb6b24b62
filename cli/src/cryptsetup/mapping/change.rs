//! What changes a mapping that there is: `resize`, `luksSuspend`, `luksResume`, `refresh`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use dmcrypt::SECTOR_BYTES;
use jobs::Place;
use jobs::error::MappingError;
use jobs::mapping::HeaderOptions;
use jobs::mapping::refresh::{self as refreshing, RefreshOptions};
use jobs::mapping::resize::{self as resizing, ResizeOptions};
use jobs::mapping::resume::{self as resuming, ResumeOptions};
use jobs::mapping::status::{Crypt, Status, status};
use jobs::mapping::suspend as suspending;
use luks::{Header, Luks};

use super::asker::{Asker, Teller};
use super::open::{NOT_PERSISTENT, ONLY_LUKS2, Way, unlocking};
use super::{check_active, failure, flags, fuse, sectors_wanted};
use crate::cryptsetup::action::Action;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::session::{Session, container_in, open_for_reading};
use crate::exit::Exit;
use crate::output;

pub(in crate::cryptsetup) fn resize(session: &Session) -> Result<(), Failure> {
    let name = &session.operands[0];
    if fuse::is_one(name) {
        return fuse::resize(session);
    }
    let status = look(Action::Resize, session, name)?;
    let crypt = crypt_of(Action::Resize, session, &status)?;
    let size_sectors = sectors_wanted(session);
    if status.state == "suspended" {
        return Err(Failure::wrong(format!(
            "Device {} is not active.",
            session.device()
        )));
    }
    // A key that is in the table is taken from there.
    let header = match crypt.key_location {
        "keyring" => Some(AtHeader::of(session, crypt, None)?),
        _ => None,
    };
    let way = header
        .as_ref()
        .map(|header| Way::of(session, &header.luks))
        .transpose()?;
    let asker = match &way {
        Some(way) => &way.asker,
        None => &Asker::new(session, String::new())?,
    };
    let options = ResizeOptions {
        size_sectors,
        header: match header.as_ref() {
            Some(header) => header.options(session)?,
            None => HeaderOptions::default(),
        },
    };
    let resized =
        resizing::resize(name, &options, asker, &Teller).map_err(|error| match error {
            jobs::Error::Mapping(MappingError::Size { sectors, .. }) => no_size(crypt, sectors),
            error => asker.failure(Action::Resize, error),
        })?;
    match &way {
        Some(way) => way.told(session, resized.keyslot),
        None => Ok(()),
    }
}

fn no_size(crypt: &Crypt, sectors: u64) -> Failure {
    let unit = crypt.sector_size / SECTOR_BYTES;
    Failure::wrong(if sectors.is_multiple_of(unit.max(1)) {
        format!("Device {} is too small.", crypt.device)
    } else {
        "Device size is not aligned to requested sector size.".to_owned()
    })
}

pub(in crate::cryptsetup) fn suspend(session: &Session) -> Result<(), Failure> {
    let name = &session.operands[0];
    look(Action::Suspend, session, name)?;
    suspending::suspend(name, &Teller)
        .map(drop)
        .map_err(|error| failure::of(Action::Suspend, session, error))
}

pub(in crate::cryptsetup) fn resume(session: &Session) -> Result<(), Failure> {
    let kind = session.kind.as_deref().unwrap_or("luks");
    if !matches!(kind, "luks" | "luks1" | "luks2") {
        return Err(Failure::silent(Exit::Wrong));
    }
    let name = &session.operands[0];
    let status = look(Action::Resume, session, name)?;
    let crypt = crypt_of(Action::Resume, session, &status)?;
    let failed = |error| failure::of(Action::Resume, session, jobs::Error::Mapping(error));
    if !matches!(status.kind, Some("luks1" | "luks2")) {
        return Err(failed(MappingError::NotLuks { name: status.name }));
    }
    let header = AtHeader::of(session, crypt, None).map_err(|_| {
        failed(MappingError::NotLuks {
            name: status.name.clone(),
        })
    })?;
    if status.state != "suspended" {
        return Err(failed(MappingError::NotSuspended { name: status.name }));
    }
    let way = Way::of(session, &header.luks)?;
    let options = ResumeOptions {
        header: header.options(session)?,
        no_keyring: session.given.has("disable-keyring"),
    };
    let resumed = resuming::resume(name, &options, &way.asker, &Teller)
        .map_err(|error| way.asker.failure(Action::Resume, error))?;
    way.told(session, resumed.keyslot)
}

/// `refresh [DEVICE] NAME`.
pub(in crate::cryptsetup) fn refresh(session: &Session) -> Result<(), Failure> {
    let name = session.operands.last().expect("the action has an operand");
    let status = look(Action::Open, session, name)?;
    let crypt = crypt_of(Action::Open, session, &status)?;
    let persistent = session.given.has("persistent");
    let options = RefreshOptions {
        header: HeaderOptions::default(),
        flags: flags(session),
        persistent: false,
        no_keyring: session.given.has("disable-keyring"),
    };
    let is_plain = session.kind.as_deref() == Some("plain");
    if is_plain != (status.kind == Some("plain")) {
        let name = output::path(name.as_ref());
        return Err(Failure::wrong(format!(
            "Mismatching parameters on device {name}."
        )));
    }
    if is_plain {
        let asker = Asker::new(session, String::new())?;
        return refreshing::refresh(name, &options, &asker, &Teller)
            .map(drop)
            .map_err(|error| asker.failure(Action::Open, error));
    }
    let device = session
        .operands
        .first()
        .filter(|_| session.operands.len() > 1);
    let header = AtHeader::of(session, crypt, device.map(OsString::as_os_str));
    let header = header.map_err(|failure| {
        if device.is_some() || session.given.has("header") {
            return failure;
        }
        let name = output::path(name.as_ref());
        let is_none = Failure::wrong(format!("{name} is not cryptsetup managed device."));
        failure.lines.into_iter().fold(is_none, Failure::and)
    })?;
    let is_luks1 = matches!(header.luks.header(), Header::Luks1(_));
    let way = Way::of(session, &header.luks)?;
    let options = RefreshOptions {
        header: header.options(session)?,
        persistent: persistent && !is_luks1,
        ..options
    };
    let refreshed = refreshing::refresh(name, &options, &way.asker, &Teller)
        .map_err(|error| way.asker.failure(Action::Open, error))?;
    way.told(session, refreshed.keyslot)?;
    if persistent && is_luks1 {
        Failure::wrong(ONLY_LUKS2).print();
    }
    if persistent && refreshed.persistent != Some(true) {
        Failure::wrong(NOT_PERSISTENT).print();
    }
    Ok(())
}

/// What is told of the mapping, which is to be there.
fn look(action: Action, session: &Session, name: &OsStr) -> Result<Status, Failure> {
    check_active(action, name.as_ref())?;
    let told = status(name).map_err(|error| failure::of(action, session, error))?;
    let exit = match action {
        Action::Open => Exit::Wrong,
        _ => Exit::BadImage,
    };
    match told.mappings.into_iter().next() {
        Some(status) if status.state == "no-table" => {
            Err(failure::no_table(exit, &output::path(name.as_ref())))
        }
        Some(status) => Ok(status),
        None => Err(Failure::silent(exit)),
    }
}

/// How it is encrypted, if at all.
fn crypt_of<'a>(
    action: Action,
    session: &Session,
    status: &'a Status,
) -> Result<&'a Crypt, Failure> {
    status.crypt.as_ref().ok_or_else(|| {
        let foreign = MappingError::Foreign {
            name: status.name.clone(),
            what: status.targets.join(", "),
        };
        failure::of(action, session, foreign.into())
    })
}

/// The header that has the key of a mapping.
struct AtHeader {
    path: PathBuf,
    luks: Luks,
}

impl AtHeader {
    /// In the file that is said, in the device that is said, or on the device below the mapping.
    fn of(session: &Session, crypt: &Crypt, device: Option<&OsStr>) -> Result<Self, Failure> {
        let path = session.given.text("header").or(device);
        let path = path.map_or_else(|| PathBuf::from(&crypt.device), PathBuf::from);
        let name = output::path(&path);
        let storage = open_for_reading(&path)?;
        let luks = container_in(&name, &storage)?;
        Ok(Self { path, luks })
    }

    fn options(&self, session: &Session) -> Result<HeaderOptions, Failure> {
        Ok(HeaderOptions {
            header: Some(Place::Path(Path::new(&self.path).to_owned())),
            unlock: unlocking(session, &self.luks)?,
            ..HeaderOptions::default()
        })
    }
}
