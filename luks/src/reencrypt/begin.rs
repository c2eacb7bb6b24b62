//! How reencryptions begin: all is judged in memory, what new keys need is written where nothing is, and then one commit
//! says that the data is on its way.

use std::sync::Arc;

use dmcrypt::{CipherSpec, HashAlgorithm, Passphrase, SectorSize, VolumeKey};
use serde_json::{Map, Value};
use volume::Storage;

use super::leavings::{self, DECRYPT_IN_PLACE, ENCRYPT_IN_PLACE};
use super::metadata::{self, Begin, SegmentObject, crypt_of};
use super::state::sector_bytes;
use super::zones::{Moved, Shape};
use super::{Protection, Running, limits, obstacle, protect, storage_bytes, sync_header};
use crate::defaults::{self, SALT_BYTES};
use crate::device::{Header, Luks, Unlocked};
use crate::edit::Edit;
use crate::error::{Error, InvalidOption, ReencryptionObstacle};
use crate::format::{NewContainer, NewHeader, Placed};
use crate::kdf::{self, Effort, KdfParams};
use crate::keyslots::{KeyslotOptions, free_number, insert, make_luks2, refer};
use crate::luks2::{
    self, Checksum, Crypt, Direction, KeyslotKind, Metadata, NewDigest, ReencryptionMode,
    Resilience, Segment, SegmentSize, Which,
};
use crate::number::to_usize;
use crate::random::{Random, random_volume_key};
use crate::unlock::KeyDigest;

/// The requirement of a header file whose image has not yet had its first bytes put aside: nobody else goes on from there.
pub const PUT_ASIDE: &str = "luksmith-put-aside";

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
            cut: false,
        }
    }
}

/// What data is encrypted with from now on.
pub struct NewKey<'a> {
    /// The volume key; a random one unless said.
    pub key: Option<VolumeKey>,
    /// Keep the volume key, and the keyslots with it: only cipher or sector size change.
    pub keep_key: bool,
    /// The cipher.
    pub cipher: CipherSpec,
    /// Bytes of a random volume key.
    pub key_bytes: usize,
    /// The sector size.
    pub sector_size: SectorSize,
    /// The keyslots of the new key. One at least, unless it is kept.
    pub keyslots: Vec<NewSlot<'a>>,
    /// Hash and iterations of the new key's digest.
    pub digest: (HashAlgorithm, u32),
}

impl Default for NewKey<'_> {
    /// A random key of the default cipher, sectors of 512 bytes, no keyslot.
    fn default() -> Self {
        Self {
            key: None,
            keep_key: false,
            cipher: defaults::CIPHER
                .parse()
                .expect("the default cipher is a specification"),
            key_bytes: defaults::XTS_KEY_BYTES,
            sector_size: SectorSize::B512,
            keyslots: Vec::new(),
            digest: (defaults::HASH, 100 * defaults::PBKDF2_MIN_ITERATIONS),
        }
    }
}

/// A keyslot of the new key.
pub struct NewSlot<'a> {
    /// The keyslot of the old key that it comes in place of: priority and tokens move along, and it is wiped at the end.
    pub replaces: u32,
    /// What opens it.
    pub passphrase: &'a Passphrase,
    /// What it is; its priority and number are not looked at.
    pub options: KeyslotOptions<'a>,
}

