//! Every number of the metadata: the grid, and numbers that are written otherwise.

use super::kit::{Expect, GRID, Kit, invalid, member};

const U32_LIMIT: u64 = 1 << 32;
const AREA0: u64 = 32768;
const AREA_BYTES: u64 = 65536;
const MATERIAL_BYTES: u64 = 64000;
/// The keyslots area of the base, whose end is where the data begins.
const AREAS_START: u64 = 32768;
const AREAS_END: u64 = 229_376;

/// Path, section, and what a value leads to.
type Rule = (&'static str, &'static str, fn(u64) -> Expect);

/// Strings that hold 64-bit numbers.
const STRINGS: [Rule; 8] = [
    ("keyslots.0.area.offset", "LUKS2 2.3, 3.2.3", area_offset),
    ("keyslots.1.area.offset", "LUKS2 2.3, 3.2.3", area_offset),
    ("keyslots.0.area.size", "LUKS2 2.3, 3.2.3", |size| {
        match (size, AREA0.checked_add(size)) {
            (0..MATERIAL_BYTES, _) => invalid("AreaTooSmall"),
            (_, None) => invalid("AreaOverflow"),
            _ => invalid("AreaOutside"),
        }
    }),
    ("segments.0.offset", "LUKS2 2, 3.3", |offset| match offset {
        _ if offset % 512 != 0 => invalid("SegmentAlignment"),
        // A detached header's data begin there.
        0 | AREAS_END.. => Expect::Opens,
        _ => invalid("KeyslotsInData"),
    }),
    ("segments.0.size", "LUKS2 3.3", |size| match size {
        0 => member("Value", "segments.0.size"),
        _ if size % 512 != 0 => invalid("SegmentAlignment"),
        _ => Expect::Opens,
    }),
    ("segments.0.iv_tweak", "LUKS2 3.3.2", |_| Expect::Opens),
    ("config.json_size", "LUKS2 3.5", |_| invalid("JsonSize")),
    ("config.keyslots_size", "LUKS2 3.5", |size| match size {
        _ if size % 4096 != 0 => invalid("KeyslotsSizeAlignment"),
        0..=0x0800_0000 => invalid("AreaOutside"),
        _ => invalid("KeyslotsSizeTooLarge"),
    }),
];

/// JSON integers.
const INTEGERS: [Rule; 12] = [
    ("keyslots.0.key_size", "LUKS2 3.2", |bytes| match bytes {
        0 | 4097.. => member("Value", "keyslots.0.key_size"),
        1 => Expect::Locked("NoKeyFits"),
        _ => invalid("AreaTooSmall"),
    }),
    (
        "keyslots.0.area.key_size",
        "LUKS2 3.2.3",
        |bytes| match bytes {
            0 | 4097.. => member("Value", "keyslots.0.area.key_size"),
            _ => Expect::Locked("NoKeyFits"),
        },
    ),
    ("keyslots.0.af.stripes", "LUKS2 3.2.4", |_| {
        invalid("Stripes")
    }),
    ("keyslots.0.kdf.time", "LUKS2 3.2.5", |time| match time {
        0 => member("Value", "keyslots.0.kdf.time"),
        1..=0xFFFF => Expect::Locked("NoKeyFits"),
        _ => Expect::Locked("TooCostly"),
    }),
    ("keyslots.0.kdf.memory", "LUKS2 3.2.5", |kib| match kib {
        0 => member("Value", "keyslots.0.kdf.memory"),
        1..=0xFFFF => Expect::Locked("NoKeyFits"),
        _ => Expect::Locked("TooCostly"),
    }),
    ("keyslots.0.kdf.cpus", "LUKS2 3.2.5", |lanes| match lanes {
        0 => member("Value", "keyslots.0.kdf.cpus"),
        1 => Expect::Opens,
        _ => Expect::Locked("TooCostly"),
    }),
    (
        "keyslots.1.kdf.iterations",
        "LUKS2 3.2.5",
        |count| match count {
            0 => member("Value", "keyslots.1.kdf.iterations"),
            _ => Expect::Opens,
        },
    ),
    (
        "keyslots.0.priority",
        "LUKS2 3.2",
        |priority| match priority {
            0 => Expect::Locked("NoKeyFits"),
            1 | 2 => Expect::Opens,
            _ => member("Value", "keyslots.0.priority"),
        },
    ),
    ("digests.0.iterations", "LUKS2 3.4", |count| match count {
        0 => member("Value", "digests.0.iterations"),
        1..=0xFFFF => Expect::Locked("NoKeyFits"),
        _ => Expect::Locked("TooCostly"),
    }),
    (
        "segments.0.sector_size",
        "LUKS2 3.3.2",
        |bytes| match bytes {
            512 | 1024 | 2048 | 4096 => Expect::Opens,
            _ => invalid("SegmentSectorSize"),
        },
    ),
    ("keyslots.1.key_size", "LUKS2 3.2", |bytes| match bytes {
        0 | 4097.. => member("Value", "keyslots.1.key_size"),
        1 => Expect::Opens,
        _ => invalid("AreaTooSmall"),
    }),
    ("keyslots.1.af.stripes", "LUKS2 3.2.4", |_| {
        invalid("Stripes")
    }),
];

