//! `open DEVICE NAME`: unlocked here, served by a process in the background.

use std::ffi::OsStr;
use std::path::Path;

use dmcrypt::LockedBytes;
use jobs::block::{Named, named};
use jobs::decrypt::Container;
use jobs::error::MappingError;
use jobs::fuse::open::{Facts, begin, check_free};
use jobs::inputs::Inputs;
use jobs::serve::{ServeOptions, Served, open as open_served};
use jobs::unlock::Unlock;
use jobs::{Place, Watch};
use luks::{Header, Luks};
use serve::fuse::check_device;

use super::room;
use crate::background::{self, Begun};
use crate::cryptsetup::action::Action;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::mapping::asker::{Asker, Teller, source_of};
use crate::cryptsetup::mapping::open::{NOT_PERSISTENT, Way, check_data, unlocking, version};
use crate::cryptsetup::mapping::{failure, plain};
use crate::cryptsetup::session::Session;
use crate::output;
use crate::unlock;

/// `luks` is the header, none of a plain container.
pub(in crate::cryptsetup::mapping) fn open(
    session: &Session,
    luks: Option<&Luks>,
) -> Result<(), Failure> {
    let room = room()?;
    let name = &session.operands[1];
    let failed = |error| failure::of(Action::Open, session, error);
    let of_mapping = |error: MappingError| failed(error.into());
    check_device().map_err(|error| of_mapping(error.into()))?;
    check_free(&room, name, &Teller).map_err(failed)?;
    if named(Path::new(name)) == Named::Active {
        let name = output::path(Path::new(name));
        return Err(of_mapping(MappingError::Active { name }));
    }
    let prompt = format!("Enter passphrase for {}: ", session.device());
    let options = options(session, luks)?;
    let served = if let Some(luks) = luks {
        check_data(session, luks)?;
        let way = Way::of(session, luks)?;
        let served = unlocked(session, &options, &way.asker)?;
        way.told(session, served.keyslot)?;
        served
    } else {
        unlocked(session, &options, &Asker::new(session, prompt)?)?
    };
    let facts = Facts::of(
        &served,
        &session.device_path(),
        allows_discards(session, luks),
    );
    let keys = served.keys().iter();
    let keys: Vec<_> = keys.map(|key| LockedBytes::copy_of(key)).collect();
    // The image is the other process's now.
    drop(served);
    let begun = begin(&room, name, &Teller).map_err(failed)?;
    let words = [OsStr::new("cryptsetup"), OsStr::new(background::OPTION)];
    let words = words
        .into_iter()
        .chain(session.words.iter().map(AsRef::as_ref));
    match background::begin_with(OsStr::new("luksmith"), words, &keys)
        .map_err(crate::Error::from)?
    {
        Begun::Ready(_) => {}
        Begun::Ended(exit) => return Err(Failure::silent(exit)),
    }
    drop(keys);
    let opened = begun.finish(&facts).map_err(failed)?;
    if session.given.has("persistent") {
        Failure::wrong(NOT_PERSISTENT).print();
    }
    session.tell(format!("Mounted at {}.", output::path(&opened.plain)))
}

fn unlocked(
    session: &Session,
    options: &ServeOptions,
    asker: &Asker<'_>,
) -> Result<Served, Failure> {
    open_served(&image(session), options, asker, &Teller as &dyn Watch)
        .map_err(|error| asker.failure(Action::Open, error))
}

pub(super) fn image(session: &Session) -> Place {
    Place::Path(session.device_path())
}

/// How it is opened, here and in the background.
pub(super) fn options(session: &Session, luks: Option<&Luks>) -> Result<ServeOptions, Failure> {
    let given = &session.given;
    let file = given.text("key-file").filter(|file| *file != "-");
    let inputs = match file {
        Some(_) => Inputs::none().key("the key file", &source_of(session)),
        None => Inputs::none(),
    };
    let common = ServeOptions {
        read_only: given.has("readonly"),
        inputs: inputs.path("the volume key file", given.text("volume-key-file")),
        // What is on it was told, and asked about.
        allow_any_source: true,
        ..ServeOptions::default()
    };
    let Some(luks) = luks else {
        let (plain, size_sectors) = plain::wanted(session)?;
        return Ok(ServeOptions {
            container: Container::Plain(plain),
            size_sectors,
            unlock: Unlock {
                allow_unencrypted: true,
                ..unlock::unless_typed()?
            },
            ..common
        });
    };
    let header = given.text("header");
    Ok(ServeOptions {
        container: Container::Luks(version(session)),
        header: header.map(|header| Place::Path(header.into())),
        unlock: unlocking(session, luks)?,
        ..common
    })
}

/// Whether holes are made: since that is asked for, or since the header says so.
pub(super) fn allows_discards(session: &Session, luks: Option<&Luks>) -> bool {
    let said = match luks.map(Luks::header) {
        Some(Header::Luks2(header)) => &header.metadata.config.flags[..],
        _ => &[],
    };
    let may = session.given.has("allow-discards") || said.iter().any(|it| it == "allow-discards");
    may && !session.given.has("readonly")
}
