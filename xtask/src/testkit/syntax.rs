//! The JSON within the text (RFC 8259): blanks, values, escapes, names that are there twice, depth.

use super::images::Edit;
use super::kit::{Expect, Kit, invalid};
use super::text::one;

pub fn add(kit: &mut Kit) {
    blanks(kit);
    values(kit);
    syntax(kit);
    escapes(kit);
    duplicates(kit);
    depth(kit);
}

fn blanks(kit: &mut Kit) {
    let text = kit.luks2().text();
    let value: serde_json::Value = serde_json::from_str(&text).expect("the base's are JSON");
    let pretty = format!("{value:#}");
    for (name, text) in [
        ("pretty", pretty.clone()),
        ("tabs", pretty.replace("  ", "\t")),
        ("carriage-returns", pretty.replace('\n', "\r\n")),
        (
            "blanks-around-colons",
            text.replace(':', " : ")
                .replace("essiv : sha256", "essiv:sha256"),
        ),
        (
            "blanks-4k",
            text.replacen('{', &format!("{{{}", " ".repeat(4096 - 1)), 1),
        ),
    ] {
        one(
            kit,
            &format!("blank-{name}"),
            &format!("blanks between the tokens ({name})"),
            "RFC 8259 2",
            &Expect::Opens,
            text.as_bytes(),
        );
    }
    for (name, blank) in [
        ("form-feed", "\u{c}"),
        ("no-break", "\u{a0}"),
        ("vertical-tab", "\u{b}"),
    ] {
        let text = text.replacen(':', &format!(":{blank}"), 1);
        one(
            kit,
            &format!("blank-{name}"),
            &format!("{name} between two tokens"),
            "RFC 8259 2",
            &invalid("JsonSyntax"),
            text.as_bytes(),
        );
    }
}

/// A member of the token, which may be any JSON, with this text as its value.
fn in_token(kit: &Kit, raw: &str) -> String {
    kit.metadata().set("tokens.0.x", raw).text()
}

fn values(kit: &mut Kit) {
    for (name, raw) in [
        ("zero", "0"),
        ("minus-zero", "-0"),
        ("minus", "-1"),
        ("fraction", "1.5"),
        ("exponent", "1e5"),
        ("exponent-signed", "1E+5"),
        ("2p53", "9007199254740993"),
        ("2p63", "9223372036854775808"),
        ("2p64-1", "18446744073709551615"),
        ("true", "true"),
        ("false", "false"),
        ("null", "null"),
        ("empty-object", "{}"),
        ("empty-string", "\"\""),
        ("mixed-array", "[1,\"a\",null,{\"b\":[]}]"),
        ("solidus", "\"a/b\""),
        ("delete", "\"\u{7f}\""),
        ("two-bytes", "\"\u{e9}\""),
        ("four-bytes", "\"\u{1F600}\""),
    ] {
        let text = in_token(kit, raw);
        one(
            kit,
            &format!("value-{name}"),
            &format!("a token with a member {raw}"),
            "RFC 8259 3",
            &Expect::Opens,
            text.as_bytes(),
        );
    }
}

fn syntax(kit: &mut Kit) {
    for (name, raw) in [
        ("true-upper-case", "True"),
        ("undefined", "undefined"),
        ("nan", "NaN"),
        ("infinity", "Infinity"),
        ("minus-infinity", "-Infinity"),
        ("plus", "+1"),
        ("zero-before", "01"),
        ("minus-zero-before", "-01"),
        ("hexadecimal", "0x10"),
        ("dot-behind", "1."),
        ("dot-before", ".5"),
        ("exponent-without-digits", "1e"),
        ("minus-alone", "-"),
        ("two-dots", "1.2.3"),
        ("single-quotes", "'x'"),
        ("no-quotes", "x"),
        ("no-value", ""),
        ("two-values", "1 2"),
        ("array-comma-behind", "[1,]"),
        ("array-comma-before", "[,1]"),
        ("array-two-commas", "[1,,2]"),
        ("array-no-comma", "[1 2]"),
        ("array-closed-by-brace", "[1}"),
        ("object-comma-behind", "{\"a\":1,}"),
        ("object-comma-before", "{,\"a\":1}"),
        ("object-no-colon", "{\"a\" 1}"),
        ("object-no-comma", "{\"a\":1 \"b\":2}"),
        ("object-closed-by-bracket", "{\"a\":1]"),
        ("name-without-quotes", "{a:1}"),
        ("name-single-quotes", "{'a':1}"),
        ("name-number", "{1:1}"),
        ("name-null", "{null:1}"),
        ("comment", "/* x */1"),
        ("comment-line", "1//x\n"),
        ("comment-hash", "1#x\n"),
        ("string-newline", "\"a\nb\""),
        ("string-tab", "\"a\tb\""),
        ("string-control", "\"a\u{1}b\""),
        ("escape-unknown", "\"\\x41\""),
        ("escape-letter", "\"\\a\""),
        ("escape-quote", "\"\\'\""),
        ("escape-short", "\"\\u12\""),
        ("escape-no-hex", "\"\\u00g0\""),
        ("surrogate-high", "\"\\ud800\""),
        ("surrogate-low", "\"\\udc00\""),
        ("surrogates-reversed", "\"\\udc00\\ud800\""),
        ("surrogate-and-letter", "\"\\ud800x\""),
        ("number-huge", "1e400"),
    ] {
        let text = in_token(kit, raw);
        let what = format!("a token with a member {raw}");
        one(
            kit,
            &format!("syntax-{name}"),
            &what,
            "RFC 8259",
            &invalid("JsonSyntax"),
            text.as_bytes(),
        );
    }
    for (name, bytes) in [
        ("ff", &b"\xff"[..]),
        ("continuation", b"\x80"),
        ("cut", b"\xe2\x82"),
        ("overlong", b"\xc0\xaf"),
        ("surrogate", b"\xed\xa0\x80"),
        ("beyond", b"\xf4\x90\x80\x80"),
        ("latin-1", b"gr\xf6\xdfe"),
    ] {
        let text = in_token(kit, "\"@\"");
        let at = text.find("\"@\"").expect("it is there") + 1;
        let text = [&text.as_bytes()[..at], bytes, &text.as_bytes()[at + 1..]].concat();
        let what = format!("a string in a token is no UTF-8 ({name})");
        one(
            kit,
            &format!("utf8-{name}"),
            &what,
            "RFC 8259 8.1",
            &invalid("JsonSyntax"),
            &text,
        );
    }
}

