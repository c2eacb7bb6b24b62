//! Begins: a plain device that is encrypted, a container that is decrypted or given another key.

use std::path::{Path, PathBuf};

use dmcrypt::{CipherSpec, VolumeKey};
use jobs::Place;
use jobs::allow::Allow;
use jobs::in_place::decrypt::{DecryptInPlaceOptions, decrypt as decrypt_in_place};
use jobs::in_place::encrypt::{EncryptInPlaceOptions, encrypt as encrypt_in_place};
use jobs::in_place::reencrypt::{ReencryptAllow, ReencryptOptions, reencrypt};
use jobs::new_keyslot::NewKeyslot;
use jobs::new_luks::{Kdf, KeyslotCipher, LuksOptions, NewLuks};
use luks::defaults::{KEY_BYTES, LUKS2_METADATA_BYTES, XTS_KEY_BYTES};
use luks::luks2::{KeyslotKind, Metadata};
use luks::{Header, InvalidOption, Layout, Luks, Version};

use super::failure::one_key;
use super::{
    CANNOT_BE_APPLIED, Face, NOT_INITIALIZED, change, check_known, check_offline, failed, how,
    is_same_file, look, zones,
};
use crate::cryptsetup::check::INTEGRITY;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::format::{self, SMALL_KEYSLOTS_BYTES};
use crate::cryptsetup::key::{key_of_keyring, read_volume_key};
use crate::cryptsetup::open::not_built;
use crate::cryptsetup::session::{Session, say};
use crate::exit::Exit;
use crate::output;

/// `--encrypt` of what is no container.
pub(super) fn encrypt(session: &Session) -> Result<(), Failure> {
    let given = &session.given;
    let device = session.device_path();
    if let Some(name) = session.operands.get(1) {
        return Err(super::no_new_mapping(&session.device(), name));
    }
    let header = given.text("header").map(PathBuf::from);
    let header = header.filter(|header| !is_same_file(header, &device));
    let reduced = given.number("reduce-device-size");
    let reduced = reduced.filter(|bytes| *bytes != 0);
    if header.is_none() && reduced.is_none() {
        return Err(Failure::wrong(
            "Encryption without detached header (--header) is not possible without data device size reduction (--reduce-device-size).",
        ));
    }
    if header.is_some() && look(&device)?.is_some() {
        return Err(Failure::wrong(format!(
            "Device {} is already LUKS device. Aborting operation.",
            session.device()
        )));
    }
    let version = match session.kind.as_deref() {
        None | Some("luks" | "luks2") => Version::Luks2,
        Some("luks1") => Version::Luks1,
        Some(_) => return Err(Failure::silent(Exit::Wrong)),
    };
    if given.string("integrity").is_some_and(|kind| kind != "none") {
        return Err(not_built(INTEGRITY));
    }
    let offset = given.number("offset").filter(|sectors| *sectors != 0);
    check_header_file(header.as_deref(), reduced.is_some() && offset.is_some())?;
    // Beside a detached header nothing needs room: all of the data is encrypted where it lies.
    let reduced = match (&header, version) {
        (Some(_), _) => None,
        // Data of LUKS1 start behind all of it, whatever is said of their place.
        (None, Version::Luks1) => reduced,
        (None, Version::Luks2) => adjusted(session, reduced)?,
    };
    let offset = offset.filter(|_| header.is_some());
    let zones = if header.is_some() {
        match given.string("resilience").as_deref() {
            None | Some("none" | "checksum" | "journal") => {}
            Some(other) => {
                let known = check_known(other);
                let failure = known.err();
                let failure = failure.map(|failure| failure.and(NOT_INITIALIZED));
                return Err(failure.unwrap_or_else(|| Failure::wrong(NOT_INITIALIZED)));
            }
        }
        zones(session, false)?
    } else {
        zones(session, true)?
    };
    format::check_sizes(session)?;
    let mut wanted = LuksOptions {
        offset_sectors: offset,
        sector_bytes: given.small("sector-size"),
        ..format::luks_options(session, version)?
    };
    let cut = (version == Version::Luks2).then(|| cut_keyslots(&mut wanted, reduced));
    let (key_bytes, mut notes) = measured(session, &wanted, header.is_some(), reduced)?;
    notes.extend(cut.flatten());
    confirm(session, header.as_deref())?;
    let options = EncryptInPlaceOptions {
        change: change(session),
        format: wanted,
        reduce_bytes: reduced,
        // What is only begun says nothing of it, and goes on with all.
        device_bytes: given
            .number("device-size")
            .filter(|bytes| *bytes != 0 && header.is_some() && !given.has("init-only")),
        zones,
        init_only: given.has("init-only"),
        allow: Allow {
            empty_passphrase: true,
            equal_xts_halves: true,
            ..Allow::default()
        },
    };
    let face = Face::new(session, session.key(None)?)
        .with_key_bytes(key_bytes)
        .noting(notes)
        .adding_to(Vec::new());
    let image = Place::Path(device);
    let done = encrypt_in_place(&image, header.as_ref(), &options, &face, &(), &face);
    done.map_err(|error| failed(&face, error))?;
    face.end();
    Ok(())
}

