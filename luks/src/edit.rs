//! Changing a header: read, think without the lock, then change what was read under the exclusive lock, or refuse.
//!
//! An [`Edit`] is a header under its lock. [`Edit::begin`] takes the lock, reads the header again and refuses when it
//! is no longer what the [`Luks`] saw ([`Error::Changed`]), so that whatever was derived from that still holds. Until
//! it is dropped nobody else reads or writes the header; passphrases are asked for and keys derived before.
//!
//! - LUKS2: [`Edit::draft`] gives the texts and the raw JSON, unknown members included; the caller changes them, and
//!   [`Edit::commit_draft`] checks every rule and writes both copies with the next epoch.
//! - LUKS1: [`Edit::luks1`] gives the header; a changed one goes through [`Edit::commit_luks1`].
//! - Key material: [`Edit::write_area`] and [`Edit::wipe`], each of which is on the disk when it returns. Order is the
//!   caller's: an area before the metadata that names it, and wiped before the metadata that frees it.
//!
//! - A sealed header ([`crate::seal`]) is sealed anew by each commit, once the [`Luks`] was unlocked and its seal found right;
//!   until then it is not changed, unless its seal is to go ([`Luks::drop_seal`]).
//!
//! Several commits in one edit are fine; [`Edit::header`] always is what is on the disk. After an error of writing,
//! drop the edit: what is on the disk is the old or the new header, and only reading it again tells which.
//!
//! ```
//! # use std::sync::Arc;
//! # use dmcrypt::{HashAlgorithm, Passphrase};
//! # use luks::{Edit, FormatOptions, KdfParams, Luks, OsRandom, format};
//! # use volume::{MemoryStorage, Storage};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(20 << 20));
//! # let kdf = KdfParams::Pbkdf2 { hash: HashAlgorithm::Sha256, iterations: 1000 };
//! # let options = FormatOptions { kdf, digest_iterations: 1000, ..FormatOptions::default() };
//! # let passphrase = Passphrase::from_bytes(b"correct horse".to_vec().into());
//! # let new = format::prepare(&options, &passphrase, None, &mut OsRandom, &|| false)?;
//! # new.write_areas(&*disk, &mut OsRandom)?;
//! # new.commit(&*disk)?;
//! let luks = Luks::open(disk.clone())?;
//!
//! let mut edit = Edit::begin(&luks)?;
//! let mut draft = edit.draft()?;
//! draft.label = "archive".into();
//! draft.json["tokens"]["0"] = serde_json::json!({"type": "note", "keyslots": []});
//! edit.commit_draft(draft, &mut OsRandom)?;
//! drop(edit);
//!
//! // What `luks` saw is out of date now.
//! assert!(matches!(Edit::begin(&luks), Err(luks::Error::Changed)));
//! # Ok(())
//! # }
//! ```

mod sealed;

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};
use volume::{HeaderLock, LockMode, Storage};

use crate::device::{Header, Luks, Resealing};
use crate::error::{Corrupt, Error, InvalidOption, Unsupported};
use crate::luks1;
use crate::luks2::{self, BinaryHeader, Metadata};
use crate::noise;
use crate::number::to_u64;
use crate::random::Random;
use crate::seal::{self, SealError, Sealer};
use crate::store::{self, Copies, Fault, Found, commit};

pub use self::sealed::{seal, unseal};

/// A header under its exclusive lock, which is released on drop.
pub struct Edit {
    storage: Arc<dyn Storage>,
    header: Header,
    /// LUKS2: the state of the copies on the disk.
    copies: Option<Copies<luks2::Header>>,
    seal: Resealing,
    _lock: HeaderLock,
}

/// What a header is changed for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Purpose {
    Change,
    /// The next step of what its requirement says.
    Reencryption,
}

/// What can be changed in a LUKS2 header.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Label, at most 47 bytes.
    pub label: String,
    /// Second label, at most 47 bytes.
    pub subsystem: String,
    /// UUID as text, at most 39 bytes.
    pub uuid: String,
    /// The JSON, unknown members included, in the order in which it came.
    pub json: Map<String, Value>,
}

impl Draft {
    /// Says when a keyslot is tried.
    ///
    /// # Errors
    ///
    /// [`InvalidOption::KeyslotInactive`] for a keyslot that is not there.
    pub fn set_priority(
        &mut self,
        keyslot: u32,
        priority: luks2::Priority,
    ) -> Result<(), InvalidOption> {
        let keyslots = self.json.get_mut("keyslots");
        let object = keyslots.and_then(|keyslots| keyslots.get_mut(keyslot.to_string()));
        put_priority(
            object.ok_or(InvalidOption::KeyslotInactive { keyslot })?,
            priority,
        );
        Ok(())
    }
}

/// The normal priority has no member, as cryptsetup writes it.
pub(crate) fn put_priority(object: &mut Value, priority: luks2::Priority) {
    let Value::Object(members) = object else {
        return;
    };
    match priority {
        luks2::Priority::Ignore => members.insert("priority".into(), 0.into()),
        luks2::Priority::Normal => members.shift_remove("priority"),
        luks2::Priority::Prefer => members.insert("priority".into(), 2.into()),
    };
}

