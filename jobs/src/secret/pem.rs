//! What stands between the dashes of a PEM text (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmcrypt::LockedBytes;

use crate::secret_buffer::SecretBuffer;

/// The bytes of the first block.
pub(super) fn decoded(text: &[u8]) -> Result<LockedBytes, &'static str> {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines
        .find(|line| line.starts_with(b"-----BEGIN "))
        .ok_or("not PEM, as a key or certificate of its type is kept")?;
    let mut letters = SecretBuffer::new();
    let mut has_end = false;
    for line in lines {
        has_end = line.starts_with(b"-----END ");
        if has_end {
            break;
        }
        letters.extend(line);
    }
    if !has_end {
        return Err("a PEM text without an end");
    }
    let mut bytes = LockedBytes::zeroed(base64::decoded_len_estimate(letters.len()));
    let count = STANDARD
        .decode_slice(&*letters, &mut bytes)
        .map_err(|_| "a PEM text that is not base64")?;
    Ok(LockedBytes::copy_of(&bytes[..count]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_counts() {
        let text = b"About it\n-----BEGIN KEY-----\r\nAAEC\nAw==\n-----END KEY-----\n-----BEGIN KEY-----\n";
        assert_eq!(*decoded(text).unwrap(), [0, 1, 2, 3]);
        for text in [
            &b""[..],
            b"-----BEGIN KEY-----\nAAEC\n",
            b"-----BEGIN KEY-----\nA%EC\n-----END KEY-----\n",
        ] {
            assert!(decoded(text).is_err());
        }
    }
}
