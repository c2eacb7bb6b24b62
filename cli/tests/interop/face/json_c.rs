//! Tokens out of JSON that only json-c takes: cryptsetup and we must take the same texts and store the same.

use std::fmt;
use std::process::Command;

use crate::common::{PROGRAM, Place, check_all};

/// What may stand in a text, put together at random.
const PIECES: [&str; 64] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "'a'",
    "\"b\"",
    "1",
    "-",
    "0",
    "01",
    ".5",
    "1.5",
    "1.",
    "e",
    "E5",
    "e+1",
    "-0",
    "-0.0",
    "null",
    "TRUE",
    "fAlse",
    "nul",
    "true",
    "/**/",
    "// x\n",
    "/*/",
    "/",
    " ",
    "\n",
    "\t",
    "\r",
    "\x0b",
    "\"",
    "'",
    "\\",
    "\\n",
    "\\u0041",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\u0000",
    "\"\\/\"",
    "\"\u{e9}\"",
    "\"a\":1",
    "\"a\":2",
    "{}",
    "[]",
    "[1,]",
    "{\"a\":1,}",
    "9223372036854775808",
    "18446744073709551615",
    "-9223372036854775808",
    "1e-400",
    "+1",
    "\"type\":\"y\"",
    "\"keyslots\":[\"0\"]",
    "\"keyslots\":[\"1\"]",
    "\"x\\ty\"",
    "'\"'",
    "\"'\"",
    "1e5.5",
    "2147483648",
];

/// One text.
struct Text(String);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Texts of tokens, the same in each run: a good one with something in it, or at random places.
fn texts(count: usize) -> Vec<Text> {
    let mut state: u64 = 1;
    let mut below = |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    let mut texts = Vec::new();
    for number in 0..count {
        let pieces: String = (0..=below(4))
            .map(|_| PIECES[below(PIECES.len())])
            .collect();
        texts.push(Text(match number % 3 {
            0 => format!("{{\"type\":\"x\",\"keyslots\":[\"0\"],\"m\":{pieces}}}"),
            1 => format!("{{\"type\":\"x\",\"keyslots\":[\"0\"],\"m\":[{pieces}]}}"),
            _ => {
                let good = "{\"type\":\"x\",\"keyslots\":[\"0\"],\"m\":{\"n\":[1,true]}}";
                let at = below(good.len());
                format!("{}{pieces}{}", &good[..at], &good[at..])
            }
        }));
    }
    texts
}

/// What cryptsetup stores though it is no JSON, as we store it.
fn as_json(stored: &str) -> String {
    serde_json::from_str::<serde_json::Value>(stored)
        .map_or_else(|_| "no JSON".to_owned(), |value| value.to_string())
}

#[test]
fn tokens_are_taken_as_json_c_takes_them() {
    let bench = Place::new();
    bench.hole("box", 2 << 20);
    bench.sh(
        "printf pw | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --luks2-keyslots-size 1M \
         --offset 2560 box",
    );
    let image = bench.read("box");
    let texts = texts(600);
    check_all("tokens as json-c takes them", &texts, |text| {
        let place = Place::new();
        place.write("text", &text.0);
        let stored = |program: &str, words: &[&str]| {
            place.write("box", &image);
            let mut command = Command::new(program);
            command.args(words).args([
                "token",
                "import",
                "--disable-locks",
                "--json-file",
                "text",
                "box",
            ]);
            let output = place.run(command.current_dir(place.path("")));
            let all = place.read("box");
            let json = all[4096..16384].split(|byte| *byte == 0).next().unwrap();
            let json = String::from_utf8_lossy(json).into_owned();
            let start = json.find("\"tokens\":").unwrap() + "\"tokens\":".len();
            let end = json.find(",\"segments\"").unwrap();
            (output.status.code().unwrap(), json[start..end].to_owned())
        };
        let theirs = stored("cryptsetup", &[]);
        let ours = stored(PROGRAM, &["cryptsetup"]);
        if theirs != ours {
            // Numbers without a digit before or behind their point, and those whose exponent has no sign.
            let read = as_json(&theirs.1);
            let is_normalised = theirs.0 == 0 && ours.0 == 0 && as_json(&ours.1) == ours.1;
            assert!(
                is_normalised && (read == ours.1 || read == "no JSON"),
                "{text}: {theirs:?} {ours:?}"
            );
        }
    });
}
