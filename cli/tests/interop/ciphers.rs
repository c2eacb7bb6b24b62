use std::fmt::Write as _;

use crate::common::{Place, Seeded, pattern};

const RAW_BYTES: usize = 32 << 10;
/// How many plain containers are drawn.
const DRAWN: usize = 60;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

pub struct Cipher {
    pub name: &'static str,
    pub block_bytes: usize,
    pub key_bytes: usize,
    /// A hash whose digest is a key, by the kernel's name.
    essiv: Option<&'static str>,
}

const fn cipher(
    name: &'static str,
    block_bytes: usize,
    key_bytes: usize,
    essiv: Option<&'static str>,
) -> Cipher {
    Cipher {
        name,
        block_bytes,
        key_bytes,
        essiv,
    }
}

pub const CIPHERS: [Cipher; 15] = [
    cipher("aes", 16, 32, Some("sha256")),
    cipher("aes", 16, 24, Some("sha3-256")),
    cipher("aes", 16, 16, Some("md5")),
    cipher("serpent", 16, 32, Some("wp256")),
    cipher("twofish", 16, 32, Some("streebog256")),
    cipher("camellia", 16, 24, Some("blake2b-256")),
    cipher("cast6", 16, 20, Some("sha224")),
    cipher("anubis", 16, 40, Some("sha1")),
    cipher("seed", 16, 16, Some("md5")),
    cipher("blowfish", 8, 48, Some("rmd160")),
    cipher("cast5", 8, 16, Some("md5")),
    cipher("des3_ede", 8, 24, None),
    cipher("khazad", 8, 16, Some("md5")),
    cipher("tea", 8, 16, Some("md5")),
    cipher("xtea", 8, 16, Some("md5")),
];

/// Options that cryptsetup and we both understand, and how many bytes the key has.
pub fn drawn(random: &mut Seeded) -> (String, usize) {
    let Cipher {
        name,
        block_bytes,
        key_bytes,
        essiv,
    } = &CIPHERS[usize::try_from(random.next() >> 32).unwrap() % CIPHERS.len()];
    let mode = random.one_of(if *block_bytes == 16 {
        &["ecb", "cbc", "ctr", "xts", "lrw", "adiantum"][..]
    } else {
        &["ecb", "cbc", "ctr"]
    });
    let ivs: &[&str] = match mode {
        "adiantum" => &["null", "plain", "plain64", "plain64be", "benbi"],
        "ctr" => &["plain", "plain64", "plain64be", "benbi", "essiv", "tcw"],
        _ => &[
            "null",
            "plain",
            "plain64",
            "plain64be",
            "benbi",
            "eboiv",
            "essiv",
            "tcw",
        ],
    };
    let iv = match (random.one_of(ivs), essiv) {
        ("essiv", Some(hash)) => format!("essiv:{hash}"),
        ("essiv", None) => "plain64".to_owned(),
        (iv, _) => iv.to_owned(),
    };
    let (spec, mut key_bytes) = match mode {
        "ecb" => (format!("{name}-ecb"), *key_bytes),
        "adiantum" => {
            let stream = random.one_of(&["xchacha12", "xchacha20"]);
            // Its block cipher has keys of 32 bytes.
            let name = if *name == "seed" { "aes" } else { name };
            (format!("{stream},{name}-adiantum-{iv}"), 32)
        }
        "xts" => (format!("{name}-xts-{iv}"), 2 * key_bytes),
        "lrw" => (format!("{name}-lrw-{iv}"), key_bytes + 16),
        mode => (format!("{name}-{mode}-{iv}"), *key_bytes),
    };
    let mut sector_bytes = random.one_of(&[512, 1024, 2048, 4096]);
    if iv == "tcw" && mode != "ecb" {
        key_bytes += block_bytes + 16;
        sector_bytes = 512;
    }
    let large = match sector_bytes {
        512 => "",
        _ => random.one_of(&["", " --iv-large-sectors"]),
    };
    // From a few sectors to beyond 2^60, and whole sectors of every size.
    let skip = (random.next() >> 3 >> random.one_of(&[0, 8, 16, 26, 29, 40])) & !7;
    (
        format!(
            "--type plain --cipher {spec} --key-size {} --sector-size {sector_bytes} --skip {skip}{large}",
            key_bytes * 8
        ),
        key_bytes,
    )
}

