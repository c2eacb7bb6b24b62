//! `open --test-passphrase`, and what is done where a mapping is wanted.

use devmapper::keyring::AddedKey;
use luks::keyslots::unbound;
use luks::reencryption;
use luks::{Header, Luks, Unfinished, Unlocked};

use super::action::Action;
use super::failure::Failure;
use super::key::{read_key_of_data, read_volume_key, unlocking, unlocking_with};
use super::link::Link;
use super::mapping;
use super::session::{Session, open_for_reading};
use crate::exit::Exit;
use crate::output;

/// `open DEVICE [NAME]`.
pub(super) fn run(session: &Session) -> Result<(), Failure> {
    let kind = session.kind.as_deref().unwrap_or("luks");
    let tests = session.given.has("test-passphrase");
    match kind {
        "luks" | "luks1" | "luks2" | "plain" | "loopaes" | "tcrypt" | "bitlk" | "fvault2" => {}
        other => {
            return Err(Failure::wrong(format!(
                "Unrecognized metadata device type {}.",
                output::escape(other)
            )));
        }
    }
    if session.given.has("refresh") {
        return mapping::refresh(session);
    }
    if !tests && session.operands.len() < 2 {
        return Err(Failure::wrong(
            "Command requires device and mapped name as arguments.",
        ));
    }
    if kind == "plain" {
        warn_of_defaults(session);
    }
    if !tests && (kind.starts_with("luks") || kind == "plain") {
        return mapping::open(session, kind);
    }
    if !kind.starts_with("luks") {
        return Err(not_built(&format!("devices of type {kind}")));
    }
    test_passphrase(session)
}

/// Which of cryptsetup's defaults somebody relies on: they were others before version 2.7.
fn warn_of_defaults(session: &Session) {
    let given = &session.given;
    let mut relies = false;
    if !given.has("cipher") || !given.has("key-size") {
        let cipher = given.string("cipher");
        let bits = given.small("key-size").filter(|bits| *bits != 0);
        output::aside(format_args!(
            "WARNING: Using default options for cipher ({}, key size {} bits) that could be incompatible with older versions.",
            output::escape(cipher.as_deref().unwrap_or("aes-xts-plain64")),
            bits.unwrap_or(256),
        ));
        relies = true;
    }
    if !given.has("hash") && !given.has("key-file") {
        output::aside(format_args!(
            "WARNING: Using default options for hash (sha256) that could be incompatible with older versions."
        ));
        relies = true;
    }
    if relies {
        output::aside(format_args!(
            "For plain mode, always use options --cipher, --key-size and if no keyfile or keyring is used, then also --hash."
        ));
    }
}

fn test_passphrase(session: &Session) -> Result<(), Failure> {
    if session.given.has("header") {
        open_for_reading(&session.device_path())?;
    }
    let luks = session.read()?;
    let device = session.device();
    let failed = |error| Failure::luks(&device, error);
    if has_two_keys(luks.header()) && session.given.has("volume-key-file") {
        return test_both_keys(session, &luks);
    }
    let link = Link::of(session, luks.header())?;
    let linked = |unlocked: &Unlocked| match &link {
        Some(link) => link.put(unlocked.volume_key()).map(AddedKey::keep),
        None => Ok(()),
    };
    if let Some(key) = read_key_of_data(session, luks.header())? {
        let bytes = key.len();
        let unlocked = luks
            .unlock_with_volume_key(key, &unlocking_with(bytes)?)
            .map_err(failed)?;
        unlocked.check_reencryption().map_err(failed)?;
        return linked(&unlocked);
    }
    if let Some(unlocked) = mapping::unlock_by_token(session, &luks)? {
        unlocked.check_reencryption().map_err(failed)?;
        linked(&unlocked)?;
        return session.tell_unlocked(&unlocked);
    }
    let unlocked = unlock_by_passphrase(session, &luks)?;
    linked(&unlocked)?;
    session.tell_unlocked(&unlocked)
}

