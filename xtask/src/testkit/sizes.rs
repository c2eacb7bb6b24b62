//! The nine sizes of a LUKS2 header copy (specification 2.1, table 1), and the end of the file at each part.

use super::case::{Patch, Source};
use super::images::{BINARY, BOTH, COPY, Json, seal, with};
use super::kit::{Copy, Expect, Kit, invalid};

/// Where the keyslots' areas lie in the base, and how long they are.
const AREAS: usize = 2 * COPY;
const AREAS_BYTES: usize = 0x2_0000;
/// `keyslots_size` of the base.
const KEYSLOTS_BYTES: usize = 0x3_0000;
const PAYLOAD_BYTES: usize = 4096;

const SIZES: [(&str, usize); 9] = [
    ("16k", 0x4000),
    ("32k", 0x8000),
    ("64k", 0x1_0000),
    ("128k", 0x2_0000),
    ("256k", 0x4_0000),
    ("512k", 0x8_0000),
    ("1m", 0x10_0000),
    ("2m", 0x20_0000),
    ("4m", 0x40_0000),
];

pub fn add(kit: &mut Kit) {
    for (label, size) in SIZES {
        let image = sized(kit, size, "");
        let name = format!("luks2-size/{label}");
        let what = format!("header copies of {label}");
        let rule = "LUKS2 2.1, table 1";
        kit.add_after(
            "luks2",
            &name,
            &what,
            rule,
            &Expect::Opens,
            &image,
            moved(size),
        );
        for (at, lost, left) in [
            (0, "primary", Copy::Secondary),
            (size, "secondary", Copy::Primary),
        ] {
            let image = with(&image, at, &[0; BINARY]);
            kit.add_after(
                "luks2",
                &format!("luks2-size/{label}-without-{lost}"),
                &format!("header copies of {label}, the {lost} binary header is zeros"),
                "LUKS2 4.5",
                &Expect::Recovers(left, "Magic"),
                &image,
                moved(size),
            );
        }
    }
    lies(kit);
    areas(kit);
    ends(kit);
}

/// Areas that are right for copies of 16k only, and a keyslots area that reaches into the data.
fn areas(kit: &mut Kit) {
    let size = 0x1_0000;
    let rule = "LUKS2 2.3";
    for (name, what, path, value, kind) in [
        (
            "64k-area-in-header",
            "copies of 64k, the first keyslot's area lies where it does with copies of 16k",
            "keyslots.0.area.offset",
            AREAS,
            "AreaInHeader",
        ),
        (
            "64k-area-outside",
            "copies of 64k, the second keyslot's area ends one byte behind the keyslots area",
            "keyslots.1.area.offset",
            2 * size + AREAS_BYTES + 1,
            "AreaOutside",
        ),
        (
            "64k-keyslots-in-data",
            "copies of 64k, the keyslots area reaches 4096 bytes into the data",
            "config.keyslots_size",
            KEYSLOTS_BYTES + 4096,
            "KeyslotsInData",
        ),
    ] {
        let mut image = sized(kit, size, "");
        let end = image[BINARY..].iter().position(|byte| *byte == 0);
        let text = &image[BINARY..][..end.expect("the text ends")];
        let json = Json::new(std::str::from_utf8(text).expect("it is text"));
        let json = json.set(path, &format!("\"{value}\"")).text();
        for at in [0, size] {
            image[at + BINARY..at + size].fill(0);
            image[at + BINARY..][..json.len()].copy_from_slice(json.as_bytes());
            seal(&mut image, at, size);
        }
        let name = format!("luks2-size/{name}");
        kit.add_after(
            "luks2",
            &name,
            what,
            rule,
            &invalid(kind),
            &image,
            moved(size),
        );
    }
}

