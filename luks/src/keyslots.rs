//! Adding, changing and removing keyslots, so that a crash at any write leaves the old or the new passphrase working.
//!
//! A new keyslot's key is derived before the header lock is taken. Under the lock its area is written, read back and
//! proven: decrypted, merged and held against the digest. Only then the header names it. A keyslot that goes is
//! overwritten first and then taken out of the header. [`change`] does the first and then the second, so that it needs
//! a free keyslot for a moment; where LUKS2 then keeps the number, LUKS1 has the key in the other keyslot afterwards.
//!
//! ```
//! # use std::sync::Arc;
//! # use dmcrypt::{HashAlgorithm, Passphrase};
//! # use luks::{FormatOptions, KdfParams, KeyslotOptions, Luks, OsRandom, UnlockOptions, format, keyslots};
//! # use volume::{MemoryStorage, Storage};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(20 << 20));
//! # let kdf = KdfParams::Pbkdf2 { hash: HashAlgorithm::Sha256, iterations: 1000 };
//! # let options = FormatOptions { kdf: kdf.clone(), digest_iterations: 1000, ..FormatOptions::default() };
//! # let passphrase = |text: &str| Passphrase::from_bytes(text.as_bytes().to_vec().into());
//! # let new = format::prepare(&options, &passphrase("old"), None, &mut OsRandom, &|| false)?;
//! # new.write_areas(&*disk, &mut OsRandom)?;
//! # new.commit(&*disk)?;
//! # let options = KeyslotOptions { kdf, ..KeyslotOptions::default() };
//! let luks = Luks::open(disk.clone())?;
//! let unlocked = luks.unlock(&passphrase("old"), &UnlockOptions::default())?;
//! let keyslot = keyslots::add(&luks, &unlocked, &passphrase("new"), &options, &mut OsRandom)?;
//!
//! let luks = Luks::open(disk)?; // the header as it is now
//! let unlocked = luks.unlock(&passphrase("new"), &UnlockOptions::default())?;
//! assert_eq!(unlocked.keyslot(), Some(keyslot));
//! # Ok(())
//! # }
//! ```

mod luks1;
mod luks2;

use dmcrypt::{CipherSpec, DerivedKey, HashAlgorithm, Passphrase, VolumeKey};

use crate::defaults::{self, SALT_BYTES};
use crate::device::{Header, Luks, Unlocked};
use crate::edit::Edit;
use crate::error::{Error, InvalidOption};
use crate::format::{NewContainer, NewHeader, check_kdf};
use crate::kdf::{Argon2Variant, Effort, KdfParams};
use crate::luks2::{KeyslotKind, Priority};
use crate::random::Random;
use crate::sealing::{Sealed, Sealing};
use crate::unlock::{KeyDigest, UnlockOptions};
pub(crate) use luks2::{
    blank as blank_luks2, free_number, insert, make as make_luks2, refer, take_out,
};

/// What a new keyslot is to be. The defaults are cryptsetup's for LUKS2 on a machine that nobody measured.
pub struct KeyslotOptions<'a> {
    /// Its number; the first free one unless said. [`change`] does not look at it.
    pub keyslot: Option<u32>,
    /// Key derivation; LUKS1 takes PBKDF2 with the header's hash only.
    pub kdf: KdfParams,
    /// LUKS2: hash of the anti-forensic splitter. LUKS1 has the header's.
    pub hash: HashAlgorithm,
    /// LUKS2: cipher of the area and its key size in bytes. Unless said a new keyslot has the data's, and a changed one
    /// what it had.
    pub cipher: Option<(CipherSpec, usize)>,
    /// LUKS2: when it is tried. [`change`] does not look at it.
    pub priority: Priority,
    /// Threads that a key derivation may use, the caller's among them.
    pub threads: usize,
    /// Asked while PBKDF2 runs; `true` ends the work before anything is written.
    pub cancel: &'a (dyn Fn() -> bool + Sync),
}

