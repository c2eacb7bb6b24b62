use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::common::{Place, check_all};

/// The images of the extra conformance run.
fn images() -> Option<PathBuf> {
    let folder = std::env::var_os("LUKSMITH_CONFORMANCE");
    if folder.is_none() {
        println!("LUKSMITH_CONFORMANCE is not set: images that others made are left out");
    }
    folder.map(|folder| Path::new(&folder).join("images"))
}

/// An image and a key that is tried on it.
struct Case {
    file: &'static str,
    key: Key,
    /// More arguments than the key.
    arguments: &'static str,
    /// Exit codes of `key test` and `decrypt`.
    codes: [i32; 2],
    /// What the payload is: its size and its SHA-256.
    payload: Option<(usize, &'static str)>,
}

#[derive(Clone, Copy)]
enum Key {
    /// The key file that lies beside the image.
    File,
    Passphrase(&'static str),
    /// The volume key, in hexadecimal.
    Volume(&'static str),
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            Key::File => write!(f, "{}", self.file),
            Key::Passphrase(secret) => write!(f, "{} {secret:?} {}", self.file, self.arguments),
            Key::Volume(_) => write!(f, "{} with its volume key", self.file),
        }
    }
}

/// As the images' description says.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |file, key, codes, payload| {
        cases.push(Case {
            file,
            key,
            arguments: "",
            codes,
            payload,
        });
    };
    let luks1 = [
        (
            "luks1/luks1_aes-cbc-essiv-sha256-sha1.img",
            Key::File,
            "582a935a5bc5418a481a08644784206398846696680b8edfa55826b969bb4438",
            6_291_456,
            "15898285e6c9ad576729cc01e5a557ebddfe562ea855bae0a2aba4fb8439eb1a",
        ),
        (
            "luks1/luks1_aes-xts-plain64-sha1.img",
            Key::File,
            "8a30e57f29d9d0165e2964e68e12ca17e3b6703b48faee3acc9922388b5b019a",
            6_291_456,
            "f1c9268181840ccff69d719b9c592fc1e97c59d707e14cc12cc7288dca37e751",
        ),
        (
            "luks1/luks1_aes-xts-plain64-whirlpool.img",
            Key::File,
            "cf3bf5067c4e756f2635d71bd5c04a7e6f80ca695af189f7ffcb9201a438e3bc",
            6_291_456,
            "7184f40554996bfc78cf81ec870b29debc3fff0554fc136fb41b0c431c9cf953",
        ),
        (
            "luks1/compatimage.img",
            Key::Passphrase("compatkey"),
            "e1a851c034ed7993b276608a45842b7b",
            9_711_616,
            "7428e8f2436882a07eb32765086f5c899474c08b5576f556b573d2aabdf923e8",
        ),
    ];
    let metadata_sizes = [
        "luks2/test_image_16",
        "luks2/test_image_128",
        "luks2/test_image_4096",
    ]
    .map(|file| {
        (
            file,
            Key::Passphrase("Qx3qn46vq0v"),
            "b67647946b62ded9d65983a92cd2c0f4c08923473deb44741da5ba675e8bde82",
            4_194_304,
            "e187fdce3c4309544505fe845b34166151b52be209572f4936ec590e67ab22f8",
        )
    });
    let two_slots = ["compatkey", "0123456789abcdef"].map(|secret| {
        (
            "luks2/compatimage2.img",
            Key::Passphrase(secret),
            "d47ee2cdc40f39be9a3e8d72a149cc4d",
            512,
            "38ef2d1b8c387efb50680e1d3f234f170d2b7b6c6d9eb856b4f426543a6c4ef2",
        )
    });
    for (file, key, volume_key, bytes, hash) in
        luks1.into_iter().chain(metadata_sizes).chain(two_slots)
    {
        add(file, key, [0, 0], Some((bytes, hash)));
        add(file, Key::Volume(volume_key), [0, 0], Some((bytes, hash)));
        add(file, Key::Passphrase("rUkL4RUryBom"), [2, 2], None);
    }
    // A header alone, in which no keyslot is used.
    let key = "bb21158c733229347bd4e681891e213d94c685be6a5b84818afe7a78a6de7a1a";
    let nothing = Some((
        0,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ));
    add("luks1/valid_header_file", Key::Volume(key), [0, 0], nothing);
    add(
        "luks1/valid_header_file",
        Key::Passphrase("x"),
        [1, 1],
        None,
    );
    for file in [
        "luks1/evil_hdr-keyslot_overlap",
        "luks1/evil_hdr-luks_hdr_damage",
        "luks1/evil_hdr-payload_overwrite",
    ] {
        add(file, Key::Passphrase("x"), [4, 4], None);
    }

    let unassigned = "luks2/luks2_keyslot_unassigned.img";
    let payload = Some((
        38_861_312,
        "c88849aa899d97a7a825879468622d8fe4c4e7a97807fec4b5eb9841a40f0e7d",
    ));
    add(unassigned, Key::Passphrase("compatkey"), [0, 0], payload);
    add(unassigned, Key::Passphrase("93R4P4pIqAH8"), [2, 2], None);
    let spec = "luks2/luks2_invalid_cipher.img";
    add(spec, Key::Passphrase("93R4P4pIqAH8"), [0, 4], None);
    let required = "luks2/luks2_header_requirements";
    add(required, Key::Passphrase("blablabl"), [0, 4], None);
    let free = "luks2/luks2_header_requirements_free";
    add(free, Key::Passphrase("blablabl"), [0, 0], nothing);
    cases.push(Case {
        file: unassigned,
        key: Key::Passphrase("93R4P4pIqAH8"),
        arguments: "--key-slot 1",
        codes: [0, 4],
        payload: None,
    });
    cases
}

