//! Header backups: header and keyslot areas as one run of bytes, and back to where they came from.
//!
//! A backup holds what lies at the start of the container, byte for byte: of LUKS2 both copies and the keyslots area, of
//! LUKS1 everything to the end of the last keyslot's area, but zeros between the header and the first area, and filled
//! up with zeros to a multiple of 4096. cryptsetup's backups are the same.
//!
//! A backup opens the container with every passphrase that was valid when it was made, whatever was removed since.
//!
//! Restoring cannot keep the old keyslot areas, which lie where those of the backup go. They are written first, and then
//! the header, so that a crash leaves the old header or the new one, whole; a second restore ends what the first began.

mod restore;

use std::ops::Range;

use volume::{LockMode, MemoryStorage, read_around};

use crate::defaults::{AREA_ALIGNMENT, LUKS2_MAX_KEYSLOTS_BYTES};
use crate::device::{Header, Luks, end_of_areas};
use crate::error::{Corrupt, Error, Mismatch, Refused};
use crate::luks1;
use crate::luks2::{KeyslotKind, METADATA_SIZES};
use crate::number::{to_u64, to_usize};
use crate::store::{self, Copies, Found};

pub use restore::restore;

/// The bytes of a header and its keyslots, checked.
pub struct Backup {
    bytes: Vec<u8>,
    header: Header,
    fault: Option<String>,
    holes: Vec<Hole>,
    /// Where the bytes end although header and keyslots area go on.
    short: Option<u64>,
}

/// Bytes of a backup that could not be read of the container: they are zeros in it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Hole {
    /// The first.
    pub start: u64,
    /// The first behind them.
    pub end: u64,
    /// Why.
    pub problem: String,
    /// A header copy or the area of a keyslot in use has lost something.
    pub is_in_use: bool,
}

/// What a backup would change.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// Why it may belong to another container, or to another state of its data.
    pub mismatches: Vec<Mismatch>,
    /// Keyslots of the backup that the container has not: their passphrases were removed or changed, and work again.
    pub revived: Vec<u32>,
    /// Keyslots of the container that the backup has not: their passphrases work no longer.
    pub lost: Vec<u32>,
}

/// Where, before the first keyslot, only the traces of what was on the disk before LUKS1 can be; cryptsetup leaves them
/// out of a backup too.
const BEHIND_LUKS1: Range<usize> = 1024..4096;
/// The most that a backup holds: both copies and the keyslots area of the largest LUKS2 header.
pub const MAX_BYTES: u64 = 2 * METADATA_SIZES[8] + LUKS2_MAX_KEYSLOTS_BYTES;

