//! What is written where nothing is kept: bytes that nobody tells from random ones, as fast as they are encrypted.
//!
//! An area is as long as many keys, and the operating system makes random bytes at a small part of a disk's speed. So they
//! are zeros under a random key that nobody keeps, AES-256 in XTS; keys, salts and the splitter's material are
//! [`Random`]'s own.

use std::ops::Range;

use dmcrypt::{CipherSpec, SectorCipher, SectorOptions};
use volume::Storage;
use zeroize::Zeroizing;

use crate::defaults;
use crate::error::Error;
use crate::number::{to_u64, to_usize};
use crate::random::Random;

/// A run of such bytes.
pub(crate) struct Noise {
    cipher: Box<dyn SectorCipher>,
    sector: u64,
}

impl Noise {
    /// Another one for each key that `random` gives.
    pub(crate) fn new(random: &mut dyn Random) -> Result<Self, Error> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random.fill(&mut *key)?;
        let spec: Result<CipherSpec, _> = defaults::CIPHER.parse();
        let cipher = spec.and_then(|spec| spec.sector_cipher(&*key, SectorOptions::default()));
        Ok(Self {
            cipher: cipher.expect("the default cipher takes keys of this size"),
            sector: 0,
        })
    }

    /// The next bytes. What is left of their last sector is dropped.
    pub(crate) fn fill(&mut self, buf: &mut [u8]) {
        let (whole, rest) = buf.split_at_mut(buf.len().saturating_sub(buf.len() % SECTOR_BYTES));
        whole.fill(0);
        self.encrypt(whole);
        if !rest.is_empty() {
            let mut last = [0; SECTOR_BYTES];
            self.encrypt(&mut last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }

    fn encrypt(&mut self, sectors: &mut [u8]) {
        self.cipher.encrypt(self.sector, sectors);
        let count = to_u64(sectors.len() / SECTOR_BYTES);
        self.sector = self.sector.wrapping_add(count);
    }
}

/// Fills a range of a storage. Nothing is synced.
///
/// # Errors
///
/// [`Error::Random`], and [`Error::Io`] with what `action` says.
pub(crate) fn write(
    storage: &dyn Storage,
    range: Range<u64>,
    random: &mut dyn Random,
    action: &str,
) -> Result<(), Error> {
    if range.is_empty() {
        return Ok(());
    }
    let mut noise = Noise::new(random)?;
    let mut chunk = vec![0; CHUNK_BYTES.min(to_usize(range.end.saturating_sub(range.start)))];
    let mut at = range.start;
    while at < range.end {
        let piece = &mut chunk[..to_usize(range.end.saturating_sub(at)).min(CHUNK_BYTES)];
        noise.fill(piece);
        let written = storage.write_at(at, piece);
        written.map_err(Error::io(action))?;
        at = at.saturating_add(to_u64(piece.len()));
    }
    Ok(())
}

/// AES-256, twice for XTS.
const KEY_BYTES: usize = 64;

const SECTOR_BYTES: usize = 512;

/// What stays in the cache of a processor's core.
const CHUNK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use volume::MemoryStorage;

    use super::*;
    use crate::random::OsRandom;

    #[test]
    fn every_byte_of_a_range_is_written_and_no_two_sectors_are_alike() {
        let bytes = CHUNK_BYTES * 2 + 1000;
        let storage = MemoryStorage::new(to_u64(bytes) + 200);
        let range = 100..to_u64(bytes) + 100;
        write(&storage, range, &mut OsRandom, "fill").unwrap();
        let written = storage.snapshot();
        assert!(written[..100].iter().all(|byte| *byte == 0));
        assert!(written[100 + bytes..].iter().all(|byte| *byte == 0));
        let filled = &written[100..100 + bytes];
        // 20 zeros in a row would be chance once in 2^140.
        assert!(
            filled
                .windows(20)
                .all(|run| run.iter().any(|byte| *byte != 0))
        );
        // Of the last sector there is a part, which is no other one's.
        let begin = |sector| <[u8]>::first_chunk::<16>(sector);
        let sectors: std::collections::HashSet<_> =
            filled.chunks(SECTOR_BYTES).map(begin).collect();
        assert_eq!(sectors.len(), bytes.div_ceil(SECTOR_BYTES));
        let again = MemoryStorage::new(to_u64(bytes));
        write(&again, 0..to_u64(bytes), &mut OsRandom, "fill").unwrap();
        assert!(again.snapshot() != filled, "another key each time");
    }
}