/// Begins to give data another key, cipher or sector size, in one commit. What comes out is gone on with.
///
/// # Errors
///
/// [`Error::InvalidOption`] for what cannot be, before anything is written; what [`Edit::begin`] says; [`Error::Io`].
pub fn start_reencrypt(
    luks: &Luks,
    unlocked: Unlocked,
    data: Arc<dyn Storage>,
    new: NewKey<'_>,
    options: &StartOptions,
    random: &mut dyn Random,
) -> Result<Running, Error> {
    luks.check_change()?;
    let header = luks2_of(luks.header())?;
    let (segment, old, digest) = data_segment(&header.metadata)?;
    check_cipher(&new)?;
    let crypt = Crypt {
        text: new.cipher.to_string(),
        spec: Ok(new.cipher.clone()),
        iv_tweak: old.iv_tweak,
        sector_size: u32::try_from(new.sector_size.bytes()).unwrap_or(u32::MAX),
        integrity: false,
    };
    let is_same = crypt.text == old.text && crypt.sector_size == old.sector_size;
    if new.keep_key && is_same {
        return Err(obstacle(ReencryptionObstacle::NothingToChange));
    }
    let sector = u64::from(crypt.sector_size.max(old.sector_size));
    let volume_bytes = volume_bytes(&segment, &*data, sector, options.device_bytes)?;

    let mut json = header.metadata.raw().clone();
    let header_bytes = header.binary.header_bytes;
    let mut areas: Vec<Placed> = Vec::new();
    let mut another = None;
    if !new.keep_key {
        let (number, key) = new_keyslots(&mut json, header_bytes, new, &mut areas, random)?;
        another = Some((number, key));
    }
    let after_digest = another.as_ref().map_or(digest, |(number, _)| *number);
    let place = SegmentObject {
        crypt: Some(old),
        offset: segment.offset,
        bytes: None,
    };
    let begin = Begin {
        mode: ReencryptionMode::Reencrypt,
        direction: Direction::Forward,
        resilience: resilience(options.protection, sector, None),
        before: (place, Some(digest)),
        after: (
            SegmentObject {
                crypt: Some(&crypt),
                ..place
            },
            Some(after_digest),
        ),
        moved: None,
    };
    let shape = Shape {
        volume_bytes,
        before: segment.offset,
        after: segment.offset,
        moved: None,
        direction: Direction::Forward,
        is_dynamic: options.device_bytes.is_none(),
    };
    let key_of = |number: u32| match &another {
        Some((id, key)) if *id == number => Some(key),
        _ => unlocked.key_of(number),
    };
    let json = begun(&begin, json, header_bytes, &shape, &key_of, options, random)?;
    check_hotzone(&json, header_bytes, options)?;

    let mut edit = Edit::begin(luks)?;
    write_areas(&mut edit, &areas)?;
    commit(&mut edit, json, random)?;
    let unlocked = unlocked.of(edit.header().clone(), another);
    drop(edit);
    Running::of(Arc::clone(luks.storage()), unlocked, data)
}

/// Begins to decrypt data in its own place; the header is another storage.
///
/// # Errors
///
/// As [`start_reencrypt`], and [`ReencryptionObstacle::DataOffset`] where the data does not begin at 0.
pub fn start_decrypt(
    luks: &Luks,
    unlocked: Unlocked,
    data: Arc<dyn Storage>,
    options: &StartOptions,
    random: &mut dyn Random,
) -> Result<Running, Error> {
    luks.check_change()?;
    let header = luks2_of(luks.header())?;
    let (segment, old, digest) = data_segment(&header.metadata)?;
    if segment.offset != 0 {
        let offset = segment.offset;
        return Err(obstacle(ReencryptionObstacle::DataOffset { offset }));
    }
    let sector = u64::from(old.sector_size);
    let shape = Shape {
        volume_bytes: volume_bytes(&segment, &*data, sector, options.device_bytes)?,
        before: 0,
        after: 0,
        moved: None,
        direction: Direction::Forward,
        is_dynamic: options.device_bytes.is_none(),
    };
    let place = SegmentObject {
        crypt: Some(old),
        offset: 0,
        bytes: None,
    };
    let begin = Begin {
        mode: ReencryptionMode::Decrypt,
        direction: Direction::Forward,
        resilience: resilience(options.protection, sector, None),
        before: (place, Some(digest)),
        after: (
            SegmentObject {
                crypt: None,
                ..place
            },
            None,
        ),
        moved: None,
    };
    let json = header.metadata.raw().clone();
    let key_of = |number: u32| unlocked.key_of(number);
    let bytes = header.binary.header_bytes;
    let json = begun(&begin, json, bytes, &shape, &key_of, options, random)?;
    check_hotzone(&json, bytes, options)?;
    let mut edit = Edit::begin(luks)?;
    commit(&mut edit, json, random)?;
    let unlocked = unlocked.of(edit.header().clone(), None);
    drop(edit);
    Running::of(Arc::clone(luks.storage()), unlocked, data)
}

