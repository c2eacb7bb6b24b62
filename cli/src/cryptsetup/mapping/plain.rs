//! `open DEVICE NAME --type plain`.

use std::fs::File;
use std::os::unix::fs::FileTypeExt as _;

use dmcrypt::SECTOR_BYTES;
use jobs::decrypt::Container;
use jobs::mapping::open::OpenOptions;
use jobs::plain::{Age, Plain, PlainWanted};
use jobs::unlock::Unlock;
use rustix::fs::ioctl_blksszget;
use volume::Storage;

use super::asker::{Asker, source_of};
use super::open::{common, start};
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::format::tell_content;
use crate::cryptsetup::session::{Session, open_for_reading, say};
use crate::exit::Exit;
use crate::output;
use crate::unlock;

/// What a block of a file counts as there.
const BLOCK_OF_FILES: u64 = 4096;

/// Looks at the device, and tells of what is on it that is no plain container.
pub(super) fn look(session: &Session) -> Result<(), Failure> {
    tell_ignored(session)?;
    let storage = open_for_reading(&session.device_path())?;
    let offset = session.given.number("offset").unwrap_or(0);
    if offset != 0 || session.given.has("shared") {
        return Ok(());
    }
    tell_content(session, &session.device(), &*storage)
}

/// A file has the key itself, and as much of it as the cipher takes.
fn tell_ignored(session: &Session) -> Result<(), Failure> {
    let given = &session.given;
    if given.text("key-file").is_none_or(|file| file == "-") || session.is_batch() {
        return Ok(());
    }
    if given.has("hash") {
        say(
            "WARNING: The --hash parameter is being ignored in plain mode with keyfile specified.",
        )?;
    }
    if given.has("keyfile-size") {
        say(
            "WARNING: The --keyfile-size option is being ignored, the read size is the same as the encryption key size.",
        )?;
    }
    Ok(())
}

pub(super) fn open(session: &Session, is_shared: bool) -> Result<(), Failure> {
    let (plain, size_sectors) = wanted(session)?;
    let options = OpenOptions {
        container: Container::Plain(plain),
        size_sectors,
        unlock: Unlock {
            allow_unencrypted: true,
            ..unlock::unless_typed()?
        },
        ..common(session, is_shared)
    };
    let prompt = format!("Enter passphrase for {}: ", session.device());
    start(session, &options, &Asker::new(session, prompt)?).map(drop)
}

/// What it is, and how much of it in units of 512 bytes, where that is said.
pub(super) fn wanted(session: &Session) -> Result<(Plain, Option<u64>), Failure> {
    let plain = understood(session)?;
    let storage = open_for_reading(&session.device_path())?;
    let size_sectors = size(session, &plain, &*storage)?;
    Ok((plain, size_sectors))
}

fn understood(session: &Session) -> Result<Plain, Failure> {
    let given = &session.given;
    let hash = given.string("hash");
    let wanted = PlainWanted {
        cipher: given.string("cipher"),
        key_bits: given.small("key-size").filter(|bits| *bits != 0),
        hash: hash.clone(),
        sector_bytes: given.small("sector-size"),
        offset_sectors: given.number("offset").unwrap_or(0),
        skip_sectors: given.number("skip").unwrap_or(0),
        iv_large_sectors: given.has("iv-large-sectors"),
        // It was told which.
        defaults: Some(Age::V2_7),
    };
    let plain = wanted.understood(&source_of(session));
    plain.map_err(|error| match error {
        jobs::error::PlainError::Cipher(error) => {
            Failure::new(Exit::BadImage, format!("{}: {error}.", session.device()))
        }
        // What it says of a hash.
        jobs::error::PlainError::Container(_) => Failure::wrong(format!(
            "Hash algorithm {} not supported.",
            output::escape(&hash.unwrap_or_default())
        )),
        error => jobs::Error::from(error).into(),
    })
}

/// How much is mapped, in units of 512 bytes, where that is said: held to the device as cryptsetup does it.
fn size(session: &Session, plain: &Plain, storage: &dyn Storage) -> Result<Option<u64>, Failure> {
    let path = session.device_path();
    let device = session.device();
    let there_is = storage.len().map_err(|_| Failure::missing(&device))?;
    let offset = plain.offset_bytes().unwrap_or(u64::MAX);
    if offset >= there_is {
        return Err(Failure::wrong(format!(
            "Requested offset is beyond real size of device {device}."
        )));
    }
    let of_bytes = session
        .given
        .number("device-size")
        .map(|bytes| bytes / SECTOR_BYTES);
    let sectors = session
        .given
        .number("size")
        .or(of_bytes)
        .filter(|sectors| *sectors != 0);
    let bytes = sectors.map_or(there_is - offset, |sectors| {
        sectors.saturating_mul(SECTOR_BYTES)
    });
    if sectors.is_some() && !bytes.is_multiple_of(block_of(&path)) {
        return Err(Failure::wrong(
            "Device size is not aligned to device logical block size.",
        ));
    }
    if bytes > there_is - offset {
        return Err(Failure::wrong(format!("Device {device} is too small.")));
    }
    if !bytes.is_multiple_of(plain.sector_bytes() as u64) {
        return Err(Failure::wrong(
            "Device size is not aligned to requested sector size.",
        ));
    }
    Ok(sectors)
}

/// The smallest that a device is read by.
fn block_of(path: &std::path::Path) -> u64 {
    let Ok(file) = File::open(path) else {
        return SECTOR_BYTES;
    };
    let kind = file.metadata().map(|metadata| metadata.file_type());
    if kind.is_ok_and(|kind| kind.is_block_device()) {
        return ioctl_blksszget(&file).map_or(SECTOR_BYTES, u64::from);
    }
    BLOCK_OF_FILES
}
