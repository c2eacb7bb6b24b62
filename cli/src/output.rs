//! What is printed: results on standard output, everything else on standard error. With `--json` both consist of lines
//! of JSON.
//!
//! Colours go through `anstream`, which drops them where `NO_COLOR` is set or nobody looks.
//!
//! Texts out of an image drive no terminal: [`escape`] makes them harmless where they are put into a line, and whatever
//! is printed goes through [`tame`] here, JSON through [`escape_json`], so that one which was forgotten does not either.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::styling::{AnsiColor, Style};
use luks::text::is_hidden;
use serde_json::{Value, json};

use crate::exit::Exit;

const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Whether a program reads: with `--json` warnings and errors are JSON as well.
static JSON: AtomicBool = AtomicBool::new(false);

/// From now on warnings and errors are lines of JSON.
pub fn speak_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// Whether they are.
pub fn speaks_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Prints a warning.
pub fn warn(message: impl std::fmt::Display) {
    if speaks_json() {
        json_said("warning", json!({"message": message.to_string()}));
        return;
    }
    let _ = writeln!(
        anstream::stderr().lock(),
        "{WARNING}luksmith: warning:{WARNING:#} {}",
        escape(&message.to_string())
    );
}

/// Prints text on standard output. A reader that went away is success: it had what it wanted.
pub fn text(text: &str) -> Result<(), OutputError> {
    let mut stdout = anstream::stdout().lock();
    forgive_broken_pipe(
        stdout
            .write_all(tame(text).as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// Prints what was done on standard error, since standard output may be the image.
pub fn done(message: impl std::fmt::Display) {
    let message = message.to_string();
    let _ = writeln!(anstream::stderr().lock(), "{}", tame(&message));
}

/// Prints a line on standard error that has no name of the program before it, texts of an image in it and nothing else
/// that a terminal obeys.
pub fn aside(message: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{}", escape(&message.to_string()));
}

/// Prints a machine-readable result of `verb`: `members` after the member that names their schema.
pub fn json(verb: &str, members: Value) -> Result<(), OutputError> {
    let line = document(verb, members);
    let mut stdout = io::stdout().lock();
    forgive_broken_pipe(
        stdout
            .write_all(line.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// Prints what is no result, a warning or an error, for programs: on standard error.
pub fn json_said(schema: &str, members: Value) {
    let _ = io::stderr()
        .lock()
        .write_all(document(schema, members).as_bytes());
}

/// Prints an error for programs.
pub fn error(verb: &str, exit: Exit, message: &str, advice: Option<&str>) {
    json_said(
        "error",
        json!({
            "verb": verb,
            "exit": exit.code(),
            "kind": exit.name(),
            "message": message,
            "advice": advice,
        }),
    );
}

/// A line of JSON.
fn document(schema: &str, members: Value) -> String {
    let mut document = serde_json::Map::new();
    document.insert(
        "schema".to_owned(),
        Value::String(format!("luksmith.{schema}/1")),
    );
    if let Value::Object(members) = members {
        document.extend(members);
    }
    let mut line = escape_json(&Value::Object(document).to_string());
    line.push('\n');
    line
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

fn forgive_broken_pipe(written: io::Result<()>) -> Result<(), OutputError> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError(error)),
        _ => Ok(()),
    }
}

/// A result cannot be printed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write standard output: {0}")]
pub struct OutputError(#[source] io::Error);

/// A text with its control characters escaped, so that a label or a file name cannot drive the terminal.
///
/// Line feeds and tabs are escaped too: what is printed stays on its line. So are the characters that turn the
/// direction of writing around or have no width, with which one text can be made to look like another.
pub fn escape(text: &str) -> String {
    luks::ImageText::from(text).to_string()
}

/// A text of several lines, which may have tabs and colours of ours in it, with everything else escaped that a terminal
/// obeys.
pub fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let mut bytes = character.len_utf8();
        if let Some(colour) = colour_bytes(rest) {
            bytes = colour;
            tamed.push_str(&rest[..bytes]);
        } else if matches!(character, '\n' | '\t') {
            tamed.push(character);
        } else {
            tamed.push_str(&escape(&rest[..bytes]));
        }
        rest = &rest[bytes..];
    }
    tamed
}

/// The length of the control sequence at the start of a text that sets a colour.
fn colour_bytes(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\u{1b}[")?;
    let end = numbers.find(|character: char| !character.is_ascii_digit() && character != ';')?;
    numbers[end..].starts_with('m').then_some(end + 3)
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

/// A path as it is shown to people: see [`escape`].
pub fn path(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
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
    fn colours_and_lines_of_ours_are_left() {
        for (text, shown) in [
            (
                "\u{1b}[1;31mred\u{1b}[0m\n\ttab\n",
                "\u{1b}[1;31mred\u{1b}[0m\n\ttab\n",
            ),
            (
                "\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}",
                "\\u{1b}[2J\\u{1b}]0;owned\\u{7}\\u{1b}",
            ),
            ("\u{9b}31m\r\u{202e}\u{7f}", "\\u{9b}31m\\r\\u{202e}\\u{7f}"),
            ("\u{1b}[12", "\\u{1b}[12"),
        ] {
            assert_eq!(tame(text), shown);
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
