//! What is printed: results on standard output, everything else on standard error.
//!
//! Colours go through `anstream`, which drops them where `NO_COLOR` is set or nobody looks.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use clap::builder::styling::{AnsiColor, Style};
use serde_json::Value;

const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Prints a warning.
pub fn warn(message: impl std::fmt::Display) {
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

/// Prints a machine-readable result of `verb`: `members` after the member that names their schema.
pub fn json(verb: &str, members: Value) -> Result<(), OutputError> {
    let mut document = serde_json::Map::new();
    document.insert(
        "schema".to_owned(),
        Value::String(format!("luksmith.{verb}/1")),
    );
    if let Value::Object(members) = members {
        document.extend(members);
    }
    let mut line = Value::Object(document).to_string();
    line.push('\n');
    let mut stdout = io::stdout().lock();
    forgive_broken_pipe(
        stdout
            .write_all(line.as_bytes())
            .and_then(|()| stdout.flush()),
    )
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
        let hidden = matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if character.is_control() || hidden {
            let _ = write!(escaped, "{}", character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// A path as it is shown to people: see [`escape`].
pub fn path(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

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
