use serde_json::Value;

use crate::common::{Place, check_all};
use crate::luks_cases::{Case, VOLUME_KEY, cases};

/// Of LUKS2, at their largest; a LUKS1 header is shorter.
const BOTH_COPIES_BYTES: u64 = 8 << 20;

/// Each makes a container with the same options, and opens what the other made.
#[test]
fn both_make_the_same_header() {
    check_all("luks headers, luksFormat and ours", &cases(), |case| {
        let format = case.format_arguments();
        let (theirs, ours) = (case.place(), case.place());
        theirs.hole("image", 200 << 20);
        theirs.sh(&format!(
            "cryptsetup luksFormat --batch-mode image {format}"
        ));
        ours.sh(&format!(
            "luksmith create image --payload-size 64K {format}"
        ));

        let header = case.header_of("image");
        for place in [&theirs, &ours] {
            opens_for_both(case, place, header);
        }
        let theirs = theirs.read_start(header, BOTH_COPIES_BYTES);
        let ours_header = ours.read_start(header, BOTH_COPIES_BYTES);
        assert_eq!(masked(case, &ours_header), masked(case, &theirs));
        let payload_bytes = ours.len("image") - data_offset(case, &theirs);
        assert_eq!(payload_bytes, 64 << 10);
    });
}

/// What neither makes.
const REFUSED: [&str; 31] = [
    "luks1 --key-slot 8",
    "luks1 --offset 7",
    "luks1 --offset 8",
    "luks1 --offset 4032",
    "luks1 --offset 2048 --key-size 256",
    "luks1 --sector-size 4096",
    "luks1 --pbkdf-force-iterations 999",
    "luks1 --iter-time 100 --pbkdf-force-iterations 1000",
    "luks2 --key-slot 32",
    "luks2 --luks2-metadata-size 20k",
    "luks2 --luks2-metadata-size 8M",
    "luks2 --luks2-keyslots-size 4095",
    "luks2 --luks2-keyslots-size 4096",
    "luks2 --luks2-keyslots-size 128k",
    "luks2 --luks2-keyslots-size 300000",
    "luks2 --luks2-keyslots-size 129M",
    "luks2 --luks2-metadata-size 4M --offset 16384",
    "luks2 --offset 7",
    "luks2 --offset 8",
    "luks2 --offset 64",
    "luks2 --offset 560",
    "luks2 --sector-size 513",
    "luks2 --sector-size 8192",
    "luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 999",
    "luks2 --pbkdf argon2id --pbkdf-force-iterations 3 --pbkdf-memory 64",
    "luks2 --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 31",
    "luks2 --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 4194305",
    "luks2 --hash nosuch",
    "luks2 --key-size 511",
    "luks2 --cipher aes-cbc",
    "luks2 --uuid nonsense",
];

#[test]
fn both_refuse() {
    check_all("luks options that both refuse", &REFUSED, |options| {
        let place = Place::new();
        place.write("key", "secret");
        place.hole("image", 64 << 20);
        let force = if options.contains("--pbkdf") {
            ""
        } else {
            "--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
        };
        let arguments = format!("--key-file key --type {options} {force}");
        let theirs = place.sh_code(&format!(
            "cryptsetup luksFormat --batch-mode image {arguments}"
        ));
        assert_eq!(theirs, 1);
        let ours = place.sh_code(&format!(
            "luksmith create new --payload-size 64K {arguments}"
        ));
        assert_eq!(ours, 1);
        assert!(!place.path("new").exists());
    });
}

/// The right key, a wrong one and the volume key, for cryptsetup and for us.
fn opens_for_both(case: &Case, place: &Place, header: &str) {
    for open in ["cryptsetup open --test-passphrase", "luksmith key test"] {
        place.sh(&format!("{open} {header} {}", case.key_arguments()));
        let code = place.sh_code(&format!("{open} {header} {}", case.wrong_arguments()));
        assert_eq!(code, 2, "{open} with the wrong key");
    }
    place.sh(&format!("cryptsetup luksDump {header}"));
    place.sh(&format!(
        "cryptsetup luksDump --batch-mode --dump-volume-key --volume-key-file dumped {header} {}",
        case.key_arguments()
    ));
    place.sh(&format!(
        "luksmith key test {header} --volume-key-file dumped"
    ));
    if case.option("--volume-key-file").is_some() {
        assert_eq!(place.read("dumped"), VOLUME_KEY);
    }
    if case.version == 2 {
        let dumped = place.sh(&format!(
            "cryptsetup luksDump --dump-json-metadata {header}"
        ));
        let dumped: Value = serde_json::from_slice(&dumped).unwrap();
        let stored = json(&place.read_start(header, BOTH_COPIES_BYTES));
        let stored: Value = serde_json::from_str(&stored).unwrap();
        assert_eq!(dumped, stored);
    }
}