impl Default for KeyslotOptions<'_> {
    fn default() -> Self {
        Self {
            keyslot: None,
            kdf: KdfParams::Argon2 {
                variant: Argon2Variant::Id,
                time: defaults::ARGON2_MIN_TIME,
                memory_kib: defaults::ARGON2_CALIBRATED_MAX_KIB,
                lanes: defaults::ARGON2_MAX_LANES,
            },
            hash: defaults::HASH,
            cipher: None,
            priority: Priority::Normal,
            threads: 1,
            cancel: &|| false,
        }
    }
}

impl KeyslotOptions<'_> {
    fn effort(&self) -> Effort<'_> {
        Effort {
            threads: self.threads,
            cancel: self.cancel,
        }
    }
}

/// A key that belongs to no data: it is only stored.
pub struct UnboundKey<'a> {
    /// The key.
    pub key: &'a VolumeKey,
    /// PBKDF2 iterations of the digest by which it is recognised.
    pub digest_iterations: u32,
}

/// Stores the key of the data in one more keyslot; its number.
///
/// # Errors
///
/// [`Error::InvalidOption`] for a keyslot that is in use or does not exist, when none is free, and for what the format
/// does not have; [`Error::Unsupported`] when the key that was unlocked is an unbound one; [`Error::NotProven`]; what
/// [`Edit::begin`] and writing say.
pub fn add(
    luks: &Luks,
    unlocked: &Unlocked,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    luks.check_change()?;
    check_kdf(&options.kdf)?;
    let key = unlocked.volume_key();
    match luks.header() {
        Header::Luks1(header) => luks1::add(luks, header, key, passphrase, options, random),
        Header::Luks2(header) => luks2::add(
            luks,
            &header.metadata,
            unlocked,
            passphrase,
            options,
            random,
        ),
    }
}

/// Stores the key of a container that is not written yet in one more keyslot; its number.
///
/// # Errors
///
/// As [`add`].
pub fn add_to_new(
    new: &mut NewContainer,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    check_kdf(&options.kdf)?;
    let key = new.volume_key();
    match new.header() {
        NewHeader::Luks1(header) => {
            let keyslot = free_keyslot(&Header::Luks1(header.clone()), options.keyslot)?;
            let (header, area) =
                luks1::add_to_new(header, key, keyslot, passphrase, options, random)?;
            new.change(NewHeader::Luks1(header), Some(area), random)?;
            Ok(keyslot)
        }
        NewHeader::Luks2(header) => {
            let keyslot = free_keyslot(&Header::Luks2(header.clone()), options.keyslot)?;
            let metadata = &header.metadata;
            let (json, area) =
                luks2::add_to_new(metadata, key, keyslot, passphrase, options, random)?;
            let header = header
                .with_json(json)
                .map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))?;
            new.change(NewHeader::Luks2(header), Some(area), random)?;
            Ok(keyslot)
        }
    }
}

/// Stores a key that opens no data in a keyslot of its own; LUKS2 only.
///
/// # Errors
///
/// As [`add`].
pub fn add_unbound(
    luks: &Luks,
    unbound: &UnboundKey<'_>,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    luks.check_change()?;
    check_kdf(&options.kdf)?;
    match luks.header() {
        Header::Luks1(_) => Err(luks1_cannot("unbound keyslots").into()),
        Header::Luks2(header) => {
            luks2::add_unbound(luks, &header.metadata, unbound, passphrase, options, random)
        }
    }
}

