//! Every member of the metadata: missing, of another JSON type, empty, of a value that nobody knows.

use super::kit::{Expect, Kit, invalid, member};

/// Texts: path, section, and what comes of a text that is not known.
const TEXTS: [(&str, &str, Option<Expect>); 17] = [
    (
        "keyslots.0.type",
        "LUKS2 3, 3.2",
        Some(Expect::Locked("NoKeyFits")),
    ),
    ("keyslots.1.type", "LUKS2 3, 3.2", Some(Expect::Opens)),
    ("keyslots.0.area.type", "LUKS2 3.2.1", None),
    (
        "keyslots.0.area.encryption",
        "LUKS2 3.2.3",
        Some(Expect::Locked("NoKeyFits")),
    ),
    (
        "keyslots.1.area.encryption",
        "LUKS2 3.2.3",
        Some(Expect::Opens),
    ),
    ("keyslots.0.af.type", "LUKS2 3.2.1, 3.2.4", None),
    (
        "keyslots.0.af.hash",
        "LUKS2 3.2.4",
        Some(Expect::Locked("NoKeyFits")),
    ),
    (
        "keyslots.0.kdf.type",
        "LUKS2 3.2.5",
        Some(Expect::Locked("NoKeyFits")),
    ),
    ("keyslots.1.kdf.hash", "LUKS2 3.2.5", Some(Expect::Opens)),
    ("keyslots.0.kdf.salt", "LUKS2 3.2.5", None),
    ("segments.0.type", "LUKS2 3, 3.3", Some(Expect::Opens)),
    ("segments.0.encryption", "LUKS2 3.3.2", Some(Expect::Opens)),
    (
        "digests.0.type",
        "LUKS2 3, 3.4",
        Some(Expect::Locked("Unsupported.Type")),
    ),
    (
        "digests.0.hash",
        "LUKS2 3.4",
        Some(Expect::Locked("Unsupported.Cipher")),
    ),
    ("digests.0.salt", "LUKS2 3.4", None),
    ("digests.0.digest", "LUKS2 3.4", None),
    ("tokens.0.type", "LUKS2 3.6", Some(Expect::Opens)),
];

/// Objects: path, section, and what comes of an empty one.
fn objects() -> Vec<(&'static str, &'static str, Expect)> {
    let dangling = || invalid("DanglingReference");
    vec![
        ("keyslots", "LUKS2 3", dangling()),
        (
            "keyslots.0",
            "LUKS2 3.2",
            member("Missing", "keyslots.0.type"),
        ),
        (
            "keyslots.0.area",
            "LUKS2 3.2.3",
            member("Missing", "keyslots.0.area.type"),
        ),
        (
            "keyslots.0.af",
            "LUKS2 3.2.4",
            member("Missing", "keyslots.0.af.type"),
        ),
        (
            "keyslots.0.kdf",
            "LUKS2 3.2.5",
            member("Missing", "keyslots.0.kdf.salt"),
        ),
        ("tokens", "LUKS2 3", Expect::Opens),
        ("tokens.0", "LUKS2 3.6", member("Missing", "tokens.0.type")),
        ("segments", "LUKS2 3", dangling()),
        (
            "segments.0",
            "LUKS2 3.3",
            member("Missing", "segments.0.type"),
        ),
        ("digests", "LUKS2 3.4", invalid("KeyslotWithoutDigest")),
        (
            "digests.0",
            "LUKS2 3.4",
            member("Missing", "digests.0.type"),
        ),
        ("config", "LUKS2 3.5", member("Missing", "config.json_size")),
    ]
}

/// Arrays of names or texts: path, section, whether they name objects.
const ARRAYS: [(&str, &str, bool); 5] = [
    ("digests.0.keyslots", "LUKS2 3.4", true),
    ("digests.0.segments", "LUKS2 3.4", true),
    ("tokens.0.keyslots", "LUKS2 3.6", true),
    ("config.flags", "LUKS2 3.5", false),
    ("segments.0.flags", "LUKS2 3.3", false),
];

const NUMBERS: [&str; 19] = [
    "keyslots.0.key_size",
    "keyslots.0.af.stripes",
    "keyslots.0.area.offset",
    "keyslots.0.area.size",
    "keyslots.0.area.key_size",
    "keyslots.0.kdf.time",
    "keyslots.0.kdf.memory",
    "keyslots.0.kdf.cpus",
    "keyslots.1.kdf.type",
    "keyslots.1.kdf.salt",
    "keyslots.1.kdf.iterations",
    "keyslots.1.area.offset",
    "segments.0.offset",
    "segments.0.size",
    "segments.0.iv_tweak",
    "segments.0.sector_size",
    "digests.0.iterations",
    "config.json_size",
    "config.keyslots_size",
];

