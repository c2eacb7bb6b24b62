//! Sizes as people type them.

/// Bytes, as `bytes` understands them.
///
/// # Errors
///
/// A text that says what is expected.
pub fn parse(text: &str) -> Result<u64, String> {
    bytes(text).ok_or_else(|| {
        "a size is a number of bytes below 2^64, with a suffix like K, MiB or GB if you like"
            .to_owned()
    })
}

/// Bytes as cryptsetup understands them: with `s` sectors of 512; with K, M, G or T, alone or followed by `iB`, powers of 1024; by `B`, of 1000.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|other: char| !other.is_ascii_digit());
    let (digits, suffix) = text.split_at(digits.unwrap_or(text.len()));
    let number: u64 = digits.parse().ok()?;
    let mut letters = suffix.chars();
    let power = match letters.next().map(|letter| letter.to_ascii_uppercase()) {
        None => return Some(number),
        Some('S') => return suffix[1..].is_empty().then(|| number.checked_mul(512))?,
        Some('K') => 1,
        Some('M') => 2,
        Some('G') => 3,
        Some('T') => 4,
        Some(_) => return None,
    };
    let base: u64 = match letters.as_str() {
        "" | "iB" => 1024,
        "B" => 1000,
        _ => return None,
    };
    number.checked_mul(base.pow(power))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn suffixes_are_cryptsetups() {
        let cases = [
            ("0", 0),
            ("512", 512),
            ("1K", 1024),
            ("16k", 16 << 10),
            ("16KiB", 16 << 10),
            ("8MiB", 8 << 20),
            ("3M", 3 << 20),
            ("2g", 2 << 30),
            ("1T", 1 << 40),
            ("1TiB", 1 << 40),
            ("1KB", 1000),
            ("2MB", 2_000_000),
            ("3GB", 3_000_000_000),
            ("8s", 4096),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "K",
            "-1",
            "1.5M",
            "1KX",
            "1KiX",
            "0x10",
            " 1",
            "1B",
            "1iB",
            "16777216T",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
