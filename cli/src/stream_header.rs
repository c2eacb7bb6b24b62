//! The header of a container that comes as a stream: read into memory up to the end of its keyslots, no further.

use std::io::{self, Read};

use luks::luks1;
use luks::luks2::{BinaryHeader, METADATA_SIZES, Which};
use volume::MemoryStorage;

/// Reads header and keyslots; also how many bytes that were. What is wrong with them shows when they are parsed: a
/// stream that is no container is read no further than one could be recognised.
///
/// # Errors
///
/// Those of the stream.
pub fn read(stream: &mut dyn Read) -> io::Result<(MemoryStorage, u64)> {
    let mut bytes = Vec::new();
    read_to(stream, &mut bytes, BinaryHeader::BYTES as u64)?;
    if let Ok(header) = luks1::Header::parse(&bytes) {
        read_to(stream, &mut bytes, header.data_offset().min(MAX_BYTES))?;
    } else if BinaryHeader::has_magic(Which::Primary, &bytes) {
        // Where the first block is damaged the second copy decides, and that may stand behind the largest first.
        let largest = METADATA_SIZES[METADATA_SIZES.len() - 1];
        let header_bytes = BinaryHeader::parse(Which::Primary, 0, &bytes)
            .map_or(largest, |header| header.header_bytes);
        read_to(stream, &mut bytes, 2 * header_bytes)?;
        let keyslots_end = keyslots_end(&bytes);
        read_to(stream, &mut bytes, keyslots_end.min(MAX_BYTES))?;
    }
    let len = bytes.len() as u64;
    Ok((MemoryStorage::from_vec(bytes), len))
}

/// Where the keyslots area ends, or 0 where the header does not parse.
fn keyslots_end(bytes: &[u8]) -> u64 {
    let storage = std::sync::Arc::new(MemoryStorage::from_vec(bytes.to_vec()));
    match luks::Luks::open(storage).as_ref().map(luks::Luks::header) {
        Ok(luks::Header::Luks2(header)) => {
            let keyslots = header.metadata.config.keyslots_bytes;
            (2 * header.binary.header_bytes).saturating_add(keyslots)
        }
        _ => 0,
    }
}

fn read_to(stream: &mut dyn Read, bytes: &mut Vec<u8>, end: u64) -> io::Result<()> {
    let missing = end.saturating_sub(bytes.len() as u64);
    stream.take(missing).read_to_end(bytes).map(drop)
}

/// No header with its keyslots is larger: two copies of 4 MiB, and 128 MiB of keyslots.
const MAX_BYTES: u64 = (2 * 4 + 128) << 20;