/// A detached header goes to a new file, and the data stay where they are then.
fn check_header_file(header: Option<&Path>, is_moved: bool) -> Result<(), Failure> {
    let Some(header) = header else { return Ok(()) };
    if is_moved {
        return Err(Failure::wrong(
            "Options --header, --offset and --reduce-device-size cannot be combined: nothing would protect the data.",
        ));
    }
    let name = output::path(header);
    let folder = header
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Failure::wrong(format!("Cannot create header file {name}.")));
    }
    if header.symlink_metadata().is_ok() {
        return Err(Failure::wrong(format!(
            "Requested header file {name} already exists."
        )));
    }
    Ok(())
}

/// The bytes that the end gives up: twice as many as lie before the data.
fn adjusted(session: &Session, reduced: Option<u64>) -> Result<Option<u64>, Failure> {
    let Some(bytes) = reduced else {
        return Ok(None);
    };
    let Some(sectors) = session
        .given
        .number("offset")
        .filter(|sectors| *sectors != 0)
    else {
        return Ok(Some(bytes));
    };
    let twice = sectors.checked_mul(2);
    let twice_bytes = twice.and_then(|sectors| sectors.checked_mul(512));
    match (twice, twice_bytes) {
        (Some(twice), Some(wanted)) if wanted <= bytes => {
            if wanted < bytes {
                say(format!(
                    "Adjusting --reduce-device-size value to twice the --offset {twice} (sectors)."
                ))?;
            }
            Ok(Some(wanted))
        }
        _ => Err(Failure::wrong(
            "Requested data offset must be less than or equal to half of --reduce-device-size parameter.",
        )),
    }
}

/// Cuts keyslots that would reach into the data; what is told of it.
fn cut_keyslots(wanted: &mut LuksOptions, reduced: Option<u64>) -> Option<String> {
    let headers = wanted
        .metadata_bytes
        .unwrap_or(LUKS2_METADATA_BYTES)
        .checked_mul(2)?;
    let most = (reduced? / 2).checked_sub(headers)?;
    let asked = wanted.keyslots_bytes?;
    if asked <= most {
        return None;
    }
    wanted.keyslots_bytes = Some(most);
    Some(format!(
        "WARNING: LUKS2 keyslots area size changed to {most} bytes."
    ))
}

fn is_offset_in_header(error: &luks::Error) -> bool {
    matches!(
        error,
        luks::Error::InvalidOption(InvalidOption::DataOffsetInHeader { .. })
    )
}

/// What is said where a header of LUKS1 is more than lies before its data.
const HEADER_IN_DATA: &str =
    "Data offset for LUKS header must be either 0 or higher than header size.";