impl Edit {
    /// Takes the exclusive lock (waiting for it) and reads the header of `luks` again.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`], and [`Error::Seal`] for a seal that is not right; [`Error::Changed`]; [`Corrupt::EpochEnd`];
    /// [`Error::NeedsRecovery`] or [`Error::Unsupported`] for requirements
    /// or a copy of an unknown version; [`Error::Overwritten`] when a LUKS2 copy is gone, which only a repair may write
    /// again; [`Corrupt::Truncated`] when the storage has no room for both; what [`Luks::open`] says.
    pub fn begin(luks: &Luks) -> Result<Self, Error> {
        Self::begin_with(luks, luks.resealing()?)
    }

    fn begin_with(luks: &Luks, seal: Resealing) -> Result<Self, Error> {
        let storage = Arc::clone(luks.storage());
        Self::begin_for(storage, luks.header(), Purpose::Change, seal)
    }

    /// The same for the next step of a reencryption that is under way, or of what is left of one: its own requirements are
    /// no obstacle, and a copy that is gone is written again. What says that it is a seal stays as it is.
    ///
    /// # Errors
    ///
    /// As [`Self::begin`].
    pub(crate) fn go_on(storage: Arc<dyn Storage>, before: &Header) -> Result<Self, Error> {
        Self::begin_for(storage, before, Purpose::Reencryption, Resealing::Unsealed)
    }

    fn begin_for(
        storage: Arc<dyn Storage>,
        before: &Header,
        purpose: Purpose,
        seal: Resealing,
    ) -> Result<Self, Error> {
        let lock = storage
            .lock(LockMode::Exclusive)
            .map_err(Error::io("lock the header"))?;
        // What is read next may be in memory only, when who wrote it was killed: what is wiped because of it must not
        // outlive it. What a reencryption builds on it has synced itself.
        if purpose == Purpose::Change {
            storage
                .sync()
                .map_err(Error::io("write the header through to the disk"))?;
        }
        let (header, copies) = match (store::read_locked(&*storage)?, before) {
            (Found::Luks1(now), Header::Luks1(before)) if now == *before => {
                (Header::Luks1(now), None)
            }
            // What cannot be read would be lost by writing it.
            (Found::Luks1Partly(_, corrupt), Header::Luks1(_)) => return Err(corrupt.into()),
            (Found::Luks2(copies), Header::Luks2(before))
                if copies.header().says_the_same_as(before) =>
            {
                if purpose == Purpose::Change {
                    copies.header().metadata.config.refuse_requirements()?;
                }
                // Before an area is written or wiped for a header that could not be written then.
                copies.header().binary.check_epoch()?;
                let both = copies.header().binary.header_bytes.saturating_mul(2);
                check_room(&*storage, "the two header copies", both)?;
                match &copies {
                    _ if purpose == Purpose::Reencryption => {}
                    Copies::Both(_) => {}
                    Copies::PrimaryOnly(_, fault) => refuse_copy(fault, "secondary")?,
                    Copies::SecondaryOnly(_, fault) => refuse_copy(fault, "primary")?,
                }
                (Header::Luks2(copies.header().clone()), Some(copies))
            }
            _ => return Err(Error::Changed),
        };
        Ok(Self {
            storage,
            header,
            copies,
            seal,
            _lock: lock,
        })
    }

