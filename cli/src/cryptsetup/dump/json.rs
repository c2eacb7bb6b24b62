//! Metadata as JSON text, two blanks for each level and none behind a colon.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::output;

/// Without what an old cryptsetup left in a keyslot whose key derivation it changed: costs of the other kind.
pub(super) fn mended(metadata: &Map<String, Value>) -> Map<String, Value> {
    let mut metadata = metadata.clone();
    let keyslots = metadata.get_mut("keyslots").and_then(Value::as_object_mut);
    for (_, keyslot) in keyslots.into_iter().flatten() {
        let Some(Value::Object(kdf)) = keyslot.get_mut("kdf") else {
            continue;
        };
        let leftovers: &[&str] = match kdf.get("type").and_then(Value::as_str) {
            Some("pbkdf2") => &["time", "memory", "cpus"],
            Some("argon2i" | "argon2id") => &["hash", "iterations"],
            _ => &[],
        };
        for name in leftovers {
            kdf.shift_remove(*name);
        }
    }
    metadata
}

/// The object, with no line feed behind it.
pub(super) fn pretty(object: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_object(&mut text, object, 0);
    output::escape_json(&text)
}

fn write_object(text: &mut String, object: &Map<String, Value>, level: usize) {
    text.push('{');
    let mut first = true;
    for (name, value) in object {
        new_line(text, &mut first, level + 1);
        let _ = write!(text, "{}:", Value::from(name.as_str()));
        write_value(text, value, level + 1);
    }
    text.push('\n');
    indent(text, level);
    text.push('}');
}

fn write_value(text: &mut String, value: &Value, level: usize) {
    match value {
        Value::Object(object) => write_object(text, object, level),
        Value::Array(values) => {
            text.push('[');
            let mut first = true;
            for value in values {
                new_line(text, &mut first, level + 1);
                write_value(text, value, level + 1);
            }
            text.push('\n');
            indent(text, level);
            text.push(']');
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

fn new_line(text: &mut String, first: &mut bool, level: usize) {
    text.push_str(if *first { "\n" } else { ",\n" });
    *first = false;
    indent(text, level);
}

fn indent(text: &mut String, level: usize) {
    for _ in 0..level {
        text.push_str("  ");
    }
}
