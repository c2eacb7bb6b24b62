//! `luksFormat DEVICE [NEW KEY FILE]`: a new header in a file or on a device that there is.

use std::convert::Infallible;
use std::fs::File;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;

use dmcrypt::{CipherSpec, SectorSize, VolumeKey};
use jobs::Place;
use jobs::block::Claim;
use jobs::change::{Target, write_for_now};
use jobs::error::ChangeError;
use jobs::new_luks::{Cost, Kdf, LuksOptions, NewLuks};
use jobs::open;
use jobs::temporary::{Content, TemporaryFile};
use luks::{FormatOptions, Layout, OsRandom, Version, defaults, format as making};
use recognise::{Class, look};
use rustix::fs::ioctl_blkpbszget;
use volume::Storage;

use super::check::INTEGRITY;
use super::failure::Failure;
use super::key::read_volume_key;
use super::open::not_built;
use super::session::{Session, say};
use crate::exit::Exit;
use crate::output;
use crate::watch::Warner;

/// A keyslots area below this is told of: room for sixteen keyslots of 512-bit keys in 4 MiB with two headers.
pub(super) const SMALL_KEYSLOTS_BYTES: u64 = 4_161_536;

/// Makes a container. All that can be refused is, before a byte is written.
pub(super) fn run(session: &Session) -> Result<(), Failure> {
    let version = version(session)?;
    let given = &session.given;
    let path = Place::Path(session.device_path());
    let data = open::changed(&path, false, Claim::Nothing, &session.inputs())?;
    let (header, made) = match header_target(session)? {
        Some((header, made)) => (Some(header), made),
        None => (None, None),
    };
    let place = header.as_ref().unwrap_or(&data);
    if let Some(offset) = given.number("offset")
        && !offset.is_multiple_of(8)
    {
        return Err(Failure::wrong("Data offset is not multiple of 4096 bytes."));
    }
    let sector_size = sector_size(session, version, &*data.storage)?;
    check_sizes(session)?;
    if given.has("volume-key-keyring") {
        output::aside(format_args!(
            "WARNING: luksFormat heeds no --volume-key-keyring: the volume key is a random one."
        ));
    }

    tell_content(session, &place.name, &*place.storage)?;
    if made.is_none() {
        let question = format!("This will overwrite data on {} irrevocably.", place.name);
        session.confirm(&question, || Failure::aborted(Exit::Wrong))?;
    }
    let key = session.key(session.operands.get(1))?;
    let prompt = format!("Enter passphrase for {}: ", place.name);
    let passphrase = session.ask_new(&key, &prompt)?;
    // A partition of a used disk is refused even where it only has the data.
    for target in [&data, place] {
        if let Err(ChangeError::InUse { name, by }) = target.claim(Claim::Whole)
            && by.is_of_disk()
        {
            return Err(Failure::new(
                Exit::ExistsOrBusy,
                format!("Cannot use device {name} which is in use (already mapped or mounted)."),
            ));
        }
    }
    if place.is_device() {
        place.claim(Claim::Whole).map_err(|error| Failure {
            exit: Exit::Wrong,
            ..error.into()
        })?;
    }
    let wanted = luks_options(session, version)?;
    let new = NewLuks::new(&session.device(), &wanted, header.is_some(), sector_size)?;
    let layout = Layout::new(new.options())
        .map_err(|option| Failure::luks(&session.device(), option.into()))?;
    let cipher = &new.options().cipher;
    if let Some(risk) = cipher.creation_risk() {
        if !cipher.is_null() {
            return Err(Failure::wrong(format!("Cipher {cipher}: {risk}."))
                .and("`luksmith create --allow-weak-cipher` makes such a container."));
        }
        output::aside(format_args!("WARNING: {cipher}: {risk}."));
    }
    let volume_key = given
        .text("volume-key-file")
        .map(|path| read_volume_key(path, new.options().key_bytes))
        .transpose()?;
    if let Some(key) = &volume_key {
        warn_of_key(cipher, key);
    }

    let failed = |error| Failure::luks(&place.name, error);
    let container = making::prepare(
        &FormatOptions {
            equal_xts_halves: true,
            ..new.measured(&Warner)
        },
        &passphrase,
        volume_key,
        &mut OsRandom,
        &|| false,
    )
    .map_err(failed)?;
    tell_sizes(session, version, &layout, &data)?;
    container
        .write_areas(&*place.storage, &mut OsRandom)
        .map_err(failed)?;
    container.commit(&*place.storage).map_err(failed)?;
    if let Some(made) = made {
        let kept: Result<(), Infallible> = made.keep(|_| Ok(()));
        let Ok(()) = kept;
    }
    session.tell(format!(
        "Key slot {} created.",
        session.keyslot().unwrap_or(0)
    ))
}

