//! Texts out of an image, in lines of ours: they drive no terminal.

use std::fmt::Write as _;
use std::path::Path;

use luks::text::is_hidden;

/// A text with its control characters escaped, so that a label or a file name cannot drive the terminal.
///
/// Line feeds and tabs are escaped too: what is printed stays on its line. So are the characters that turn the
/// direction of writing around or have no width, with which one text can be made to look like another.
pub fn escape(text: &str) -> String {
    luks::ImageText::from(text).to_string()
}

/// A path as it is shown to people: see [`escape`].
pub fn path(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

/// JSON in which nothing drives a terminal: what [`escape`] escapes and JSON allows as it is, such as the controls above
/// ASCII and what turns the direction of writing around, becomes `\u` and four digits. The value is the same.
pub fn escape_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        // Outside of strings there is nothing of the kind but blanks.
        if is_hidden(character) && !character.is_ascii_whitespace() {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// As [`escape_json`] for TOML, of whose strings one kind has no escapes: such a string becomes one of the other kind. A
/// string of several lines comes to stand on one.
pub fn escape_toml(toml: &str) -> String {
    let mut escaped = String::with_capacity(toml.len());
    let mut rest = toml;
    while let Some(at) = rest.find(['\'', '"']) {
        let (before, string) = rest.split_at(at);
        escaped.push_str(before);
        let mark = &string[..1];
        let marks = if string.starts_with(&mark.repeat(3)) {
            3
        } else {
            1
        };
        let (content, behind) = toml_string(&string[marks..], &mark.repeat(marks));
        escaped.push_str(&"\"".repeat(marks));
        // One behind the opening marks is no part of the string.
        let content = match content.strip_prefix('\n') {
            Some(content) if marks == 3 => content,
            _ => content,
        };
        for character in content.chars() {
            let is_bare = mark == "'" && matches!(character, '"' | '\\');
            if character == '\n' {
                // Or it would look like a rule.
                escaped.push_str("\\n");
            } else if is_hidden(character) && character != '\t' {
                let _ = write!(escaped, "\\U{:08x}", u32::from(character));
            } else {
                escaped.push_str(if is_bare { "\\" } else { "" });
                escaped.push(character);
            }
        }
        escaped.push_str(&"\"".repeat(marks));
        rest = behind;
    }
    escaped + rest
}

/// What is in a string of TOML, and what follows it: to the marks at its end, those behind backslashes not counted where
/// backslashes mean something.
fn toml_string<'a>(text: &'a str, end: &str) -> (&'a str, &'a str) {
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        if !is_escaped && text[at..].starts_with(end) {
            return (&text[..at], &text[at + end.len()..]);
        }
        is_escaped = character == '\\' && !is_escaped && end.starts_with('"');
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_keeps_its_meaning() {
        for text in [
            "a\u{85}b",
            "\u{9b}2J",
            "\u{202e}gnp",
            "\u{7f}",
            "größe \u{1f512}",
        ] {
            let json = Value::from(text).to_string();
            let escaped = escape_json(&json);
            assert_eq!(
                serde_json::from_str::<String>(&escaped).ok().as_deref(),
                Some(text)
            );
            assert!(!escaped.chars().any(is_hidden), "{escaped:?}");
        }
        assert_eq!(escape_json("\"\u{85}\u{202e}ö\""), "\"\\u0085\\u202eö\"");
    }

    #[test]
    fn control_characters_are_escaped() {
        for (text, shown) in [
            ("plain label", "plain label"),
            ("größe", "größe"),
            ("red \u{1b}[31m", "red \\u{1b}[31m"),
            ("two\nlines\t", "two\\nlines\\t"),
            ("c1 \u{9b}2J", "c1 \\u{9b}2J"),
            ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
        ] {
            assert_eq!(escape(text), shown);
        }
    }

    #[test]
    fn json_and_toml_mean_the_same_afterwards() {
        for text in [
            "plain",
            "\u{9b}2J \u{85}\u{202e}\u{7f}",
            "quote \" and \u{9b}",
            "apostrophe ' and \u{9b}",
            "both ' \" \\ and \u{202e}\u{e0041}",
            "\u{1b}\r\n\t\u{0}\u{9b}'''\"\"\"",
        ] {
            let value = json!({"text": [text]});
            let escaped = escape_json(&value.to_string());
            assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
            let written = toml::to_string(&value).unwrap();
            let toml = escape_toml(&written);
            assert_eq!(
                toml::from_str::<Value>(&toml).unwrap(),
                value,
                "{written} {toml}"
            );
            for text in [escaped, toml] {
                assert!(
                    !text
                        .chars()
                        .any(|character| is_hidden(character) && character != '\n')
                );
            }
        }
    }
}
