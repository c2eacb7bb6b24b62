//! What several targets need: choices made by the input, random bytes that it repeats, and containers to start from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arbitrary::Unstructured;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dmcrypt::{HashAlgorithm, Passphrase, SectorOptions, SectorSize, VolumeKey};
use luks::kdf::{self, Effort};
use luks::luks2::{KeyslotKind, Metadata, Which};
use luks::{
    FormatOptions, Header, KdfLimits, KdfParams, Luks, Random, RandomError, UnlockOptions,
    Unlocked, Version, af, defaults, format,
};
use serde_json::json;
use volume::{MemoryStorage, RehearsedStorage, Storage};

/// What opens the containers.
pub const PASSPHRASE: &str = "correct horse";

/// The cheapest derivation that may be made.
pub const CHEAP: KdfParams = KdfParams::Pbkdf2 {
    hash: HashAlgorithm::Sha256,
    iterations: 1000,
};

/// How the data of the containers and their keyslots' areas are encrypted.
const CIPHER: &str = "aes-cbc-essiv:sha256";
const KEY_BYTES: usize = 16;

pub fn passphrase(text: &str) -> Passphrase {
    Passphrase::from_bytes(text.as_bytes().to_vec().into())
}

/// Bytes that look random and are the same in each run (xorshift64, Marsaglia 2003).
pub struct Repeated(pub u64);

impl Random for Repeated {
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RandomError> {
        for bytes in buf.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.copy_from_slice(&self.0.to_le_bytes()[..bytes.len()]);
        }
        Ok(())
    }
}

/// A container, and what opens it.
struct Known {
    storage: Arc<dyn Storage>,
    volume_key: VolumeKey,
}

fn known(version: Version) -> &'static Known {
    static KNOWN: OnceLock<[Known; 2]> = OnceLock::new();
    let [luks1, luks2] = KNOWN.get_or_init(|| [Version::Luks1, Version::Luks2].map(make));
    match version {
        Version::Luks1 => luks1,
        Version::Luks2 => luks2,
    }
}

/// A container of 64 KiB of data behind a header that is as small as it can be, opened by [`PASSPHRASE`] at the cost of one
/// iteration.
pub fn container(version: Version) -> Arc<dyn Storage> {
    Arc::clone(&known(version).storage)
}

fn make(version: Version) -> Known {
    let options = FormatOptions {
        version,
        cipher: CIPHER.parse().expect("a specification"),
        key_bytes: KEY_BYTES,
        kdf: CHEAP,
        digest_iterations: 1000,
        keyslots_bytes: (version == Version::Luks2).then_some(8 << 16),
        data_offset: Some(1 << 20),
        ..FormatOptions::default()
    };
    let random = &mut Repeated(7);
    let new = format::prepare(&options, &passphrase(PASSPHRASE), None, random, &|| false);
    let new = new.expect("the options are fine");
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new((1 << 20) + (64 << 10)));
    new.write_areas(&*storage, random)
        .expect("memory can be written");
    new.commit(&*storage).expect("memory can be written");
    let volume_key = cheapen(&storage);
    Known {
        storage,
        volume_key,
    }
}

