//! `luksDump DEVICE`: the header as text, as JSON, or a key that it holds.

mod json;
mod luks1;
mod luks2;

use std::fmt::Write as _;
use std::path::Path;

use dmcrypt::VolumeKey;
use jobs::change::write_new;
use jobs::error::ChangeError;
use jobs::temporary::Content;
use luks::keyslots::unbound;
use luks::{Header, Luks, Unlocked};

use super::failure::Failure;
use super::key::unlocking;
use super::session::Session;
use crate::output;

pub(super) fn run(session: &Session) -> Result<(), Failure> {
    let given = &session.given;
    let luks = session.read()?;
    if given.has("dump-volume-key") {
        return volume_key(session, &luks);
    }
    if given.has("unbound") {
        return unbound_key(session, &luks);
    }
    let text = match luks.header() {
        Header::Luks1(_) if given.has("dump-json-metadata") => {
            return Err(Failure::wrong(
                "Dump operation is not supported for this device type.",
            ));
        }
        Header::Luks1(header) => luks1::text(header, &output::path(&session.header_path())),
        Header::Luks2(header) if given.has("dump-json-metadata") => {
            json::pretty(&json::mended(header.metadata.raw()))
        }
        Header::Luks2(header) => luks2::text(header),
    };
    Ok(output::text(&text)?)
}

fn volume_key(session: &Session, luks: &Luks) -> Result<(), Failure> {
    session.confirm(
        "The header dump with volume key is sensitive information\n\
         that allows access to encrypted partition without a passphrase.\n\
         This dump should be stored encrypted in a safe place.",
        declined,
    )?;
    let device = output::path(&session.header_path());
    let unlocked = unlocked(session, luks, session.keyslot())?;
    let file = session.given.text("volume-key-file");
    if let Some(path) = file {
        store(path.as_ref(), unlocked.volume_key())?;
    }

    let (cipher, offset) = match luks.header() {
        Header::Luks1(header) => (
            format!("{}-{}", header.cipher_name, header.cipher_mode),
            header.data_offset(),
        ),
        Header::Luks2(header) => (
            luks2::data_cipher(&header.metadata).unwrap_or_default(),
            header.metadata.data_offset().unwrap_or(0),
        ),
    };
    let (name, mode) = cipher.split_once('-').unwrap_or((&cipher, ""));
    let mut text = format!("LUKS header information for {device}\n");
    let key = unlocked.volume_key();
    for (field, value) in [
        ("Cipher name:   ", output::escape(name)),
        ("Cipher mode:   ", output::escape(mode)),
        (
            "Payload offset:",
            (offset / dmcrypt::SECTOR_BYTES).to_string(),
        ),
        ("UUID:          ", output::escape(luks.header().uuid())),
        ("MK bits:       ", (key.len() * 8).to_string()),
    ] {
        let _ = writeln!(text, "{field}\t{value}");
    }
    finish(session, text, "MK dump:\t", key)
}

/// A key that opens no data.
fn unbound_key(session: &Session, luks: &Luks) -> Result<(), Failure> {
    let keyslot = session.keyslot().unwrap_or_default();
    if !unbound(luks.header()).contains(&keyslot) {
        return Err(Failure::wrong(format!(
            "Keyslot {keyslot} does not contain unbound key."
        )));
    }
    session.confirm(
        "The header dump with unbound key is sensitive information.\n\
         This dump should be stored encrypted in a safe place.",
        declined,
    )?;
    let device = output::path(&session.header_path());
    let unlocked = unlocked(session, luks, Some(keyslot))?;
    let key = unlocked.volume_key();
    if let Some(path) = session.given.text("volume-key-file") {
        store(path.as_ref(), key)?;
    }
    let text = format!(
        "LUKS header information for {device}\nUUID:    \t{}\nKeyslot: \t{keyslot}\nKey bits:\t{}\n",
        output::escape(luks.header().uuid()),
        key.len() * 8
    );
    finish(session, text, "Unbound Key:\t", key)
}

/// Asks for the passphrase of a keyslot, or of any.
fn unlocked(session: &Session, luks: &Luks, keyslot: Option<u32>) -> Result<Unlocked, Failure> {
    let device = output::path(&session.header_path());
    let place = session.key(None)?;
    let passphrase = session.ask(&place, &format!("Enter passphrase for {device}: "))?;
    let unlocked = luks
        .unlock(&passphrase, &unlocking(keyslot)?)
        .map_err(|error| Failure::luks(&device, error))?;
    session.tell_unlocked(&unlocked)?;
    Ok(unlocked)
}

fn declined() -> Failure {
    Failure::silent(crate::Exit::NoKeyFits)
}

/// Writes a key into a new file that only its owner can read.
fn store(path: &Path, key: &VolumeKey) -> Result<(), Failure> {
    write_new(path, 0o400, Content::Secret, key.expose()).map_err(|error| match error {
        ChangeError::Exists { name } | ChangeError::Write { name, .. } => {
            Failure::wrong(format!("Cannot open keyfile {name} for write."))
        }
        error => error.into(),
    })
}

/// The key itself, or where it went.
fn finish(
    session: &Session,
    mut text: String,
    title: &str,
    key: &VolumeKey,
) -> Result<(), Failure> {
    if let Some(path) = session.given.text("volume-key-file") {
        let path = output::path(Path::new(path));
        let _ = writeln!(text, "Key stored to file {path}.");
    } else {
        text.push_str(title);
        text.push_str(&bytes(key.expose(), "\t\t"));
    }
    Ok(output::text(&text)?)
}

/// Sixteen bytes to a line, each with a blank behind it; lines but the first are indented.
fn bytes(bytes: &[u8], indent: &str) -> String {
    let mut text = String::new();
    for (number, line) in bytes.chunks(16).enumerate() {
        if number != 0 {
            text.push_str(indent);
        }
        for byte in line {
            let _ = write!(text, "{byte:02x} ");
        }
        text.push('\n');
    }
    text
}
