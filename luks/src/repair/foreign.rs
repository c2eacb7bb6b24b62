//! What a repair would write over that is none of the container's.
//!
//! Of a copy nothing is foreign that is as it will be, zeros, JSON text of any age, or as good as what will be there.
//! The rest somebody else wrote, or chance, and who asks for the repair must say so.

use volume::Storage;

use crate::error::Error;
use crate::luks2::{BinaryHeader, Which};
use crate::number::to_u64;

const SECTOR_BYTES: usize = 512;
/// So many wrong bytes in a sector are damage of it, not another content.
const MOST_WRONG: usize = 16;
const MAGIC_BYTES: usize = 6;
/// Where the binary header's UUID stands (LUKS2 specification, figure 2).
const UUID: usize = 168;
/// Where the binary header's SHA-256 ends; all behind it is zero.
const END_OF_CHECKSUM: usize = 480;

/// One copy: what is there, and what is to be there.
pub(super) struct Change<'a> {
    pub(super) which: Which,
    pub(super) at: u64,
    pub(super) old: &'a [u8],
    pub(super) new: &'a [u8],
    pub(super) uuid: &'a str,
}

impl Change<'_> {
    /// Says what else is there.
    pub(super) fn foreign(&self, storage: &dyn Storage) -> Result<Option<String>, Error> {
        let mut first_foreign = None;
        let mut changed = Vec::new();
        let sectors = self
            .old
            .chunks(SECTOR_BYTES)
            .zip(self.new.chunks(SECTOR_BYTES));
        for (number, (old, new)) in sectors.enumerate() {
            if old == new {
                continue;
            }
            let start = number.saturating_mul(SECTOR_BYTES);
            changed.push(start);
            if !self.is_ours(start, old, new) {
                first_foreign.get_or_insert(start);
            }
        }
        let place = |start: usize| self.at.saturating_add(to_u64(start));
        let marks = recognise::within(storage, self.at..place(self.old.len()))
            .map_err(Error::io("look for what else is there"))?;
        let is_written = |found: &recognise::Found| {
            let mark = found.bytes();
            changed.iter().any(|start| {
                mark.start < place(start.saturating_add(SECTOR_BYTES)) && place(*start) < mark.end
            })
        };
        let mark = marks
            .iter()
            .filter(|found| found.content.class() != recognise::Class::Luks)
            .find(|found| is_written(found));
        Ok(match (mark, first_foreign) {
            (Some(mark), _) => Some(format!("{} at byte {}", mark.content.name(), mark.offset)),
            (None, Some(start)) => Some(format!("something else at byte {}", place(start))),
            (None, None) => None,
        })
    }

    fn is_ours(&self, start: usize, old: &[u8], new: &[u8]) -> bool {
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        match start {
            0 => self.is_our_header(old) && is_zero(&old[END_OF_CHECKSUM..]),
            _ if start < BinaryHeader::BYTES => is_zero(old),
            _ => is_zero(old) || is_text(old) || wrong_bytes(old, new) <= MOST_WRONG,
        }
    }

    /// A sector without its magic that has this container's UUID is one that `wipefs` wiped.
    fn is_our_header(&self, old: &[u8]) -> bool {
        let uuid = self.uuid.as_bytes();
        let is_wiped = old[..MAGIC_BYTES] == [0; MAGIC_BYTES]
            && !uuid.is_empty()
            && old[UUID..].starts_with(uuid);
        BinaryHeader::has_magic(self.which, old)
            || is_wiped
            || old[..END_OF_CHECKSUM].iter().all(|byte| *byte == 0)
    }
}

fn wrong_bytes(old: &[u8], new: &[u8]) -> usize {
    old.iter().zip(new).filter(|(old, new)| old != new).count()
}

/// JSON text, older or newer, and the zeros behind it.
fn is_text(sector: &[u8]) -> bool {
    let end = sector.iter().position(|byte| *byte == 0);
    let (text, rest) = sector.split_at(end.unwrap_or(sector.len()));
    let is_printable = |byte: &u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
    rest.iter().all(|byte| *byte == 0) && text.iter().all(is_printable)
}
