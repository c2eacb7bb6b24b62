//! LUKS1 to LUKS2 and back, in place (LUKS2 specification 4.7), so that a crash at any write leaves the old format or
//! the new one, with every passphrase.
//!
//! The specification moves all keyslot areas and allows "no recovery" if that is cut off. Here an area stays where it
//! is, unless the LUKS2 header goes there, which at most the first one's does: it is copied to a free place, and the
//! LUKS1 header says so, before a byte of it is overwritten. Where there is no such place, nothing is done.
//!
//! The price is a place: the part of the moved keyslot's old area behind the LUKS2 header is too small for another one,
//! so that a container whose eight areas filled all of its header has room for seven, and that cryptsetup may not find
//! the places of eight when it is to convert back.
//!
//! Each format appears by its first sector: LUKS2 when the secondary copy and the rest of the primary are there, LUKS1
//! by its version alone, while the secondary copy still counts.
//!
//! One step needs a disk that writes a sector of 512 bytes whole: two keyslots change places in the LUKS1 header. Torn
//! within that sector, an unused keyslot has the place of one in use, which [`mod@crate::repair`] puts right.

mod luks1;
mod luks2;

use volume::Storage;

pub(crate) use self::luks1::Said;
pub(crate) use self::luks2::{HEADER_END, has_luksmeta, metadata, used};
use crate::device::Luks;
use crate::edit::Edit;
use crate::error::{ConversionObstacle, Error, Refused};
use crate::format::Version;
use crate::random::Random;

/// Converts the header of a container.
///
/// # Errors
///
/// [`Refused::AlreadyConverted`]; [`Refused::Conversion`] for what the other format cannot say or has no room for,
/// before anything is written; what [`Edit::begin`] says; [`Error::Io`], [`Error::Random`].
pub fn convert(luks: &Luks, to: Version, random: &mut dyn Random) -> Result<(), Error> {
    let is_luks1 = matches!(luks.header(), crate::device::Header::Luks1(_));
    match (is_luks1, to) {
        (true, Version::Luks1) => Err(Refused::AlreadyConverted("LUKS1").into()),
        (false, Version::Luks2) => Err(Refused::AlreadyConverted("LUKS2").into()),
        (true, Version::Luks2) => luks2::from_luks1(Edit::begin(luks)?, random),
        (false, Version::Luks1) => luks1::from_luks2(&Edit::begin(luks)?, luks),
    }
}

/// What a disk writes all of or nothing.
const SECTOR_BYTES: usize = 512;

/// A write that is on the disk when it returns.
fn write_through(storage: &dyn Storage, at: u64, bytes: &[u8]) -> Result<(), Error> {
    storage
        .write_at(at, bytes)
        .and_then(|()| storage.sync())
        .map_err(Error::io(format!("write the header at {at:#x}")))
}

/// Whether an area may lie there, apart from those that are taken.
fn is_free(taken: &[u64], length: u64, start: u64, end: u64) -> bool {
    let stop = start.saturating_add(length);
    stop <= end
        && !taken
            .iter()
            .any(|other| start < other.saturating_add(length) && *other < stop)
}

fn obstacle(to: &'static str) -> impl Fn(ConversionObstacle) -> Error {
    move |obstacle| Refused::Conversion { to, obstacle }.into()
}
