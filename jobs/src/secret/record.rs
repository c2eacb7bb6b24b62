//! The record of a key as castellan keeps it in Vault, and digits alone as `ConfKeyManager` has them in its settings.

use std::borrow::Cow;

use dmcrypt::LockedBytes;
use serde::Deserialize;

use super::stored::Stored;
#[cfg(feature = "remote")]
use crate::secret_buffer::SecretBuffer;

/// What castellan 5.8 calls the types of its secrets.
const TYPES: [&str; 6] = [
    "symmetric",
    "public",
    "private",
    "certificate",
    "passphrase",
    "opaque",
];

/// The members that count. Texts are borrowed, so that the digits stay on the locked pages that they were read to.
#[derive(Deserialize)]
pub(super) struct Record<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    value: Option<&'a str>,
}

impl Record<'_> {
    /// The secret that it is the record of.
    pub(super) fn secret(&self) -> Result<Stored, String> {
        let kind = self.kind.as_deref().ok_or("it has no `type`")?;
        if !TYPES.contains(&kind) {
            return Err(format!("its type is none of {}", TYPES.join(", ")));
        }
        let value = self.value.ok_or("it has no `value`")?;
        Ok(Stored {
            bytes: digits(value)?,
            is_passphrase: kind == "passphrase",
        })
    }
}

/// The secret of a file that has a record.
pub(super) fn of_file(json: &[u8]) -> Result<Stored, String> {
    parse::<Record<'_>>(json)?.secret()
}

/// Parses what has secrets: the error says where, not what.
pub(super) fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("not the record of a key in JSON, at line {line}, column {column}")
    })
}

/// Writes what has secrets.
#[cfg(feature = "remote")]
pub(super) fn written(json: &impl serde::Serialize) -> SecretBuffer {
    let mut text = SecretBuffer::new();
    // A buffer takes what is written, and nothing here is a map with keys that are no texts.
    let _ = serde_json::to_writer(&mut text, json);
    text
}

/// The key that digits spell, with white space around them: always a key, never a passphrase.
pub(super) fn fixed(text: &[u8]) -> Result<Stored, String> {
    let text = str::from_utf8(text.trim_ascii()).map_err(|_| "not hexadecimal digits")?;
    Ok(Stored {
        bytes: digits(text)?,
        is_passphrase: false,
    })
}

fn digits(text: &str) -> Result<LockedBytes, String> {
    if text.is_empty() {
        return Err("it has no bytes".to_owned());
    }
    let mut bytes = LockedBytes::zeroed(text.len() / 2);
    hex::decode_to_slice(text, &mut bytes).map_err(|error| match error {
        hex::FromHexError::InvalidHexCharacter { .. } => "not hexadecimal digits",
        _ => "an odd number of hexadecimal digits",
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_castellan_are_read() {
        let read = |json: &str| {
            of_file(json.as_bytes()).map(|secret| (secret.bytes.to_vec(), secret.is_passphrase))
        };
        let record = r#"{"type": "symmetric", "value": "0725230b", "algorithm": "AES", "bit_length": 32, "name": null, "created": 1}"#;
        assert_eq!(read(record), Ok((vec![7, 0x25, 0x23, 0x0b], false)));
        assert_eq!(
            read(r#"{"type": "passphrase", "value": "6869"}"#),
            Ok((b"hi".to_vec(), true))
        );
        for (json, said) in [
            ("", "line 1, column 0"),
            ("[]", "line 1"),
            (
                r#"{"type": "symmetric", "value": "S3CRET", "value": "S3CRET"}"#,
                "line 1",
            ),
            (r#"{"type": "symmetric", "value": 5}"#, "line 1"),
            (r#"{"type": "symmetric", "value": "S\u0033CRET"}"#, "line 1"),
            (r#"{"value": "00"}"#, "no `type`"),
            (r#"{"type": "symmetric"}"#, "no `value`"),
            (r#"{"type": "S3CRET", "value": "00"}"#, "none of symmetric"),
            (r#"{"type": "opaque", "value": "000"}"#, "odd number"),
            (
                r#"{"type": "opaque", "value": "S3CRET"}"#,
                "not hexadecimal",
            ),
            (r#"{"type": "opaque", "value": ""}"#, "no bytes"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(said), "{json}: {error}");
            assert!(!error.contains("S3CRET"), "{error}");
        }
    }

    #[test]
    fn a_fixed_key_is_digits() {
        let key = fixed(b" 0a0B\n").unwrap();
        assert_eq!(
            (key.bytes.to_vec(), key.is_passphrase),
            (vec![10, 11], false)
        );
        for (text, said) in [
            (&b"\n"[..], "no bytes"),
            (b"0", "odd number"),
            (b"0g", "not hexadecimal"),
            (b"0a  0b", "not hexadecimal"),
            (b"\xff\xff", "not hexadecimal"),
        ] {
            let error = fixed(text).err().unwrap();
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }
}