/// Bytes of the new key, and what is told of the new header.
fn measured(
    session: &Session,
    wanted: &LuksOptions,
    is_detached: bool,
    reduced: Option<u64>,
) -> Result<(usize, Vec<String>), Failure> {
    let device = session.device();
    let sectors = |bytes: u64| match wanted.version {
        Version::Luks1 => bytes / 512,
        Version::Luks2 => bytes / 1024,
    };
    let format = LuksOptions {
        offset_sectors: reduced.map(sectors).or(wanted.offset_sectors),
        ..wanted.clone()
    };
    let bytes = wanted.sector_bytes.unwrap_or(512);
    let sector = dmcrypt::SectorSize::new(bytes)
        .ok_or_else(|| Failure::wrong("Unsupported encryption sector size."))?;
    let new = NewLuks::new(&device, &format, is_detached, sector).map_err(|error| match error {
        jobs::Error::Luks { error, .. }
            if wanted.version == Version::Luks1 && is_offset_in_header(&error) =>
        {
            Failure::wrong(HEADER_IN_DATA)
        }
        error => error.into(),
    })?;
    let layout =
        Layout::new(new.options()).map_err(|option| Failure::luks(&device, option.into()))?;
    let mut notes = Vec::new();
    if wanted.version == Version::Luks2 && layout.keyslots_bytes < SMALL_KEYSLOTS_BYTES {
        notes.push(format!(
            "WARNING: keyslots area ({} bytes) is very small, available LUKS2 keyslot count is very limited.",
            layout.keyslots_bytes
        ));
    }
    Ok((new.options().key_bytes, notes))
}

fn confirm(session: &Session, header: Option<&Path>) -> Result<(), Failure> {
    if header.is_some() {
        let question = "Header file does not exist, do you want to create it?";
        return session.confirm(question, || Failure::aborted(Exit::NoKeyFits));
    }
    let device = session.device();
    let question = format!("This will overwrite data on {device} irrevocably.");
    session.confirm(&question, || Failure::aborted(Exit::Wrong))
}

/// `--decrypt` of a container whose header goes to the new file `header`.
pub(super) fn decrypt_into(session: &Session, luks: &Luks, header: &Path) -> Result<(), Failure> {
    let Header::Luks2(of_luks) = luks.header() else {
        return Err(Failure::silent(Exit::Wrong));
    };
    match session.given.string("resilience").as_deref() {
        Some("none" | "datashift") => return Err(Failure::wrong(CANNOT_BE_APPLIED)),
        Some(other) => check_known(other)?,
        None => {}
    }
    let question = format!(
        "Header file {header} does not exist. Do you want to initialize LUKS2 decryption of device {device} and export LUKS2 header to file {header}?",
        header = output::path(header),
        device = session.device(),
    );
    session.confirm(&question, || Failure::aborted(Exit::Wrong))?;
    let folder = header
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Failure::wrong(format!(
            "Cannot create header backup file {}.",
            output::path(header)
        )));
    }
    run_decrypt(session, &of_luks.metadata, true)
}

/// `--decrypt` of a LUKS1 container, wherever its header is.
pub(super) fn decrypt_luks1(session: &Session, luks: &Luks) -> Result<(), Failure> {
    check_offline(session)?;
    let slots = in_use(luks.header());
    if slots.is_empty() || session.keyslot().is_some_and(|slot| !slots.contains(&slot)) {
        return Err(Failure::no_keyslot());
    }
    let options = DecryptInPlaceOptions {
        change: change(session),
        unlock: how(session)?,
        zones: zones(session, false)?,
        init_only: session.given.has("init-only"),
    };
    let face = Face::new(session, session.key(None)?).unlocking(&slots);
    let device = session.device_path();
    let header = session.given.text("header").map(PathBuf::from);
    let header = header.filter(|header| !is_same_file(header, &device));
    let image = Place::Path(device);
    let done = decrypt_in_place(&image, header.as_ref(), &options, &face, &(), &face);
    done.map_err(|error| failed(&face, error))?;
    face.end();
    Ok(())
}

/// `--decrypt` of a container whose header is in a file of its own.
pub(super) fn decrypt(session: &Session, metadata: &Metadata) -> Result<(), Failure> {
    match session.given.string("resilience").as_deref() {
        None | Some("none" | "checksum" | "journal") => {}
        Some(other) => {
            check_known(other)?;
            return Err(Failure::wrong(NOT_INITIALIZED));
        }
    }
    run_decrypt(session, metadata, false)
}