/// Tells of a volume key that was given and that nobody should have.
pub(super) fn warn_of_key(cipher: &CipherSpec, key: &VolumeKey) {
    if key.expose().iter().all(|byte| *byte == 0) {
        output::aside(format_args!(
            "WARNING: the volume key is all zeros, which everybody can guess."
        ));
    } else if cipher.has_equal_xts_halves(key.expose()) {
        output::aside(format_args!(
            "WARNING: the two halves of the XTS volume key are equal, which breaks the mode."
        ));
    }
}

/// What a new container is to be, as far as options say it.
pub(super) fn luks_options(session: &Session, version: Version) -> Result<LuksOptions, Failure> {
    let given = &session.given;
    let wanted = LuksOptions {
        version,
        cipher: given.string("cipher"),
        key_bits: given.small("key-size").filter(|bits| *bits != 0),
        hash: given.string("hash"),
        sector_bytes: None,
        offset_sectors: offset(session),
        align_sectors: given.number("align-payload"),
        cost: costs(session, version)?,
        keyslot: session.keyslot(),
        uuid: given.string("uuid"),
        label: label(session, version, "label"),
        subsystem: label(session, version, "subsystem"),
        metadata_bytes: given.number("luks2-metadata-size"),
        keyslots_bytes: given.number("luks2-keyslots-size"),
        keyslot_cipher: session.keyslot_cipher(),
    };
    if given.has("keyslot-cipher") && version == Version::Luks1 {
        return Err(Failure::wrong(
            "Keyslot encryption parameters can be set only for LUKS2 device.",
        ));
    }
    if let Some(text) = &wanted.cipher
        && text.parse::<CipherSpec>().is_err()
    {
        return Err(Failure::wrong(
            "No known cipher specification pattern detected.",
        ));
    }
    Ok(wanted)
}

/// What its keyslot costs to guess. Of Argon2 LUKS1 has nothing: that is told, and all that was said of costs is left out.
fn costs(session: &Session, version: Version) -> Result<Cost, Failure> {
    let costs = session.costs(version == Version::Luks1);
    let argon2 = session
        .given
        .string("pbkdf")
        .is_some_and(|kind| kind != "pbkdf2");
    match costs {
        Err(failure) if version == Version::Luks1 && argon2 => {
            failure.print();
            Ok(Cost {
                kdf: Some(Kdf::Pbkdf2),
                ..Cost::default()
            })
        }
        costs => costs,
    }
}

fn version(session: &Session) -> Result<Version, Failure> {
    let version = match session.kind.as_deref() {
        None | Some("luks" | "luks2") => Version::Luks2,
        Some("luks1") => Version::Luks1,
        Some(_) => return Err(Failure::silent(Exit::Wrong)),
    };
    let given = &session.given;
    let integrity = given.string("integrity");
    let none = integrity.as_deref() == Some("none");
    if version == Version::Luks1 && integrity.is_some() {
        return Err(Failure::wrong(
            "Integrity option can be used only for LUKS2 format.",
        ));
    }
    if integrity.is_some() && !none {
        return Err(not_built(INTEGRITY));
    }
    Ok(version)
}

/// The file of a detached header. One that is not there is made, and goes again where no container comes of it.
fn header_target(session: &Session) -> Result<Option<(Target, Option<TemporaryFile>)>, Failure> {
    let Some(path) = session.given.text("header").map(PathBuf::from) else {
        return Ok(None);
    };
    let mut made = None;
    if !path.exists() {
        session.confirm(
            "Header file does not exist, do you want to create it?",
            || Failure::aborted(Exit::NoKeyFits),
        )?;
        let temporary = write_for_now(&path, 0o600, Content::Public, &[]);
        made = Some(temporary.map_err(|error| not_made(&output::path(&path), &error))?);
    }
    let path = Place::Path(path);
    let target = open::changed(&path, false, Claim::Nothing, &session.inputs())?;
    Ok(Some((target, made)))
}

fn not_made(name: &str, error: &ChangeError) -> Failure {
    let failure = Failure::wrong(format!("Cannot create header file {name}."));
    failure.and(match error {
        ChangeError::Write { source, .. } => format!("{source}."),
        error => format!("{error}."),
    })
}

