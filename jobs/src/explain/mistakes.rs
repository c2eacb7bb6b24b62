//! The table: one row for each way in which a passphrase comes out wrong though somebody knows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dmcrypt::LockedBytes;
use unicode_normalization::UnicodeNormalization as _;

use super::text;
use crate::secret_buffer::SecretBuffer;

/// What was given becomes what may have been meant, or nothing where the mistake cannot have been made.
pub type Undo = fn(&[u8], &mut SecretBuffer) -> Option<()>;

/// A row.
pub struct Row {
    /// Its name for programs, which stays.
    pub name: &'static str,
    /// What was done, as in "not this passphrase, but ... it opens keyslot 0".
    pub text: &'static str,
    /// How rare it is: 1 for what happens every day. Two mistakes together are as rare as the sum.
    pub rarity: u32,
    /// Two mistakes of one kind are not made together.
    pub kind: Kind,
    /// What undoes it.
    pub undo: Undo,
}

/// What a mistake is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// How the text ends.
    End,
    /// How much of the input was read.
    Extent,
    /// Blanks.
    Blank,
    /// Capital letters.
    Case,
    /// The mark at the start of a text.
    Mark,
    /// Which keyboard the keys are on.
    Keyboard,
    /// How characters become bytes.
    Encoding,
    /// Which of several spellings of the same characters.
    Normal,
    /// Bytes, or the digits and letters that spell them.
    Spelling,
    /// What a shell or a file format makes of a text.
    Quoting,
    /// Characters that a program put in place of those that were typed.
    Typography,
    /// A key made by a program to be typed by people.
    Recovery,
}

/// The rows that stand for themselves; those of keyboards and code pages are made of their tables.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row("newline-removed", 1, Kind::End, "without the newline at its end",
        |given, out| cut(given.strip_suffix(b"\n"), out)),
    row("newline-added", 1, Kind::End, "with a newline at its end",
        |given, out| put(&[given, b"\n"], out)),
    row("carriage-return-and-newline-removed", 1, Kind::End, "without the carriage return and newline at its end",
        |given, out| cut(given.strip_suffix(b"\r\n"), out)),
    row("caps-lock", 1, Kind::Case, "with Caps Lock the other way", caps_lock),
    row("blanks-removed", 2, Kind::Blank, "without the blanks around it",
        |given, out| put(&[given.trim_ascii()], out)),
    row("byte-order-mark-removed", 2, Kind::Mark, "without the byte order mark at its start",
        |given, out| cut(given.strip_prefix(MARK), out)),
    row("carriage-return-and-newline-added", 2, Kind::End, "with a carriage return and newline at its end",
        |given, out| put(&[given, b"\r\n"], out)),
    row("newlines-removed", 3, Kind::End, "without any of the newlines at its end",
        |given, out| put(&[trim_end(given, b"\r\n")], out)),
    row("first-line", 3, Kind::Extent, "up to its first newline",
        |given, out| put(&[up_to(given, b'\n')], out)),
    row("nul-cut", 3, Kind::Extent, "up to its first zero byte",
        |given, out| put(&[up_to(given, 0)], out)),
    row("first-letter", 4, Kind::Case, "with its first letter's case the other way", first_letter),
    row("hexadecimal-decoded", 4, Kind::Spelling, "as the bytes that its hexadecimal digits spell", from_hex),
    row("hexadecimal-encoded", 5, Kind::Spelling, "as the lower-case hexadecimal digits of it",
        |given, out| to_hex(given, b"0123456789abcdef", out)),
    row("base64-decoded", 4, Kind::Spelling, "as the bytes that its base64 spells", from_base64),
    row("base64-encoded", 5, Kind::Spelling, "as the base64 of it", to_base64),
    row("systemd-recovery-key", 1, Kind::Recovery, "as a recovery key of systemd, in lower case with its dashes", recovery_key),
    row("unicode-composed", 5, Kind::Normal, "with its accents composed (NFC)",
        |given, out| { text(given)?.nfc().for_each(|character| out.push_char(character)); Some(()) }),
    row("unicode-decomposed", 5, Kind::Normal, "with its accents decomposed (NFD)",
        |given, out| { text(given)?.nfd().for_each(|character| out.push_char(character)); Some(()) }),
    row("quotes-removed", 5, Kind::Quoting, "without the quotes around it", unquoted),
    row("nul-bytes-removed", 6, Kind::Extent, "without its zero bytes, as a shell's variable has it",
        |given, out| { given.iter().filter(|byte| **byte != 0).for_each(|byte| out.push(*byte)); Some(()) }),
    row("backslashes-halved", 6, Kind::Quoting, "with half of its doubled backslashes",
        |given, out| replaced(given, b"\\\\", b"\\", out)),
    row("backslashes-doubled", 6, Kind::Quoting, "with its backslashes doubled",
        |given, out| replaced(given, b"\\", b"\\\\", out)),
    row("blank-added-after", 6, Kind::Blank, "with a blank at its end",
        |given, out| put(&[given, b" "], out)),
    row("utf-16-decoded", 6, Kind::Encoding, "in UTF-8 in place of UTF-16", from_utf16),
    row("utf-16le-encoded", 6, Kind::Encoding, "in UTF-16 (little endian)",
        |given, out| to_utf16(given, u16::to_le_bytes, out)),
    row("utf-16le-encoded-with-mark", 7, Kind::Encoding, "in UTF-16 (little endian) with a byte order mark",
        |given, out| { out.extend(&[0xff, 0xfe]); to_utf16(given, u16::to_le_bytes, out) }),
    row("utf-16be-encoded", 8, Kind::Encoding, "in UTF-16 (big endian)",
        |given, out| to_utf16(given, u16::to_be_bytes, out)),
    row("utf-16be-encoded-with-mark", 9, Kind::Encoding, "in UTF-16 (big endian) with a byte order mark",
        |given, out| { out.extend(&[0xfe, 0xff]); to_utf16(given, u16::to_be_bytes, out) }),
    row("byte-order-mark-added", 6, Kind::Mark, "with a byte order mark at its start",
        |given, out| put(&[MARK, given], out)),
    row("nul-added", 7, Kind::End, "with a zero byte at its end",
        |given, out| put(&[given, &[0]], out)),
    row("lower-case", 7, Kind::Case, "in lower case", lower_case),
    row("upper-case", 7, Kind::Case, "in upper case", upper_case),
    row("typography-undone", 7, Kind::Typography, "with plain quotes, dashes and blanks in place of typographic ones", plain_typography),
    row("backslash-escapes-undone", 8, Kind::Quoting, "with its backslash escapes taken for what they mean", unescaped),
    row("hexadecimal-encoded-in-capitals", 8, Kind::Spelling, "as the upper-case hexadecimal digits of it",
        |given, out| to_hex(given, b"0123456789ABCDEF", out)),
    row("hexadecimal-encoded-without-zeros", 9, Kind::Spelling,
        "as its hexadecimal digits without leading zeros", to_mangled_hex),
    row("inner-blanks-removed", 8, Kind::Blank, "without any blanks in it",
        |given, out| { given.iter().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| out.push(*byte)); Some(()) }),
    row("blank-added-before", 9, Kind::Blank, "with a blank at its start",
        |given, out| put(&[b" ", given], out)),
    row("double-quotes-added", 9, Kind::Quoting, "with double quotes around it",
        |given, out| put(&[b"\"", given, b"\""], out)),
    row("single-quotes-added", 9, Kind::Quoting, "with single quotes around it",
        |given, out| put(&[b"'", given, b"'"], out)),
    row("dashes-removed", 9, Kind::Recovery, "without its dashes",
        |given, out| replaced(given, b"-", b"", out)),
];