/// LUKS containers whose keyslots and data are not of AES, or whose hashes are not of the SHA-2 family.
fn luks_options() -> Vec<String> {
    let mut options = Vec::new();
    for (cipher, bits, hash) in [
        ("serpent-xts-plain64", 512, "sha256"),
        ("twofish-xts-plain64", 512, "sha512"),
        ("camellia-cbc-essiv:sha256", 256, "sha1"),
        ("cast6-xts-plain64", 256, "whirlpool"),
        ("aes-lrw-benbi", 384, "ripemd160"),
        ("serpent-cbc-essiv:sha256", 256, "sha3-256"),
        ("anubis-cbc-plain64", 256, "sha256"),
        ("cast5-cbc-essiv:md5", 128, "blake2b-512"),
    ] {
        for version in ["luks1", "luks2"] {
            options.push(format!(
                "--type {version} --cipher {cipher} --key-size {bits} --hash {hash}"
            ));
        }
    }
    // cryptsetup takes this hash of ESSIV for LUKS1 only.
    options.push("--type luks1 --cipher serpent-cbc-essiv:wp256 --key-size 256".to_owned());
    options.push("--type luks2 --cipher xchacha12,aes-adiantum-plain64 --key-size 256".to_owned());
    options.push("--type luks2 --cipher cipher_null-ecb --key-size 128".to_owned());
    options
}

/// A container that we made and one for the kernel to make.
struct Case {
    folder: String,
    /// What makes it.
    format: String,
    /// What opens it.
    open: String,
    is_luks: bool,
}

fn cases(place: &Place) -> Vec<Case> {
    let mut random = Seeded(SEED);
    let plain = (0..DRAWN).map(|_| {
        let (options, key_bytes) = drawn(&mut random);
        (options, random.bytes(key_bytes))
    });
    let luks = luks_options().into_iter().map(|options| {
        (
            format!("{options} --pbkdf pbkdf2 --pbkdf-force-iterations 1000"),
            b"secret".to_vec(),
        )
    });
    plain
        .chain(luks)
        .zip(0..)
        .map(|((options, key), index)| {
            let folder = format!("case{index}");
            std::fs::create_dir(place.path(&folder)).unwrap();
            place.write(format!("{folder}/key"), key);
            let is_luks = !options.starts_with("--type plain");
            let format = format!("{options} --key-file key");
            let open = if is_luks {
                "--key-file key".to_owned()
            } else {
                format.clone()
            };
            Case {
                folder,
                format,
                open,
                is_luks,
            }
        })
        .collect()
}

/// What the kernel writes: other bytes than what we did.
fn others() -> Vec<u8> {
    pattern(RAW_BYTES).iter().map(|byte| !byte).collect()
}

/// All in one kernel, for it takes seconds to start.
#[test]
fn ciphers_both_ways() {
    let place = Place::new();
    place.write("raw", pattern(RAW_BYTES));
    place.write("others", others());
    let cases = cases(&place);
    let mut script = format!("cd '{}'\nfailed=0\n", place.path("").display());
    for Case {
        folder,
        format,
        open,
        is_luks,
    } in &cases
    {
        place.sh(&format!(
            "cd {folder} && luksmith encrypt ../raw ours --allow-weak-cipher {format}"
        ));
        let bytes = place.len(&format!("{folder}/ours"));
        place.hole(&format!("{folder}/theirs"), bytes);
        let make = if *is_luks {
            format!("cryptsetup luksFormat --batch-mode theirs {format} && ")
        } else {
            String::new()
        };
        let _ = write!(
            script,
            "cd {folder}\n\
             {{ timeout 60 cryptsetup open ours t {open} && cat /dev/mapper/t >opened; }} || \
             {{ echo 'ours does not open: {format}'; failed=1; }}\n\
             cryptsetup close t\n\
             {{ {make}timeout 60 cryptsetup open theirs t {open} && cat ../others >/dev/mapper/t; }} || \
             {{ echo 'theirs is not written: {format}'; failed=1; }}\n\
             cryptsetup close t\ncd ..\n"
        );
    }
    script.push_str("exit $failed\n");
    assert_eq!(place.kernel(&script, &[]), "");

    for case in &cases {
        let folder = &case.folder;
        assert!(
            place.read(format!("{folder}/opened")) == pattern(RAW_BYTES),
            "the kernel reads something else: {}",
            case.format
        );
        place.sh(&format!(
            "cd {folder} && luksmith decrypt theirs back --allow-null-cipher {}",
            case.open
        ));
        assert!(
            place.read(format!("{folder}/back")) == others(),
            "we read something else: {}",
            case.format
        );
    }
    println!(
        "cases: ciphers-kernel {} passed, 0 failed, both ways",
        cases.len()
    );
}
