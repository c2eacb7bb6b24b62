//! The text of the JSON area (LUKS2 specification 2.2, 3; RFC 8259).

use super::images::{BINARY, BOTH, COPY, seal};
use super::kit::{Expect, Kit, invalid, member};
use super::sizes;

const AREA: usize = COPY - BINARY;

pub fn add(kit: &mut Kit) {
    around(kit);
    full(kit);
    names(kit);
    unknown(kit);
    counts(kit);
}

pub fn one(kit: &mut Kit, name: &str, what: &str, rule: &str, expect: &Expect, text: &[u8]) {
    let image = kit.luks2().json(BOTH, text);
    kit.add(
        "luks2",
        &format!("luks2-text/{name}"),
        what,
        rule,
        expect,
        &image,
    );
}

/// Before and behind the text.
fn around(kit: &mut Kit) {
    let text = kit.luks2().text();
    for (name, before) in [
        ("blank", &b" "[..]),
        ("newline", b"\n"),
        ("tab", b"\t"),
        ("byte-order-mark", b"\xef\xbb\xbf"),
        ("nul", b"\0"),
        ("letter", b"x"),
        ("brace", b"{"),
        ("bracket", b"["),
    ] {
        let kind = if name == "brace" {
            "JsonSyntax"
        } else {
            "JsonStart"
        };
        let bytes = [before, text.as_bytes()].concat();
        one(
            kit,
            &format!("before-{name}"),
            &format!("{name} before the text"),
            "LUKS2 2.2",
            &invalid(kind),
            &bytes,
        );
    }
    for (name, behind, kind) in [
        ("blank", " ", "JsonTail"),
        ("newline", "\n", "JsonTail"),
        ("blanks", "    ", "JsonTail"),
        ("letter", "x", "JsonTail"),
        ("comma", ",", "JsonTail"),
        ("bracket", "]", "JsonTail"),
        ("brace", "}", "JsonSyntax"),
        ("object", "{}", "JsonSyntax"),
    ] {
        one(
            kit,
            &format!("behind-{name}"),
            &format!("{name} behind the text"),
            "LUKS2 2.2",
            &invalid(kind),
            &[text.as_bytes(), behind.as_bytes()].concat(),
        );
    }
    let end = text.len();
    for (name, at) in [
        ("first", end + 1),
        ("second", end + 2),
        ("sector", 4096),
        ("last-but-one", AREA - 2),
        ("last", AREA - 1),
    ] {
        let mut bytes = text.clone().into_bytes();
        bytes.resize(AREA, 0);
        bytes[at] = b'x';
        let what = format!("a byte other than NUL {} bytes behind the text", at - end);
        one(
            kit,
            &format!("rest-{name}"),
            &what,
            "LUKS2 2.2",
            &invalid("JsonTail"),
            &bytes,
        );
    }
    let mut bytes = [text.as_bytes(), b"\0", text.as_bytes()].concat();
    bytes.resize(AREA, 0);
    one(
        kit,
        "rest-again",
        "the text, a NUL, and the text again",
        "LUKS2 2.2",
        &invalid("JsonTail"),
        &bytes,
    );
    for (name, content) in [
        ("empty", ""),
        ("array", "[]"),
        ("null", "null"),
        ("number", "7"),
        ("string", "\"{}\""),
    ] {
        one(
            kit,
            name,
            &format!("the text is {content:?}"),
            "LUKS2 2.2, 3",
            &invalid("JsonStart"),
            content.as_bytes(),
        );
    }
    one(
        kit,
        "object",
        "the text is {}",
        "LUKS2 3",
        &member("Missing", "config"),
        b"{}",
    );
    for cut in [1, 2, 3] {
        let what = format!("the last {cut} bytes of the text are missing");
        let kind = if cut < 2 { "JsonSyntax" } else { "JsonTail" };
        one(
            kit,
            &format!("cut-{cut}"),
            &what,
            "RFC 8259 2",
            &invalid(kind),
            &text.as_bytes()[..end - cut],
        );
    }
    one(
        kit,
        "cut-half",
        "half of the text is missing",
        "RFC 8259 2",
        &invalid("JsonTail"),
        &text.as_bytes()[..end / 2],
    );
}

