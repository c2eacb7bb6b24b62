//! What lies in the keyslots area: ciphertext where a keyslot says so, and what is left elsewhere?
//!
//! Key material is ciphertext, and ciphertext looks random; zeros, text and tables do not. Each sector is judged on
//! its own by a chi-squared test over its bytes, so that a small part that was overwritten shows. The other way round
//! nothing follows: the filler of a new container, the random bytes of a wipe and a key that was only forgotten look
//! the same.

use dmcrypt::CipherSpec;
use volume::{LockMode, Storage, read_around};

use crate::area::material_bytes;
use crate::defaults::STRIPES;
use crate::device::Header;
use crate::error::{Error, Unsupported};
use crate::luks2::{KeyslotKind, SegmentKind};
use crate::number::{to_u64, to_usize};
use crate::{luks1, luks2};

/// Bytes that are judged together: what is written and lost at once.
const SECTOR: usize = 512;
/// How much is read at a time.
const CHUNK: u64 = 64 * 1024;
/// Sums of the squared counts of all byte values in a random sector. Chi-squared (256 values, 512 bytes) is half of it
/// less 512: 255 on average with a deviation of 23. Between 100 and 600 random bytes practically always lie; English
/// text has about 8000, base64 1500, a sector of one value 130560, one of each value twice 0.
const RANDOM_SQUARES: std::ops::RangeInclusive<u64> = 1224..=2224;

/// One stretch of the keyslots area.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stretch {
    /// What the header says of it.
    pub role: Role,
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
    /// What lies there.
    pub content: Content,
}

/// What the header says of a stretch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Key material of a keyslot in use.
    Keyslot(u32),
    /// Something of a keyslot that holds no key under a passphrase, such as a reencryption's log.
    Other(u32),
    /// LUKS1: the place of a keyslot that is not in use.
    Inactive {
        /// The keyslot.
        keyslot: u32,
        /// Its salt or its iterations still stand in the header, as if only its state had been changed.
        keeps_parameters: bool,
    },
    /// LUKS2: no keyslot's.
    Free,
}

/// What lies in a stretch, in sectors of 512 bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Content {
    /// Sectors that look random.
    pub random: u64,
    /// Sectors of nothing but zeros.
    pub zeros: u64,
    /// Sectors that are neither.
    pub other: u64,
    /// Where the first sector starts that does not look random.
    pub first_not_random: Option<u64>,
    /// Where the first sector starts that does.
    pub first_random: Option<u64>,
    /// Bytes that the storage is too short for.
    pub missing_bytes: u64,
    /// Sectors that cannot be read.
    pub unreadable: u64,
    /// Where the first of them starts.
    pub first_unreadable: Option<u64>,
}

impl Content {
    /// All that is there and can be read.
    pub fn sectors(&self) -> u64 {
        // Each is one sector of at most 2^55.
        self.random
            .saturating_add(self.zeros)
            .saturating_add(self.other)
    }
}

/// Reads every keyslot's area and what of the keyslots area belongs to none, by position. Nothing is written and no
/// key is needed.
///
/// # Errors
///
/// [`Error::Io`].
pub fn examine(storage: &dyn Storage, header: &Header) -> Result<Vec<Stretch>, Error> {
    let _lock = storage
        .lock(LockMode::Shared)
        .map_err(Error::io("lock the header"))?;
    let length = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    let stretches = match header {
        Header::Luks1(header) => luks1_stretches(header),
        Header::Luks2(header) => luks2_stretches(header),
    };
    stretches
        .into_iter()
        .map(|(role, start, end)| {
            Ok(Stretch {
                role,
                start,
                end,
                content: content(storage, start, end, length)?,
            })
        })
        .collect()
}

