//! How reencryptions begin: all is judged in memory, what new keys need is written where nothing is, and then one commit
//! says that the data is on its way.

mod decrypt;
mod encrypt;
mod rekey;

use std::sync::Arc;

use dmcrypt::{HashAlgorithm, VolumeKey};
use serde_json::{Map, Value};
use volume::Storage;

pub use self::decrypt::{
    mark_decrypt_in_place, plan_decrypt, plan_decrypt_shift, start_decrypt, start_decrypt_shift,
};
pub use self::encrypt::{
    PUT_ASIDE, Shift, forget_in_place, is_encrypted_apart, is_to_be_put_aside, plan_encrypt,
    prepare_encrypt, put_aside, put_header,
};
pub use self::rekey::{NewKey, NewSlot, plan_reencrypt, start_reencrypt};
pub(super) use self::rekey::{new_keyslots, write_areas};
use super::metadata::{self, Begin, crypt_of};
use super::plan::{Rules, ZoneRun};
use super::state::sector_bytes;
use super::zones::Shape;
use super::{Protection, Running, obstacle, storage_bytes};
use crate::defaults;
use crate::device::{Header, Luks, Unlocked};
use crate::edit::Edit;
use crate::error::{Error, InvalidOption, ReencryptionObstacle};
use crate::luks2::{self, Checksum, Crypt, Metadata, Resilience, Segment, SegmentSize};
use crate::random::Random;

/// How a reencryption begins.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// How zones are protected.
    pub protection: Protection,
    /// Hash and iterations of the digest of its state.
    pub digest: (HashAlgorithm, u32),
    /// Most bytes of a zone ([`RunOptions`](super::RunOptions)): only looked at here.
    pub hotzone_bytes: Option<u64>,
    /// Only so many bytes of the volume are worked on; what lies behind them is then noise.
    pub device_bytes: Option<u64>,
    /// The data moves by so many bytes to its end, which as many of its last bytes are given up for. Only where it is given
    /// another key.
    pub shift_bytes: Option<u64>,
    /// Cut a file at the end to what the volume needs, where header and data change places.
    pub cut: bool,
}

impl Default for StartOptions {
    /// Checksums of SHA-256, the cheapest digest, all of the volume, and no file is cut.
    fn default() -> Self {
        Self {
            protection: Protection::default(),
            digest: (defaults::HASH, defaults::PBKDF2_MIN_ITERATIONS),
            hotzone_bytes: None,
            device_bytes: None,
            shift_bytes: None,
            cut: false,
        }
    }
}

pub(super) fn luks2_of(header: &Header) -> Result<&luks2::Header, Error> {
    match header {
        Header::Luks2(header) => Ok(header),
        Header::Luks1(_) => Err(InvalidOption::OtherFormat {
            format: "LUKS1",
            what: "reencryption of its own",
        }
        .into()),
    }
}

/// Whether a reencryption of the container can be begun, as far as the header tells itself: to be asked before a passphrase
/// is. A sealed header would have to be sealed anew at every step, and by whoever goes on with it after a crash, under a key
/// that may be the one that goes.
///
/// # Errors
///
/// [`ReencryptionObstacle::Sealed`], and what [`Luks::check_change`] says.
pub fn check_begin(luks: &Luks) -> Result<(), Error> {
    luks.check_change()?;
    if luks.is_sealed() && !luks.is_seal_dropped() {
        return Err(obstacle(ReencryptionObstacle::Sealed));
    }
    Ok(())
}

/// The one segment that can be worked on, how it is encrypted and the digest of its key.
pub(super) fn data_segment(metadata: &Metadata) -> Result<(Segment, &Crypt, u32), Error> {
    let mut segments = metadata.data_segments();
    let (Some(segment), None) = (segments.next(), segments.next()) else {
        return Err(obstacle(ReencryptionObstacle::Segments));
    };
    let crypt = crypt_of(segment).filter(|crypt| !crypt.integrity);
    let digest = metadata
        .digests
        .iter()
        .find(|digest| digest.segments.contains(&segment.id));
    match (crypt, digest, segment.size) {
        (Some(crypt), Some(digest), SegmentSize::Dynamic) => {
            crypt.spec.as_ref().map_err(Clone::clone)?;
            Ok((segment.clone(), crypt, digest.id))
        }
        _ => Err(obstacle(ReencryptionObstacle::Segments)),
    }
}