/// Begins to decrypt data whose header lies before it: `luks` is a copy of that header in a storage of its own, on the
/// disk to stay. The first bytes are put where the header was, and then the copy says so. Until it has, this can be done
/// again, and the copy opens the data where it is.
///
/// # Errors
///
/// As [`start_reencrypt`].
pub fn start_decrypt_shift(
    luks: &Luks,
    unlocked: Unlocked,
    data: Arc<dyn Storage>,
    options: &StartOptions,
    random: &mut dyn Random,
) -> Result<Running, Error> {
    luks.check_change()?;
    let header = luks2_of(luks.header())?;
    let (segment, old, digest) = data_segment(&header.metadata)?;
    let shift = segment.offset;
    let sector = u64::from(old.sector_size);
    if shift == 0 || shift.checked_rem(sector) != Some(0) {
        return Err(obstacle(ReencryptionObstacle::DataOffset { offset: shift }));
    }
    let volume_bytes = volume_bytes(&segment, &*data, sector, None)?;
    let resilience = resilience(options.protection, sector, Some(shift));
    let place = SegmentObject {
        crypt: Some(old),
        offset: shift,
        bytes: None,
    };
    let mut begin = Begin {
        mode: ReencryptionMode::Decrypt,
        direction: Direction::Forward,
        resilience,
        before: (place, Some(digest)),
        after: (
            SegmentObject {
                crypt: None,
                offset: 0,
                bytes: None,
            },
            None,
        ),
        moved: None,
    };
    let room = limits::most_in_place(&begin.resilience, begin.area(&header.metadata)?)?;
    let room = room.unwrap_or(u64::MAX);
    let bytes = shift.min(volume_bytes).min(room);
    let bytes = bytes.saturating_sub(bytes.checked_rem(sector).unwrap_or(0));
    if bytes == 0 {
        let problem = ReencryptionObstacle::NoRoom {
            have: room,
            need: sector,
        };
        return Err(obstacle(problem));
    }
    let moved = Moved { offset: 0, bytes };
    begin.moved = Some((
        SegmentObject {
            crypt: Some(old),
            offset: 0,
            bytes: Some(bytes),
        },
        Some(digest),
    ));
    let shape = Shape {
        volume_bytes,
        before: shift,
        after: 0,
        moved: Some(moved),
        direction: Direction::Forward,
        is_dynamic: true,
    };
    let mut json = header.metadata.raw().clone();
    leavings::write_in_place(&mut json, DECRYPT_IN_PLACE, options.cut);
    let key_of = |number: u32| unlocked.key_of(number);
    let header_bytes = header.binary.header_bytes;
    let json = begun(&begin, json, header_bytes, &shape, &key_of, options, random)?;

    sync_header(&**luks.storage())?;
    wipe_magics(&*data, header_bytes)?;
    protect::put(&*data, shift, 0, bytes)?;
    let mut edit = Edit::begin(luks)?;
    commit(&mut edit, json, random)?;
    let unlocked = unlocked.of(edit.header().clone(), None);
    drop(edit);
    Running::of(Arc::clone(luks.storage()), unlocked, data)
}

