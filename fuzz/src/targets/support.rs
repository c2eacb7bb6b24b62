//! What several targets need: choices made by the input, random bytes that it repeats, and containers to start from.

use std::sync::{Arc, OnceLock};

use arbitrary::Unstructured;
use dmcrypt::{HashAlgorithm, Passphrase};
use luks::{
    FormatOptions, KdfLimits, KdfParams, Luks, Random, RandomError, UnlockOptions, Version, format,
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

/// Which format the input chooses.
pub fn version(input: &mut Unstructured<'_>) -> Version {
    if input.arbitrary().unwrap_or(false) {
        Version::Luks1
    } else {
        Version::Luks2
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

/// A copy of it in which only what changes takes memory.
pub fn changeable(storage: Arc<dyn Storage>) -> Arc<RehearsedStorage> {
    Arc::new(RehearsedStorage::new(storage).expect("memory has a length"))
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
pub fn volume_key(storage: Arc<dyn Storage>) -> Vec<u8> {
    let luks = Luks::open(storage).expect("it is a container");
    let unlocked = luks.unlock(&passphrase(PASSPHRASE), &options());
    unlocked
        .expect("its passphrase opens it")
        .volume_key()
        .expose()
        .to_vec()
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

/// Overwrites up to eight places below `end`, as the input says.
pub fn damage(
    input: &mut Unstructured<'_>,
    storage: &dyn Storage,
    end: u64,
) -> arbitrary::Result<bool> {
    let count = input.int_in_range(0..=8)?;
    for _ in 0..count {
        let at = input.int_in_range(0..=end - 32)?;
        let len = input.int_in_range(1..=32)?;
        storage
            .write_at(at, input.bytes(len)?)
            .expect("memory can be written");
    }
    Ok(count > 0)
}
