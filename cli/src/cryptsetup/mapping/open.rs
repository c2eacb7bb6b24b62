//! `open DEVICE NAME`.

use std::ffi::OsStr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use devmapper::NameProblem;
use devmapper::keyring::AddedKey;
use dmcrypt::VolumeKey;
use jobs::Place;
use jobs::block::known_users;
use jobs::decrypt::Container;
use jobs::error::MappingError;
use jobs::mapping::open::{OpenOptions, Opened, open};
use jobs::mapping::status::status;
use jobs::unlock::Unlock;
use luks::{Header, Luks, Version};

use super::asker::{Asker, Teller};
use super::{failure, flags, fuse, plain, unlock_by_token};
use crate::cryptsetup::action::Action;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::key::{
    bytes_of_volume_key, is_volume_key_given, read_key_of_data, unlocking_with,
};
use crate::cryptsetup::link::Link;
use crate::cryptsetup::open::unlock_by_passphrase;
use crate::cryptsetup::session::{Session, container_in, open_for_reading};
use crate::exit::Exit;
use crate::output;
use crate::unlock;

pub(super) const ONLY_LUKS2: &str = "This operation is supported only for LUKS2 device.";
pub(super) const NOT_PERSISTENT: &str = "Device activated but cannot make flags persistent.";

pub(in crate::cryptsetup) fn run(session: &Session, kind: &str) -> Result<(), Failure> {
    let path = session.device_path();
    // What is wrong with the device comes first: callers format it, or not, by that.
    let luks = if kind == "plain" {
        plain::look(session)?;
        None
    } else {
        Some(look(session)?)
    };
    if fuse::is_wanted(session)? {
        return fuse::open(session, luks.as_ref());
    }
    check_free(session)?;
    let is_shared = may_be_shared(session, &path);
    match luks {
        None => plain::open(session, is_shared),
        Some(luks) => open_luks(session, &luks, is_shared),
    }
}

/// Refuses a name that is active, before anybody is asked for anything; and where there is no device-mapper.
fn check_free(session: &Session) -> Result<(), Failure> {
    let name = &session.operands[1];
    let shown = output::path(Path::new(name));
    match status(name) {
        _ if fuse::is_one(name) => Err(Failure::new(
            Exit::ExistsOrBusy,
            format!("Device {shown} already exists."),
        )),
        Ok(_) => Err(Failure::new(
            Exit::ExistsOrBusy,
            format!("Device {shown} already exists."),
        )),
        // What no mapping can be called is refused by the job.
        Err(
            error @ jobs::Error::Mapping(MappingError::Name {
                problem: NameProblem::Long { .. },
                ..
            }),
        ) => Err(failure::of(Action::Open, session, error)),
        Err(jobs::Error::Mapping(MappingError::Inactive { .. } | MappingError::Name { .. })) => {
            Ok(())
        }
        Err(error) => Err(failure::of(Action::Open, session, error)),
    }
}

/// The header, as far as it decides what is said: the job reads the one that counts.
pub(super) fn look(session: &Session) -> Result<Luks, Failure> {
    let path = session.header_path();
    let name = output::path(&path);
    let storage = open_for_reading(&path)?;
    let luks = container_in(&name, &storage)?;
    if !session.allows(luks.header()) {
        return Err(Failure::not_luks(&name));
    }
    if session.given.has("header") {
        open_for_reading(&session.device_path())?;
    }
    Ok(luks)
}

/// Two mappings of one file are let through there, each over a loop device of its own. It is told.
fn may_be_shared(session: &Session, path: &Path) -> bool {
    let Ok(file) = std::fs::File::open(path) else {
        return false;
    };
    let kind = file.metadata().map(|metadata| metadata.file_type());
    if kind.is_ok_and(|kind| kind.is_block_device()) {
        return session.given.has("shared");
    }
    if let Ok(by) = known_users(&file)
        && !by.users.is_empty()
        && !session.given.has("shared")
    {
        output::aside(format_args!(
            "WARNING: Device {} is in use{by}: what is written through both spoils it.",
            session.device()
        ));
    }
    true
}

fn open_luks(session: &Session, luks: &Luks, is_shared: bool) -> Result<(), Failure> {
    check_data(session, luks)?;
    let is_luks1 = matches!(luks.header(), Header::Luks1(_));
    let persistent = session.given.has("persistent");
    let options = OpenOptions {
        container: Container::Luks(version(session)),
        header: session
            .given
            .text("header")
            .map(|header| Place::Path(header.into())),
        persistent: persistent && !is_luks1,
        unlock: unlocking(session, luks)?,
        ..common(session, is_shared)
    };
    let way = Way::of(session, luks)?;
    let opened = start(session, &options, &way.asker)?;
    way.told(session, opened.keyslot)?;
    if persistent && is_luks1 {
        Failure::wrong(ONLY_LUKS2).print();
    }
    if persistent && opened.persistent != Some(true) {
        Failure::wrong(NOT_PERSISTENT).print();
    }
    Ok(())
}