/// A header without what differs each time it is made: salts, digests, what was measured, UUID unless it was given.
#[derive(Debug, Eq, PartialEq)]
struct Masked {
    /// The first or only header's fixed part, and of LUKS2 the second's, in hexadecimal and without zeros at the end.
    fixed: Vec<String>,
    /// LUKS2 metadata as text, so that their spelling counts and the order of members.
    json: String,
}

fn masked(case: &Case, header: &[u8]) -> Masked {
    let uuid = (
        168,
        if case.option("--uuid").is_some() {
            0
        } else {
            40
        },
    );
    if case.version == 1 {
        let mut fields = vec![(112, 56), uuid];
        // Of each keyslot the salt, and the iterations before it where they were measured.
        let (start, length) = if case.is_measured() {
            (212, 36)
        } else {
            (216, 32)
        };
        fields.extend((0..8).map(|slot| (start + 48 * slot, length)));
        return Masked {
            fixed: vec![blank(&header[..592], &fields)],
            json: String::new(),
        };
    }
    // Sequence number, salt, checksum.
    let fields = [(16, 8), (104, 64), (448, 64), uuid];
    let copy_bytes = usize::try_from(be64(&header[8..])).unwrap();
    let second = &header[copy_bytes..];
    let text = json(header);
    assert_eq!(json(second), text);
    let rest = 4096 + text.len();
    assert!(header[rest..copy_bytes].iter().all(|byte| *byte == 0));
    Masked {
        fixed: [header, second]
            .map(|copy| blank(&copy[..4096], &fields))
            .into(),
        json: without_values(case, &text),
    }
}

fn blank(bytes: &[u8], fields: &[(usize, usize)]) -> String {
    let mut bytes = bytes.to_vec();
    for (start, length) in fields {
        bytes[*start..][..*length].fill(0);
    }
    hex::encode(&bytes).trim_end_matches('0').to_owned()
}

fn json(copy: &[u8]) -> String {
    let text = copy[4096..].split(|byte| *byte == 0).next().unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

fn without_values(case: &Case, text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    let slots = value["keyslots"].as_object().unwrap();
    let digest = &value["digests"]["0"];
    let mut masked = text.to_owned();
    for kdf in slots.values().map(|slot| &slot["kdf"]) {
        masked = masked.replace(kdf["salt"].as_str().unwrap(), "salt");
        // cryptsetup takes no more lanes than there are processors, even when they are asked for.
        masked = masked.replace(&format!("\"cpus\":{},", kdf["cpus"]), "");
        if case.is_measured() {
            let cost = format!("\"time\":{},\"memory\":{},", kdf["time"], kdf["memory"]);
            assert!(masked.contains(&cost), "{masked}");
            masked = masked.replace(&cost, "");
        }
    }
    for name in ["salt", "digest"] {
        masked = masked.replace(digest[name].as_str().unwrap(), name);
    }
    let measured = format!(
        "\"iterations\":{},\"salt\":\"salt\",\"digest\"",
        digest["iterations"]
    );
    assert!(masked.contains(&measured), "{masked}");
    masked.replace(&measured, "\"digest\"")
}

/// Where the data start, in bytes.
fn data_offset(case: &Case, header: &[u8]) -> u64 {
    if case.version == 1 {
        let sectors = u32::from_be_bytes(header[104..108].try_into().unwrap());
        return u64::from(sectors) * 512;
    }
    let value: Value = serde_json::from_str(&json(header)).unwrap();
    let offset = value["segments"]["0"]["offset"].as_str().unwrap();
    offset.parse().unwrap()
}

fn be64(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().unwrap())
}
