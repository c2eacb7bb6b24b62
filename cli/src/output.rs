//! What is printed: results on standard output, everything else on standard error. With `--json` both consist of lines
//! of JSON.
//!
//! Colours go through `anstream`, which drops them where `NO_COLOR` is set or nobody looks.
//!
//! Texts out of an image drive no terminal: [`escape`] makes them harmless where they are put into a line, and whatever
//! is printed goes through [`tame`] here, JSON through [`escape_json`], so that one which was forgotten does not either.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::styling::{AnsiColor, Style};
pub use jobs::text::{escape, escape_json, path};
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

/// Says something that is to be known and is nothing wrong, on standard error; to programs with `members` beside the text.
pub fn note(message: impl std::fmt::Display, mut members: Value) {
    let message = message.to_string();
    if speaks_json() {
        members["message"] = message.into();
        json_said("note", members);
        return;
    }
    done(format_args!("luksmith: {}", escape(&message)));
}

/// Says so where keys were not kept out of swap.
pub fn warn_of_swap() {
    if dmcrypt::is_lock_refused() {
        warn(
            "the system did not let keys be locked in memory, so they may have been written to swap; a higher limit \
             (ulimit -l) lets it",
        );
    }
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

/// Prints on standard output what another process of this program has said there.
pub fn as_it_is(said: &[u8]) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    forgive_broken_pipe(stdout.write_all(said).and_then(|()| stdout.flush()))
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