/// Texts as long as the area.
fn full(kit: &mut Kit) {
    for (name, bytes, expect) in [
        ("full", AREA - 1, Expect::Opens),
        ("full-less-one", AREA - 2, Expect::Opens),
        ("full-without-nul", AREA, invalid("JsonNotTerminated")),
    ] {
        let empty = kit.metadata().set("tokens.0.x", "\"\"").text();
        let filler = "x".repeat(bytes - empty.len());
        let text = kit
            .metadata()
            .set("tokens.0.x", &format!("\"{filler}\""))
            .text();
        let what = format!("a text of {bytes} bytes in an area of {AREA}");
        one(kit, name, &what, "LUKS2 2.2", &expect, text.as_bytes());
    }
    let text = kit.luks2().text();
    let bytes = format!("{text}{}", " ".repeat(AREA - text.len()));
    one(
        kit,
        "blanks-to-the-end",
        "blanks behind the text, to the end of the area",
        "LUKS2 2.2",
        &invalid("JsonNotTerminated"),
        bytes.as_bytes(),
    );
}

fn names(kit: &mut Kit) {
    for (label, name, good) in [
        ("1", "1", true),
        ("31", "31", true),
        ("32", "32", true),
        ("100", "100", true),
        ("2p31", "2147483648", true),
        ("2p32-1", "4294967295", true),
        ("2p32", "4294967296", false),
        ("2p64", "18446744073709551616", false),
        ("zeros", "00", false),
        ("zero-before", "01", false),
        ("minus", "-1", false),
        ("plus", "+1", false),
        ("fraction", "1.0", false),
        ("exponent", "1e0", false),
        ("hexadecimal", "0x1", false),
        ("blank", " 1", false),
        ("letter", "x", false),
        ("nothing", "", false),
        ("nul", "0\\u0000", false),
        ("other-digit", "\u{0661}", false),
    ] {
        let raw = format!("\"{name}\"");
        let text = kit.metadata().rename("tokens.0", &raw).text();
        let expect = if good {
            Expect::Opens
        } else {
            member(
                "NotANumberedName",
                &format!("tokens.{}", name.replace("\\u0000", "\0")),
            )
        };
        let image = kit.luks2().json(BOTH, text.as_bytes());
        kit.add(
            "luks2",
            &format!("luks2-text/name-{label}"),
            &format!("a token's name is {raw}"),
            "LUKS2 3",
            &expect,
            &image,
        );
    }
    for section in ["keyslots", "digests", "segments"] {
        let text = kit
            .metadata()
            .rename(&format!("{section}.0"), "\"x\"")
            .text();
        let expect = member("NotANumberedName", &format!("{section}.x"));
        one(
            kit,
            &format!("name-{section}-letter"),
            &format!("the name of an object of {section} is x"),
            "LUKS2 3",
            &expect,
            text.as_bytes(),
        );
    }
    let text = kit.metadata().rename("digests.0", "\"7\"").text();
    one(
        kit,
        "name-digest-7",
        "the only digest has the name 7",
        "LUKS2 3",
        &Expect::Opens,
        text.as_bytes(),
    );
    let text = kit
        .metadata()
        .rename("keyslots.0", "\"31\"")
        .set("digests.0.keyslots", "[\"31\",\"1\"]")
        .text();
    one(
        kit,
        "name-keyslot-31",
        "the first keyslot has the name 31",
        "LUKS2 3",
        &Expect::Opens,
        text.as_bytes(),
    );
    let text = kit
        .metadata()
        .rename("keyslots.0", "\"32\"")
        .set("digests.0.keyslots", "[\"32\",\"1\"]")
        .text();
    one(
        kit,
        "name-keyslot-32",
        "the first keyslot has the name 32",
        "LUKS2 3, 1.1",
        &Expect::Opens,
        text.as_bytes(),
    );
}