fn run_decrypt(session: &Session, metadata: &Metadata, is_shifted: bool) -> Result<(), Failure> {
    check_offline(session)?;
    let slots = opening(metadata);
    if slots.is_empty() || session.keyslot().is_some_and(|slot| !slots.contains(&slot)) {
        return Err(Failure::no_keyslot());
    }
    let options = DecryptInPlaceOptions {
        change: change(session),
        unlock: how(session)?,
        zones: zones(session, false)?,
        init_only: session.given.has("init-only"),
    };
    let face = Face::new(session, session.key(None)?).unlocking(&slots);
    let face = if is_shifted {
        let gone = format!(
            "Existing 'crypto_LUKS' superblock signature on device {} will be wiped.",
            session.device()
        );
        face.noting(if session.is_verbose() {
            vec![gone.clone(), gone]
        } else {
            Vec::new()
        })
    } else {
        face
    };
    let image = Place::Path(session.device_path());
    let header = session.header_path();
    let done = decrypt_in_place(&image, Some(&header), &options, &face, &(), &face);
    done.map_err(|error| failed(&face, error))?;
    face.end();
    Ok(())
}

/// Another key, cipher or sector size.
pub(super) fn change_key(session: &Session, luks: &Luks) -> Result<(), Failure> {
    let given = &session.given;
    if !given.has("init-only") {
        check_offline(session)?;
    }
    let reduced = given
        .number("reduce-device-size")
        .filter(|bytes| *bytes != 0);
    match given.string("resilience").as_deref() {
        // What moves is protected by that.
        _ if reduced.is_some() => {}
        None | Some("none" | "checksum" | "journal") => {}
        Some(other) => {
            check_known(other)?;
            return Err(Failure::wrong(NOT_INITIALIZED));
        }
    }
    let place = session.key(None)?;
    let slots = in_use(luks.header());
    let keep_key = given.has("keep-key");
    let kept = match session.keyslot() {
        Some(slot) if !slots.contains(&slot) => return Err(Failure::silent(Exit::Wrong)),
        Some(slot) => vec![slot],
        None => slots.clone(),
    };
    if kept.is_empty() {
        return Err(Failure::silent(Exit::Wrong));
    }
    let is_luks1 = matches!(luks.header(), Header::Luks1(_));
    if kept.len() > 1 && !place.is_asked && (!keep_key || is_luks1) {
        return Err(one_key());
    }
    let new_key = if keep_key {
        None
    } else {
        new_key(session, luks.header())?
    };
    let cost = session.costs(false)?;
    let is_costed = !is_luks1 && (given.has("pbkdf-force-iterations") || given.has("iter-time"));
    let options = ReencryptOptions {
        change: change(session),
        unlock: how(session)?,
        cipher: given.string("cipher"),
        key_bits: new_key_bits(session),
        sector_bytes: given.small("sector-size"),
        new: NewKeyslot {
            cost: jobs::new_luks::Cost {
                // The kind of a keyslot stays unless another one is said, or what the default one costs; of that alone
                // memory and lanes are no more than a wish.
                kdf: if given.has("pbkdf") {
                    cost.kdf
                } else {
                    is_costed.then_some(Kdf::Argon2id)
                },
                memory_kib: cost.memory_kib.filter(|_| is_costed || given.has("pbkdf")),
                lanes: cost.lanes.filter(|_| is_costed || given.has("pbkdf")),
                ..cost
            },
            // Of a key that stays LUKS2 has no keyslot to make anew.
            hash: given.string("hash").filter(|_| !keep_key || is_luks1),
            cipher: session
                .keyslot_cipher()
                .or_else(|| area_cipher(luks.header(), &kept)),
        },
        keep_key,
        zones: zones(session, reduced.is_some())?,
        init_only: given.has("init-only"),
        device_bytes: given.number("device-size"),
        reduce_bytes: reduced,
        allow: ReencryptAllow {
            lose_rest: true,
            // Nobody looks there either who is forced to work offline.
            any_sector_size: given.has("force-offline-reencrypt"),
            weak_cipher: false,
            equal_xts_halves: true,
        },
    };
    let face = Face::new(session, place)
        .trying()
        .of_keyslot(kept.first().copied())
        .with_new_key(new_key);
    let face = match luks.header() {
        Header::Luks2(header) => {
            let before = header.metadata.keyslots.iter().map(|slot| slot.id);
            face.adding_to(before.collect())
        }
        // They have the numbers that they had.
        Header::Luks1(_) => face,
    };
    let image = Place::Path(session.device_path());
    let header = given.text("header").map(PathBuf::from);
    let header = header.filter(|header| !is_same_file(header, &session.device_path()));
    let header = header.map(Place::Path);
    let done = reencrypt(&image, header.as_ref(), &options, &face, &(), &face);
    done.map_err(|error| failed(&face, error))?;
    face.end();
    Ok(())
}

