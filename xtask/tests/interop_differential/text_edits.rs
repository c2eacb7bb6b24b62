//! Edits of JSON as text, most of which leave none.

use crate::choices::Choices;

pub fn edit(text: &mut Vec<u8>, choices: &mut Choices) -> String {
    let at = choices.below(text.len().max(1));
    match choices.below(14) {
        0 | 1 => {
            if let Some(byte) = text.get_mut(at) {
                *byte = choices.byte();
            }
            format!("text byte {at} is another")
        }
        2 => {
            let byte = choices.one_of(b"\"'{}[]:,0 \\/*n-.e\x01\x7f\x80\xff");
            insert(text, at, &[byte])
        }
        3 => {
            if at < text.len() {
                text.remove(at);
            }
            format!("text byte {at} is not there")
        }
        4 | 5 => {
            // Between two tokens.
            let places: Vec<usize> = text
                .iter()
                .enumerate()
                .filter(|(_, byte)| b"{}[],:".contains(byte))
                .map(|(at, _)| at)
                .collect();
            if places.is_empty() {
                return "nothing: no token".into();
            }
            let at = places[choices.below(places.len())] + choices.below(2);
            let space = choices.pick(&[
                " ", "\t", "\n", "\r", "\x0b", "\x0c", "/**/", "//\n", ",", "\u{a0}", "\u{feff}",
            ]);
            insert(text, at, space.as_bytes())
        }
        6 => escape(text, at, choices),
        7 => {
            text.truncate(at);
            format!("text ends at {at}")
        }
        8 => {
            let more = choices.pick(&["}", " ", "\n", "x", "{}", ",", "//", "null"]);
            let end = text.len();
            insert(text, end, more.as_bytes())
        }
        9 => {
            let depth = choices.one_of(&[5, 20, 26, 27, 28, 29, 30, 31, 32, 33, 40, 100]);
            let nested = format!("\"deep\":{}{},", "[".repeat(depth), "]".repeat(depth));
            let at = text
                .iter()
                .position(|byte| *byte == b'{')
                .map_or(0, |at| at + 1);
            insert(text, at, nested.as_bytes())
        }
        10 => {
            let word = choices.pick(&[
                "NaN",
                "Infinity",
                "-Infinity",
                "True",
                "NULL",
                "nul",
                "01",
                "+1",
                "1.",
                ".5",
                "'a'",
                "0x1",
                "1e",
                "-",
                "\"\\x\"",
                "\"\\ud800\"",
                "\"\t\"",
            ]);
            let at = text
                .iter()
                .position(|byte| *byte == b'{')
                .map_or(0, |at| at + 1);
            insert(text, at, format!("\"note\":{word},").as_bytes())
        }
        11 => insert(
            text,
            0,
            choices
                .pick(&[" ", "\n", "\u{feff}", "[", "x", "//\n"])
                .as_bytes(),
        ),
        12 => insert(text, at, &[0]),
        _ => {
            let len = choices.below(20).min(text.len() - at.min(text.len()));
            let part = text[at.min(text.len())..][..len].to_vec();
            insert(text, at.min(text.len()), &part)
        }
    }
}

fn insert(text: &mut Vec<u8>, at: usize, more: &[u8]) -> String {
    let at = at.min(text.len());
    text.splice(at..at, more.iter().copied());
    format!("text {:?} at {at}", String::from_utf8_lossy(more))
}

/// A character by its number: the same text, spelt otherwise; or one that no text has.
fn escape(text: &mut Vec<u8>, at: usize, choices: &mut Choices) -> String {
    let Some(at) = (at..text.len()).find(|at| text[*at].is_ascii_alphanumeric()) else {
        return "nothing: no letter".into();
    };
    let escaped = match choices.below(8) {
        0 => "\\u0000".to_owned(),
        1 => "\\ud800".to_owned(),
        2 => "\\/".to_owned(),
        3 => "\\q".to_owned(),
        _ => format!("\\u{:04x}", text[at]),
    };
    text.splice(at..=at, escaped.bytes());
    format!("text {escaped} at {at}")
}
