//! From words to options and operands, in cryptsetup's grammar.
//!
//! Options may stand anywhere, before the action too. A long one takes its value after `=` or as the next word, a
//! letter takes the rest of its word or the next one, and letters without values can be put together. `--` ends the
//! options, `-` is an operand. The first word that cannot be read ends it all, in the order in which they stand.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::options::{Kind, OPTIONS, Spec, named};
use crate::args::size;

/// The first number of bytes that is too much for `--reduce-device-size`.
const MOST_REDUCED: u64 = (1 << 30) + 1;

/// What was typed.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// The action first.
    pub(super) operands: Vec<OsString>,
    options: Vec<(&'static str, Value)>,
}

/// The value of an option, by its [`Kind`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Flag,
    Text(OsString),
    Number(u64),
    Signed(i32),
}

/// Why or by which word the reading of words ended early.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Stop {
    Help,
    Usage,
    Version,
    /// A usage error: the word, where the reason speaks of it, and the reason.
    Wrong(Option<String>, String),
}

impl Given {
    /// Whether the option stands there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The text of an option.
    pub(super) fn text(&self, name: &str) -> Option<&OsStr> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The texts of an option, wherever it stands.
    pub(super) fn texts(&self, name: &'static str) -> impl Iterator<Item = &OsStr> {
        let of_it = self.options.iter().filter(move |(other, _)| *other == name);
        of_it.filter_map(|(_, value)| match value {
            Value::Text(text) => Some(text.as_os_str()),
            _ => None,
        })
    }

    /// The text of an option that is none of this system's file names.
    pub(super) fn string(&self, name: &str) -> Option<String> {
        self.text(name)
            .map(|text| text.to_string_lossy().into_owned())
    }

    /// The number of an option that is never negative.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.value(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// The same, of an option whose numbers are below 2^32.
    pub(super) fn small(&self, name: &str) -> Option<u32> {
        self.number(name)
            .map(|number| u32::try_from(number).expect("held to that when it was read"))
    }

    /// The number of an option that may be negative.
    pub(super) fn signed(&self, name: &str) -> Option<i32> {
        match self.value(name) {
            Some(Value::Signed(number)) => Some(*number),
            _ => None,
        }
    }

    /// How often the option stands there.
    pub(super) fn count(&self, name: &str) -> usize {
        let is_it = |(other, _): &&(&str, Value)| *other == name;
        self.options.iter().filter(is_it).count()
    }

    /// The options that stand there, as they are called.
    pub(super) fn specs(&self) -> impl Iterator<Item = &'static Spec> {
        OPTIONS.iter().filter(|spec| self.has(spec.name))
    }

    /// The options that stand there, each with the text of its value.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, OsString)> {
        self.options.iter().map(|(name, value)| {
            let text = match value {
                Value::Flag => OsString::new(),
                Value::Text(text) => text.clone(),
                Value::Number(number) => number.to_string().into(),
                Value::Signed(number) => number.to_string().into(),
            };
            (*name, text)
        })
    }

    /// As if the option had been typed.
    pub(super) fn add(&mut self, name: &'static str, value: Value) {
        self.options.push((name, value));
    }

    /// Changes the texts of an option.
    pub(super) fn change_text(&mut self, name: &'static str, change: impl Fn(&mut OsString)) {
        for (other, value) in &mut self.options {
            if *other == name
                && let Value::Text(text) = value
            {
                change(text);
            }
        }
    }

    /// The last one counts.
    fn value(&self, name: &str) -> Option<&Value> {
        debug_assert!(named(name).is_some(), "--{name} is no option");
        let found = self.options.iter().rev().find(|(other, _)| *other == name);
        found.map(|(_, value)| value)
    }
}

/// Reads the words of a command line, the program's name left out.
pub(super) fn parse(words: &[OsString]) -> Result<Given, Stop> {
    let mut given = Given::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"--" => {
                given.operands.extend(words.cloned());
                break;
            }
            [b'-', b'-', long @ ..] => {
                let end = long.iter().position(|byte| *byte == b'=');
                let name = String::from_utf8_lossy(&long[..end.unwrap_or(long.len())]);
                let Some(spec) = named(&name) else {
                    return Err(wrong(word, "unknown option"));
                };
                let value = match (spec.kind, end) {
                    (Kind::Flag, Some(_)) => {
                        return Err(wrong(word, "option does not take an argument"));
                    }
                    (Kind::Flag, None) => OsString::new(),
                    (_, Some(end)) => OsString::from_vec(long[end + 1..].to_vec()),
                    (_, None) => words
                        .next()
                        .ok_or_else(|| wrong(word, "missing argument"))?
                        .clone(),
                };
                take(&mut given, spec, value)?;
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                let mut rest = letters;
                while let [letter, after @ ..] = rest {
                    rest = after;
                    let spec = OPTIONS
                        .iter()
                        .find(|spec| spec.short == Some(char::from(*letter)))
                        .ok_or_else(|| wrong(word, "unknown option"))?;
                    let value = match (spec.kind, rest) {
                        (Kind::Flag, _) => OsString::new(),
                        (_, []) => words
                            .next()
                            .ok_or_else(|| wrong(word, "missing argument"))?
                            .clone(),
                        (_, [b'=', value @ ..] | value) => {
                            rest = &[];
                            OsString::from_vec(value.to_vec())
                        }
                    };
                    take(&mut given, spec, value)?;
                }
            }
            _ => given.operands.push(word.clone()),
        }
    }
    Ok(given)
}

