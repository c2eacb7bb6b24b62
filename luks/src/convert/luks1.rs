//! LUKS2 becomes LUKS1.

use dmcrypt::SECTOR_BYTES as UNIT;

use super::{SECTOR_BYTES, is_free, obstacle, write_through};
use crate::defaults::AREA_ALIGNMENT;
use crate::device::Luks;
use crate::edit::Edit;
use crate::error::{ConversionObstacle, Error};
use crate::kdf::KdfParams;
use crate::luks1::{Header, Keyslot, Layout};
use crate::luks2::{self, Crypt, KeyslotKind, Metadata, Priority, SegmentKind, SegmentSize, Which};
use crate::number::{to_u64, to_usize};
use crate::seal::SEAL_TYPE;

/// Where the version ends, behind the magic.
const VERSION_END: usize = 8;

pub(super) fn from_luks2(edit: &Edit, luks: &Luks) -> Result<(), Error> {
    let refuse = obstacle("LUKS1");
    // The other copy is what counts while the first is overwritten.
    if !luks.warnings().is_empty() {
        return Err(refuse(ConversionObstacle::DamagedCopy("other")));
    }
    let old = edit.luks2()?;
    let length = edit
        .storage()
        .len()
        .map_err(Error::io("find the size of the container"))?;
    let kept = old.metadata.tokens.iter();
    let mut kept = kept.filter(|token| !(luks.is_seal_dropped() && token.kind == SEAL_TYPE));
    if kept.next().is_some() {
        let tokens = old.metadata.tokens.iter();
        let ids = tokens.map(|token| token.id).collect();
        return Err(refuse(ConversionObstacle::Tokens(ids)));
    }
    let new = header(old, length).map_err(&refuse)?;
    let mut block = new.to_bytes();
    Header::parse(&block)?;
    block.resize(2 * SECTOR_BYTES, 0);
    let (first, second) = block.split_at(SECTOR_BYTES);
    let storage = &**edit.storage();
    storage
        .write_at(to_u64(SECTOR_BYTES), second)
        .map_err(Error::io("write the header"))?;
    // Magic and version stay LUKS2's until all else is there: then a single byte turns it into LUKS1.
    let mut unnamed = first.to_vec();
    unnamed[..VERSION_END].copy_from_slice(&[&Which::Primary.magic()[..], &[0, 2]].concat());
    write_through(storage, 0, &unnamed)?;
    write_through(storage, 0, first)?;
    // Nothing of the old header is left to be taken for one.
    let rest = old
        .binary
        .header_bytes
        .saturating_mul(2)
        .saturating_sub(to_u64(block.len()));
    write_through(storage, to_u64(block.len()), &vec![0; to_usize(rest)])
}

/// The same in LUKS1, or what keeps it from being said there.
fn header(old: &luks2::Header, storage_bytes: u64) -> Result<Header, ConversionObstacle> {
    let metadata = &old.metadata;
    for (what, text) in [
        ("label", &old.binary.label),
        ("subsystem", &old.binary.subsystem),
    ] {
        if !text.is_empty() {
            return Err(ConversionObstacle::Label(what));
        }
    }
    if !metadata.config.flags.is_empty() {
        return Err(ConversionObstacle::Flags(
            metadata
                .config
                .flags
                .iter()
                .map(|flag| flag.as_str().into())
                .collect(),
        ));
    }
    let said = Said::of(metadata)?;
    let length = said.header.area_length();
    let mut active: [Option<Keyslot>; Header::KEYSLOTS] = std::array::from_fn(|_| None);
    for (id, slot) in said.keyslots {
        let place = active
            .get_mut(to_usize(id))
            .ok_or(ConversionObstacle::KeyslotNumber(id))?;
        *place = Some(slot);
    }
    let end = match said.header.data_offset() {
        0 => storage_bytes,
        offset => offset,
    };
    let key_bytes = said.header.key_bytes;
    Ok(Header {
        uuid: old.binary.uuid.clone(),
        keyslots: with_unused(active, key_bytes, length, end)?,
        ..said.header
    })
}

/// What LUKS2 metadata say that LUKS1 can say.
pub(crate) struct Said {
    /// The header without its UUID, and without a keyslot.
    pub(crate) header: Header,
    /// Keyslots by their numbers in LUKS2, each where its area lies.
    pub(crate) keyslots: Vec<(u32, Keyslot)>,
}

