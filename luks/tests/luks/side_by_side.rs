use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use dmcrypt::HashAlgorithm;
use luks::format::Version;
use luks::{Error, KdfLimits, KdfParams, KeyslotOptions, Luks, UnlockOptions};
use volume::{HeaderLock, LockMode, MemoryStorage, Storage};

use crate::common::{memory, passphrase, test_vectors, unxz};
use crate::keyslots::{add, cheap, container, open};

/// Keyslots 0, 3 and 7, each with one PBKDF2 block.
fn three_keyslots() -> Vec<u8> {
    unxz(&test_vectors().join("luks1/three-keyslots.img.xz"))
}

fn secrets() -> [String; 3] {
    let index = std::fs::read_to_string(test_vectors().join("index.toml")).unwrap();
    let index: toml::Table = index.parse().unwrap();
    let entry = index["file"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["path"].as_str() == Some("luks1/three-keyslots.img.xz"));
    [0, 1, 2].map(|number| {
        let secret = &entry.unwrap()["keyslots"][number]["passphrase"];
        secret.as_str().unwrap().to_owned()
    })
}

fn put_iterations(image: &mut [u8], keyslot: usize, value: u32) {
    let at = 208 + 48 * keyslot + 4;
    image[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn with(threads: usize) -> UnlockOptions<'static> {
    UnlockOptions {
        threads,
        limits: KdfLimits {
            pbkdf2_rounds: u64::MAX,
            ..KdfLimits::default()
        },
        ..UnlockOptions::default()
    }
}

fn outcome(luks: &Luks, secret: &str, options: &UnlockOptions<'_>) -> String {
    match luks.unlock(&passphrase(secret.as_bytes()), options) {
        Ok(unlocked) => format!("keyslot {}", unlocked.keyslot().unwrap()),
        Err(error) => error.to_string(),
    }
}

/// Whatever is wrong with which keyslot, and whichever fits.
#[test]
fn the_outcome_is_that_of_trying_one_after_another() {
    let good = three_keyslots();
    let mut disks = vec![Watched::new(good.clone(), 0, false)];
    for keyslot in [0, 3, 7] {
        disks.push(Watched::new(good.clone(), keyslot, true));
        for iterations in [999, 200_000] {
            let mut image = good.clone();
            put_iterations(&mut image, keyslot, iterations);
            disks.push(Watched::new(image, keyslot, false));
        }
    }
    let secrets = secrets();
    let mut passed = 0;
    for (number, disk) in disks.into_iter().enumerate() {
        let luks = Luks::open(disk).unwrap();
        for secret in secrets.iter().map(String::as_str).chain(["wrong"]) {
            // Within a sum of 2 keyslots of 2000 rounds the last ones are too costly.
            for (pbkdf2_rounds, slots_total) in [(2000, 2), (u64::MAX, 10)] {
                let of = |threads| {
                    let mut options = with(threads);
                    options.limits.pbkdf2_rounds = pbkdf2_rounds;
                    options.limits.slots_total = slots_total;
                    outcome(&luks, secret, &options)
                };
                let expected = of(1);
                for threads in [2, 3, 8] {
                    assert_eq!(of(threads), expected, "disk {number}, {threads} threads");
                    passed += 1;
                }
            }
        }
    }
    println!("cases: keyslots side by side {passed} passed, 0 failed");
}

#[test]
fn of_two_keyslots_that_fit_the_first_is_named_though_it_takes_longer() {
    let disk = container(Version::Luks2);
    let slow = KeyslotOptions {
        kdf: KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha512,
            iterations: 100_000,
        },
        ..KeyslotOptions::default()
    };
    assert_eq!(add(&disk, "same", &slow).unwrap(), 1);
    assert_eq!(add(&disk, "same", &cheap()).unwrap(), 2);
    for threads in 1..10 {
        assert_eq!(outcome(&open(&disk), "same", &with(threads)), "keyslot 1");
    }
}

/// Keyslot 0 fits; the other two would take hours.
#[test]
fn a_keyslot_that_fits_ends_those_behind_it() {
    let mut image = three_keyslots();
    for keyslot in [3, 7] {
        put_iterations(&mut image, keyslot, u32::MAX);
    }
    let luks = Luks::open(memory(image)).unwrap();
    let [first, ..] = secrets();
    assert_eq!(outcome(&luks, &first, &with(3)), "keyslot 0");
}

/// Says when the area of a keyslot was read, or fails to read it.
struct Watched {
    storage: Arc<MemoryStorage>,
    area: u64,
    fails: bool,
    seen: AtomicBool,
}

impl Watched {
    fn new(image: Vec<u8>, keyslot: usize, fails: bool) -> Arc<Self> {
        let at = 208 + 48 * keyslot + 40;
        let sector = u32::from_be_bytes(image[at..at + 4].try_into().unwrap());
        Arc::new(Self {
            storage: memory(image),
            area: u64::from(sector) * 512,
            fails,
            seen: AtomicBool::new(false),
        })
    }
}

impl Storage for Watched {
    fn len(&self) -> io::Result<u64> {
        self.storage.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset == self.area {
            self.seen.store(true, Ordering::Relaxed);
            if self.fails {
                return Err(io::Error::other("a bad sector"));
            }
        }
        self.storage.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.storage.write_at(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        self.storage.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.storage.set_len(len)
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        self.storage.punch_hole(offset, len)
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.storage.data_extent(offset)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.storage.lock(mode)
    }
}

/// The first two would take hours, and the work is ended when the third one's area is read.
#[test]
fn a_keyslot_is_begun_while_those_before_it_are_computed() {
    let mut image = three_keyslots();
    for keyslot in [0, 3] {
        put_iterations(&mut image, keyslot, u32::MAX);
    }
    let watched = Watched::new(image, 7, false);
    let luks = Luks::open(watched.clone()).unwrap();
    let asked = AtomicU32::new(0);
    let options = UnlockOptions {
        cancel: &|| {
            asked.fetch_add(1, Ordering::Relaxed);
            watched.seen.load(Ordering::Relaxed)
        },
        ..with(3)
    };
    let error = luks.unlock(&passphrase(b"wrong"), &options).err().unwrap();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(asked.into_inner() > 3);
}
