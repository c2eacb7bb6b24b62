use std::fmt::Write as _;
use std::sync::Arc;

use dmcrypt::Passphrase;
use luks::{Luks, UnlockOptions};
use volume::{Access, FileStorage, Volume};
use zeroize::Zeroizing;

use crate::common::{Place, pattern};

const RAW_BYTES: usize = 256 << 10;

/// Containers that we make. They must need little memory, for the kernel has little.
fn cases() -> Vec<String> {
    let pbkdf2 = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    let mut cases = Vec::new();
    for (cipher, bits) in [
        ("aes-xts-plain64", 512),
        ("aes-xts-plain64", 256),
        ("aes-cbc-essiv:sha256", 256),
        ("aes-cbc-plain64", 128),
    ] {
        let cipher = format!("--cipher {cipher} --key-size {bits}");
        cases.push(format!("--type luks1 {cipher} {pbkdf2}"));
        for sector_bytes in [512, 1024, 2048, 4096] {
            cases.push(format!(
                "--type luks2 {cipher} --sector-size {sector_bytes} {pbkdf2}"
            ));
        }
    }
    for kdf in ["argon2i", "argon2id"] {
        cases.push(format!(
            "--type luks2 --pbkdf {kdf} --pbkdf-force-iterations 4 --pbkdf-memory 4096 --pbkdf-parallel 2"
        ));
    }
    for version in ["luks1", "luks2"] {
        cases.push(format!("--type {version} --header head {pbkdf2}"));
    }
    cases.push(format!(
        "--type luks2 --luks2-metadata-size 4M --luks2-keyslots-size 1M {pbkdf2}"
    ));
    cases
}

fn header_option(options: &str) -> &'static str {
    if options.contains("--header") {
        "--header head"
    } else {
        ""
    }
}

/// What the kernel writes: other bytes than what we did.
fn others() -> Vec<u8> {
    pattern(RAW_BYTES).iter().map(|byte| !byte).collect()
}

#[test]
fn containers_both_ways() {
    let place = Place::new();
    place.write("raw", pattern(RAW_BYTES));
    place.write("others", others());
    place.write("key", "secret");
    let cases = cases();
    let mut script = format!("cd '{}'\nfailed=0\n", place.path("").display());
    for (index, options) in cases.iter().enumerate() {
        place.sh(&format!(
            "mkdir case{index} && cd case{index} && luksmith encrypt ../raw box --key-file ../key {options}"
        ));
        let header = header_option(options);
        let _ = write!(
            script,
            "cd case{index}\n\
             {{ timeout 60 cryptsetup open box t --key-file ../key {header} && cat /dev/mapper/t >opened && \
             cat ../others >/dev/mapper/t; }} || {{ echo 'case{index} failed'; failed=1; }}\n\
             cryptsetup close t\ncd ..\n"
        );
    }
    script.push_str("exit $failed\n");
    assert_eq!(place.kernel(&script, &[]), "");
    for (index, options) in cases.iter().enumerate() {
        let opened = place.read(format!("case{index}/opened"));
        assert!(
            opened == pattern(RAW_BYTES),
            "the kernel reads something else: {options}"
        );
        let header = header_option(options);
        place.sh(&format!(
            "cd case{index} && luksmith decrypt box back --key-file ../key {header}"
        ));
        let back = place.read(format!("case{index}/back"));
        assert!(back == others(), "we read something else: {options}");
    }
    println!(
        "cases: luks-kernel {} passed, 0 failed, both ways",
        cases.len()
    );
}

/// Payload bytes of a sparse container, and places in it: around 2 TiB, where 32-bit sector numbers end, and beyond.
const LARGE_BYTES: u64 = 3 << 40;
const PLACES: [u64; 3] = [(2 << 40) - 65536, (2 << 40) + 65536, LARGE_BYTES - 131_072];

#[test]
fn beyond_two_tib() {
    let place = Place::new();
    place.write("key", "secret");
    place.write("others", others());
    let block = 65536;
    let mut script = format!("cd '{}'\n", place.path("").display());
    for kind in ["luks1", "luks2"] {
        place.sh(&format!(
            "luksmith create {kind} --type {kind} --payload-size {LARGE_BYTES} --key-file key --pbkdf pbkdf2 \
             --pbkdf-force-iterations 1000"
        ));
        let volume = open(&place, kind);
        for at in PLACES {
            volume.write_at(at, &pattern(block)).unwrap();
        }
        volume.sync().unwrap();
        let _ = writeln!(script, "cryptsetup open {kind} t --key-file key || exit 1");
        for at in PLACES {
            let first = at / 65536;
            let _ = write!(
                script,
                "dd if=/dev/mapper/t of={kind}.{first} bs=65536 skip={first} count=1 status=none || exit 1\n\
                 dd if=others of=/dev/mapper/t bs=65536 seek={} count=1 status=none || exit 1\n",
                first + 1
            );
        }
        script.push_str("cryptsetup close t || exit 1\n");
    }
    assert_eq!(place.kernel(&script, &[]), "");
    for kind in ["luks1", "luks2"] {
        let volume = open(&place, kind);
        for at in PLACES {
            let read = place.read(format!("{kind}.{}", at / 65536));
            assert!(
                read == pattern(block),
                "the kernel reads something else: {kind} at {at}"
            );
            let mut read = vec![0; block];
            volume.read_at(at + 65536, &mut read).unwrap();
            assert!(
                read == others()[..block],
                "we read something else: {kind} at {at}"
            );
        }
    }
    println!(
        "cases: luks-kernel-beyond-2-tib {} passed, 0 failed, both ways",
        2 * PLACES.len()
    );
}

/// The plaintext of a container, by the library: no command reads a part in the middle.
fn open(place: &Place, name: &str) -> Volume {
    let storage = Arc::new(FileStorage::open(&place.path(name), Access::ReadWrite).unwrap());
    let passphrase = Passphrase::from_bytes(Zeroizing::new(b"secret".to_vec()));
    let luks = Luks::open(Arc::clone(&storage) as Arc<_>).unwrap();
    let unlocked = luks.unlock(&passphrase, &UnlockOptions::default()).unwrap();
    unlocked.volume(storage).unwrap()
}
