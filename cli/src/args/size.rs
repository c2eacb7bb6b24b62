//! Sizes as people type them.

/// Bytes, or with a suffix K, M, G or T so many times 1024 to the first, second, third or fourth power.
///
/// # Errors
///
/// A text that says what is expected.
pub fn parse(text: &str) -> Result<u64, String> {
    let (digits, power) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 1),
        Some(b'M') => (&text[..text.len() - 1], 2),
        Some(b'G') => (&text[..text.len() - 1], 3),
        Some(b'T') => (&text[..text.len() - 1], 4),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| {
        "a size is a number of bytes, with a suffix K, M, G or T if you like".to_owned()
    })?;
    number
        .checked_mul(1 << (10 * power))
        .ok_or_else(|| "that is more than 2^64 bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn suffixes_are_powers_of_1024() {
        let cases = [
            ("0", 0),
            ("512", 512),
            ("1K", 1024),
            ("16k", 16 << 10),
            ("3M", 3 << 20),
            ("2g", 2 << 30),
            ("1T", 1 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "-1", "1.5M", "1KB", "0x10", " 1", "16777216T"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
