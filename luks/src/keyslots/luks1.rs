//! The eight keyslots of LUKS1: their places are fixed, their hash and cipher are the header's.

use dmcrypt::{CipherSpec, HashAlgorithm, Passphrase, VolumeKey};

use super::{KeyslotOptions, Made, free_keyslot, luks1_cannot, new_salt};
use crate::device::{Luks, luks1_digest};
use crate::edit::Edit;
use crate::error::{Error, InvalidOption};
use crate::format::Placed;
use crate::kdf::KdfParams;
use crate::luks1;
use crate::luks2::Priority;
use crate::number::to_usize;
use crate::random::Random;
use crate::sealing::Sealing;

pub(super) fn add(
    luks: &Luks,
    header: &luks1::Header,
    key: &VolumeKey,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    if options.priority != Priority::Normal {
        return Err(luks1_cannot("a priority").into());
    }
    let keyslot = free_keyslot(luks.header(), options.keyslot)?;
    enable(luks, header, key, keyslot, passphrase, options, random)?;
    Ok(keyslot)
}

pub(super) fn change(
    luks: &Luks,
    header: &luks1::Header,
    key: &VolumeKey,
    old: u32,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    let new = free_keyslot(luks.header(), None)?;
    let mut edit = enable(luks, header, key, new, passphrase, options, random)?;
    remove(&mut edit, old, random)?;
    Ok(new)
}

/// Makes, proves and turns on a keyslot.
fn enable(
    luks: &Luks,
    header: &luks1::Header,
    key: &VolumeKey,
    keyslot: u32,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<Edit, Error> {
    let (hash, cipher, iterations) = fitting(header, passphrase, options)?;
    let salt = new_salt(random)?;
    let key_bytes = to_usize(header.key_bytes);
    let sealing = Sealing {
        keyslot,
        kdf: &options.kdf,
        salt: &salt,
        cipher: &cipher,
        cipher_key_bytes: key_bytes,
        af_hash: hash,
    };
    let made = Made {
        sealed: sealing.seal(key, passphrase, random, options.effort())?,
        sealing,
        key_bytes,
        digest: luks1_digest(header)?,
        effort: options.effort(),
    };

    let mut edit = Edit::begin(luks)?;
    let mut new = edit.luks1()?.clone();
    let slot = &mut new.keyslots[to_usize(keyslot)];
    slot.active = true;
    slot.iterations = iterations;
    slot.salt = salt;
    made.write(&mut edit, slot.area_offset())?;
    edit.commit_luks1(new)?;
    Ok(edit)
}

/// Makes a keyslot of a container that is not written yet: the header with it, and its area.
pub(super) fn add_to_new(
    header: &luks1::Header,
    key: &VolumeKey,
    keyslot: u32,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<(luks1::Header, Placed), Error> {
    let (hash, cipher, iterations) = fitting(header, passphrase, options)?;
    let salt = new_salt(random)?;
    let sealing = Sealing {
        keyslot,
        kdf: &options.kdf,
        salt: &salt,
        cipher: &cipher,
        cipher_key_bytes: to_usize(header.key_bytes),
        af_hash: hash,
    };
    let sealed = sealing.seal(key, passphrase, random, options.effort())?;
    let mut new = header.clone();
    let slot = &mut new.keyslots[to_usize(keyslot)];
    slot.active = true;
    slot.iterations = iterations;
    slot.salt = salt;
    let offset = slot.area_offset();
    Ok((new, (offset, sealed.area)))
}

/// What the header has for all keyslots, and the iterations, where it can have such a keyslot.
fn fitting(
    header: &luks1::Header,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
) -> Result<(HashAlgorithm, CipherSpec, u32), Error> {
    let hash = header.hash()?;
    let iterations = match options.kdf {
        KdfParams::Pbkdf2 { hash: of_kdf, .. } if of_kdf != hash => {
            return Err(
                luks1_cannot("a key derivation with another hash than the header's").into(),
            );
        }
        KdfParams::Pbkdf2 { iterations, .. } => iterations,
        KdfParams::Argon2 { .. } => {
            let what = format!("key derivation {}", options.kdf.name());
            return Err(luks1_cannot(&what).into());
        }
    };
    if options.cipher.is_some() {
        return Err(luks1_cannot("a cipher of one keyslot").into());
    }
    let cipher = header.cipher()?;
    if cipher.is_null() && !passphrase.is_empty() {
        return Err(InvalidOption::NullPassphrase.into());
    }
    Ok((hash, cipher, iterations))
}

pub(super) fn remove(edit: &mut Edit, keyslot: u32, random: &mut dyn Random) -> Result<(), Error> {
    let mut new = edit.luks1()?.clone();
    let length = new.area_length();
    let slot = &mut new.keyslots[to_usize(keyslot)];
    slot.active = false;
    slot.iterations = 0;
    slot.salt = Default::default();
    let start = slot.area_offset();
    edit.wipe(start..start.saturating_add(length), random)?;
    edit.commit_luks1(new)
}
