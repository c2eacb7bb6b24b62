//! Damages of a LUKS1 header that can be mended from the rest of it: the cipher's and the hash's spelling, and keyslots
//! that are not in use. A keyslot in use is never touched.

use super::{Header, Keyslot, Layout};
use crate::defaults::{AREA_ALIGNMENT, STRIPES};
use crate::error::Corrupt;
use crate::number::to_usize;

/// A damage that was mended.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// QEMU names an IV for ECB, which has none.
    #[error("cipher mode {0:?} is \"ecb\", which takes no IV")]
    EcbMode(String),
    /// Headers of very old versions.
    #[error("hash {0:?} is written in lower case")]
    HashCase(String),
    /// An unused keyslot's stripes.
    #[error("keyslot {keyslot} (not in use): {stripes} stripes, not 4000")]
    Stripes {
        /// The keyslot.
        keyslot: u32,
        /// What stood there.
        stripes: u32,
    },
    /// An unused keyslot's place.
    #[error(
        "keyslot {keyslot} (not in use): its area cannot be at sector {have}, it is at {now} again"
    )]
    Place {
        /// The keyslot.
        keyslot: u32,
        /// What stood there, in 512-byte sectors.
        have: u32,
        /// What stands there now, in 512-byte sectors.
        now: u32,
    },
    /// The magic was wiped; all the rest of the header keeps its rules.
    #[error("the magic is not there, and all else is that of a LUKS1 header")]
    Magic,
    /// A keyslot's fields were replaced by a partition table: nothing of it is left to be lost.
    #[error(
        "keyslot {keyslot}: a partition table stands where its state, iterations and salt were; it is not in use now"
    )]
    PartitionTable {
        /// The keyslot.
        keyslot: u32,
    },
    /// The mark of a boot sector in the salt of keyslot 6.
    #[error("keyslot 6 (not in use): the mark of a partition table stands in its salt")]
    PartitionMark,
}

/// The mended header, [`Header::BYTES`] bytes, and what was mended: nothing where nothing is wrong.
///
/// # Errors
///
/// A rule that the header still breaks.
pub(crate) fn repair(header: &[u8]) -> Result<(Vec<u8>, Vec<Damage>), Corrupt> {
    let mut bytes = header.to_vec();
    let mut damages = Vec::new();
    if !bytes.starts_with(&Header::MAGIC) {
        bytes[..Header::MAGIC.len()].copy_from_slice(&Header::MAGIC);
        damages.push(Damage::Magic);
    }
    spellings(&mut bytes, &mut damages);
    let key_bytes = field(&bytes, KEY_BYTES);
    if key_bytes == 0 || key_bytes > Header::MAX_KEY_BYTES {
        return Err(Corrupt::KeyBytes(key_bytes));
    }
    let mut bad = Vec::new();
    for (keyslot, at) in overwritten(&bytes) {
        bytes[at..at.saturating_add(SLOT_BYTES)].fill(0);
        set_field(&mut bytes, at, Keyslot::DISABLED);
        set_field(&mut bytes, at.saturating_add(SLOT_STRIPES), STRIPES);
        damages.push(Damage::PartitionTable { keyslot });
    }
    for (keyslot, at) in unused(&bytes) {
        let stripes = field(&bytes, at.saturating_add(SLOT_STRIPES));
        if stripes != STRIPES {
            damages.push(Damage::Stripes { keyslot, stripes });
            set_field(&mut bytes, at.saturating_add(SLOT_STRIPES), STRIPES);
            bad.push(at);
        }
        if keyslot == 6 && bytes[PARTITION_MARK..PARTITION_MARK + 2] == [0x55, 0xaa] {
            damages.push(Damage::PartitionMark);
            bad.push(at);
        }
    }
    bad.extend(places(&mut bytes, key_bytes, &mut damages));
    for at in bad {
        // What else stood in it is not to be trusted either.
        bytes[at.saturating_add(4)..at.saturating_add(SLOT_PLACE)].fill(0);
    }
    Header::parse(&bytes)?;
    Ok((bytes, damages))
}

// Where fields stand in the header (LUKS1 specification, figures 1 and 2), in bytes.
const MODE: usize = 40;
const HASH: usize = 72;
const TEXT_BYTES: usize = 32;
const DATA_OFFSET: usize = 104;
const KEY_BYTES: usize = 108;
const SLOTS: usize = 208;
const SLOT_BYTES: usize = 48;
const SLOT_PLACE: usize = 40;
const SLOT_STRIPES: usize = 44;
/// Where a boot sector has its disk's signature, its four entries and, in each, the partition's type.
const DISK_SIGNATURE: usize = 440;
const PARTITION_ENTRIES: usize = 446;
const PARTITION_TYPE: usize = 4;
/// Where the header of a GPT begins.
const GPT: usize = 512;
/// Where a boot sector has its mark.
const PARTITION_MARK: usize = 510;
const SECTOR: u64 = 512;

/// Whether a header says that it is LUKS1, or would if its magic had not been wiped, as `wipefs` does it.
pub(crate) fn is_meant(block: &[u8]) -> bool {
    let has_magic = block.starts_with(&Header::MAGIC);
    let is_version_1 = block[6..8] == [0, 1];
    let is_wiped = || {
        let wiped = block[..Header::MAGIC.len()].iter().all(|byte| *byte == 0);
        wiped && repair(&block[..Header::BYTES]).is_ok_and(|(mended, _)| is_known(&mended))
    };
    is_version_1 && (has_magic || is_wiped())
}

