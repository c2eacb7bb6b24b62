//! What several targets need: choices made by the input, random bytes that it repeats, and containers to start from.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arbitrary::Unstructured;
use dmcrypt::{HashAlgorithm, Passphrase};
use luks::{
    FormatOptions, KdfLimits, KdfParams, Luks, Random, RandomError, UnlockOptions, Unlocked,
    Version, format,
};
use volume::{MemoryStorage, RehearsedStorage, Storage};

/// What opens the containers.
pub const PASSPHRASE: &str = "correct horse";

/// The cheapest derivation that may be made.
pub const CHEAP: KdfParams = KdfParams::Pbkdf2 {
    hash: HashAlgorithm::Sha256,
    iterations: 1000,
};

pub fn passphrase(text: &str) -> Passphrase {
    Passphrase::from_bytes(text.as_bytes().to_vec().into())
}

/// Bytes that look random and are the same in each run (xorshift64, Marsaglia 2003).
pub struct Repeated(pub u64);

impl Random for Repeated {
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RandomError> {
        for byte in buf {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = self.0.to_le_bytes()[3];
        }
        Ok(())
    }
}

/// A container of 64 KiB of data behind a header that is as small as it can be, opened by [`PASSPHRASE`].
pub fn container(version: Version) -> Arc<dyn Storage> {
    static CONTAINERS: OnceLock<[Arc<dyn Storage>; 2]> = OnceLock::new();
    let [luks1, luks2] = CONTAINERS.get_or_init(|| [Version::Luks1, Version::Luks2].map(make));
    Arc::clone(match version {
        Version::Luks1 => luks1,
        Version::Luks2 => luks2,
    })
}

fn make(version: Version) -> Arc<dyn Storage> {
    let options = FormatOptions {
        version,
        cipher: "aes-cbc-essiv:sha256".parse().expect("a specification"),
        key_bytes: 16,
        kdf: CHEAP,
        digest_iterations: 1000,
        keyslots_bytes: (version == Version::Luks2).then_some(8 << 16),
        data_offset: Some(1 << 20),
        ..FormatOptions::default()
    };
    let random = &mut Repeated(7);
    let new = format::prepare(&options, &passphrase(PASSPHRASE), None, random, &|| false);
    let new = new.expect("the options are fine");
    let storage = Arc::new(MemoryStorage::new((1 << 20) + (64 << 10)));
    new.write_areas(&*storage, random)
        .expect("memory can be written");
    new.commit(&*storage).expect("memory can be written");
    storage
}

/// A container of the format that the input chooses, of which only what changes takes memory.
pub fn changeable(input: &mut Unstructured<'_>) -> (Version, Arc<RehearsedStorage>) {
    let version = if input.arbitrary().unwrap_or(false) {
        Version::Luks1
    } else {
        Version::Luks2
    };
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

/// Panics unless what was unlocked is the data of [`container`].
pub fn check_data(unlocked: &Unlocked, version: Version) {
    let luks = Luks::open(container(version)).expect("it is a container");
    let known = luks.unlock(&passphrase(PASSPHRASE), &options());
    let known = known.expect("its passphrase opens it");
    let key = |unlocked: &Unlocked| unlocked.volume_key().expose().to_vec();
    assert_eq!(key(unlocked), key(&known), "another volume key");
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

/// Overwrites up to so many places within one of `ranges`, each with at most `longest` bytes; whether anything is then
/// other than it was.
pub fn damage(
    input: &mut Unstructured<'_>,
    storage: &dyn Storage,
    ranges: &[Range<u64>],
    most: u8,
    longest: u8,
) -> arbitrary::Result<bool> {
    let mut is_changed = false;
    for _ in 0..input.int_in_range(0..=most)? {
        let range = input.choose(ranges)?;
        let len = input.int_in_range(1..=longest)?;
        let at = input.int_in_range(range.start..=range.end - u64::from(len))?;
        let new = input.bytes(len.into())?;
        let mut old = vec![0; new.len()];
        storage.read_at(at, &mut old).expect("it is there");
        storage.write_at(at, new).expect("memory can be written");
        is_changed |= new != old;
    }
    Ok(is_changed)
}
