//! What we say of the same bytes.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use dmcrypt::Passphrase;
use luks::kdf::Argon2Variant;
use luks::luks2::{KeyslotKind, SegmentKind};
use luks::{Error, Header, KdfLimits, KdfParams, Luks, UnlockOptions, luks1, luks2};
use serde_json::{Map, Value, json};
use volume::{HeaderLock, LockMode, MemoryStorage, Storage, Volume};

use crate::case::Case;

pub fn open(case: &Case) -> Result<Luks, Error> {
    Luks::open(Arc::new(Start {
        bytes: MemoryStorage::from_vec(case.bytes.clone()),
        bytes_len: case.bytes.len().try_into().expect("lengths are numbers"),
        length: case.length,
    }))
}

/// A file of which only the first bytes are there; the rest is a hole.
struct Start {
    bytes: MemoryStorage,
    bytes_len: u64,
    length: u64,
}

impl Storage for Start {
    fn len(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let wanted = u64::try_from(buf.len()).expect("lengths are numbers");
        let end = offset.checked_add(wanted);
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(0);
        let there = self
            .bytes_len
            .min(self.length)
            .saturating_sub(offset)
            .min(wanted);
        let there = usize::try_from(there).expect("it is at most as long as the buffer");
        if there == 0 {
            return Ok(());
        }
        self.bytes.read_at(offset, &mut buf[..there])
    }

    fn write_at(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn punch_hole(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok(Some(offset..self.length))
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.bytes.lock(mode)
    }
}

/// What the library says of a header that it has loaded, by our reading of it: the names are those of the answers.
pub fn fields(header: &Header) -> Map<String, Value> {
    let fields = match header {
        Header::Luks1(header) => luks1_fields(header),
        Header::Luks2(header) => luks2_fields(header),
    };
    let Value::Object(fields) = fields else {
        unreachable!("it is made as an object")
    };
    fields
}

fn luks1_fields(header: &luks1::Header) -> Value {
    let cipher = format!("{}-{}", header.cipher_name, header.cipher_mode);
    let active = header.keyslots.iter().filter(|keyslot| keyslot.active);
    let status = if active.count() == 1 { LAST } else { ACTIVE };
    let mut fields = json!({
        "type": "LUKS1",
        "cipher": header.cipher_name,
        "mode": header.cipher_mode,
        "uuid": header.uuid,
        "label": null,
        "subsystem": null,
        "data offset in sectors": header.payload_offset_sectors,
        "iv offset": 0,
        "sector size": 512,
        "key size": header.key_bytes,
    });
    for (slot, keyslot) in header.keyslots.iter().enumerate().filter(|(_, k)| k.active) {
        fields[format!("keyslot {slot}")] = json!({
            "status": status,
            "priority": 1,
            "key size": header.key_bytes,
            "cipher": cipher,
            "cipher key size": header.key_bytes,
            "area": [keyslot.area_offset(), header.area_length()],
            "kdf": ["pbkdf2", header.hash_spec, keyslot.iterations, 0, 0],
        });
    }
    fields
}

/// `crypt_keyslot_info`
const ACTIVE: u32 = 2;
const LAST: u32 = 3;
const UNBOUND: u32 = 4;

fn luks2_fields(header: &luks2::Header) -> Value {
    let metadata = &header.metadata;
    let first = metadata.data_segments().next();
    let crypt = first.and_then(|segment| match &segment.kind {
        SegmentKind::Crypt(crypt) => Some(crypt),
        _ => None,
    });
    let mut fields = json!({
        "type": "LUKS2",
        "uuid": header.binary.uuid,
        "label": header.binary.label,
        "subsystem": header.binary.subsystem,
        "data offset in sectors": metadata.data_offset().unwrap_or(0) / 512,
        "iv offset": 0,
        "sector size": crypt.map_or(512, |crypt| crypt.sector_size),
        "metadata size": header.binary.header_bytes,
        "keyslots size": metadata.config.keyslots_bytes,
        "json": metadata.raw(),
    });
    if let Some(crypt) = crypt {
        // A name alone means the same as in old versions of dm-crypt.
        let (cipher, mode) = match crypt.text.as_str() {
            "null" | "cipher_null" => ("cipher_null", "ecb"),
            text => match text.split_once('-') {
                Some((cipher, mode)) if !mode.is_empty() => (cipher, mode),
                _ => (text.trim_end_matches('-'), "cbc-plain"),
            },
        };
        fields["cipher"] = cipher.into();
        fields["mode"] = mode.into();
    }
    let data_digest = metadata.digest_of_data().map(|digest| digest.id);
    let bound = |slot| {
        metadata.digest_of_keyslot(slot).map(|digest| digest.id) == data_digest
            && data_digest.is_some()
    };
    let stored = metadata.keyslots.iter().find(|keyslot| bound(keyslot.id));
    fields["key size"] = stored.map_or(0, |keyslot| keyslot.key_bytes).into();
    let active = metadata
        .keyslots
        .iter()
        .filter(|keyslot| bound(keyslot.id))
        .count();
    for keyslot in &metadata.keyslots {
        let mut object = json!({
            "status": match (bound(keyslot.id), active) {
                (false, _) => UNBOUND,
                (true, 1) => LAST,
                (true, _) => ACTIVE,
            },
            "priority": keyslot.priority as u32,
            "key size": keyslot.key_bytes,
            "area": [keyslot.area.offset, keyslot.area.size],
        });
        if let KeyslotKind::Luks2(slot) = &keyslot.kind {
            object["cipher"] = slot.cipher.text.clone().into();
            object["cipher key size"] = slot.cipher.key_bytes.into();
            if let Ok(params) = &slot.kdf {
                object["kdf"] = kdf(params);
            }
        }
        fields[format!("keyslot {}", keyslot.id)] = object;
    }
    fields
}

fn kdf(params: &KdfParams) -> Value {
    match params {
        KdfParams::Pbkdf2 { hash, iterations } => json!(["pbkdf2", hash.name(), iterations, 0, 0]),
        KdfParams::Argon2 {
            variant,
            time,
            memory_kib,
            lanes,
        } => {
            let name = match variant {
                Argon2Variant::I => "argon2i",
                Argon2Variant::Id => "argon2id",
            };
            json!([name, null, time, memory_kib, lanes])
        }
    }
}

/// Cheap enough for many thousands.
pub fn limits() -> UnlockOptions<'static> {
    UnlockOptions {
        limits: KdfLimits {
            memory_kib: 4096,
            lanes: 4,
            argon2_kib: 65536,
            pbkdf2_rounds: 20_000_000,
            slots_total: 32,
        },
        ..UnlockOptions::default()
    }
}

/// The keyslot that a passphrase opens and the volume key in it.
pub fn unlock(luks: &Luks, passphrase: &[u8]) -> Result<(u32, Vec<u8>), Error> {
    let passphrase = Passphrase::from_bytes(passphrase.to_vec().into());
    let unlocked = luks.unlock(&passphrase, &limits())?;
    let keyslot = unlocked.keyslot().expect("a passphrase opens a keyslot");
    Ok((keyslot, unlocked.volume_key().expose().to_vec()))
}

/// What the passphrase opens of a container.
pub fn volume(image: Vec<u8>, passphrase: &[u8]) -> Result<Volume, Error> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::from_vec(image));
    let luks = Luks::open(Arc::clone(&storage))?;
    let passphrase = Passphrase::from_bytes(passphrase.to_vec().into());
    luks.unlock(&passphrase, &limits())?.volume(storage)
}