/// What a header asks for that is not built: ciphers, modes, IVs, hashes and key derivations of its data and its keyslots.
/// Nothing opens what needs them, as sound as the header may be.
pub fn unsupported(header: &Header) -> Vec<Unsupported> {
    let mut found = Vec::new();
    match header {
        Header::Luks1(header) => {
            found.extend(header.hash().err());
            let key_bytes = to_usize(header.key_bytes);
            check_cipher("data", header.cipher(), Some(key_bytes), &mut found);
        }
        Header::Luks2(header) => {
            let metadata = &header.metadata;
            let key_bytes = metadata.volume_key_bytes();
            for segment in metadata.data_segments() {
                if let SegmentKind::Crypt(crypt) = &segment.kind {
                    let object = format!("segment {}", segment.id);
                    check_cipher(&object, crypt.spec.clone(), key_bytes, &mut found);
                }
            }
            for slot in &metadata.keyslots {
                if let KeyslotKind::Luks2(passphrase) = &slot.kind {
                    found.extend(passphrase.kdf.clone().err());
                    found.extend(passphrase.af_hash.clone().err());
                    let object = format!("keyslot {}", slot.id);
                    let key_bytes = Some(to_usize(passphrase.cipher.key_bytes));
                    let cipher = passphrase.cipher.spec.clone();
                    check_cipher(&object, cipher, key_bytes, &mut found);
                }
            }
            let digests = metadata.digests.iter();
            found.extend(digests.filter_map(|digest| digest.pbkdf2.clone().err()));
        }
    }
    found
}

fn check_cipher(
    object: &str,
    spec: Result<CipherSpec, Unsupported>,
    key_bytes: Option<usize>,
    found: &mut Vec<Unsupported>,
) {
    let checked = spec.and_then(|spec| {
        spec.check_supported()
            .and_then(|()| match key_bytes.filter(|_| !spec.is_null()) {
                Some(bytes) => spec.check_key_bytes(bytes),
                None => Ok(()),
            })
            .map_err(|source| Unsupported::Cipher {
                object: object.into(),
                source,
            })
    });
    found.extend(checked.err());
}

fn luks1_stretches(header: &luks1::Header) -> Vec<(Role, u64, u64)> {
    let mut stretches: Vec<_> = (0u32..)
        .zip(&header.keyslots)
        .map(|(keyslot, slot)| {
            let role = if slot.active {
                Role::Keyslot(keyslot)
            } else {
                Role::Inactive {
                    keyslot,
                    keeps_parameters: slot.keeps_parameters(),
                }
            };
            let start = slot.area_offset();
            (role, start, start.saturating_add(header.area_length()))
        })
        .collect();
    stretches.sort_by_key(|(_, start, _)| *start);
    stretches
}

fn luks2_stretches(header: &luks2::Header) -> Vec<(Role, u64, u64)> {
    let start = header.binary.header_bytes.saturating_mul(2);
    let end = start.saturating_add(header.metadata.config.keyslots_bytes);
    let mut keyslots: Vec<_> = header.metadata.keyslots.iter().collect();
    keyslots.sort_by_key(|keyslot| keyslot.area.offset);
    let mut stretches = Vec::new();
    let mut at = start;
    for keyslot in keyslots {
        let area = &keyslot.area;
        if at < area.offset {
            stretches.push((Role::Free, at, area.offset));
        }
        at = area.end();
        let (role, area_end) = match &keyslot.kind {
            // The area is whole blocks; behind the key material in it there is nothing.
            KeyslotKind::Luks2(_) => {
                let bytes = material_bytes(to_usize(keyslot.key_bytes), STRIPES);
                let bytes = bytes.unwrap_or(area.size).min(area.size);
                (Role::Keyslot(keyslot.id), area.offset.saturating_add(bytes))
            }
            KeyslotKind::Reencrypt(_) | KeyslotKind::Other { .. } => {
                (Role::Other(keyslot.id), area.end())
            }
        };
        stretches.push((role, area.offset, area_end));
    }
    if at < end {
        stretches.push((Role::Free, at, end));
    }
    stretches
}