/// The byte order mark in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

const fn row(name: &'static str, rarity: u32, kind: Kind, text: &'static str, undo: Undo) -> Row {
    Row {
        name,
        text,
        rarity,
        kind,
        undo,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a row's function may find that its mistake cannot have been made"
)]
fn put(parts: &[&[u8]], out: &mut SecretBuffer) -> Option<()> {
    for part in parts {
        out.extend(part);
    }
    Some(())
}

fn cut(rest: Option<&[u8]>, out: &mut SecretBuffer) -> Option<()> {
    out.extend(rest?);
    Some(())
}

fn up_to(given: &[u8], end: u8) -> &[u8] {
    given.split(|byte| *byte == end).next().unwrap_or(given)
}

fn trim_end<'a>(given: &'a [u8], ends: &[u8]) -> &'a [u8] {
    let last = given.iter().rposition(|byte| !ends.contains(byte));
    &given[..last.map_or(0, |last| last + 1)]
}

/// Every `what`, from left to right, becomes `with`; nothing where there is none.
fn replaced(given: &[u8], what: &[u8], with: &[u8], out: &mut SecretBuffer) -> Option<()> {
    let mut rest = given;
    let mut is_changed = false;
    while let Some((first, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(what) {
            out.extend(with);
            is_changed = true;
            rest = behind;
        } else {
            out.push(*first);
            rest = behind;
        }
    }
    is_changed.then_some(())
}

fn caps_lock(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    text(given)?
        .chars()
        .for_each(|character| other_case(character, out));
    Some(())
}

fn first_letter(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    let text = text(given)?;
    let first = text.chars().next().filter(|first| first.is_alphabetic())?;
    other_case(first, out);
    out.extend(&text.as_bytes()[first.len_utf8()..]);
    Some(())
}

fn other_case(character: char, out: &mut SecretBuffer) {
    if character.is_lowercase() {
        character
            .to_uppercase()
            .for_each(|upper| out.push_char(upper));
    } else {
        character
            .to_lowercase()
            .for_each(|lower| out.push_char(lower));
    }
}

fn lower_case(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    let lower = text(given)?.chars().flat_map(char::to_lowercase);
    lower.for_each(|character| out.push_char(character));
    Some(())
}

fn upper_case(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    let upper = text(given)?.chars().flat_map(char::to_uppercase);
    upper.for_each(|character| out.push_char(character));
    Some(())
}

/// Pairs of digits; white space between them does not count.
fn from_hex(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    let mut high = None;
    for byte in given.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        let digit = u8::try_from(char::from(*byte).to_digit(16)?).ok()?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => out.push(high << 4 | digit),
        }
    }
    high.is_none().then_some(())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a row's function may find that its mistake cannot have been made"
)]
fn to_hex(given: &[u8], digits: &[u8; 16], out: &mut SecretBuffer) -> Option<()> {
    for byte in given {
        out.push(digits[usize::from(byte >> 4)]);
        out.push(digits[usize::from(byte & 15)]);
    }
    Some(())
}