/// Says in a copy of a header what it was made for, before the data is touched: [`start_decrypt_shift`] is next.
///
/// # Errors
///
/// What [`Edit::begin`] and writing say.
pub fn mark_decrypt_in_place(
    luks: &Luks,
    is_cut: bool,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let mut edit = Edit::begin(luks)?;
    let mut json = luks2_of(edit.header())?.metadata.raw().clone();
    leavings::write_in_place(&mut json, DECRYPT_IN_PLACE, is_cut);
    commit(&mut edit, json, random)
}

/// Turns a container that is not written yet into one whose header says that `payload_bytes` bytes of plaintext are still
/// to be encrypted.
///
/// Without `shift` header and data are two storages, and the data becomes encrypted where it is. With it the header goes
/// to the start of the data's storage, which must be longer than the payload by twice the data offset when
/// [`put_aside`] is called; until then its header file says [`PUT_ASIDE`].
///
/// # Errors
///
/// [`Error::InvalidOption`], [`Error::Random`].
pub fn prepare_encrypt(
    new: &mut NewContainer,
    payload_bytes: u64,
    shift: bool,
    options: &StartOptions,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let NewHeader::Luks2(header) = new.header() else {
        return Err(obstacle(ReencryptionObstacle::Segments));
    };
    let (segment, crypt, digest) = data_segment(&header.metadata)?;
    let sector = u64::from(crypt.sector_size);
    let volume_bytes = part(
        payload_bytes,
        options.device_bytes.filter(|_| !shift),
        sector,
    )?;
    let offset = segment.offset;
    let linear = |offset, bytes| SegmentObject {
        crypt: None,
        offset,
        bytes,
    };
    let after = SegmentObject {
        crypt: Some(crypt),
        offset,
        bytes: None,
    };
    let moved = shift.then(|| Moved {
        offset: payload_bytes.saturating_add(offset),
        bytes: payload_bytes.min(offset),
    });
    let resilience = match moved {
        Some(_) => Resilience::Shift(offset),
        None => resilience(options.protection, sector, None),
    };
    let begin = Begin {
        mode: ReencryptionMode::Encrypt,
        direction: if shift {
            Direction::Backward
        } else {
            Direction::Forward
        },
        resilience,
        before: match moved {
            Some(_) => (linear(0, Some(payload_bytes)), None),
            None => (linear(offset, None), None),
        },
        after: (after, Some(digest)),
        moved: moved.map(|moved| (linear(moved.offset, Some(moved.bytes)), None)),
    };
    let shape = Shape {
        volume_bytes,
        before: if shift { 0 } else { offset },
        after: offset,
        moved,
        direction: begin.direction,
        is_dynamic: !shift && options.device_bytes.is_none(),
    };
    let mut json = header.metadata.raw().clone();
    if shift {
        leavings::write_in_place(&mut json, ENCRYPT_IN_PLACE, options.cut);
    }
    let key = new.volume_key();
    let key_of = |number: u32| (number == digest).then_some(key);
    let header_bytes = header.binary.header_bytes;
    let mut json = begun(&begin, json, header_bytes, &shape, &key_of, options, random)?;
    check_hotzone(&json, header_bytes, options)?;
    if shift {
        metadata::require(&mut json, PUT_ASIDE);
    }
    let header = header
        .with_json(json)
        .map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))?;
    new.change(NewHeader::Luks2(header), None, random)
}

/// Whether a header is that of an image whose first bytes are still to be put aside.
pub fn is_to_be_put_aside(header: &Header) -> bool {
    match header {
        Header::Luks1(_) => false,
        Header::Luks2(header) => {
            let metadata = &header.metadata;
            let requirements = &metadata.config.requirements;
            metadata.reencryption.is_some() && requirements.iter().any(|name| name == PUT_ASIDE)
        }
    }
}

