//! Containers of every cipher, written and read through mappings of both programs and by `decrypt`.

use std::fmt::Write as _;

use super::place;
use crate::ciphers::{CIPHERS, Cipher, drawn};
use crate::common::Seeded;

/// How many plain containers are drawn.
const DRAWN: usize = 40;
const PBKDF2: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
const SEED: u64 = 0x2545_f491_4f6c_dd1d;

/// A container over `raw`: what makes it, what opens it beside its key, and what else `decrypt` is told.
struct Case {
    encrypt: String,
    open: String,
    key: Vec<u8>,
}

fn of_luks(cipher: &Cipher) -> impl Iterator<Item = Case> {
    let (mode, bytes) = if cipher.block_bytes == 16 && cipher.key_bytes.is_power_of_two() {
        ("xts-plain64", 2 * cipher.key_bytes)
    } else {
        ("cbc-plain64", cipher.key_bytes)
    };
    let spec = format!("--cipher {}-{mode} --key-size {}", cipher.name, 8 * bytes);
    let kinds = [
        "--type luks1",
        "--type luks2 --sector-size 512",
        "--type luks2 --sector-size 4096",
    ];
    kinds.into_iter().map(move |kind| Case {
        encrypt: format!("{kind} {spec} {PBKDF2}"),
        open: String::new(),
        key: b"secret".to_vec(),
    })
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = CIPHERS.iter().flat_map(of_luks).collect();
    for (encrypt, open) in [
        ("--type luks1 --header h", "--header h"),
        ("--type luks2 --sector-size 512 --header h", "--header h"),
        ("--type luks2 --sector-size 4096 --header h", "--header h"),
        (
            "--type luks2 --cipher xchacha20,aes-adiantum-plain64 --key-size 256",
            "",
        ),
    ] {
        cases.push(Case {
            encrypt: format!("{encrypt} {PBKDF2}"),
            open: open.to_owned(),
            key: b"secret".to_vec(),
        });
    }
    let mut random = Seeded(SEED);
    for number in 0..DRAWN {
        let (options, key_bytes) = drawn(&mut random);
        // Every other one lies somewhere in its file, and says how long it is.
        let place = match number % 2 {
            0 => String::new(),
            _ => format!(
                " --offset {} --size 512",
                random.one_of(&[8, 64, 1000, 4096])
            ),
        };
        cases.push(Case {
            encrypt: options.clone(),
            open: format!("{options}{place}"),
            key: random.bytes(key_bytes),
        });
    }
    cases
}

/// What the guest does with each: `raw` is in it, and is written over by ours, then by the other one.
const GUEST: &str = r#"
both() { # FOLDER WORDS...
	cd "$1"
	shift
	run 0 open c t --key-file key "$@"
	cmp -s ../raw /dev/mapper/t || wrong "$*: another plaintext through ours"
	cat ../other >/dev/mapper/t
	run 0 close t
	cp c ours
	real open c t --key-file key "$@"
	cmp -s ../other /dev/mapper/t || wrong "$*: another plaintext through cryptsetup's"
	cat ../third >/dev/mapper/t
	real close t
	run 0 open c t --key-file key "$@" --readonly
	cmp -s ../third /dev/mapper/t || wrong "$*: ours does not read what cryptsetup's has written"
	run 0 close t
	cd ..
}
"#;

#[test]
fn mappings_of_every_cipher_are_read_by_both_and_by_decrypt() {
    let place = place();
    let mut third = place.read("raw");
    third.reverse();
    place.write("third", &third);
    let cases = cases();
    let mut script = GUEST.to_owned();
    for (number, case) in cases.iter().enumerate() {
        let folder = format!("case{number}");
        std::fs::create_dir(place.path(&folder)).unwrap();
        place.write(format!("{folder}/key"), &case.key);
        place.sh(&format!(
            "cd {folder} && luksmith encrypt -q ../raw c --key-file key --allow-weak-cipher {}",
            case.encrypt
        ));
        if let Some((_, behind)) = case.open.split_once("--offset ") {
            let sectors: usize = behind.split(' ').next().unwrap().parse().unwrap();
            let container = place.read(format!("{folder}/c"));
            let around = vec![0xa5; sectors * 512];
            place.write(
                format!("{folder}/c"),
                [&around[..], &container, &around].concat(),
            );
        }
        let _ = writeln!(script, "both {folder} {}", case.open);
    }
    assert_eq!(place.guest(&script), "");
    for (number, case) in cases.iter().enumerate() {
        for (container, plaintext) in [("ours", "other"), ("c", "third")] {
            place.sh(&format!(
                "cd case{number} && luksmith decrypt -q {container} back --key-file key {} && cmp back ../{plaintext} && rm back",
                case.open
            ));
        }
    }
    println!(
        "cases: ciphers of mappings {} passed, 0 failed",
        cases.len()
    );
}
