//! What is printed: results on standard output, everything else on standard error. With `--json` both consist of lines
//! of JSON.
//!
//! Colours go through `anstream`, which drops them where `NO_COLOR` is set or nobody looks.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::styling::{AnsiColor, Style};
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
        "{WARNING}luksmith: warning:{WARNING:#} {message}"
    );
}

/// Prints text on standard output. A reader that went away is success: it had what it wanted.
pub fn text(text: &str) -> Result<(), OutputError> {
    let mut stdout = anstream::stdout().lock();
    forgive_broken_pipe(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// Prints what was done on standard error, since standard output may be the image.
pub fn done(message: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{message}");
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
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            let _ = write!(escaped, "{}", character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
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
}