/// Numbers beside the grid at which something changes.
const EDGES: [(&str, &[u64]); 14] = [
    (
        "keyslots.0.area.size",
        &[63999, 64000, 65535, 65537, 196_608, 196_609],
    ),
    (
        "keyslots.1.area.offset",
        &[32768, 32767, 98303, 163_840, 163_841, 229_375, 229_376],
    ),
    ("segments.0.offset", &[229_375, 229_377, 229_888, 32768]),
    (
        "segments.0.size",
        &[
            511,
            512,
            18_446_744_073_709_322_239,
            18_446_744_073_709_322_240,
        ],
    ),
    ("config.json_size", &[12287, 12289, 8192, 16384, 28672]),
    (
        "config.keyslots_size",
        &[131_072, 126_976, 192_512, 200_704, 134_217_728, 134_221_824],
    ),
    ("keyslots.0.key_size", &[15, 17, 32]),
    ("keyslots.0.area.key_size", &[15, 17, 24, 32]),
    ("keyslots.0.af.stripes", &[3999, 4001]),
    ("keyslots.0.kdf.time", &[3, 5]),
    ("keyslots.0.kdf.memory", &[7, 8, 31, 33]),
    ("keyslots.0.kdf.cpus", &[2, 3, 4, 5, 1_000_000]),
    ("keyslots.0.priority", &[2, 3]),
    (
        "segments.0.sector_size",
        &[511, 513, 512, 1024, 1536, 2048, 8192],
    ),
];

pub fn add(kit: &mut Kit) {
    for (path, rule, expect) in STRINGS {
        for (label, value) in grid(path) {
            one(
                kit,
                path,
                rule,
                &label,
                &format!("\"{value}\""),
                &of_string(path, value, expect),
            );
        }
        for (label, raw, problem) in other_strings(kit, path) {
            one(kit, path, "LUKS2 3", label, &raw, &member(problem, path));
        }
    }
    for (path, rule, expect) in INTEGERS {
        for (label, value) in grid(path) {
            if (path, value) == ("keyslots.0.key_size", 1 << 31) {
                // How long cryptsetup 2.6.1 is busy with that depends on the machine; keyslot 1 has the case.
                continue;
            }
            let expect = match value {
                U32_LIMIT.. => member("NotU32", path),
                _ => of_integer(path, value, expect),
            };
            one(kit, path, rule, &label, &value.to_string(), &expect);
        }
        for (label, raw) in other_integers(kit, path) {
            one(kit, path, rule, label, &raw, &member("NotU32", path));
        }
    }
}

fn grid(path: &str) -> Vec<(String, u64)> {
    let mut values: Vec<_> = GRID.map(|(label, value)| (label.to_owned(), value)).into();
    for (_, edges) in EDGES.iter().filter(|(edge, _)| *edge == path) {
        values.extend(edges.iter().map(|value| (value.to_string(), *value)));
    }
    values
}