fn volume_bytes(
    segment: &Segment,
    data: &dyn Storage,
    sector: u64,
    wanted: Option<u64>,
) -> Result<u64, Error> {
    let there_is = storage_bytes(data)?.saturating_sub(segment.offset);
    // What its own sectors do not fill is no data.
    let own = sector_bytes(segment);
    let there_is = there_is.saturating_sub(there_is.checked_rem(own).unwrap_or(0));
    part(there_is, wanted, sector)
}

/// The bytes that are worked on.
fn part(there_is: u64, wanted: Option<u64>, sector_bytes: u64) -> Result<u64, Error> {
    if there_is == 0 {
        return Err(obstacle(ReencryptionObstacle::NoData));
    }
    let bytes = wanted.unwrap_or(there_is);
    let is_whole = bytes.checked_rem(sector_bytes) == Some(0);
    if wanted.is_some() && (!is_whole || bytes == 0 || bytes > there_is) {
        return Err(obstacle(ReencryptionObstacle::DeviceSize {
            bytes,
            have: there_is,
            alignment: sector_bytes,
        }));
    }
    if !is_whole {
        return Err(obstacle(ReencryptionObstacle::PartialSector {
            bytes,
            sector_bytes,
        }));
    }
    Ok(bytes)
}

/// Blocks are sectors: a disk that writes sectors whole leaves none of them half old.
fn resilience(protection: Protection, sector: u64, shift: Option<u64>) -> Resilience {
    match (protection, shift) {
        (Protection::Checksum(hash), shift) => {
            let checksum = Checksum {
                text: hash.name().into(),
                hash: Ok(hash),
                block_bytes: u32::try_from(sector).unwrap_or(u32::MAX),
            };
            match shift {
                None => Resilience::Checksum(checksum),
                Some(shift) => Resilience::ShiftChecksum(shift, checksum),
            }
        }
        (Protection::Journal, None) => Resilience::Journal,
        (Protection::None, None) => Resilience::None,
        // What is put aside is done in its own place, and a shift without a copy of it would not protect it.
        (Protection::Journal | Protection::None, Some(shift)) => Resilience::ShiftJournal(shift),
    }
}

/// All that a beginning says but for its digest, which takes the keys.
struct Planned<'a> {
    begin: Begin<'a>,
    /// The metadata before, with what the job adds to them.
    json: Map<String, Value>,
    header_bytes: u64,
    shape: Shape,
}

impl Planned<'_> {
    fn without_digest(&self) -> Result<Map<String, Value>, Error> {
        let pieces = self.shape.pieces(&self.shape.all(), None);
        let before = checked(self.json.clone(), self.header_bytes)?;
        self.begin.write(&before, &pieces)
    }

    /// The metadata of the beginning, whole. Zones of the size that is wanted can be.
    fn begun<'k>(
        &self,
        key_of: &dyn Fn(u32) -> Option<&'k VolumeKey>,
        options: &StartOptions,
        random: &mut dyn Random,
    ) -> Result<Map<String, Value>, Error> {
        let mut json = self.without_digest()?;
        metadata::write_digest(&mut json, self.header_bytes, key_of, options.digest, random)?;
        checked(json.clone(), self.header_bytes)?;
        self.zones(options)?;
        Ok(json)
    }

    /// The zones that it will be done in, or why they cannot be.
    fn zones(&self, options: &StartOptions) -> Result<Vec<ZoneRun>, Error> {
        let metadata = checked(self.without_digest()?, self.header_bytes)?;
        let Some(state) = &metadata.reencryption else {
            return Ok(Vec::new());
        };
        let rules = Rules {
            resilience: &state.slot.resilience,
            area: state.area,
            sectors: [&state.before.segment, &state.after.segment].map(sector_bytes),
            hotzone_bytes: options.hotzone_bytes,
        };
        rules.runs(&self.shape, &self.shape.all())
    }
}

fn checked(json: Map<String, Value>, header_bytes: u64) -> Result<Metadata, InvalidOption> {
    Metadata::from_raw(json, header_bytes)
        .map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))
}

/// Commits the beginning, and hands out what goes on with it; `another` is a key that was made for it.
fn under_way(
    mut edit: Edit,
    json: Map<String, Value>,
    unlocked: Unlocked,
    another: Option<(u32, VolumeKey)>,
    data: Arc<dyn Storage>,
    random: &mut dyn Random,
) -> Result<Running, Error> {
    commit(&mut edit, json, random)?;
    let unlocked = unlocked.of(edit.header().clone(), another);
    let storage = Arc::clone(edit.storage());
    drop(edit);
    Running::of(storage, unlocked, data)
}

pub(super) fn commit(
    edit: &mut Edit,
    json: Map<String, Value>,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let mut draft = edit.draft()?;
    draft.json = json;
    edit.commit_draft(draft, random)
}