/// Stores the key of `keyslot`, which `unlocked` holds, under another passphrase or key derivation, and removes the old
/// one. The number of the keyslot that has it afterwards: of LUKS2 the same.
///
/// # Errors
///
/// As [`add`]; [`InvalidOption::KeyslotUnbound`] when the data's volume key was given and the keyslot holds another one;
/// [`Error::NotProven`] too when `unlocked` holds the key of another keyslot.
pub fn change(
    luks: &Luks,
    unlocked: &Unlocked,
    keyslot: u32,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    luks.check_change()?;
    check_kdf(&options.kdf)?;
    check_in_use(luks.header(), keyslot)?;
    // A volume key that was given is the data's.
    if unlocked.keyslot().is_none() && !opening(luks.header()).contains(&keyslot) {
        return Err(InvalidOption::KeyslotUnbound { keyslot }.into());
    }
    let key = unlocked.volume_key();
    match luks.header() {
        Header::Luks1(header) => {
            luks1::change(luks, header, key, keyslot, passphrase, options, random)
        }
        Header::Luks2(header) => luks2::change(
            luks,
            &header.metadata,
            key,
            keyslot,
            passphrase,
            options,
            random,
        ),
    }
}

/// Overwrites a keyslot and takes it out of the header. `last`: even the last one that opens the data.
///
/// # Errors
///
/// [`Error::LastKeyslot`], [`Error::InvalidOption`] for a keyslot that is not in use; what [`Edit::begin`] and writing
/// say.
pub fn remove(luks: &Luks, keyslot: u32, last: bool, random: &mut dyn Random) -> Result<(), Error> {
    check_in_use(luks.header(), keyslot)?;
    if !last && is_last(luks.header(), keyslot) {
        return Err(Error::LastKeyslot { keyslot });
    }
    let mut edit = Edit::begin(luks)?;
    match luks.header() {
        Header::Luks1(_) => luks1::remove(&mut edit, keyslot, random),
        Header::Luks2(_) => luks2::remove(&mut edit, keyslot, random),
    }
}

/// Says when a keyslot is tried; LUKS2 only.
///
/// # Errors
///
/// [`Error::InvalidOption`] for LUKS1 and for a keyslot that is not in use; what [`Edit::begin`] and writing say.
pub fn set_priority(
    luks: &Luks,
    keyslot: u32,
    priority: Priority,
    random: &mut dyn Random,
) -> Result<(), Error> {
    check_in_use(luks.header(), keyslot)?;
    if matches!(luks.header(), Header::Luks1(_)) {
        return Err(luks1_cannot("a priority").into());
    }
    luks2::set_priority(&mut Edit::begin(luks)?, keyslot, priority, random)
}

/// Whether no other keyslot opens the data: removing `keyslot` then locks everybody out.
pub fn is_last(header: &Header, keyslot: u32) -> bool {
    let opening = opening(header);
    opening.contains(&keyslot) && opening.len() == 1
}

/// Whether there is such a keyslot and it is in use.
///
/// # Errors
///
/// [`InvalidOption::KeyslotNumber`], [`InvalidOption::KeyslotInactive`].
pub fn check_in_use(header: &Header, keyslot: u32) -> Result<(), InvalidOption> {
    check_number(header, keyslot)?;
    if is_in_use(header, keyslot) {
        Ok(())
    } else {
        Err(InvalidOption::KeyslotInactive { keyslot })
    }
}

/// The keyslot asked for, which must be free, or the first that is.
///
/// # Errors
///
/// [`InvalidOption::KeyslotNumber`], [`InvalidOption::KeyslotInUse`], [`InvalidOption::NoFreeKeyslot`].
pub fn free_keyslot(header: &Header, wanted: Option<u32>) -> Result<u32, InvalidOption> {
    if let Some(keyslot) = wanted {
        check_number(header, keyslot)?;
        return if is_in_use(header, keyslot) {
            Err(InvalidOption::KeyslotInUse { keyslot })
        } else {
            Ok(keyslot)
        };
    }
    let count = match header {
        Header::Luks1(_) => 8,
        Header::Luks2(_) => 32,
    };
    (0..count)
        .find(|keyslot| !is_in_use(header, *keyslot))
        .ok_or(InvalidOption::NoFreeKeyslot { count })
}

