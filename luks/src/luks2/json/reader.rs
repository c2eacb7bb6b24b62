//! From JSON text to values: by RFC 8259 and not one byte more, or with the liberties of json-c, which cryptsetup takes a
//! token with.
//!
//! Numbers keep their digits, however many they are: whoever wrote them may need them all. An exponent gets its sign.

use std::str::FromStr as _;

use serde_json::{Map, Number, Value};

use super::{MAX_DEPTH, MAX_VALUES, too_deep, too_many};

/// What is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    /// JSON, no member twice in an object, nothing behind the value.
    Strict,
    /// What json-c takes: comments, strings in single quotes and with control characters, a comma too many, literals in
    /// either case, zeros before a number, of equal members the last one, and anything behind the value.
    JsonC,
}

/// Reads one value.
///
/// # Errors
///
/// What is wrong, and where.
pub(super) fn read(text: &[u8], dialect: Dialect) -> Result<Value, String> {
    let mut reader = Reader {
        text,
        at: 0,
        is_strict: dialect == Dialect::Strict,
        values_left: MAX_VALUES,
    };
    let value = reader.value(0)?;
    if reader.is_strict {
        reader.skip_blanks()?;
        if reader.at < text.len() {
            return Err(reader.wrong("something behind the value"));
        }
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    is_strict: bool,
    values_left: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, String> {
        self.count()?;
        self.skip_blanks()?;
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(self.string()?.into()),
            Some(b'\'') if !self.is_strict => Ok(self.string()?.into()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(letter) if letter.is_ascii_alphabetic() => self.literal(),
            _ => Err(self.wrong("no value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let depth = self.deeper(depth)?;
        let mut members = Map::new();
        loop {
            self.skip_blanks()?;
            match self.peek() {
                // A comma too many stands before this.
                Some(b'}') if members.is_empty() || !self.is_strict => break,
                Some(b'"') => {}
                Some(b'\'') if !self.is_strict => {}
                _ => return Err(self.wrong("no name of a member")),
            }
            self.count()?;
            let mut name = self.string()?;
            if !self.is_strict
                && let Some(end) = name.find('\0')
            {
                // Names end there.
                name.truncate(end);
            }
            self.skip_blanks()?;
            if !self.take(b':') {
                return Err(self.wrong("no colon"));
            }
            let value = self.value(depth)?;
            if self.is_strict && members.contains_key(&name) {
                return Err(self.wrong(&format!("duplicate member {name:?}")));
            }
            // The last one counts, in the place of the first one.
            members.insert(name, value);
            self.skip_blanks()?;
            if !self.take(b',') {
                break;
            }
            if self.is_strict {
                self.skip_blanks()?;
                if self.peek() == Some(b'}') {
                    return Err(self.wrong("a comma too many"));
                }
            }
        }
        if self.take(b'}') {
            Ok(Value::Object(members))
        } else {
            Err(self.wrong("no end of an object"))
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let depth = self.deeper(depth)?;
        let mut values = Vec::new();
        self.skip_blanks()?;
        while self.peek() != Some(b']') {
            values.push(self.value(depth)?);
            self.skip_blanks()?;
            if !self.take(b',') {
                break;
            }
            self.skip_blanks()?;
            if self.is_strict && self.peek() == Some(b']') {
                return Err(self.wrong("a comma too many"));
            }
        }
        if self.take(b']') {
            Ok(Value::Array(values))
        } else {
            Err(self.wrong("no end of an array"))
        }
    }

    /// Behind the bracket that begins an object or an array.
    fn deeper(&mut self, depth: usize) -> Result<usize, String> {
        if depth >= MAX_DEPTH {
            return Err(self.wrong(&too_deep()));
        }
        self.at = self.at.saturating_add(1);
        Ok(depth.saturating_add(1))
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.next();
        let mut bytes = Vec::new();
        loop {
            match self.next() {
                None => return Err(self.wrong("no end of a string")),
                Some(byte) if Some(byte) == quote => break,
                Some(b'\\') => self.escaped(&mut bytes)?,
                Some(byte) if byte < 0x20 && self.is_strict => {
                    return Err(self.wrong("a control character in a string"));
                }
                Some(byte) => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).map_err(|_| self.wrong("a string that is no UTF-8"))
    }

    /// What stands behind a backslash.
    fn escaped(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let byte = match self.next() {
            Some(plain @ (b'"' | b'\\' | b'/')) => plain,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let character = self.character()?;
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.wrong("an escape that there is not")),
        };
        bytes.push(byte);
        Ok(())
    }

    /// The character that four hexadecimal digits spell, or eight as two halves. json-c takes a half alone for the
    /// replacement character.
    fn character(&mut self) -> Result<char, String> {
        let first = self.hexadecimal()?;
        if let Some(character) = char::from_u32(first.into()) {
            return Ok(character);
        }
        let behind = self.at;
        if first < 0xdc00 && self.take(b'\\') && self.take(b'u') {
            let second = self.hexadecimal()?;
            if let Some(Ok(character)) = char::decode_utf16([first, second]).next() {
                return Ok(character);
            }
        }
        if self.is_strict {
            return Err(self.wrong("half a surrogate pair"));
        }
        self.at = behind;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hexadecimal(&mut self) -> Result<u16, String> {
        let mut number: u16 = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            let digit = digit.and_then(|digit| u16::try_from(digit).ok());
            let digit = digit.ok_or_else(|| self.wrong("no four hexadecimal digits"))?;
            number = number << 4 | digit;
        }
        Ok(number)
    }

    fn literal(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.at..];
        for (name, value) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
        ] {
            let is_it = rest.get(..name.len()).is_some_and(|word| {
                word == name.as_bytes()
                    || !self.is_strict && word.eq_ignore_ascii_case(name.as_bytes())
            });
            if is_it {
                self.at = self.at.saturating_add(name.len());
                return Ok(value);
            }
        }
        Err(self.wrong("no value"))
    }

    fn number(&mut self) -> Result<Value, String> {
        let is_of_a_number =
            |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.text[self.at..]
            .iter()
            .take_while(|byte| is_of_a_number(byte))
            .count();
        let end = self.at.saturating_add(length);
        let text = String::from_utf8_lossy(&self.text[self.at..end]).into_owned();
        let spelled = if self.is_strict {
            text
        } else {
            by_the_book(&text)
        };
        // Beyond what a double can be there is nothing that others would read.
        let is_finite = spelled.parse().is_ok_and(f64::is_finite);
        match Number::from_str(&spelled) {
            Ok(number) if is_finite => {
                self.at = end;
                Ok(Value::Number(number))
            }
            _ => Err(self.wrong("no number")),
        }
    }

    /// Blanks, and comments where they may be.
    fn skip_blanks(&mut self) -> Result<(), String> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at = self.at.saturating_add(1),
                Some(b'/') if !self.is_strict => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), String> {
        self.at = self.at.saturating_add(1);
        match self.next() {
            Some(b'/') => {
                while self.next().is_some_and(|byte| byte != b'\n') {}
                Ok(())
            }
            // As json-c looks for the end: what stands behind a star is not looked at as another one.
            Some(b'*') => {
                while let Some(byte) = self.next() {
                    if byte == b'*' && self.next() == Some(b'/') {
                        return Ok(());
                    }
                }
                Err(self.wrong("no end of a comment"))
            }
            _ => Err(self.wrong("no comment")),
        }
    }

    fn count(&mut self) -> Result<(), String> {
        let left = self.values_left.checked_sub(1);
        self.values_left = left.ok_or_else(|| self.wrong(&too_many()))?;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn take(&mut self, wanted: u8) -> bool {
        let is_it = self.peek() == Some(wanted);
        if is_it {
            self.at = self.at.saturating_add(1);
        }
        is_it
    }

    fn wrong(&self, what: &str) -> String {
        format!("{what}, at byte {}", self.at)
    }
}

/// A number that json-c takes, as JSON spells it: without zeros before it, with a digit on each side of its point, no
/// exponent without digits, and of zeros only a fraction has a sign.
fn by_the_book(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let mantissa_end = digits.find(['e', 'E']).unwrap_or(digits.len());
    let (mantissa, exponent) = digits.split_at(mantissa_end);
    let exponent = exponent.trim_end_matches(['e', 'E', '+', '-']);
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        // Nothing that is a number.
        return text.to_owned();
    }
    let is_bare = whole.is_empty() && fraction.is_none_or(str::is_empty);
    let short = whole.trim_start_matches('0');
    let whole = if short.is_empty() && !is_bare {
        "0"
    } else {
        short
    };
    match fraction {
        None if whole == "0" && exponent.is_empty() => "0".to_owned(),
        None => format!("{sign}{whole}{exponent}"),
        Some("") => format!("{sign}{whole}.0{exponent}"),
        Some(fraction) => format!("{sign}{whole}.{fraction}{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn as_text(text: &str, dialect: Dialect) -> Option<String> {
        read(text.as_bytes(), dialect)
            .ok()
            .map(|value| value.to_string())
    }

    #[test]
    fn numbers_keep_their_digits() {
        for text in [
            "0",
            "-0",
            "1",
            "-1",
            "1.50",
            "1e+5",
            "1e+05",
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890123456789012345678901234567890",
            "0.30000000000000000000001",
        ] {
            assert_eq!(as_text(text, Dialect::Strict).as_deref(), Some(text));
        }
        for text in [
            "01", "-01", "1.", ".5", "-.5", "+1", "1e", "1e+", "-", "--1", "1-2", "0-0", "1.5.5",
            "NaN", "1e400", "0x10", "1_0",
        ] {
            assert_eq!(as_text(text, Dialect::Strict), None, "{text}");
        }
    }

    /// Each as cryptsetup 2.6.1 stores it, but where that is no JSON.
    #[test]
    fn the_liberties_of_json_c_are_normalised() {
        for (text, read) in [
            ("-0", "0"),
            ("01", "1"),
            ("-01", "-1"),
            ("00", "0"),
            ("1e", "1"),
            ("1e+", "1"),
            ("-0.0", "-0.0"),
            ("0e0", "0e+0"),
            ("1.", "1.0"),
            ("-.5", "-0.5"),
            ("01.5e3", "1.5e+3"),
            ("TRUE", "true"),
            ("Null", "null"),
            ("'a\"b'", r#""a\"b""#),
            ("\"a\tb\"", r#""a\tb""#),
            (r#""\ud83d""#, "\"\u{fffd}\""),
            (r#""\ud83dx""#, "\"\u{fffd}x\""),
            (r#""\ud83d\ud83d\ude00""#, "\"\u{fffd}\u{1f600}\""),
            (r#""\/""#, "\"/\""),
            ("[1,]", "[1]"),
            ("{'a':1,}", r#"{"a":1}"#),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
            ("/* a */ // b\n[1/**/]", "[1]"),
            ("/*//*/1", "1"),
            ("{} garbage", "{}"),
            ("{\"a\\u0000b\":1}", r#"{"a":1}"#),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
        ] {
            assert_eq!(
                as_text(text, Dialect::JsonC).as_deref(),
                Some(read),
                "{text}"
            );
        }
        for text in [
            "",
            "[,1]",
            "[1 2]",
            "{a:1}",
            "{\"a\" 1}",
            "{,}",
            "[1,,]",
            "+1",
            ".5",
            "-",
            "-.",
            "1.5.5",
            "1-2",
            "0-0",
            "/***/1",
            "/*",
            "nul",
            r"'\''",
            r#""\v""#,
            r#""\u12G4""#,
            "\u{feff}{}",
            "\x0b1",
            "{\"a\":1",
            "NaN",
            "Infinity",
        ] {
            assert_eq!(as_text(text, Dialect::JsonC), None, "{text}");
        }
        assert!(read(b"\"\xff\"", Dialect::JsonC).is_err());
    }

    fn has_infinity(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.as_f64().is_none_or(f64::is_infinite),
            Value::Array(values) => values.iter().any(has_infinity),
            Value::Object(members) => members.values().any(has_infinity),
            _ => false,
        }
    }

    proptest! {
        /// What is read strictly is what serde_json reads, of texts that are close to JSON.
        #[test]
        fn strict_reading_is_that_of_serde_json(text in r#"[\[\]{},:"\\/'tnu0d8 \-+.e1a\n]{0,24}|\{"a":[\[\]{},"0-9.eE+\-tru]{0,10}\}|"(\\u[d8c0-9e]{4}|[a-z\\"]){0,4}""#) {
            let ours = read(text.as_bytes(), Dialect::Strict);
            let theirs = serde_json::from_str::<Value>(&text);
            // Which takes a member twice, and numbers that no double can be.
            let twice = |reason: &String| reason.starts_with("duplicate");
            if !ours.as_ref().is_err_and(twice) && !theirs.as_ref().is_ok_and(has_infinity) {
                prop_assert_eq!(ours.as_ref().ok(), theirs.as_ref().ok(), "{:?} {:?}", text, ours);
            }
        }

        /// And json-c takes all of that too.
        #[test]
        fn what_is_json_is_read_in_both_dialects(text in r#"\{"a":[\[\]{},"0-9.eE+\-tru]{0,10}\}|\[("[a-z\\n]{0,3}"|1|0.5|-7|null|, ?){0,6}\]"#) {
            if let Ok(value) = read(text.as_bytes(), Dialect::Strict)
                && !text.contains("-0") {
                prop_assert_eq!(read(text.as_bytes(), Dialect::JsonC), Ok(value));
            }
        }
    }
}