/// "Objects that are not recognized are ignored": members too.
fn unknown(kit: &mut Kit) {
    for parent in [
        "",
        "keyslots.0",
        "keyslots.0.area",
        "keyslots.0.af",
        "keyslots.0.kdf",
        "tokens.0",
        "segments.0",
        "digests.0",
        "config",
    ] {
        let label = if parent.is_empty() { "top" } else { parent };
        for (kind, raw) in [("object", "{\"y\":[1]}"), ("number", "7")] {
            let text = kit.metadata().add(parent, "\"xyzzy\"", raw).text();
            let what = format!("a member that is not known in {label} ({kind})");
            one(
                kit,
                &format!("unknown-{}-{kind}", label.replace(['.', '_'], "-")),
                &what,
                "LUKS2 3",
                &Expect::Opens,
                text.as_bytes(),
            );
        }
    }
}

/// Many objects, many values.
fn counts(kit: &mut Kit) {
    let many = |count: usize, each: &str| {
        let objects: Vec<_> = (0..count).map(|id| format!("\"{id}\":{each}")).collect();
        format!("{{{}}}", objects.join(","))
    };
    let token = "{\"type\":\"x\",\"keyslots\":[]}";
    for count in [31, 32, 33, 100] {
        let text = kit.metadata().set("tokens", &many(count, token)).text();
        one(
            kit,
            &format!("count-tokens-{count}"),
            &format!("{count} tokens"),
            "LUKS2 3.6",
            &Expect::Opens,
            text.as_bytes(),
        );
    }
    let digest = kit.metadata().get("digests.0");
    let unbound = "{\"type\":\"pbkdf2\",\"keyslots\":[],\"segments\":[],\"hash\":\"sha256\",\"iterations\":1000,\"salt\":\"AAAA\",\"digest\":\"AAAA\"}";
    for count in [32, 33] {
        let digests = many(count, unbound).replacen(unbound, &digest, 1);
        let text = kit.metadata().set("digests", &digests).text();
        one(
            kit,
            &format!("count-digests-{count}"),
            &format!("{count} digests, one of them in use"),
            "LUKS2 3.4",
            &Expect::Opens,
            text.as_bytes(),
        );
    }
    let segment = kit.metadata().get("segments.0");
    for count in [32, 33] {
        let segments: Vec<_> = (0..count)
            .map(|id| {
                let offset = 229_376 + 4096 * id;
                let size = if id + 1 == count { "dynamic" } else { "4096" };
                let iv = 8 * id;
                format!("\"{id}\":{{\"type\":\"crypt\",\"offset\":\"{offset}\",\"size\":\"{size}\",\"iv_tweak\":\"{iv}\",\"encryption\":\"aes-cbc-essiv:sha256\",\"sector_size\":512}}")
            })
            .collect();
        assert!(
            segment.contains("aes-cbc-essiv:sha256"),
            "the segments are like the base's"
        );
        let names: Vec<_> = (0..count).map(|id| format!("\"{id}\"")).collect();
        let text = kit
            .metadata()
            .set("segments", &format!("{{{}}}", segments.join(",")))
            .set("digests.0.segments", &format!("[{}]", names.join(",")))
            .text();
        one(
            kit,
            &format!("count-segments-{count}"),
            &format!("{count} data segments, one behind the other"),
            "LUKS2 3.3",
            &Expect::Opens,
            text.as_bytes(),
        );
    }
    for values in [16_000, 20_000] {
        let size = 0x1_0000;
        let raw = format!("[{}0]", "0,".repeat(values - 1));
        let mut image = sizes::sized(kit, size, &raw);
        for copy in [0, size] {
            seal(&mut image, copy, size);
        }
        kit.add_after(
            "luks2",
            &format!("luks2-text/count-values-{values}"),
            &format!("an array of {values} numbers in a token"),
            "RFC 8259 9",
            &Expect::Opens,
            &image,
            sizes::moved(size),
        );
    }
}