/// Whether cipher, hash and UUID of a header are such.
fn is_known(header: &[u8]) -> bool {
    Header::parse(header).is_ok_and(|header| {
        header.cipher().is_ok()
            && header.hash().is_ok()
            && uuid::Uuid::parse_str(&header.uuid).is_ok()
    })
}

/// Whether a partition table with a partition in it stands in the header.
pub(crate) fn has_partitions(header: &[u8]) -> bool {
    has_table(header) && entries().any(|entry| header[entry.saturating_add(PARTITION_TYPE)] != 0)
}

/// The mark of a boot sector, and before it four entries that may be those of partitions.
fn has_table(header: &[u8]) -> bool {
    header[PARTITION_MARK..PARTITION_MARK + 2] == [0x55, 0xaa]
        && entries().all(|entry| matches!(header[entry], 0 | 0x80))
}

fn entries() -> impl Iterator<Item = usize> {
    (PARTITION_ENTRIES..PARTITION_MARK).step_by(16)
}

/// Keyslots whose state is none because a partition table stands there: of an MBR those whose state lies in it, of a GPT
/// the last one too.
fn overwritten(bytes: &[u8]) -> Vec<(u32, usize)> {
    if !has_table(bytes) {
        return Vec::new();
    }
    let end = if bytes[GPT..].starts_with(b"EFI PART") {
        Header::BYTES
    } else {
        GPT
    };
    slots()
        .filter(|(_, at)| (DISK_SIGNATURE..end).contains(at))
        .filter(|(_, at)| !matches!(field(bytes, *at), Keyslot::ENABLED | Keyslot::DISABLED))
        .collect()
}

fn spellings(bytes: &mut [u8], damages: &mut Vec<Damage>) {
    let mode = &mut bytes[MODE..MODE + TEXT_BYTES];
    if mode.starts_with(b"ecb-") {
        damages.push(Damage::EcbMode(text(mode)));
        mode.fill(0);
        mode[..3].copy_from_slice(b"ecb");
    }
    let hash = &mut bytes[HASH..HASH + TEXT_BYTES];
    let end = hash.iter().position(|byte| *byte == 0).unwrap_or(0);
    if hash[..end].iter().any(u8::is_ascii_uppercase) {
        damages.push(Damage::HashCase(text(hash)));
        hash[..end].make_ascii_lowercase();
    }
}

fn text(field: &[u8]) -> String {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// Gives unused keyslots whose area lies where none may be their place again; the offsets of their fields.
fn places(bytes: &mut [u8], key_bytes: u32, damages: &mut Vec<Damage>) -> Vec<usize> {
    let length = Keyslot::area_length(key_bytes);
    let data = u64::from(field(bytes, DATA_OFFSET)).saturating_mul(SECTOR);
    let place = |bytes: &[u8], at: usize| {
        u64::from(field(bytes, at.saturating_add(SLOT_PLACE))).saturating_mul(SECTOR)
    };
    let fits = |taken: &[u64], start: u64| {
        let end = start.saturating_add(length);
        start >= Header::HEADER_END
            && (data == 0 || end <= data)
            && !taken
                .iter()
                .any(|other| start < other.saturating_add(length) && *other < end)
    };
    let free = unused(bytes);
    let mut taken: Vec<u64> = slots()
        .filter(|slot| !free.contains(slot))
        .map(|(_, at)| place(bytes, at))
        .collect();
    let Ok(layout) = Layout::new(key_bytes, None, true) else {
        return Vec::new();
    };
    let home = |keyslot: u32| layout.keyslots()[to_usize(keyslot)].area_offset();
    // Those that lie where cryptsetup puts them are believed first, then the others that can be.
    let (at_home, elsewhere): (Vec<_>, Vec<_>) = free
        .into_iter()
        .partition(|(keyslot, at)| place(bytes, *at) == home(*keyslot));
    let mut lost = Vec::new();
    for (keyslot, at) in at_home.into_iter().chain(elsewhere) {
        let start = place(bytes, at);
        if fits(&taken, start) {
            taken.push(start);
        } else {
            lost.push((keyslot, at));
        }
    }
    let mut mended = Vec::new();
    for (keyslot, at) in lost {
        let after_others = taken.iter().map(|other| {
            other
                .saturating_add(length)
                .next_multiple_of(AREA_ALIGNMENT)
        });
        let mut candidates = vec![home(keyslot), Header::AREAS_START];
        candidates.extend(after_others);
        let Some(start) = candidates.into_iter().find(|start| fits(&taken, *start)) else {
            continue;
        };
        let Ok(now) = u32::try_from(start / SECTOR) else {
            continue;
        };
        let have = field(bytes, at.saturating_add(SLOT_PLACE));
        damages.push(Damage::Place { keyslot, have, now });
        set_field(bytes, at.saturating_add(SLOT_PLACE), now);
        taken.push(start);
        mended.push(at);
    }
    mended
}

fn slots() -> impl Iterator<Item = (u32, usize)> {
    (0u32..8).zip((SLOTS..).step_by(SLOT_BYTES))
}

/// Keyslots that say they are not in use.
fn unused(bytes: &[u8]) -> Vec<(u32, usize)> {
    slots()
        .filter(|(_, at)| field(bytes, *at) == Keyslot::DISABLED)
        .collect()
}

fn field(bytes: &[u8], at: usize) -> u32 {
    let field = bytes[at..].first_chunk().expect("a field of the header");
    u32::from_be_bytes(*field)
}

fn set_field(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at.saturating_add(4)].copy_from_slice(&value.to_be_bytes());
}