/// Unlocks a header by a passphrase that is asked for, and holds it to what a reencryption needs.
pub(super) fn unlock_by_passphrase(session: &Session, luks: &Luks) -> Result<Unlocked, Failure> {
    let device = session.device();
    let failed = |error| Failure::luks(&device, error);
    let keyslot = session.keyslot();
    let place = session.key(None)?;
    let unlocked = session.try_passphrases(
        &place,
        &format!("Enter passphrase for {device}: "),
        |passphrase| {
            let mut outcome = luks.unlock(passphrase, &unlocking(keyslot)?);
            if keyslot.is_none() && session.given.has("unbound") {
                for keyslot in unbound(luks.header()) {
                    if outcome.is_ok() {
                        break;
                    }
                    outcome = luks.unlock(passphrase, &unlocking(Some(keyslot))?);
                }
            }
            outcome.map_err(|error| match error {
                luks::Error::InvalidOption(_)
                | luks::Error::Unsupported(luks::Unsupported::Type { .. }) => Failure::no_keyslot(),
                // Of two keys either could be meant.
                luks::Error::NoKeyFits { .. }
                    if keyslot.is_none() && has_two_keys(luks.header()) =>
                {
                    Failure::no_keyslot()
                }
                error => failed(error),
            })
        },
    )?;
    match (unlocked.check_reencryption(), luks.header()) {
        (Err(luks::Error::Unfinished(Unfinished::Key { .. })), _) if keyslot.is_some() => {
            return Err(Failure::silent(Exit::Wrong));
        }
        // The key after it is asked for when the one before it is known.
        (Err(luks::Error::Unfinished(Unfinished::Key { digest })), Header::Luks2(header))
            if reencryption::is_key_after(&header.metadata, digest) =>
        {
            return Err(failed(luks::Error::NoKeyFits {
                tried: unlocked.keyslot().into_iter().collect(),
            }));
        }
        (Err(error @ luks::Error::Unfinished(_)), _) => return Err(failed(error)),
        _ => {}
    }
    Ok(unlocked)
}

/// Both volume keys of a reencryption, in any order.
fn test_both_keys(session: &Session, luks: &Luks) -> Result<(), Failure> {
    let device = session.device();
    let failed = |error| Failure::luks(&device, error);
    let Header::Luks2(header) = luks.header() else {
        return Err(Failure::not_luks2(&device));
    };
    let mut opened: Option<Unlocked> = None;
    for path in session.given.texts("volume-key-file") {
        let mut found = Err(Failure::no_keyslot());
        for bytes in reencryption::key_bytes(&header.metadata) {
            let options = unlocking_with(bytes)?;
            found = read_volume_key(path, bytes)
                .and_then(|key| luks.unlock_with_volume_key(key, &options).map_err(failed));
            if found.is_ok() {
                break;
            }
        }
        let found = found?;
        opened = Some(match opened {
            None => found,
            Some(one) => one.with(found, &unlocking(None)?).map_err(failed)?,
        });
    }
    let opened = opened.ok_or_else(Failure::no_keyslot)?;
    match opened.missing_key() {
        // That of before matches no data that is done.
        Some(digest) if reencryption::is_key_after(&header.metadata, digest) => {
            Err(failed(luks::Error::NoKeyFits { tried: Vec::new() }))
        }
        Some(_) => Err(Failure::wrong(format!(
            "Device {device} is in reencryption: --volume-key-file is needed twice, for both of its keys."
        ))),
        None => opened.check_reencryption().map_err(failed),
    }
}

fn has_two_keys(header: &Header) -> bool {
    matches!(header, Header::Luks2(header) if reencryption::has_two_keys(&header.metadata))
}

/// What luksmith has in place of a mapping, where the kernel makes none.
pub(super) fn instead_of_mapping(action: Action) -> &'static str {
    match action {
        Action::Open => {
            "LUKSMITH_MAPPER=fuse in the environment opens it by FUSE instead, `luksmith decrypt IMAGE RAW` reads the data, `luksmith encrypt RAW IMAGE` writes it, open --test-passphrase tries a passphrase."
        }
        Action::Resize => {
            "A container that reaches to the end of its file is as large as that; `luksmith measure` tells sizes."
        }
        Action::Status => "`luksmith inspect IMAGE` and luksDump show what an image holds.",
        _ => "`luksmith decrypt` and `luksmith encrypt` read and write images without a mapping.",
    }
}

/// What is not there.
pub(super) fn not_built(what: &str) -> Failure {
    Failure::wrong(format!("luksmith does not support {what}."))
}