    /// Writes a changed LUKS2 header, both copies, with the next epoch.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for texts or JSON that the format does not allow or that do not fit, all before
    /// anything is written; [`Error::Io`], [`Error::Random`].
    pub fn commit_draft(&mut self, mut draft: Draft, random: &mut dyn Random) -> Result<(), Error> {
        let (Header::Luks2(old), Some(copies)) = (&self.header, &self.copies) else {
            return Err(not_luks2().into());
        };
        for (field, value, limit) in [
            ("label", &draft.label, 47),
            ("subsystem", &draft.subsystem, 47),
            ("UUID", &draft.uuid, 39),
        ] {
            if value.len() > limit {
                let value = value.clone();
                return Err(InvalidOption::TextTooLong {
                    field,
                    value,
                    limit,
                }
                .into());
            }
            if value.contains('\0') {
                let value = value.clone();
                return Err(InvalidOption::TextNul { field, value }.into());
            }
        }
        let sealed = match &self.seal {
            Resealing::Unsealed => None,
            Resealing::Drop => {
                seal::take_out(&mut draft.json);
                None
            }
            // Who has taken it out wants none.
            Resealing::Anew(sealer) => seal::numbers(&draft.json).first().map(|id| (sealer, *id)),
        };
        let header_bytes = old.binary.header_bytes;
        let metadata = Metadata::from_raw(draft.json, header_bytes)
            .map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))?;
        let new = luks2::Header {
            binary: BinaryHeader {
                header_bytes,
                epoch: next_epoch(old.binary.epoch)?,
                label: draft.label,
                uuid: draft.uuid,
                subsystem: draft.subsystem,
            },
            metadata,
        };
        let new = match sealed {
            None => new,
            Some((sealer, token)) => seal_anew(sealer, &new, token, random)?,
        };
        commit::luks2(&*self.storage, copies, &new, random)?;
        self.copies = Some(Copies::Both(new.clone()));
        self.header = Header::Luks2(new);
        Ok(())
    }

    /// Writes a changed LUKS1 header.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] when it breaks a rule; [`Error::Io`].
    pub fn commit_luks1(&mut self, new: luks1::Header) -> Result<(), Error> {
        let old = self.luks1()?;
        luks1::Header::parse(&new.to_bytes())
            .map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))?;
        commit::luks1(&*self.storage, old, &new)?;
        self.header = Header::Luks1(new);
        Ok(())
    }

    /// Writes a keyslot's area and syncs it. A container that is cut off is not made longer.
    ///
    /// # Errors
    ///
    /// [`Corrupt::Truncated`] where the storage ends before the area does; [`Error::Io`].
    pub fn write_area(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let end = offset.saturating_add(to_u64(bytes.len()));
        check_room(&*self.storage, "the area of the keyslot to be written", end)?;
        self.storage
            .write_at(offset, bytes)
            .and_then(|()| self.storage.sync())
            .map_err(Error::io(format!("write the area at {offset:#x}")))
    }

    /// Overwrites a keyslot's area with random bytes and syncs that. What lies behind the end of the storage is left
    /// out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Random`].
    pub fn wipe(&mut self, area: Range<u64>, random: &mut dyn Random) -> Result<(), Error> {
        let length = self
            .storage
            .len()
            .map_err(Error::io("find the size of the container"))?;
        let action = format!("wipe the area at {:#x}", area.start);
        let range = area.start..area.end.min(length);
        noise::write(&*self.storage, range, random, &action)?;
        self.storage
            .sync()
            .map_err(Error::io("write the wiped area through to the disk"))
    }

    /// What is on the disk.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The storage, for reading; [`Luks::open`] on it would wait for this edit's own lock.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The LUKS2 header as a draft to change.
    ///
    /// # Errors
    ///
    /// [`InvalidOption::OtherFormat`] for LUKS1.
    pub fn draft(&self) -> Result<Draft, InvalidOption> {
        let header = self.luks2()?;
        Ok(Draft {
            label: header.binary.label.clone(),
            subsystem: header.binary.subsystem.clone(),
            uuid: header.binary.uuid.clone(),
            json: header.metadata.raw().clone(),
        })
    }

    /// The LUKS2 header.
    ///
    /// # Errors
    ///
    /// [`InvalidOption::OtherFormat`] for LUKS1.
    pub fn luks2(&self) -> Result<&luks2::Header, InvalidOption> {
        match &self.header {
            Header::Luks2(header) => Ok(header),
            Header::Luks1(_) => Err(not_luks2()),
        }
    }

    /// The LUKS1 header.
    ///
    /// # Errors
    ///
    /// [`InvalidOption::OtherFormat`] for LUKS2.
    pub fn luks1(&self) -> Result<&luks1::Header, InvalidOption> {
        match &self.header {
            Header::Luks1(header) => Ok(header),
            Header::Luks2(_) => Err(InvalidOption::OtherFormat {
                format: "LUKS2",
                what: "LUKS1 header",
            }),
        }
    }
}

fn seal_anew(
    sealer: &Sealer,
    new: &luks2::Header,
    token: u32,
    random: &mut dyn Random,
) -> Result<luks2::Header, Error> {
    commit::check_room(new)?;
    sealer
        .seal(new, token, random)
        .map_err(|error| match error {
            SealError::Breaks(corrupt) => InvalidOption::Breaks(Box::new(corrupt)).into(),
            SealError::Random(error) => error.into(),
        })
}

fn next_epoch(epoch: u64) -> Result<u64, Corrupt> {
    epoch.checked_add(1).ok_or(Corrupt::EpochEnd { epoch })
}

fn not_luks2() -> InvalidOption {
    InvalidOption::OtherFormat {
        format: "LUKS1",
        what: "JSON metadata",
    }
}

/// Refuses to write beyond the end of a container.
pub(crate) fn check_room(storage: &dyn Storage, object: &str, need: u64) -> Result<(), Error> {
    let have = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    if need > have {
        return Err(Corrupt::Truncated {
            object: object.into(),
            need,
            have,
        }
        .into());
    }
    Ok(())
}

/// A damaged or older copy is replaced by a change; one that is something else altogether is not.
fn refuse_copy(fault: &Fault, which: &'static str) -> Result<(), Error> {
    match fault {
        Fault::Corrupt(Corrupt::Magic) => Err(Error::Overwritten { which }),
        Fault::Unsupported(unsupported) => Err(Unsupported::clone(unsupported).into()),
        Fault::Corrupt(_) | Fault::Older { .. } => Ok(()),
    }
}
