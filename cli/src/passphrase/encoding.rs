//! `--key-encoding` and `--key-format`: from the bytes that were read to the bytes that are used.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::args::{KeyEncoding, KeyFormat};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Undoes the spelling of a key, then applies OpenStack's: white space between digits or letters does not count.
pub(super) fn decode(
    bytes: Zeroizing<Vec<u8>>,
    encoding: KeyEncoding,
    format: KeyFormat,
) -> Result<Zeroizing<Vec<u8>>, String> {
    let key = match encoding {
        KeyEncoding::Raw => bytes,
        KeyEncoding::Hex => Zeroizing::new(hex::decode(&*without_white_space(&bytes)).map_err(
            |error| match error {
                hex::FromHexError::InvalidHexCharacter { .. } => {
                    "not hexadecimal digits".to_owned()
                }
                _ => "an odd number of hexadecimal digits".to_owned(),
            },
        )?),
        KeyEncoding::Base64 => {
            let text = without_white_space(&bytes);
            let mut key = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
            let count = BASE64
                .decode_slice(&*text, &mut key)
                .map_err(|_| "not base64".to_owned())?;
            key.truncate(count);
            key
        }
    };
    Ok(match format {
        KeyFormat::AsIs => key,
        KeyFormat::Openstack => digits(&key, |text, byte| write!(text, "{byte:02x}")),
        KeyFormat::OpenstackMangled => digits(&key, |text, byte| write!(text, "{byte:x}")),
    })
}

fn without_white_space(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len()));
    text.extend(bytes.iter().filter(|byte| !byte.is_ascii_whitespace()));
    text
}

fn digits(key: &[u8], write: impl Fn(&mut String, u8) -> std::fmt::Result) -> Zeroizing<Vec<u8>> {
    // Never grows: two digits a byte are the most there can be.
    let mut text = String::with_capacity(2 * key.len());
    for byte in key {
        let _ = write(&mut text, *byte);
    }
    Zeroizing::new(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], encoding: KeyEncoding, format: KeyFormat) -> Result<Vec<u8>, String> {
        decode(Zeroizing::new(bytes.to_vec()), encoding, format).map(|key| key.to_vec())
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