/// Whether a header, in a storage of its own, is that of an image which somebody else has encrypted to the end with it:
/// [`put_header`] and [`forget_in_place`] are all that is left.
pub fn is_encrypted_apart(header: &Header) -> bool {
    let Header::Luks2(header) = header else {
        return false;
    };
    let metadata = &header.metadata;
    let mut tokens = metadata.tokens.iter();
    metadata.config.requirements.is_empty()
        && tokens.any(|token| token.kind == ENCRYPT_IN_PLACE)
        && metadata.digest_of_data().is_some()
        && metadata.data_offset().is_some_and(|offset| offset > 0)
}

/// Takes the token of a job in place out of a header that is in its place.
///
/// # Errors
///
/// What [`Edit::begin`] and writing say.
pub fn forget_in_place(luks: &Luks, random: &mut dyn Random) -> Result<(), Error> {
    let mut edit = Edit::begin(luks)?;
    let mut json = luks2_of(edit.header())?.metadata.raw().clone();
    leavings::forget_in_place(&mut json);
    commit(&mut edit, json, random)
}

/// Copies the first bytes of `data` to its end, where `luks`, the header of it in a storage of its own, has them, syncs
/// them and then says in that header that they are there. Where they are already, nothing is done.
///
/// # Errors
///
/// [`Error::Unfinished`] where the digest does not fit, [`ReencryptionObstacle::Length`] where `data` is too short,
/// [`Error::Io`].
pub fn put_aside(
    luks: &Luks,
    unlocked: &Unlocked,
    data: &dyn Storage,
    random: &mut dyn Random,
) -> Result<(), Error> {
    if !is_to_be_put_aside(luks.header()) {
        return Ok(());
    }
    unlocked.proof().clone()?;
    sync_header(&**luks.storage())?;
    let metadata = &luks2_of(luks.header())?.metadata;
    let state = metadata.reencryption.as_ref();
    let moved = state.and_then(|state| state.moved.as_ref());
    let Some(moved) = moved else {
        return Err(obstacle(ReencryptionObstacle::Segments));
    };
    let (offset, have) = (moved.segment.offset, storage_bytes(data)?);
    let bytes = metadata::bytes_of(&moved.segment, have);
    let need = offset.saturating_add(bytes);
    if need > have || bytes > offset {
        return Err(obstacle(ReencryptionObstacle::Length { have, need }));
    }
    protect::put(data, 0, offset, bytes)?;
    let mut edit = Edit::go_on(Arc::clone(luks.storage()), luks.header())?;
    let mut json = metadata.raw().clone();
    metadata::release(&mut json, |name| name == PUT_ASIDE);
    commit(&mut edit, json, random)
}

/// Writes the header of `luks`, a storage of its own, to the start of `data`: keyslots first, and the copies when those
/// are on the disk. From then on the image has its header.
///
/// # Errors
///
/// [`ReencryptionObstacle::Length`] where there is no room for it, [`Error::Io`].
pub fn put_header(luks: &Luks, data: &dyn Storage) -> Result<(), Error> {
    let header = luks2_of(luks.header())?;
    let metadata = &header.metadata;
    let place = match &metadata.reencryption {
        Some(state) => Some(state.after.segment.offset),
        None if is_encrypted_apart(luks.header()) => metadata.data_offset(),
        None => None,
    };
    let Some(need) = place.filter(|_| !is_to_be_put_aside(luks.header())) else {
        return Err(obstacle(ReencryptionObstacle::NotInProgress));
    };
    let have = storage_bytes(data)?;
    if need > have {
        return Err(obstacle(ReencryptionObstacle::Length { have, need }));
    }
    let copies = header.binary.header_bytes.saturating_mul(2);
    let from = &**luks.storage();
    sync_header(from)?;
    let there_is = storage_bytes(from)?.min(need);
    for (range, what) in [
        (copies..there_is, "write the keyslots to the image"),
        (0..copies.min(there_is), "write the header to the image"),
    ] {
        let mut at = range.start;
        let mut chunk = vec![0; CHUNK_BYTES];
        while at < range.end {
            let rest = range.end.saturating_sub(at);
            let piece = &mut chunk[..to_usize(rest).min(CHUNK_BYTES)];
            let moved = from
                .read_at(at, piece)
                .and_then(|()| data.write_at(at, piece));
            moved.map_err(Error::io(what))?;
            at = at.saturating_add(crate::number::to_u64(piece.len()));
        }
        data.sync().map_err(Error::io(what))?;
    }
    Ok(())
}

