//! The header of a container that comes as a stream: read into memory up to the end of its keyslots, no further.

use std::io::{self, Read};
use std::sync::Arc;

use luks::luks1;
use luks::luks2::{BinaryHeader, METADATA_SIZES, Which};
use volume::{MemoryStorage, Storage};

/// Reads header and keyslots; also how many bytes that were. What is wrong with them shows when they are parsed: a
/// stream that is no container is read no further than one could be recognised.
///
/// # Errors
///
/// Those of the stream.
pub fn read(stream: &mut dyn Read) -> io::Result<(Arc<MemoryStorage>, u64)> {
    let mut taken = Taken {
        stream,
        storage: Arc::new(MemoryStorage::new(0)),
        len: 0,
    };
    taken.read_to(BinaryHeader::BYTES as u64)?;
    let mut first = vec![0; usize::try_from(taken.len).unwrap_or(0)];
    taken.storage.read_at(0, &mut first)?;
    if let Ok(header) = luks1::Header::parse(&first) {
        taken.read_to(header.data_offset().min(MAX_BYTES))?;
    } else if BinaryHeader::has_magic(Which::Primary, &first) {
        // Where the first block is damaged the second copy decides, and that may stand behind the largest first.
        let largest = METADATA_SIZES[METADATA_SIZES.len() - 1];
        let header_bytes = BinaryHeader::parse(Which::Primary, 0, &first)
            .map_or(largest, |header| header.header_bytes);
        taken.read_to(2 * header_bytes)?;
        taken.read_to(taken.keyslots_end().min(MAX_BYTES))?;
    }
    Ok((taken.storage, taken.len))
}

/// What has been read of a stream. In pieces, since a keyslots area is larger than anything else in memory.
struct Taken<'a> {
    stream: &'a mut dyn Read,
    storage: Arc<MemoryStorage>,
    len: u64,
}

impl Taken<'_> {
    /// Reads on up to `end`, or to the end of the stream.
    fn read_to(&mut self, end: u64) -> io::Result<()> {
        let mut piece = vec![0; PIECE_BYTES];
        while self.len < end {
            let missing = usize::try_from(end - self.len).unwrap_or(PIECE_BYTES);
            match self.stream.read(&mut piece[..missing.min(PIECE_BYTES)]) {
                Ok(0) => break,
                Ok(count) => {
                    self.storage.write_at(self.len, &piece[..count])?;
                    self.len += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Where the keyslots area ends, or 0 where the header does not parse.
    fn keyslots_end(&self) -> u64 {
        let storage = Arc::clone(&self.storage) as Arc<dyn Storage>;
        match luks::Luks::open(storage).as_ref().map(luks::Luks::header) {
            Ok(luks::Header::Luks2(header)) => {
                let keyslots = header.metadata.config.keyslots_bytes;
                (2 * header.binary.header_bytes).saturating_add(keyslots)
            }
            _ => 0,
        }
    }
}

/// No header with its keyslots is larger: two copies of 4 MiB, and 128 MiB of keyslots.
const MAX_BYTES: u64 = (2 * 4 + 128) << 20;
const PIECE_BYTES: usize = 64 << 10;