fn escapes(kit: &mut Kit) {
    for (name, raw) in [
        ("all", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
        ("unicode", "\"\\u00e9\\u20ac\""),
        ("upper-case", "\"\\u00E9\""),
        ("pair", "\"\\ud83d\\ude00\""),
        ("nul", "\"a\\u0000b\""),
        ("noncharacter", "\"\\uffff\""),
    ] {
        let text = in_token(kit, raw);
        let what = format!("escapes in a string of a token ({name})");
        one(
            kit,
            &format!("escape-{name}"),
            &what,
            "RFC 8259 7",
            &Expect::Opens,
            text.as_bytes(),
        );
    }
    let escaped: [(&str, &str, Edit); 7] = [
        ("name", "the name type of a keyslot", |json| {
            json.rename("keyslots.0.type", "\"\\u0074ype\"")
        }),
        ("type", "the value luks2 of a keyslot's type", |json| {
            json.set("keyslots.0.type", "\"luks\\u0032\"")
        }),
        ("number", "a digit of an area's offset", |json| {
            json.set("keyslots.0.area.offset", "\"\\u003332768\"")
                .set("keyslots.0.area.offset", "\"\\u00332768\"")
        }),
        ("keyslot", "the name of a keyslot", |json| {
            json.rename("keyslots.0", "\"\\u0030\"")
        }),
        ("reference", "the name of a keyslot in a digest", |json| {
            json.set("digests.0.keyslots", "[\"\\u0030\",\"1\"]")
        }),
        ("section", "the name of a section", |json| {
            json.rename("keyslots", "\"key\\u0073lots\"")
        }),
        ("cipher", "a letter of the cipher", |json| {
            json.set("segments.0.encryption", "\"\\u0061es-cbc-essiv:sha256\"")
        }),
    ];
    for (name, what, change) in escaped {
        let text = change(kit.metadata()).text();
        let what = format!("{what} is written with an escape");
        one(
            kit,
            &format!("escaped-{name}"),
            &what,
            "RFC 8259 7, 8.3",
            &Expect::Opens,
            text.as_bytes(),
        );
    }
}

/// A name twice in one object, the other value first or last.
fn duplicates(kit: &mut Kit) {
    for path in [
        "keyslots",
        "tokens",
        "segments",
        "digests",
        "config",
        "keyslots.0",
        "keyslots.0.type",
        "keyslots.0.key_size",
        "keyslots.0.af.stripes",
        "keyslots.0.area.offset",
        "keyslots.0.kdf.time",
        "tokens.0",
        "tokens.0.type",
        "segments.0",
        "segments.0.encryption",
        "digests.0",
        "digests.0.digest",
        "config.json_size",
    ] {
        let value = kit.metadata().get(path);
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let quoted = format!("\"{name}\"");
        let file = path.replace(['.', '_'], "-");
        for (order, first, last) in [
            ("same", value.as_str(), value.as_str()),
            ("null-first", "null", value.as_str()),
            ("null-last", value.as_str(), "null"),
        ] {
            let text = kit
                .metadata()
                .set(path, first)
                .add(parent, &quoted, last)
                .text();
            let what = format!("{path} is there twice ({order})");
            one(
                kit,
                &format!("twice-{file}-{order}"),
                &what,
                "RFC 8259 4",
                &invalid("JsonSyntax"),
                text.as_bytes(),
            );
        }
    }
    let text = kit
        .metadata()
        .add("keyslots.0", "\"\\u0074ype\"", "\"luks2\"")
        .text();
    one(
        kit,
        "twice-escaped",
        "keyslots.0.type is there twice, once with an escape",
        "RFC 8259 4",
        &invalid("JsonSyntax"),
        text.as_bytes(),
    );
    let text = in_token(kit, "{\"a\":1,\"a\":1}");
    one(
        kit,
        "twice-in-token",
        "a name is there twice in an object of a token",
        "RFC 8259 4",
        &invalid("JsonSyntax"),
        text.as_bytes(),
    );
}

/// The outermost object is the first level, a token's member the fourth.
fn depth(kit: &mut Kit) {
    for levels in [4, 16, 31, 32, 33, 34, 64, 128, 1000] {
        let inner = levels - 3;
        let arrays = format!("{}{}", "[".repeat(inner), "]".repeat(inner));
        let objects = format!("{}1{}", "{\"\":".repeat(inner), "}".repeat(inner));
        for (name, raw) in [("arrays", arrays), ("objects", objects)] {
            let text = in_token(kit, &raw);
            let what = format!("nested {levels} levels deep ({name})");
            one(
                kit,
                &format!("depth-{levels}-{name}"),
                &what,
                "RFC 8259 9",
                &Expect::Opens,
                text.as_bytes(),
            );
        }
    }
}