impl Backup {
    /// Reads header and keyslots of a container, under the shared header lock. What cannot be read of it, or lies beyond
    /// its end, is a hole: see [`Backup::holes`].
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] when the header is no longer the one of `luks`; [`Error::Corrupt`] when not even one copy of it
    /// can be read; [`Refused::BackupTooLarge`]; [`Error::Io`].
    pub fn read(luks: &Luks) -> Result<Self, Error> {
        let storage = luks.storage();
        let _lock = storage
            .lock(LockMode::Shared)
            .map_err(Error::io("lock the header"))?;
        let have = storage
            .len()
            .map_err(Error::io("find the size of the container"))?;
        let need = end_of_areas(luks.header());
        if need > MAX_BYTES {
            return Err(Refused::BackupTooLarge {
                bytes: need,
                limit: MAX_BYTES,
            }
            .into());
        }
        let mut bytes = vec![0; to_usize(need)];
        let there = to_usize(need.min(have));
        let unread = read_around(&**storage, 0, &mut bytes[..there])
            .map_err(Error::io("read header and keyslots"))?;
        let mut lost: Vec<_> = unread
            .into_iter()
            .map(|unread| (unread.range, unread.error.to_string()))
            .collect();
        if need > have {
            lost.push((have..need, "the container ends before".into()));
        }
        if let Header::Luks1(header) = luks.header()
            && header.keyslots[0].area_offset() == luks1::Header::AREAS_START
        {
            bytes[BEHIND_LUKS1].fill(0);
        }
        bytes.resize(bytes.len().next_multiple_of(to_usize(AREA_ALIGNMENT)), 0);
        let mut backup = Self::parse(bytes)?;
        let hole = |(range, problem): (Range<u64>, String)| Hole {
            start: range.start,
            end: range.end,
            is_in_use: is_in_use(luks.header(), &range),
            problem,
        };
        backup.holes = lost.into_iter().map(hole).collect();
        if says_the_same(&backup.header, luks.header()) {
            Ok(backup)
        } else {
            Err(Error::Changed)
        }
    }

    /// Checks the bytes of a backup; what follows the keyslots is left out. A copy that is not sound is no error here:
    /// see [`Backup::check_sound`].
    ///
    /// # Errors
    ///
    /// What [`Luks::open`] says, and [`Error::Corrupt`] when the keyslots are not all there.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        let backup = Self::parse_short(bytes)?;
        match backup.short {
            None => Ok(backup),
            Some(have) => Err(truncated(end_of_areas(&backup.header), have).into()),
        }
    }

    /// The same of bytes that may end behind the areas of all keyslots in use: the first part of a disk. What of the
    /// keyslots area is not there holds no key, and a restore leaves it as it is.
    ///
    /// # Errors
    ///
    /// As [`Backup::parse`].
    pub fn parse_short(bytes: Vec<u8>) -> Result<Self, Error> {
        let have = to_u64(bytes.len());
        let storage = MemoryStorage::from_vec(bytes);
        let (header, fault) = match store::read_locked(&storage)? {
            Found::Luks1(header) => (Header::Luks1(header), None),
            Found::Luks1Partly(_, corrupt) => return Err(corrupt.into()),
            Found::Luks2(copies) => {
                let fault = match &copies {
                    Copies::Both(_) => None,
                    Copies::PrimaryOnly(_, fault) => Some(format!("its secondary header: {fault}")),
                    Copies::SecondaryOnly(_, fault) => Some(format!("its primary header: {fault}")),
                };
                (Header::Luks2(copies.header().clone()), fault)
            }
        };
        let need = end_of_areas(&header);
        if end_of_used_areas(&header) > have {
            return Err(truncated(need, have).into());
        }
        let short = (need > have).then_some(have);
        let mut bytes = storage.snapshot();
        bytes.truncate(to_usize(need.next_multiple_of(AREA_ALIGNMENT).min(have)));
        Ok(Self {
            bytes,
            header,
            fault,
            holes: Vec::new(),
            short,
        })
    }

    /// What could not be read of the container, in order.
    pub fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// Refuses a backup of which only one header copy is sound.
    ///
    /// # Errors
    ///
    /// [`Refused::BackupDamaged`].
    pub fn check_sound(&self) -> Result<(), Refused> {
        match &self.fault {
            None => Ok(()),
            Some(fault) => Err(Refused::BackupDamaged(fault.clone().into())),
        }
    }

    /// Refuses a backup that was made while a reencryption was under way: since then data may have gone under another
    /// key, which only the header of that moment tells.
    ///
    /// # Errors
    ///
    /// [`Refused::BackupInReencryption`].
    pub fn check_settled(&self) -> Result<(), Refused> {
        match &self.header {
            Header::Luks2(header) => match header.metadata.config.reencryption() {
                Some(requirement) => Err(Refused::BackupInReencryption(requirement.into())),
                None => Ok(()),
            },
            Header::Luks1(_) => Ok(()),
        }
    }

    /// Refuses a backup that ends before the keyslots area does.
    ///
    /// # Errors
    ///
    /// [`Refused::BackupShort`].
    pub fn check_long(&self) -> Result<(), Refused> {
        match self.short {
            None => Ok(()),
            Some(have) => Err(Refused::BackupShort {
                need: end_of_areas(&self.header),
                have,
            }),
        }
    }

    /// What goes into the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The header in it.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What restoring it over `current` would change.
    pub fn compare(&self, current: &Header) -> Comparison {
        let ours = salts(&self.header);
        let theirs = salts(current);
        let only_in = |these: &[(u32, Vec<u8>)], others: &[(u32, Vec<u8>)]| {
            let missing =
                |(_, salt): &&(u32, Vec<u8>)| !others.iter().any(|(_, other)| other == salt);
            these.iter().filter(missing).map(|(id, _)| *id).collect()
        };
        Comparison {
            mismatches: mismatches(&self.header, current),
            revived: only_in(&ours, &theirs),
            lost: only_in(&theirs, &ours),
        }
    }
}

fn truncated(need: u64, have: u64) -> Corrupt {
    Corrupt::Truncated {
        object: "the header with its keyslots".into(),
        need,
        have,
    }
}