fn wrong(word: &OsStr, reason: &str) -> Stop {
    Stop::Wrong(
        Some(crate::output::escape(&word.to_string_lossy())),
        reason.to_owned(),
    )
}

fn take(given: &mut Given, spec: &'static Spec, text: OsString) -> Result<(), Stop> {
    match spec.name {
        "help" => return Err(Stop::Help),
        "usage" => return Err(Stop::Usage),
        "version" => return Err(Stop::Version),
        _ => {}
    }
    let not_a_number = || Stop::Wrong(None, "invalid numeric value".to_owned());
    let value = match spec.kind {
        Kind::Flag => Value::Flag,
        Kind::Text => Value::Text(text),
        Kind::U64 => Value::Number(number(&text).ok_or_else(not_a_number)?),
        Kind::U32 => {
            let number = number(&text).filter(|number| u32::try_from(*number).is_ok());
            Value::Number(number.ok_or_else(not_a_number)?)
        }
        Kind::I32 => {
            let number = text
                .to_str()
                .and_then(|text| text.trim_ascii_start().parse().ok());
            Value::Signed(number.ok_or_else(not_a_number)?)
        }
        Kind::Size => {
            let size = text.to_str().and_then(size::bytes).ok_or_else(|| {
                let reason = format!("Invalid size specification in parameter --{}.", spec.name);
                Stop::Wrong(None, reason)
            })?;
            match (spec.name, size) {
                ("device-size", 0) => return Err(not_a_number()),
                ("hotzone-size", 0) => {
                    let reason = "Invalid max reencryption hotzone size specification.";
                    return Err(Stop::Wrong(None, reason.to_owned()));
                }
                ("reduce-device-size", MOST_REDUCED..) => {
                    let reason = "Maximum device reduce size is 1 GiB.";
                    return Err(Stop::Wrong(None, reason.to_owned()));
                }
                _ => {}
            }
            let whole = match spec.name {
                "device-size" => Some("Device"),
                "reduce-device-size" => Some("Reduce"),
                _ => None,
            };
            if let Some(whole) = whole.filter(|_| !size.is_multiple_of(512)) {
                let reason = format!("{whole} size must be multiple of 512 bytes sector.");
                return Err(Stop::Wrong(None, reason));
            }
            Value::Number(size)
        }
    };
    if let Value::Number(number) = value
        && number > spec.most
    {
        let reason = format!("Option --{} is at most {}.", spec.name, spec.most);
        return Err(Stop::Wrong(None, reason));
    }
    given.add(spec.alias.unwrap_or(spec.name), value);
    Ok(())
}

/// Decimal digits after blanks and a sign; a negative number is taken from 2^64.
fn number(text: &OsStr) -> Option<u64> {
    let text = text.to_str()?.trim_ascii_start();
    match text.strip_prefix('-') {
        Some(digits) => Some(digits_of(digits)?.wrapping_neg()),
        None => digits_of(text.strip_prefix('+').unwrap_or(text)),
    }
}

fn digits_of(text: &str) -> Option<u64> {
    // Another sign would pass as part of a number.
    text.starts_with(|first: char| first.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Given, Stop> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse(&words)
    }

    fn wrong_word(line: &str) -> String {
        match parsed(line) {
            Err(Stop::Wrong(Some(word), reason)) => format!("{word}: {reason}"),
            Err(Stop::Wrong(None, reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_stand_anywhere_and_the_last_one_counts() {
        let given = parsed("-qvS 3 open --cipher=aes -c twofish dev -- -x").unwrap();
        assert_eq!(given.operands, ["open", "dev", "-x"]);
        assert_eq!(given.string("cipher").as_deref(), Some("twofish"));
        assert_eq!(given.signed("key-slot"), Some(3));
        assert!(given.has("batch-mode") && given.has("verbose"));
        let given = parsed("open - -s256 --master-key-file f").unwrap();
        assert_eq!(given.operands, ["open", "-"]);
        assert_eq!(given.small("key-size"), Some(256));
        assert_eq!(given.string("volume-key-file").as_deref(), Some("f"));
    }

    #[test]
    fn the_first_word_that_cannot_be_read_is_named() {
        for (line, reason) in [
            ("x --foo", "--foo: unknown option"),
            ("x --ciph y", "--ciph: unknown option"),
            ("x -qz", "-qz: unknown option"),
            ("x -c", "-c: missing argument"),
            (
                "x --batch-mode=1",
                "--batch-mode=1: option does not take an argument",
            ),
            ("x -s 0x10 --foo", "invalid numeric value"),
            ("x -s 4294967296", "invalid numeric value"),
            ("x -S 2147483648", "invalid numeric value"),
            (
                "x --device-size 1kb",
                "Invalid size specification in parameter --device-size.",
            ),
        ] {
            assert_eq!(wrong_word(line), reason, "{line}");
        }
        assert_eq!(parsed("x -qV --foo").unwrap_err(), Stop::Version);
    }

    #[test]
    fn sizes_have_suffixes() {
        for (text, bytes) in [
            ("512", Some(512)),
            ("1s", Some(512)),
            ("16k", Some(16 << 10)),
            ("16KiB", Some(16 << 10)),
            ("16KB", Some(16_000)),
            ("1t", Some(1 << 40)),
            ("99999999T", None),
            ("1k2", None),
            ("", None),
            ("-1", None),
            ("16kib", None),
        ] {
            assert_eq!(size::bytes(text), bytes, "{text}");
        }
    }
}