/// Where numbers beside the grid lead to something else than the rule for the grid.
fn of_string(path: &str, value: u64, rule: fn(u64) -> Expect) -> Expect {
    match (path, value) {
        ("keyslots.0.area.size", 64000 | 65535)
        | ("keyslots.1.area.offset", 163_840)
        | ("config.keyslots_size", 131_072 | 192_512) => Expect::Opens,
        ("keyslots.0.area.size", 65537 | 196_608) | ("keyslots.1.area.offset", 32768 | 98303) => {
            invalid("AreaOverlap")
        }
        ("segments.0.size", 18_446_744_073_709_322_240) => invalid("SegmentOverflow"),
        ("config.keyslots_size", 200_704 | 134_217_728) => invalid("KeyslotsInData"),
        _ => rule(value),
    }
}

fn of_integer(path: &str, value: u64, rule: fn(u64) -> Expect) -> Expect {
    match (path, value) {
        // Another key than the one that the digest is of.
        ("keyslots.0.key_size", 15) | ("keyslots.0.kdf.cpus", 2..=4) => Expect::Locked("NoKeyFits"),
        _ => rule(value),
    }
}

fn area_offset(offset: u64) -> Expect {
    match offset.checked_add(AREA_BYTES) {
        None => invalid("AreaOverflow"),
        _ if offset < AREAS_START => invalid("AreaInHeader"),
        Some(end) if end > AREAS_END => invalid("AreaOutside"),
        Some(_) => invalid("AreaOverlap"),
    }
}

/// What is no decimal text of an unsigned 64-bit number, made of the base's own value where there is one.
fn other_strings(kit: &Kit, path: &str) -> Vec<(&'static str, String, &'static str)> {
    let now = kit.metadata().get(path);
    let now = now.trim_matches('"');
    let now = if now == "dynamic" { "4096" } else { now };
    let text = |label, text: String| (label, format!("\"{text}\""), "NotU64String");
    let bare = |label, raw: &str| (label, raw.to_owned(), "NotA");
    vec![
        bare("as-integer", now),
        bare("null", "null"),
        bare("true", "true"),
        bare("array", &format!("[\"{now}\"]")),
        bare("object", "{}"),
        text("empty", String::new()),
        text("minus", format!("-{now}")),
        text("minus-one", "-1".into()),
        text("plus", format!("+{now}")),
        text("blank-before", format!(" {now}")),
        text("blank-behind", format!("{now} ")),
        text("zero-before", format!("0{now}")),
        text("hexadecimal", "0x8000".into()),
        text("exponent", format!("{now}e0")),
        text("fraction", format!("{now}.0")),
        text("letter-behind", format!("{now}k")),
        text("2p64", "18446744073709551616".into()),
        text("2p64-more", "36893488147419136000".into()),
        text("nul-behind", format!("{now}\\u0000")),
        text("newline-behind", format!("{now}\\n")),
        text("other-digits", "\u{0663}\u{0662}".into()),
    ]
}

/// What is no unsigned 32-bit integer of JSON.
fn other_integers(kit: &Kit, path: &str) -> Vec<(&'static str, String)> {
    let now = match path {
        "keyslots.0.priority" => "1".to_owned(),
        path => kit.metadata().get(path),
    };
    let mut texts = vec![
        ("as-string", format!("\"{now}\"")),
        ("null", "null".into()),
        ("true", "true".into()),
        ("array", format!("[{now}]")),
        ("object", "{}".into()),
        ("minus-one", "-1".into()),
        ("fraction", format!("{now}.5")),
        ("fraction-zero", format!("{now}.0")),
        ("exponent", format!("{now}e0")),
        (
            "2p32-more",
            (U32_LIMIT + now.parse::<u64>().unwrap_or(0)).to_string(),
        ),
        ("2p64-more", "18446744073709551617".into()),
    ];
    if now != "1" {
        texts.push(("minus", format!("-{now}")));
    }
    texts
}

fn one(kit: &mut Kit, path: &str, rule: &str, label: &str, raw: &str, expect: &Expect) {
    let text = kit.metadata().set(path, raw).text();
    if text == kit.luks2().text() {
        return;
    }
    let name = format!("luks2-numbers/{}-{label}", path.replace(['.', '_'], "-"));
    kit.json(&name, &format!("{path} is {raw}"), rule, expect, &text);
}