fn content(storage: &dyn Storage, start: u64, end: u64, length: u64) -> Result<Content, Error> {
    let there = end.min(length).max(start);
    let mut content = Content {
        missing_bytes: end.saturating_sub(there),
        ..Content::default()
    };
    let mut buffer = vec![0; to_usize(CHUNK)];
    let mut at = start;
    while at < there {
        let bytes = there.saturating_sub(at).min(CHUNK);
        let chunk = &mut buffer[..to_usize(bytes)];
        let unread =
            read_around(storage, at, chunk).map_err(Error::io("read the keyslots area"))?;
        for sector in chunk.chunks_exact(SECTOR) {
            if unread.iter().any(|unread| unread.range.contains(&at)) {
                content.unreadable = content.unreadable.saturating_add(1);
                content.first_unreadable.get_or_insert(at);
            } else {
                content.count(sector, at);
            }
            at = at.saturating_add(to_u64(SECTOR));
        }
        if !chunk.len().is_multiple_of(SECTOR) {
            // The storage ends within this sector.
            break;
        }
    }
    Ok(content)
}

impl Content {
    fn count(&mut self, sector: &[u8], at: u64) {
        if looks_random(sector) {
            self.random = self.random.saturating_add(1);
            self.first_random.get_or_insert(at);
            return;
        }
        self.first_not_random.get_or_insert(at);
        let count = if sector.iter().all(|byte| *byte == 0) {
            &mut self.zeros
        } else {
            &mut self.other
        };
        *count = count.saturating_add(1);
    }
}

fn looks_random(sector: &[u8]) -> bool {
    let mut counts = [0_u64; 256];
    for byte in sector {
        let count = &mut counts[usize::from(*byte)];
        *count = count.saturating_add(1);
    }
    let squares = counts
        .iter()
        .map(|count| count.saturating_mul(*count))
        .fold(0, u64::saturating_add);
    RANDOM_SQUARES.contains(&squares) && !has_run(sector)
}

/// Random bytes practically never repeat so often: of all the keyslots of a million disks not once.
fn has_run(sector: &[u8]) -> bool {
    const ZEROS: usize = 8;
    const EQUAL: usize = 12;
    let (mut length, mut last) = (0_usize, None);
    sector.iter().any(|byte| {
        length = if last == Some(*byte) {
            length.saturating_add(1)
        } else {
            1
        };
        last = Some(*byte);
        length >= if *byte == 0 { ZEROS } else { EQUAL }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{OsRandom, Random};

    #[test]
    fn random_sectors_look_random() {
        let mut bytes = vec![0; SECTOR * 20_000];
        OsRandom.fill(&mut bytes).unwrap();
        let odd = bytes
            .chunks_exact(SECTOR)
            .filter(|sector| !looks_random(sector))
            .count();
        assert_eq!(odd, 0);
    }

    #[test]
    fn what_people_write_does_not() {
        let text =
            b"Sectors that people fill have words in them, and words have favourite letters. "
                .repeat(7);
        let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".repeat(8);
        let numbers: Vec<u8> = (0..64_u64).flat_map(u64::to_le_bytes).collect();
        let each_value: Vec<u8> = (0..=255).chain(0..=255).collect();
        for sector in [
            &[0; SECTOR][..],
            &[0xff; SECTOR],
            &text[..SECTOR],
            &base64,
            &numbers,
            &each_value,
        ] {
            assert!(!looks_random(sector));
        }
        // A few zeros in the middle of random bytes are enough, or something else that repeats.
        for (range, byte) in [
            (100..150, 0),
            (100..116, 0),
            (0..8, 0),
            (504..512, 0),
            (9..21, 0xff),
        ] {
            let mut sector = vec![0; SECTOR];
            OsRandom.fill(&mut sector).unwrap();
            sector[range].fill(byte);
            assert!(!looks_random(&sector));
        }
    }
}