fn to_mangled_hex(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    for byte in given {
        if byte >> 4 != 0 {
            to_hex(&[*byte], b"0123456789abcdef", out)?;
        } else {
            out.push(b"0123456789abcdef"[usize::from(*byte)]);
        }
    }
    Some(())
}

fn from_base64(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    let mut letters = SecretBuffer::new();
    let given = given.iter().filter(|byte| !byte.is_ascii_whitespace());
    given.for_each(|byte| letters.push(*byte));
    let mut bytes = LockedBytes::zeroed(base64::decoded_len_estimate(letters.len()));
    // The error says where, and at most one letter.
    let count = BASE64.decode_slice(&*letters, &mut bytes).ok()?;
    out.extend(&bytes[..count]);
    Some(())
}

fn to_base64(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    let mut letters = LockedBytes::zeroed(base64::encoded_len(given.len(), true)?);
    let count = BASE64.encode_slice(given, &mut letters).ok()?;
    out.extend(&letters[..count]);
    Some(())
}

fn to_utf16(given: &[u8], bytes: fn(u16) -> [u8; 2], out: &mut SecretBuffer) -> Option<()> {
    text(given)?
        .encode_utf16()
        .for_each(|unit| out.extend(&bytes(unit)));
    Some(())
}

/// Of the byte order that its mark says or, where there is none, that most of its zeros say.
fn from_utf16(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    let (pairs, rest) = given.as_chunks::<2>();
    let high_zeros = pairs.iter().filter(|[high, _]| *high == 0).count();
    let low_zeros = pairs.iter().filter(|[_, low]| *low == 0).count();
    let unit = match pairs.first()? {
        [0xfe, 0xff] => u16::from_be_bytes,
        [0xff, 0xfe] => u16::from_le_bytes,
        _ if high_zeros > low_zeros => u16::from_be_bytes,
        _ => u16::from_le_bytes,
    };
    let units = pairs.iter().map(|pair| unit(*pair));
    for character in char::decode_utf16(units).skip_while(|unit| *unit == Ok('\u{feff}')) {
        out.push_char(character.ok()?);
    }
    rest.is_empty().then_some(())
}

/// Eight groups of eight letters, with dashes between.
fn recovery_key(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    const LETTERS: &[u8] = b"cbdefghijklnrtuv";
    let mut count = 0;
    for byte in given.iter().map(u8::to_ascii_lowercase) {
        if LETTERS.contains(&byte) {
            if count > 0 && count % 8 == 0 {
                out.push(b'-');
            }
            out.push(byte);
            count += 1;
        } else if byte.is_ascii_alphanumeric() {
            return None;
        }
    }
    (count == 64).then_some(())
}

fn unquoted(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    match given {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => put(&[inner], out),
        _ => None,
    }
}

/// As `printf` and `echo -e` read them.
fn unescaped(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    let mut bytes = given.iter();
    let mut is_changed = false;
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        is_changed = true;
        out.push(match bytes.next()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'0' => 0,
            b'a' => 7,
            b'b' => 8,
            b'e' => 0x1b,
            other => *other,
        });
    }
    is_changed.then_some(())
}

fn plain_typography(given: &[u8], out: &mut SecretBuffer) -> Option<()> {
    for character in text(given)?.chars() {
        match character {
            '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{2032}' => out.push(b'\''),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2033}' => out.push(b'"'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' => out.push(b'-'),
            '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' => out.push(b' '),
            '\u{2026}' => out.extend(b"..."),
            other => out.push_char(other),
        }
    }
    Some(())
}