/// Makes keyslot 0 and the digest again with one iteration, which is read but never made: most of the time of a target would
/// be PBKDF2's, which has no state that an input could reach.
fn cheapen(storage: &Arc<dyn Storage>) -> VolumeKey {
    let luks = Luks::open(Arc::clone(storage)).expect("it was just made");
    let unlocked = luks.unlock(&passphrase(PASSPHRASE), &UnlockOptions::default());
    let key = unlocked
        .expect("its passphrase opens it")
        .volume_key()
        .expose()
        .to_vec();
    let key = VolumeKey::from_bytes(key.into());
    let hash = HashAlgorithm::Sha256;
    let derive = |secret: &[u8], salt: &[u8], bytes| {
        let once = KdfParams::Pbkdf2 {
            hash,
            iterations: 1,
        };
        kdf::derive(&once, secret, salt, bytes, Effort::default()).expect("it can be derived")
    };
    let (salt, area_offset) = match luks.header() {
        Header::Luks1(header) => (
            header.keyslots[0].salt.to_vec(),
            header.keyslots[0].area_offset(),
        ),
        Header::Luks2(header) => {
            let keyslot = &header.metadata.keyslots[0];
            let KeyslotKind::Luks2(inner) = &keyslot.kind else {
                unreachable!("it is opened by a passphrase");
            };
            (inner.salt.clone(), keyslot.area.offset)
        }
    };
    let area_key = derive(PASSPHRASE.as_bytes(), &salt, KEY_BYTES);
    let mut area = af::split(&key, defaults::STRIPES, hash, &mut Repeated(5))
        .expect("it always has bytes")
        .to_vec();
    let sectors = SectorOptions {
        sector_size: SectorSize::B512,
        iv_large_sectors: false,
    };
    let spec: dmcrypt::CipherSpec = CIPHER.parse().expect("a specification");
    spec.sector_cipher(area_key.expose(), sectors)
        .expect("the key fits")
        .encrypt(0, &mut area);
    let write = |at, bytes: &[u8]| storage.write_at(at, bytes).expect("memory can be written");
    write(area_offset, &area);

    match luks.header() {
        Header::Luks1(header) => {
            let mut header = header.clone();
            header.keyslots[0].iterations = 1;
            header.mk_digest_iterations = 1;
            let digest = derive(key.expose(), &header.mk_digest_salt, header.mk_digest.len());
            header.mk_digest.copy_from_slice(digest.expose());
            write(0, &header.to_bytes());
        }
        Header::Luks2(header) => {
            let mut raw = serde_json::Value::Object(header.metadata.raw().clone());
            let digest = &header.metadata.digests[0];
            let digest = derive(key.expose(), &digest.salt, digest.digest.len());
            raw["keyslots"]["0"]["kdf"]["iterations"] = json!(1);
            raw["digests"]["0"]["iterations"] = json!(1);
            raw["digests"]["0"]["digest"] = json!(BASE64.encode(digest.expose()));
            let raw = raw.as_object().expect("it was one").clone();
            let header = luks::luks2::Header {
                metadata: Metadata::from_raw(raw, 0x4000).expect("only values have changed"),
                ..header.clone()
            };
            for (which, at) in [(Which::Primary, 0), (Which::Secondary, 0x4000)] {
                write(at, &header.to_bytes(which, [7; 64]).expect("it fits"));
            }
        }
    }
    key
}

/// The format that the input chooses.
pub fn version(input: &mut Unstructured<'_>) -> Version {
    if input.arbitrary().unwrap_or(false) {
        Version::Luks1
    } else {
        Version::Luks2
    }
}

/// A container of the format that the input chooses, of which only what changes takes memory.
pub fn changeable(input: &mut Unstructured<'_>) -> (Version, Arc<RehearsedStorage>) {
    let version = version(input);
    let storage = RehearsedStorage::new(container(version)).expect("memory has a length");
    (version, Arc::new(storage))
}

/// Limits that no input can make expensive.
pub fn options() -> UnlockOptions<'static> {
    UnlockOptions {
        limits: KdfLimits {
            memory_kib: 1024,
            lanes: 2,
            argon2_kib: 4096,
            pbkdf2_rounds: 20_000,
            slots_total: 8,
        },
        ..UnlockOptions::default()
    }
}

/// The volume key of [`container`].
pub fn volume_key(version: Version) -> VolumeKey {
    VolumeKey::from_bytes(known(version).volume_key.expose().to_vec().into())
}

/// Panics unless what was unlocked is the data of [`container`].
pub fn check_data(unlocked: &Unlocked, version: Version) {
    let is_its_own = unlocked.volume_key().ct_eq(&known(version).volume_key);
    assert!(is_its_own, "another volume key");
}

/// Makes the checksums of both LUKS2 copies, of 16 KiB each, right again.
pub fn fix_checksums(storage: &dyn Storage) {
    for at in [0, 0x4000] {
        let mut copy = vec![0; 0x4000];
        storage
            .read_at(at, &mut copy)
            .expect("both copies are there");
        copy[448..512].fill(0);
        let checksum = HashAlgorithm::Sha256.digest(&[&copy]);
        storage
            .write_at(at + 448, &checksum)
            .expect("memory can be written");
    }
}

/// Overwrites up to so many places within one of `ranges`, each with at most `longest` bytes; whether anything is in the
/// end other than it was.
pub fn damage(
    input: &mut Unstructured<'_>,
    storage: &dyn Storage,
    ranges: &[Range<u64>],
    most: u8,
    longest: u8,
) -> arbitrary::Result<bool> {
    // What one takes away another may give back.
    let mut before = BTreeMap::new();
    for _ in 0..input.int_in_range(0..=most)? {
        let range = input.choose(ranges)?;
        let len = input.int_in_range(1..=longest)?;
        let at = input.int_in_range(range.start..=range.end - u64::from(len))?;
        let new = input.bytes(len.into())?;
        let mut old = vec![0; new.len()];
        storage.read_at(at, &mut old).expect("it is there");
        storage.write_at(at, new).expect("memory can be written");
        for (at, byte) in (at..).zip(old) {
            before.entry(at).or_insert(byte);
        }
    }
    let is_other = |(at, byte): (&u64, &u8)| {
        let mut now = [0];
        storage.read_at(*at, &mut now).expect("it is there");
        now != [*byte]
    };
    Ok(before.iter().any(is_other))
}
