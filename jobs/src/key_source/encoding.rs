//! How a key is spelled: from the bytes that were read to the bytes that are used.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use dmcrypt::LockedBytes;

use crate::key_format::{KeyFormat, formatted};
use crate::secret_buffer::SecretBuffer;

/// How the bytes that are read spell the key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyEncoding {
    /// As they are.
    #[default]
    Raw,
    /// Hexadecimal digits.
    Hex,
    /// Base64 (RFC 4648).
    Base64,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Undoes the spelling of a key, then applies OpenStack's: white space between digits or letters does not count.
pub(super) fn decode(
    bytes: LockedBytes,
    encoding: KeyEncoding,
    format: KeyFormat,
) -> Result<LockedBytes, String> {
    let key = match encoding {
        KeyEncoding::Raw => bytes,
        KeyEncoding::Hex => {
            let text = without_white_space(&bytes);
            let mut key = LockedBytes::zeroed(text.len() / 2);
            hex::decode_to_slice(&*text, &mut key).map_err(|error| match error {
                hex::FromHexError::InvalidHexCharacter { .. } => "not hexadecimal digits",
                _ => "an odd number of hexadecimal digits",
            })?;
            key
        }
        KeyEncoding::Base64 => {
            let text = without_white_space(&bytes);
            let mut key = LockedBytes::zeroed(base64::decoded_len_estimate(text.len()));
            let count = BASE64
                .decode_slice(&*text, &mut key)
                .map_err(|_| "not base64".to_owned())?;
            LockedBytes::copy_of(&key[..count])
        }
    };
    Ok(match format {
        KeyFormat::Usual | KeyFormat::AsIs | KeyFormat::Auto => key,
        KeyFormat::Openstack | KeyFormat::OpenstackMangled => formatted(&key, format),
    })
}

/// What the bytes of a key file spell, where a key of so many bytes is taken as they are: hexadecimal digits, as many as
/// there may be, or base64 of just such a key. Chance makes no digits of 16 bytes.
pub(super) fn spelled(file: &[u8], key_bytes: usize) -> Option<KeyEncoding> {
    let text = without_white_space(file);
    if key_bytes < 16 || text.len() < key_bytes {
        return None;
    }
    if text.iter().all(u8::is_ascii_hexdigit) {
        return Some(KeyEncoding::Hex);
    }
    let mut key = LockedBytes::zeroed(base64::decoded_len_estimate(text.len()));
    (BASE64.decode_slice(&*text, &mut key) == Ok(key_bytes)).then_some(KeyEncoding::Base64)
}

fn without_white_space(bytes: &[u8]) -> SecretBuffer {
    let mut text = SecretBuffer::new();
    for byte in bytes.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        text.push(*byte);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], encoding: KeyEncoding, format: KeyFormat) -> Result<Vec<u8>, String> {
        decode(LockedBytes::copy_of(bytes), encoding, format).map(|key| key.to_vec())
    }

    #[test]
    fn spellings_are_undone() {
        assert_eq!(
            decoded(b"07 25\n", KeyEncoding::Hex, KeyFormat::AsIs),
            Ok(vec![0x07, 0x25])
        );
        assert_eq!(
            decoded(b"ByUj\nCw==\n", KeyEncoding::Base64, KeyFormat::AsIs),
            Ok(vec![7, 0x25, 0x23, 0x0b])
        );
        assert_eq!(
            decoded(b"ByUjCw", KeyEncoding::Base64, KeyFormat::AsIs),
            Ok(vec![7, 0x25, 0x23, 0x0b])
        );
        assert_eq!(
            decoded(b"a\n", KeyEncoding::Raw, KeyFormat::AsIs),
            Ok(b"a\n".to_vec())
        );
    }

    #[test]
    fn openstacks_digits() {
        let key = [0x07, 0x25, 0x23, 0x0b];
        assert_eq!(
            decoded(&key, KeyEncoding::Raw, KeyFormat::Openstack),
            Ok(b"0725230b".to_vec())
        );
        assert_eq!(
            decoded(&key, KeyEncoding::Raw, KeyFormat::OpenstackMangled),
            Ok(b"725".iter().chain(b"23b").copied().collect())
        );
    }

    #[test]
    fn keys_that_are_spelled_are_seen() {
        let hex = Some(KeyEncoding::Hex);
        let base64 = Some(KeyEncoding::Base64);
        for (file, key_bytes, seen) in [
            (format!("{}\n", "0a".repeat(32)), 32, hex),
            ("0A".repeat(32), 64, hex),
            ("0a".repeat(31) + "0g", 32, None),
            ("0a".repeat(4), 8, None),
            (BASE64.encode([200; 32]) + "\n", 32, base64),
            (BASE64.encode([200; 33]), 32, None),
            ("correct horse battery staple".to_owned(), 16, None),
        ] {
            assert_eq!(spelled(file.as_bytes(), key_bytes), seen, "{file}");
        }
    }

    #[test]
    fn what_is_no_spelling_is_refused() {
        assert_eq!(
            decoded(b"0g", KeyEncoding::Hex, KeyFormat::AsIs),
            Err("not hexadecimal digits".to_owned())
        );
        assert_eq!(
            decoded(b"012", KeyEncoding::Hex, KeyFormat::AsIs),
            Err("an odd number of hexadecimal digits".to_owned())
        );
        assert_eq!(
            decoded(b"%%%%", KeyEncoding::Base64, KeyFormat::AsIs),
            Err("not base64".to_owned())
        );
    }
}