/// Whether something lies there that is needed.
fn is_in_use(header: &Header, range: &Range<u64>) -> bool {
    let touches = |start: u64, end: u64| start < range.end && range.start < end;
    match header {
        Header::Luks1(header) => {
            touches(0, to_u64(luks1::Header::BYTES))
                || header
                    .keyslots
                    .iter()
                    .filter(|slot| slot.active)
                    .any(|slot| {
                        let start = slot.area_offset();
                        touches(start, start.saturating_add(header.area_length()))
                    })
        }
        Header::Luks2(header) => {
            touches(0, header.binary.header_bytes.saturating_mul(2))
                || header
                    .metadata
                    .keyslots
                    .iter()
                    .any(|slot| touches(slot.area.offset, slot.area.end()))
        }
    }
}

/// First byte behind header and the areas of keyslots in use.
fn end_of_used_areas(header: &Header) -> u64 {
    match header {
        Header::Luks1(header) => header
            .keyslots
            .iter()
            .filter(|slot| slot.active)
            .map(|slot| slot.area_offset().saturating_add(header.area_length()))
            .max()
            .unwrap_or(to_u64(luks1::Header::BYTES)),
        Header::Luks2(header) => {
            let areas = header.metadata.keyslots.iter().map(|slot| slot.area.end());
            let copies = header.binary.header_bytes.saturating_mul(2);
            areas.max().unwrap_or(0).max(copies)
        }
    }
}

fn says_the_same(one: &Header, other: &Header) -> bool {
    match (one, other) {
        (Header::Luks1(one), Header::Luks1(other)) => one == other,
        (Header::Luks2(one), Header::Luks2(other)) => one.says_the_same_as(other),
        _ => false,
    }
}

/// Each keyslot has a salt of its own, and a new one with each new passphrase.
fn salts(header: &Header) -> Vec<(u32, Vec<u8>)> {
    match header {
        Header::Luks1(header) => (0u32..)
            .zip(&header.keyslots)
            .filter(|(_, slot)| slot.active)
            .map(|(id, slot)| (id, slot.salt.to_vec()))
            .collect(),
        Header::Luks2(header) => header
            .metadata
            .keyslots
            .iter()
            .filter_map(|slot| match &slot.kind {
                KeyslotKind::Luks2(passphrase) => Some((slot.id, passphrase.salt.clone())),
                KeyslotKind::Reencrypt(_) | KeyslotKind::Other { .. } => None,
            })
            .collect(),
    }
}

fn mismatches(backup: &Header, container: &Header) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let (ours, theirs) = (Identity::of(backup), Identity::of(container));
    if ours.format != theirs.format {
        found.push(Mismatch::Format {
            backup: ours.format,
            container: theirs.format,
        });
    }
    if let (Some(backup), Some(container)) = (ours.data_offset, theirs.data_offset)
        && backup != container
    {
        found.push(Mismatch::DataOffset { backup, container });
    }
    if let (Some(backup), Some(container)) = (ours.key_bytes, theirs.key_bytes)
        && backup != container
    {
        found.push(Mismatch::KeySize { backup, container });
    }
    if ours.uuid != theirs.uuid {
        found.push(Mismatch::Uuid {
            backup: ours.uuid.into(),
            container: theirs.uuid.into(),
        });
    }
    found
}

/// What must be the same for a backup to belong to a container. `None` where a header does not say it.
struct Identity<'a> {
    format: &'static str,
    data_offset: Option<u64>,
    key_bytes: Option<u32>,
    uuid: &'a str,
}

impl<'a> Identity<'a> {
    fn of(header: &'a Header) -> Self {
        match header {
            Header::Luks1(header) => Self {
                format: "LUKS1",
                data_offset: Some(header.data_offset()),
                key_bytes: Some(header.key_bytes),
                uuid: &header.uuid,
            },
            Header::Luks2(header) => {
                let metadata = &header.metadata;
                let stored = metadata.digest_of_data().and_then(|digest| {
                    let id = digest.keyslots.first()?;
                    metadata.keyslot(*id)
                });
                Self {
                    format: "LUKS2",
                    data_offset: metadata.data_offset(),
                    key_bytes: stored.map(|slot| slot.key_bytes),
                    uuid: &header.binary.uuid,
                }
            }
        }
    }
}