/// Size of the new key, where that is said: by its own option since version 2.8.
fn new_key_bits(session: &Session) -> Option<u32> {
    let given = &session.given;
    let bits = given.small("new-key-size").or(given.small("key-size"));
    bits.filter(|bits| *bits != 0)
}

/// The new volume key of a file, as large as is said, as the old one, or as its cipher takes one.
fn new_key(session: &Session, header: &Header) -> Result<Option<VolumeKey>, Failure> {
    let given = &session.given;
    if let Some(description) = given.string("new-volume-key-keyring") {
        return key_of_keyring(&description).map(Some);
    }
    let file = given.text("new-volume-key-file");
    let Some(file) = file.or(given.text("volume-key-file")) else {
        return Ok(None);
    };
    let old = header.volume_key_bytes().unwrap_or(XTS_KEY_BYTES);
    let cipher: Option<CipherSpec> = given.string("cipher").and_then(|text| text.parse().ok());
    let takes = |bytes| {
        let cipher = cipher.as_ref();
        cipher.is_none_or(|cipher| cipher.check_key_bytes(bytes).is_ok())
    };
    let bytes = match new_key_bits(session) {
        Some(bits) => bits as usize / 8,
        None => [old, XTS_KEY_BYTES]
            .into_iter()
            .find(|bytes| takes(*bytes))
            .unwrap_or(KEY_BYTES),
    };
    let key = read_volume_key(file, bytes)?;
    // A key of this size is one for XTS.
    let is_xts = bytes == XTS_KEY_BYTES;
    let cipher = cipher.or_else(|| luks::defaults::CIPHER.parse().ok().filter(|_| is_xts));
    if let Some(cipher) = cipher {
        format::warn_of_key(&cipher, &key);
    }
    Ok(Some(key))
}

/// How the area of the first of these keyslots is encrypted: those of the new ones are too, whatever the data are.
fn area_cipher(header: &Header, kept: &[u32]) -> Option<KeyslotCipher> {
    let Header::Luks2(header) = header else {
        return None;
    };
    let slot = header.metadata.keyslot(*kept.first()?)?;
    let KeyslotKind::Luks2(slot) = &slot.kind else {
        return None;
    };
    Some(KeyslotCipher {
        cipher: slot.cipher.text.clone(),
        key_bits: slot.cipher.key_bytes.checked_mul(8)?,
    })
}

/// The keyslots that open the data.
fn in_use(header: &Header) -> Vec<u32> {
    match header {
        Header::Luks1(header) => {
            let slots = (0u32..).zip(&header.keyslots);
            let active = slots.filter(|(_, slot)| slot.active);
            active.map(|(number, _)| number).collect()
        }
        Header::Luks2(header) => opening(&header.metadata),
    }
}

/// The keyslots that hold the key of the data, by their numbers: in that order they are asked for.
fn opening(metadata: &Metadata) -> Vec<u32> {
    let digest = metadata.digest_of_data();
    let slots = metadata.keyslots.iter();
    let slots = slots.filter(|slot| matches!(slot.kind, KeyslotKind::Luks2(_)));
    slots
        .map(|slot| slot.id)
        .filter(|id| digest.is_some_and(|digest| digest.keyslots.contains(id)))
        .collect()
}