impl Said {
    /// Of data, digest and keyslots.
    pub(crate) fn of(metadata: &Metadata) -> Result<Self, ConversionObstacle> {
        let (data_offset, crypt) = data(metadata)?;
        let cipher = || ConversionObstacle::Cipher(crypt.text.as_str().into());
        if crypt.integrity || crypt.text.starts_with("capi:") {
            return Err(cipher());
        }
        let spec = crypt.spec.as_ref().map_err(|_| cipher())?;
        let (cipher_name, cipher_mode) = spec.luks1_fields().ok_or_else(cipher)?;
        let digest = metadata
            .digest_of_data()
            .ok_or(ConversionObstacle::Digest)?;
        let Ok((hash, mk_digest_iterations)) = digest.pbkdf2 else {
            return Err(ConversionObstacle::Digest);
        };
        let first = metadata
            .keyslots
            .first()
            .ok_or(ConversionObstacle::NoKeyslot)?;
        let key_bytes = first.key_bytes;
        crate::area::material_bytes(to_usize(key_bytes), crate::defaults::STRIPES)
            .ok_or_else(cipher)?;

        let mut keyslots = Vec::with_capacity(metadata.keyslots.len());
        for slot in &metadata.keyslots {
            let cannot = |problem| ConversionObstacle::Keyslot {
                keyslot: slot.id,
                problem,
            };
            let KeyslotKind::Luks2(passphrase) = &slot.kind else {
                return Err(cannot("is of a type that LUKS1 has not"));
            };
            if !digest.keyslots.contains(&slot.id) || slot.key_bytes != key_bytes {
                return Err(cannot("is unbound"));
            }
            if slot.priority != Priority::Normal {
                return Err(cannot("has a priority"));
            }
            let Ok(KdfParams::Pbkdf2 {
                hash: kdf_hash,
                iterations,
            }) = passphrase.kdf
            else {
                return Err(cannot("has another key derivation than PBKDF2"));
            };
            if kdf_hash != hash || passphrase.af_hash.as_ref() != Ok(&hash) {
                return Err(cannot("has another hash than the digest"));
            }
            if passphrase.cipher.text != crypt.text || passphrase.cipher.key_bytes != key_bytes {
                return Err(cannot("is encrypted otherwise than the data"));
            }
            let salt = passphrase.salt[..].try_into();
            let salt = salt.map_err(|_| cannot("has a salt that is not 32 bytes long"))?;
            let sectors = u32::try_from(slot.area.offset / UNIT).ok();
            let sectors = sectors.filter(|_| slot.area.offset % UNIT == 0);
            let said = Keyslot {
                active: true,
                iterations,
                salt,
                material_offset_sectors: sectors.ok_or_else(|| cannot("lies at no sector"))?,
            };
            keyslots.push((slot.id, said));
        }
        let payload = u32::try_from(data_offset / UNIT);
        let header = Header {
            cipher_name,
            cipher_mode,
            hash_spec: hash.name().into(),
            payload_offset_sectors: payload
                .map_err(|_| ConversionObstacle::NoRoom("its offset"))?,
            key_bytes,
            mk_digest: *digest
                .digest
                .first_chunk()
                .ok_or(ConversionObstacle::Digest)?,
            mk_digest_salt: digest.salt[..]
                .try_into()
                .map_err(|_| ConversionObstacle::Digest)?,
            mk_digest_iterations,
            uuid: String::new(),
            keyslots: std::array::from_fn(|_| Keyslot::unused(0)),
        };
        Ok(Self { header, keyslots })
    }
}

/// The one data segment and where it begins.
fn data(metadata: &Metadata) -> Result<(u64, &Crypt), ConversionObstacle> {
    let [segment] = &metadata.segments[..] else {
        return Err(ConversionObstacle::Segments);
    };
    let SegmentKind::Crypt(crypt) = &segment.kind else {
        return Err(ConversionObstacle::Segments);
    };
    if segment.size != SegmentSize::Dynamic || segment.offset % UNIT != 0 {
        return Err(ConversionObstacle::Segments);
    }
    if crypt.sector_size != 512 {
        return Err(ConversionObstacle::SectorSize(crypt.sector_size));
    }
    if crypt.iv_tweak != 0 {
        return Err(ConversionObstacle::IvTweak);
    }
    Ok((segment.offset, crypt))
}

/// Places for the keyslots that are not in use: where cryptsetup has them, or wherever there is room.
fn with_unused(
    active: [Option<Keyslot>; Header::KEYSLOTS],
    key_bytes: u32,
    length: u64,
    end: u64,
) -> Result<[Keyslot; Header::KEYSLOTS], ConversionObstacle> {
    let no_room = ConversionObstacle::NoRoom("eight keyslots");
    let homes = Layout::new(key_bytes, None, true)
        .map_err(|_| no_room.clone())?
        .keyslots();
    let mut taken: Vec<u64> = active.iter().flatten().map(Keyslot::area_offset).collect();
    let mut keyslots = homes.clone();
    for ((slot, home), active) in keyslots.iter_mut().zip(homes).zip(active) {
        if let Some(active) = active {
            *slot = active;
            continue;
        }
        let behind: Vec<u64> = taken
            .iter()
            .map(|other| {
                other
                    .saturating_add(length)
                    .next_multiple_of(AREA_ALIGNMENT)
            })
            .collect();
        let start = [home.area_offset(), Header::AREAS_START]
            .into_iter()
            .chain(behind)
            .find(|start| is_free(&taken, length, *start, end))
            .ok_or_else(|| no_room.clone())?;
        slot.material_offset_sectors = u32::try_from(start / UNIT).map_err(|_| no_room.clone())?;
        taken.push(start);
    }
    Ok(keyslots)
}