/// Bytes of a header that are written at a time.
const CHUNK_BYTES: usize = 1 << 20;

fn luks2_of(header: &Header) -> Result<&luks2::Header, Error> {
    match header {
        Header::Luks2(header) => Ok(header),
        Header::Luks1(_) => Err(InvalidOption::OtherFormat {
            format: "LUKS1",
            what: "reencryption of its own",
        }
        .into()),
    }
}

/// The one segment that can be worked on, how it is encrypted and the digest of its key.
fn data_segment(metadata: &Metadata) -> Result<(Segment, &Crypt, u32), Error> {
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

fn check_cipher(new: &NewKey<'_>) -> Result<(), InvalidOption> {
    new.cipher.check_supported()?;
    if new.cipher.is_null() {
        return Err(InvalidOption::NullCipher);
    }
    let bytes = new.key.as_ref().map_or(new.key_bytes, VolumeKey::len);
    new.cipher.check_key_bytes(bytes)?;
    Ok(())
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

/// A new key's digest and keyslots, all in memory; the digest's number.
fn new_keyslots(
    json: &mut Map<String, Value>,
    header_bytes: u64,
    new: NewKey<'_>,
    areas: &mut Vec<Placed>,
    random: &mut dyn Random,
) -> Result<(u32, VolumeKey), Error> {
    let key = match new.key {
        Some(key) => key,
        None => random_volume_key(new.key_bytes, random)?,
    };
    if new.cipher.has_equal_xts_halves(key.expose()) {
        return Err(InvalidOption::EqualXtsHalves.into());
    }
    if new.keyslots.is_empty() {
        return Err(Error::NoUsableKeyslot("the new key has none"));
    }
    let (hash, iterations) = new.digest;
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt)?;
    let cost = KdfParams::Pbkdf2 { hash, iterations };
    let effort = Effort {
        threads: 1,
        cancel: &|| false,
    };
    let bytes = hash.digest_bytes();
    let digest = kdf::derive(&cost, key.expose(), &salt, bytes, effort).map_err(Error::kdf(0))?;
    let of_key = |id| KeyDigest {
        id,
        hash,
        iterations,
        salt: salt.to_vec(),
        digest: digest.expose().to_vec(),
    };
    let mut number = None;
    for slot in &new.keyslots {
        let metadata = checked(json.clone(), header_bytes)?;
        let id = free_number(metadata.keyslots.iter().map(|slot| slot.id));
        if id >= 32 {
            return Err(InvalidOption::NoFreeKeyslot { count: 32 }.into());
        }
        let old = metadata.keyslot(slot.replaces);
        let old = old.filter(|old| matches!(old.kind, KeyslotKind::Luks2(_)));
        let keyslot = slot.replaces;
        let old = old.ok_or(InvalidOption::KeyslotInactive { keyslot })?;
        let options = KeyslotOptions {
            priority: old.priority,
            kdf: slot.options.kdf.clone(),
            cipher: slot.options.cipher.clone(),
            ..slot.options
        };
        let digest_id =
            number.unwrap_or_else(|| free_number(metadata.digests.iter().map(|digest| digest.id)));
        let passphrase = slot.passphrase;
        let (object, area) = make_luks2(
            &metadata,
            &key,
            of_key(digest_id),
            id,
            passphrase,
            &options,
            random,
        )?;
        insert(json, "keyslots", id, object);
        if number.is_none() {
            let object = NewDigest {
                keyslot: id,
                segment: None,
                hash: hash.name(),
                iterations,
                salt: &salt,
                digest: digest.expose(),
            };
            insert(json, "digests", digest_id, object.to_json());
            number = Some(digest_id);
        } else {
            refer(json, digest_id, id);
        }
        add_to_tokens(json, slot.replaces, id);
        areas.push(area);
    }
    Ok((number.unwrap_or_default(), key))
}

/// Tokens that open a keyslot open the one that comes in its place, too.
fn add_to_tokens(json: &mut Map<String, Value>, old: u32, new: u32) {
    let Some(Value::Object(tokens)) = json.get_mut("tokens") else {
        return;
    };
    let old = old.to_string();
    for token in tokens.values_mut() {
        if let Some(Value::Array(keyslots)) = token.get_mut("keyslots")
            && keyslots.iter().any(|name| name.as_str() == Some(&old))
        {
            keyslots.push(new.to_string().into());
        }
    }
}

/// The metadata of the beginning, whole.
fn begun<'k>(
    begin: &Begin<'_>,
    json: Map<String, Value>,
    header_bytes: u64,
    shape: &Shape,
    key_of: &dyn Fn(u32) -> Option<&'k VolumeKey>,
    options: &StartOptions,
    random: &mut dyn Random,
) -> Result<Map<String, Value>, Error> {
    let pieces = shape.pieces(&shape.all(), None);
    let mut json = begin.write(&checked(json, header_bytes)?, &pieces)?;
    metadata::write_digest(&mut json, header_bytes, key_of, options.digest, random)?;
    checked(json.clone(), header_bytes)?;
    Ok(json)
}

