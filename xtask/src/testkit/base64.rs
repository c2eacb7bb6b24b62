//! Binary members in base64 (LUKS2 specification 3, RFC 4648).

use super::kit::{Expect, Kit, member};

/// Whether the passphrase of the kit needs it.
const PATHS: [(&str, bool); 4] = [
    ("keyslots.0.kdf.salt", true),
    ("keyslots.1.kdf.salt", false),
    ("digests.0.salt", true),
    ("digests.0.digest", true),
];

pub fn add(kit: &mut Kit) {
    for (path, is_needed) in PATHS {
        let good = kit.metadata().get(path);
        let good = good.trim_matches('"').to_owned();
        let bare = good.trim_end_matches('=').to_owned();
        assert_eq!(bare.len() + 1, good.len(), "32 bytes end in one =");
        let bad = || member("NotBase64", path);
        let other = || {
            if is_needed {
                Expect::Locked("NoKeyFits")
            } else {
                Expect::Opens
            }
        };
        let pad_bits = {
            let mut text = bare.clone();
            let last = text.pop().expect("it is not empty");
            // 32 bytes leave two bits of the last character unused, so that its number is one of 0, 4, 8, ...
            let next = u8::try_from(last).expect("base64 is ASCII") + 1;
            text.push(char::from(next));
            format!("{text}=")
        };
        let cases: Vec<(&str, &str, String, Expect)> = vec![
            ("no-padding", "RFC 4648 3.2", bare.clone(), bad()),
            ("more-padding", "RFC 4648 4", format!("{bare}=="), bad()),
            ("four-padding", "RFC 4648 4", format!("{bare}====="), bad()),
            ("only-padding", "RFC 4648 4", "====".into(), bad()),
            (
                "padding-inside",
                "RFC 4648 3.3",
                format!("{}={}", &good[..3], &good[4..]),
                bad(),
            ),
            (
                "url-alphabet",
                "RFC 4648 5",
                format!("-_{}", &good[2..]),
                bad(),
            ),
            ("star", "RFC 4648 3.3", format!("*{}", &good[1..]), bad()),
            ("blank-before", "RFC 4648 3.3", format!(" {good}"), bad()),
            (
                "blank-inside",
                "RFC 4648 3.3",
                format!("{} {}", &good[..8], &good[8..]),
                bad(),
            ),
            (
                "newline-inside",
                "RFC 4648 3.1",
                format!("{}\\n{}", &good[..8], &good[8..]),
                bad(),
            ),
            (
                "newline-behind",
                "RFC 4648 3.1",
                format!("{good}\\n"),
                bad(),
            ),
            (
                "nul-behind",
                "RFC 4648 3.3",
                format!("{good}\\u0000"),
                bad(),
            ),
            (
                "one-character-more",
                "RFC 4648 4",
                format!("{bare}AA="),
                bad(),
            ),
            ("one-character", "RFC 4648 4", "A".into(), bad()),
            (
                "not-ascii",
                "RFC 4648 3.3",
                format!("\u{e9}{}", &good[1..]),
                bad(),
            ),
            ("pad-bits", "RFC 4648 3.5", pad_bits, bad()),
            ("behind-padding", "RFC 4648 4", format!("{good}AAAA"), bad()),
            (
                "escaped",
                "RFC 8259 7",
                format!("\\u{:04x}{}", good.as_bytes()[0], &good[1..]),
                Expect::Opens,
            ),
            ("one-byte", "LUKS2 3", "AA==".into(), other()),
            (
                "other",
                "LUKS2 3",
                format!("{}AAAA{}", &good[..4], &good[8..]),
                other(),
            ),
            (
                "4096-bytes",
                "LUKS2 3",
                format!("{}AA==", "AAAA".repeat(1365)),
                other(),
            ),
        ];
        for (label, rule, value, expect) in cases {
            let raw = format!("\"{value}\"");
            let text = kit.metadata().set(path, &raw).text();
            let name = format!("luks2-base64/{}-{label}", path.replace(['.', '_'], "-"));
            let shown = if value.len() > 100 {
                "4096 bytes"
            } else {
                &raw
            };
            kit.json(&name, &format!("{path} is {shown}"), rule, &expect, &text);
        }
    }
}