/// Unlocks with any keyslot of the data but `except`, so that whoever removes that one shows that there is a way left.
///
/// # Errors
///
/// As [`Luks::unlock`].
pub fn unlock_other(
    luks: &Luks,
    except: u32,
    passphrase: &Passphrase,
    options: &UnlockOptions<'_>,
) -> Result<Unlocked, Error> {
    let mut others = opening(luks.header());
    others.retain(|keyslot| *keyslot != except);
    if others.is_empty() {
        return Err(Error::NoUsableKeyslot("there is no other one"));
    }
    luks.unlock_among(&others, passphrase, options)
}

/// The keyslots of keys that open no data.
pub fn unbound(header: &Header) -> Vec<u32> {
    let Header::Luks2(header) = header else {
        return Vec::new();
    };
    let metadata = &header.metadata;
    let data = metadata.digest_of_data().map(|digest| digest.id);
    let passphrase_slots = metadata
        .keyslots
        .iter()
        .filter(|slot| matches!(slot.kind, KeyslotKind::Luks2(_)));
    passphrase_slots
        .map(|slot| slot.id)
        .filter(|id| metadata.digest_of_keyslot(*id).map(|digest| digest.id) != data)
        .collect()
}

/// The keyslots that hold the key of the data.
fn opening(header: &Header) -> Vec<u32> {
    match header {
        Header::Luks1(header) => (0u32..)
            .zip(&header.keyslots)
            .filter(|(_, slot)| slot.active)
            .map(|(id, _)| id)
            .collect(),
        Header::Luks2(header) => {
            let metadata = &header.metadata;
            let data = metadata.digest_of_data();
            metadata
                .keyslots
                .iter()
                .filter(|slot| matches!(slot.kind, KeyslotKind::Luks2(_)))
                .map(|slot| slot.id)
                .filter(|id| data.is_some_and(|digest| digest.keyslots.contains(id)))
                .collect()
        }
    }
}

fn check_number(header: &Header, keyslot: u32) -> Result<(), InvalidOption> {
    let (format, last) = match header {
        Header::Luks1(_) => ("LUKS1", 7),
        Header::Luks2(_) => ("LUKS2", 31),
    };
    if keyslot > last {
        return Err(InvalidOption::KeyslotNumber {
            keyslot,
            format,
            last,
        });
    }
    Ok(())
}

fn is_in_use(header: &Header, keyslot: u32) -> bool {
    match header {
        Header::Luks1(header) => header
            .keyslots
            .get(crate::number::to_usize(keyslot))
            .is_some_and(|slot| slot.active),
        Header::Luks2(header) => header.metadata.keyslot(keyslot).is_some(),
    }
}

fn luks1_cannot(what: &str) -> InvalidOption {
    InvalidOption::Luks1Cannot { what: what.into() }
}

/// A keyslot that exists in memory only.
struct Made<'a> {
    sealing: Sealing<'a>,
    sealed: Sealed,
    key_bytes: usize,
    digest: KeyDigest,
    effort: Effort<'a>,
}

impl Made<'_> {
    /// Writes the area to `offset`, reads it back and proves that it gives a key that matches the digest.
    fn write(&self, edit: &mut Edit, offset: u64) -> Result<(), Error> {
        let keyslot = self.sealing.keyslot;
        edit.write_area(offset, &self.sealed.area)?;
        let mut area = DerivedKey::zeroed(self.sealed.area.len());
        edit.storage()
            .read_at(offset, area.expose_mut())
            .map_err(Error::io(format!("read keyslot {keyslot}'s area back")))?;
        let key = self
            .sealing
            .open(&self.sealed.derived, area, self.key_bytes)?;
        if self.digest.matches(&key, self.effort)? {
            Ok(())
        } else {
            Err(Error::NotProven { keyslot })
        }
    }
}

fn new_salt(random: &mut dyn Random) -> Result<[u8; SALT_BYTES], Error> {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt)?;
    Ok(salt)
}