/// The base with copies of another size; `tail` goes into the token.
pub fn sized(kit: &Kit, size: usize, tail: &str) -> Vec<u8> {
    let quoted = |value: usize| format!("\"{value}\"");
    let mut json = kit
        .metadata()
        .set("config.json_size", &quoted(size - BINARY))
        .set("keyslots.0.area.offset", &quoted(2 * size))
        .set(
            "keyslots.1.area.offset",
            &quoted(2 * size + AREAS_BYTES / 2),
        )
        .set("segments.0.offset", &quoted(2 * size + KEYSLOTS_BYTES));
    if !tail.is_empty() {
        json = json.set("tokens.0.x", tail);
    }
    let json = json.text();
    let base = kit.base("luks2");
    let mut image = vec![0; 2 * size + KEYSLOTS_BYTES + PAYLOAD_BYTES];
    for (from, at) in [(0, 0), (COPY, size)] {
        image[at..][..BINARY].copy_from_slice(&base[from..][..BINARY]);
        image[at + BINARY..][..json.len()].copy_from_slice(json.as_bytes());
        image[at + 8..][..8].copy_from_slice(&(size as u64).to_be_bytes());
        image[at + 256..][..8].copy_from_slice(&(at as u64).to_be_bytes());
        seal(&mut image, at, size);
    }
    image[2 * size..][..AREAS_BYTES].copy_from_slice(&base[AREAS..][..AREAS_BYTES]);
    image
}

/// What the patches of [`sized`] begin with.
pub fn moved(size: usize) -> Vec<Patch> {
    if size == COPY {
        return Vec::new();
    }
    let to = |at: usize, source: Source| Patch {
        at: vec![at as u64],
        source,
    };
    let mut patches = vec![to(2 * size, Source::Base(AREAS as u64, AREAS_BYTES))];
    if size > COPY {
        patches.push(to(size, Source::Base(COPY as u64, BINARY)));
    }
    patches
}

/// `hdr_size` of another size than the layout, and layouts of sizes that are not in the table.
fn lies(kit: &mut Kit) {
    for (label, size) in &SIZES[1..] {
        let bytes = (*size as u64).to_be_bytes();
        let is_there = *size <= kit.base("luks2").len();
        let image = kit.luks2().binary(BOTH, 8, &bytes);
        kit.add(
            "luks2",
            &format!("luks2-size/16k-says-{label}"),
            &format!("the copies are of 16k, hdr_size says {label}"),
            "LUKS2 2.1",
            &invalid(if is_there {
                "BothCopies(Checksum, HeaderOffset)"
            } else {
                "BothCopies(Truncated, HeaderOffset)"
            }),
            &image,
        );
    }
    for (label, size) in [
        ("8k", 0x2000),
        ("12k", 0x3000),
        ("20k", 0x5000),
        ("24k", 0x6000),
        ("48k", 0xC000),
        ("96k", 0x1_8000),
        ("8m", 0x80_0000),
    ] {
        let image = sized(kit, size, "");
        kit.add_after(
            "luks2",
            &format!("luks2-size/{label}"),
            &format!("header copies of {label}, which is none of the nine sizes"),
            "LUKS2 2.1, table 1",
            &invalid("BothCopies(HeaderSize, Magic)"),
            &image,
            moved(size),
        );
    }
}

/// The file ends there.
fn ends(kit: &mut Kit) {
    let rule = "LUKS2 2";
    for bytes in [
        0,
        1,
        5,
        6,
        7,
        8,
        511,
        512,
        4095,
        4096,
        4097,
        8192,
        0x3FFF,
        0x4000,
        0x4005,
        0x4006,
        0x4FFF,
        0x5000,
        0x7FFF,
        0x8000,
        0x8001,
        0x17A00 - 1,
        0x17A00,
        0x18000,
        0x28000,
        0x38000 - 1,
        0x38000,
        0x38001,
        0x38200,
    ] {
        let (expect, opens) = match bytes {
            0..=5 => (invalid("NotLuks"), false),
            6 | 7 => (invalid("Truncated"), false),
            8..=0x3FFF => (invalid("BothCopies(Truncated, Magic)"), false),
            0x4000..=0x4005 => (Expect::Recovers(Copy::Primary, "Magic"), false),
            0x4006..=0x7FFF => (Expect::Recovers(Copy::Primary, "Truncated"), false),
            0x8000..=0x179FF => (Expect::Locked("Truncated"), false),
            _ => (Expect::Opens, true),
        };
        let image = kit.base("luks2")[..bytes].to_vec();
        let case = kit.add(
            "luks2",
            &format!("luks2-end/{bytes}"),
            &format!("the file ends after {bytes} bytes"),
            rule,
            &expect,
            &image,
        );
        case.opens = opens;
    }
    let base = kit.base("luks2").to_vec();
    let mut longer = base.clone();
    longer.resize(base.len() + 1, 0);
    kit.add(
        "luks2",
        "luks2-end/one-more",
        "the file is one byte longer than whole sectors",
        rule,
        &Expect::Opens,
        &longer,
    );
}