/// An image, unpacked into a folder of its own.
fn unpack(images: &Path, file: &str) -> Place {
    let place = Place::new();
    place.sh(&format!(
        "xz -dc '{}' >image",
        images.join(format!("{file}.xz")).display()
    ));
    place
}

#[test]
fn payloads_and_refusals() {
    let Some(images) = images() else { return };
    check_all("images that others made", &cases(), |case| {
        let place = unpack(&images, case.file);
        let before = place.read("image");
        let key = match case.key {
            Key::File => format!("--key-file '{}'", images.join("luks1/keyfile1").display()),
            Key::Passphrase(secret) => {
                place.write("key", secret);
                "--key-file key".to_owned()
            }
            Key::Volume(key) => {
                place.write("key", hex::decode(key).unwrap());
                "--volume-key-file key".to_owned()
            }
        };
        let verbs = ["key test image", "decrypt image payload"];
        for (verb, code) in verbs.into_iter().zip(case.codes) {
            let line = format!("luksmith {verb} {key} {}", case.arguments);
            assert_eq!(place.sh_code(&line), code, "{line}");
        }
        match case.payload {
            Some(expected) => {
                let payload = place.read("payload");
                let hash = hex::encode(Sha256::digest(&payload));
                assert_eq!((payload.len(), hash.as_str()), expected);
            }
            None => assert!(!place.path("payload").exists()),
        }
        assert!(place.read("image") == before, "reading changes nothing");
    });
}

/// Ciphers that need not be built: then the program says so, and writes nothing.
#[test]
fn other_ciphers() {
    let Some(images) = images() else { return };
    let cases = [
        (
            "luks1/luks1_aes-lrw-plain64-sha1.img",
            "59abf46dac455770218a3ac317ae0d4377e3fe3d653989e10b9373c6a495213a",
        ),
        (
            "luks1/luks1_serpent-xts-plain64-sha1.img",
            "113a7ec676133cf08f62680d0c6227fce14c985b0938e648c81a842c8813d3f0",
        ),
        (
            "luks1/luks1_twofish-xts-plain64-sha256.img",
            "2157393bbb35ece27b86543ec134c7608f23b5438cb381458d7e3f18fbf0d9c6",
        ),
    ];
    let (mut passed, mut outside) = (0, Vec::new());
    for (file, hash) in cases {
        let place = unpack(&images, file);
        let before = place.read("image");
        let key = images.join("luks1/keyfile1");
        let code = place.sh_code(&format!(
            "luksmith decrypt image payload --key-file '{}' 2>said",
            key.display()
        ));
        if code == 0 {
            assert_eq!(
                hex::encode(Sha256::digest(place.read("payload"))),
                hash,
                "{file}"
            );
            passed += 1;
        } else {
            let said = String::from_utf8(place.read("said")).unwrap();
            assert_eq!(code, 4, "{file}: {said}");
            assert!(said.contains("unsupported"), "{file}: {said}");
            assert!(!place.path("payload").exists(), "{file}");
            outside.push(file);
        }
        assert!(
            place.read("image") == before,
            "reading {file} changes nothing"
        );
    }
    println!(
        "cases: images of other ciphers {passed} passed, 0 failed, {} outside ({})",
        outside.len(),
        outside.join(", ")
    );
}

/// `F` is to be refused, whatever is done with it; the others are to be shown, with a copy of the header to be repaired
/// or not.
#[test]
fn headers_are_judged_as_cryptsetup_judges_them() {
    let Some(images) = images() else { return };
    let folder = images.join("luks2-validation");
    let expected = fs::read_to_string(folder.join("EXPECTED.tsv")).unwrap();
    let lines: Vec<_> = expected.lines().collect();
    assert_eq!(lines.len(), 43);
    check_all("luks2 validation images", &lines, |line| {
        let (file, verdict) = line.split_once('\t').unwrap();
        let place = unpack(&folder, file);
        let before = place.read("image");
        place.write("key", "no such passphrase");
        let refused = verdict == "F";
        let codes = [
            "inspect image",
            "inspect image --json",
            "inspect image --map text",
        ]
        .map(|line| place.sh_code(&format!("luksmith {line}")));
        assert_eq!(codes, [if refused { 4 } else { 0 }; 3]);
        let opened = place.sh_code("luksmith decrypt image payload --key-file key");
        // Where the header is sound nobody has the key, or has one to a keyslot that is not there.
        assert!(if refused { opened == 4 } else { opened != 0 }, "{opened}");
        assert!(!place.path("payload").exists());
        assert!(place.read("image") == before, "reading changes nothing");
    });
}

/// Hostile headers that are sound enough to be shown say what is wrong with them.
#[test]
fn hostile_headers_are_shown_with_a_warning() {
    let Some(images) = images() else { return };
    let folder = images.join("crafted");
    for (name, says) in [
        ("t_time", "keyslot 0 will not be tried"),
        ("t_cpus", "1000000 lanes"),
        ("t_null", "null cipher"),
    ] {
        let place = unpack(&folder, "base_first290816.img");
        place.sh(&format!(
            "truncate -s 20M image && xz -dc '{}' | dd of=image conv=notrunc status=none",
            folder.join(format!("{name}.hdr32k.xz")).display()
        ));
        let shown = place.luksmith("inspect image");
        let shown = String::from_utf8(shown).unwrap();
        let mut warnings = shown.lines().filter(|line| line.starts_with("warning"));
        assert!(warnings.any(|line| line.contains(says)), "{shown}");
    }
    println!("cases: hostile headers shown 3 passed, 0 failed");
}