pub fn add(kit: &mut Kit) {
    let texts = TEXTS.iter().map(|(path, rule, _)| (*path, *rule));
    let named = objects();
    let named = named.iter().map(|(path, rule, _)| (*path, *rule));
    let arrays = ARRAYS[..3].iter().map(|(path, rule, _)| (*path, *rule));
    let numbers = NUMBERS.iter().map(|path| (*path, "LUKS2 3"));
    for (path, rule) in texts.chain(named).chain(arrays).chain(numbers) {
        missing(kit, path, rule);
    }
    for (path, rule, unknown) in &TEXTS {
        for (label, raw) in [
            ("number", "7"),
            ("null", "null"),
            ("false", "false"),
            ("array", "[]"),
            ("object", "{}"),
        ] {
            set(kit, path, label, raw, rule, &member("NotA", path));
        }
        set(kit, path, "empty", "\"\"", rule, &member("Empty", path));
        let unknown = match (unknown, path.rsplit_once('.')) {
            (Some(expect), _) => expect.clone(),
            (None, Some((_, "salt" | "digest"))) => member("NotBase64", path),
            (None, _) => member("Value", path),
        };
        set(kit, path, "unknown", "\"xyzzy\"", rule, &unknown);
    }
    for (path, rule, empty) in objects() {
        for (label, raw) in [
            ("number", "42"),
            ("null", "null"),
            ("text", "\"x\""),
            ("array", "[]"),
            ("array-of-it", "[{}]"),
        ] {
            set(kit, path, label, raw, rule, &member("NotA", path));
        }
        // The base has one of these: an empty section is one without it.
        if !["tokens", "segments", "digests"].contains(&path) {
            set(kit, path, "empty", "{}", rule, &empty);
        }
    }
    for (path, rule, names_objects) in ARRAYS {
        arrays_of(kit, path, rule, names_objects);
    }
}

fn missing(kit: &mut Kit, path: &str, rule: &str) {
    let expect = match path {
        "keyslots.0" | "keyslots.1" | "segments.0" => invalid("DanglingReference"),
        "digests.0" => invalid("KeyslotWithoutDigest"),
        "tokens.0" => Expect::Opens,
        path => member("Missing", path),
    };
    let text = kit.metadata().remove(path).text();
    let name = format!("luks2-members/{}-missing", path.replace(['.', '_'], "-"));
    kit.json(&name, &format!("{path} is missing"), rule, &expect, &text);
}

fn arrays_of(kit: &mut Kit, path: &str, rule: &str, names_objects: bool) {
    for (label, raw) in [
        ("number", "0"),
        ("null", "null"),
        ("text", "\"0\""),
        ("object", "{\"0\":\"0\"}"),
        ("of-numbers", "[0]"),
        ("of-null", "[null]"),
        ("of-arrays", "[[\"0\"]]"),
        ("of-objects", "[{}]"),
    ] {
        set(kit, path, label, raw, rule, &member("NotA", path));
    }
    if !names_objects {
        for (label, raw) in [
            ("empty", "[]"),
            ("unknown", "[\"xyzzy\"]"),
            ("empty-text", "[\"\"]"),
            ("twice", "[\"xyzzy\",\"xyzzy\"]"),
        ] {
            set(kit, path, label, raw, rule, &Expect::Opens);
        }
        return;
    }
    let first = if path == "digests.0.keyslots" {
        "\"0\",\"1\""
    } else {
        "\"0\""
    };
    for (label, name) in [
        ("dangling", "7"),
        ("letter", "x"),
        ("nothing", ""),
        ("zero-before", "00"),
        ("minus", "-0"),
        ("plus", "+0"),
        ("blank", " 0"),
        ("huge", "4294967296"),
        ("huger", "18446744073709551616"),
    ] {
        let raw = format!("[{first},\"{name}\"]");
        let case = set(
            kit,
            path,
            label,
            &raw,
            "LUKS2 3",
            &invalid("DanglingReference"),
        );
        case.path = Some(path.to_owned());
    }
    let twice = format!("[{first},\"0\"]");
    set(kit, path, "twice", &twice, rule, &Expect::Opens);
    let empty = match path {
        "digests.0.keyslots" => invalid("KeyslotWithoutDigest"),
        "digests.0.segments" => invalid("SegmentWithoutDigest"),
        _ => Expect::Opens,
    };
    set(kit, path, "empty", "[]", rule, &empty);
}

fn set<'a>(
    kit: &'a mut Kit,
    path: &str,
    label: &str,
    raw: &str,
    rule: &str,
    expect: &Expect,
) -> &'a mut super::case::Case {
    let text = kit.metadata().set(path, raw).text();
    let name = format!("luks2-members/{}-{label}", path.replace(['.', '_'], "-"));
    kit.json(&name, &format!("{path} is {raw}"), rule, expect, &text)
}