fn sector_size(
    session: &Session,
    version: Version,
    data: &dyn Storage,
) -> Result<SectorSize, Failure> {
    let given = session.given.small("sector-size");
    if version == Version::Luks1 {
        return if given.is_some_and(|bytes| bytes != 512) {
            Err(Failure::wrong("Unsupported encryption sector size."))
        } else {
            Ok(SectorSize::B512)
        };
    }
    let bytes = match given {
        Some(bytes) => bytes,
        // Drives that write 4096 bytes at once, and files as those.
        None if data.len().is_ok_and(|bytes| bytes.is_multiple_of(4096))
            && writes_4096_bytes(&session.device_path()) =>
        {
            4096
        }
        None => 512,
    };
    SectorSize::new(bytes).ok_or_else(|| Failure::wrong("Unsupported encryption sector size."))
}

/// Whether a drive writes 4096 bytes at once, or more, whatever blocks it shows.
fn writes_4096_bytes(path: &std::path::Path) -> bool {
    let is_device = |file: &File| {
        let kind = file.metadata().map(|metadata| metadata.file_type());
        kind.is_ok_and(|kind| kind.is_block_device())
    };
    match File::open(path) {
        Ok(file) if is_device(&file) => ioctl_blkpbszget(&file).is_ok_and(|bytes| bytes >= 4096),
        _ => true,
    }
}

pub(super) fn check_sizes(session: &Session) -> Result<(), Failure> {
    let given = &session.given;
    let metadata = given.number("luks2-metadata-size");
    let keyslots = given.number("luks2-keyslots-size");
    let is_luks1 = session.kind.as_deref() == Some("luks1");
    let wrong_metadata =
        metadata.is_some_and(|bytes| !luks::luks2::METADATA_SIZES.contains(&bytes));
    let wrong_keyslots = keyslots.is_some_and(|bytes| {
        !bytes.is_multiple_of(defaults::AREA_ALIGNMENT)
            || bytes > defaults::LUKS2_MAX_KEYSLOTS_BYTES
    });
    if wrong_metadata || wrong_keyslots || is_luks1 && (metadata.is_some() || keyslots.is_some()) {
        return Err(Failure::wrong("Unsupported LUKS2 metadata size options."));
    }
    Ok(())
}

/// `--offset`; 0 is not said.
fn offset(session: &Session) -> Option<u64> {
    session
        .given
        .number("offset")
        .filter(|sectors| *sectors != 0)
}

/// LUKS1 has no labels, and cryptsetup leaves them out; one that is too long is cut there, and refused here.
fn label(session: &Session, version: Version, option: &str) -> Option<String> {
    session
        .given
        .string(option)
        .filter(|_| version == Version::Luks2)
}

/// Tells what is on the device already.
pub(super) fn tell_content(
    session: &Session,
    name: &str,
    storage: &dyn Storage,
) -> Result<(), Failure> {
    if session.given.has("disable-blkid") || session.is_batch() {
        return Ok(());
    }
    let mut told = Vec::new();
    for found in look(storage).unwrap_or_default() {
        let content = found.content;
        let known = content.type_name();
        let what = match (known, content.class()) {
            // What libblkid has no name for.
            ("", _) => content.name().to_owned(),
            (known, Class::PartitionTable) => format!("a '{known}' partition signature"),
            (known, _) => format!("a '{known}' superblock signature"),
        };
        if !told.contains(&what) {
            say(format!("WARNING: Device {name} already contains {what}."))?;
            told.push(what);
        }
    }
    Ok(())
}

/// A keyslots area of so many bytes has no room for the keyslots that LUKS2 could have.
fn tell_sizes(
    session: &Session,
    version: Version,
    layout: &Layout,
    data: &Target,
) -> Result<(), Failure> {
    if version == Version::Luks2 && layout.keyslots_bytes < SMALL_KEYSLOTS_BYTES {
        say(format!(
            "WARNING: keyslots area ({} bytes) is very small, available LUKS2 keyslot count is very limited.",
            layout.keyslots_bytes
        ))?;
    }
    let length = data.storage.len().unwrap_or(u64::MAX);
    if let Some(bytes) = session.given.small("sector-size")
        && !length.is_multiple_of(bytes.into())
    {
        return Err(Failure::wrong(
            "Device size is not aligned to requested sector size.",
        ));
    }
    if layout.data_offset >= length {
        say(format!(
            "Device {} is too small for activation, there is no remaining space for data.",
            data.name
        ))?;
    }
    Ok(())
}