/// Of which version it has to be.
pub(super) fn version(session: &Session) -> Option<Version> {
    match session.kind.as_deref() {
        Some("luks1") => Some(Version::Luks1),
        Some("luks2") => Some(Version::Luks2),
        _ => None,
    }
}

/// Refuses a header without data behind it before anybody is asked for anything.
pub(super) fn check_data(session: &Session, luks: &Luks) -> Result<(), Failure> {
    let device = session.device();
    let storage = open_for_reading(&session.device_path())?;
    let bytes = storage.len().map_err(|_| Failure::missing(&device))?;
    let offset = luks.header().data_offset().unwrap_or(0);
    if bytes > 0 && (session.given.has("header") || offset < bytes) {
        return Ok(());
    }
    Err(failure::no_data(&device))
}

/// How a header is unlocked here: as cryptsetup does it, with a cipher that encrypts nothing too.
pub(super) fn unlocking(session: &Session, luks: &Luks) -> Result<Unlock, Failure> {
    let bytes = is_volume_key_given(session).then(|| bytes_of_volume_key(session, luks.header()));
    Ok(Unlock {
        keyslot: session.keyslot(),
        volume_key_bytes: bytes.transpose()?,
        allow_unencrypted: true,
        ..unlock::unless_typed()?
    })
}

/// How a header is unlocked: by a token, which is tried at once, by the volume key, or as somebody is asked.
pub(super) struct Way<'a> {
    pub(super) asker: Asker<'a>,
    /// The keyslot that was opened before.
    opened: Option<u32>,
    /// The volume key in the keyring where it is to stay.
    linked: Mutex<Option<AddedKey>>,
}

impl<'a> Way<'a> {
    pub(super) fn of(session: &'a Session, luks: &Luks) -> Result<Self, Failure> {
        let asker = Asker::new(
            session,
            format!("Enter passphrase for {}: ", prompted(session)),
        )?;
        let link = Link::of(session, luks.header())?;
        let unasked = |asker| Self {
            asker,
            opened: None,
            linked: Mutex::default(),
        };
        let unlocked = if let Some(key) = read_key_of_data(session, luks.header())? {
            if link.is_none() {
                return Ok(unasked(asker.with_volume_key(key)));
            }
            let options = unlocking_with(key.len())?;
            luks.unlock_with_volume_key(key, &options)
                .map_err(|error| Failure::luks(&session.device(), error))?
        } else if let Some(unlocked) = unlock_by_token(session, luks)? {
            unlocked
        } else if link.is_none() {
            return Ok(unasked(asker));
        } else {
            unlock_by_passphrase(session, luks)?
        };
        let opened = unlocked.volume_key();
        let linked = link.map(|link| link.put(opened)).transpose()?;
        let mut key = VolumeKey::zeroed(opened.expose().len());
        key.expose_mut().copy_from_slice(opened.expose());
        Ok(Self {
            asker: asker.with_volume_key(key),
            opened: unlocked.keyslot(),
            linked: Mutex::new(linked),
        })
    }

    /// It was opened: the linked key stays, and it is told which keyslot it was.
    pub(super) fn told(&self, session: &Session, keyslot: Option<u32>) -> Result<(), Failure> {
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(linked) = linked.take() {
            linked.keep();
        }
        match self.opened.or(keyslot) {
            Some(keyslot) => session.tell(format!("Key slot {keyslot} unlocked.")),
            None => Ok(()),
        }
    }
}

/// Whose passphrase is asked for: of a mapping that there is, of the device below it.
fn prompted(session: &Session) -> String {
    session.device()
}

/// What is the same for every type.
pub(super) fn common(session: &Session, is_shared: bool) -> OpenOptions {
    OpenOptions {
        read_only: session.given.has("readonly"),
        flags: flags(session),
        no_keyring: session.given.has("disable-keyring"),
        shared: is_shared,
        ..OpenOptions::default()
    }
}

pub(super) fn start(
    session: &Session,
    options: &OpenOptions,
    asker: &Asker<'_>,
) -> Result<Opened, Failure> {
    let place = Place::Path(PathBuf::from(&session.operands[0]));
    let name = &session.operands[1];
    let opened = open(&place, name, options, asker, &Teller)
        .map_err(|error| asker.failure(Action::Open, error))?;
    tell_cut(name, &opened);
    Ok(opened)
}

/// An identifier has room for names of the usual length.
fn tell_cut(name: &OsStr, opened: &Opened) {
    const ROOM: usize = 128 - "CRYPT-LUKS2-".len() - 33;
    let in_kernel = opened.path.rsplit('/').next().unwrap_or_default();
    if opened.kind != "plain" && in_kernel.len() > ROOM {
        let shown = output::path(Path::new(name));
        output::aside(format_args!("DM-UUID for device {shown} was truncated."));
    }
}