fn checked(json: Map<String, Value>, header_bytes: u64) -> Result<Metadata, InvalidOption> {
    Metadata::from_raw(json, header_bytes)
        .map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))
}

/// Whether zones of the size that is wanted can be, before the header says that there will be any.
fn check_hotzone(
    json: &Map<String, Value>,
    header_bytes: u64,
    options: &StartOptions,
) -> Result<(), Error> {
    let metadata = checked(json.clone(), header_bytes)?;
    let Some(state) = &metadata.reencryption else {
        return Ok(());
    };
    limits::zone_bytes(
        &state.slot.resilience,
        state.area,
        [&state.before.segment, &state.after.segment].map(sector_bytes),
        options.hotzone_bytes,
    )?;
    Ok(())
}

fn write_areas(edit: &mut Edit, areas: &[Placed]) -> Result<(), Error> {
    for (at, area) in areas {
        edit.write_area(*at, area)?;
        let mut back = vec![0; area.len()];
        let read = edit.storage().read_at(*at, &mut back);
        read.map_err(Error::io(format!("read the area at {at:#x} back")))?;
        if back != *area {
            return Err(Error::NotProven { keyslot: 0 });
        }
    }
    Ok(())
}

fn commit(edit: &mut Edit, json: Map<String, Value>, random: &mut dyn Random) -> Result<(), Error> {
    let mut draft = edit.draft()?;
    draft.json = json;
    edit.commit_draft(draft, random)
}

/// Headers that would be found first go, and only their magics.
fn wipe_magics(data: &dyn Storage, header_bytes: u64) -> Result<(), Error> {
    let length = storage_bytes(data)?;
    let mut is_written = false;
    for (at, which) in [(0, Which::Primary), (header_bytes, Which::Secondary)] {
        let mut magic = [0; 6];
        if at.saturating_add(6) > length {
            continue;
        }
        let read = data.read_at(at, &mut magic);
        read.map_err(Error::io("read the header in the image"))?;
        if luks2::BinaryHeader::has_magic(which, &magic) {
            let wiped = data.write_at(at, &[0; 6]);
            wiped.map_err(Error::io("take the header out of the image"))?;
            is_written = true;
        }
    }
    if is_written {
        let synced = data.sync();
        synced.map_err(Error::io("take the header out of the image"))?;
    }
    Ok(())
}
