//! What `OpenStack` makes of a key, now and in earlier years.

use dmcrypt::LockedBytes;

use crate::secret_buffer::SecretBuffer;

/// What becomes of the key before it is used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyFormat {
    /// What is usual where it comes from: it is used as it is, but for a secret that is kept elsewhere its type says.
    #[default]
    Usual,
    /// It is used as it is.
    AsIs,
    /// Its lower-case hexadecimal digits are used, as `OpenStack` does.
    Openstack,
    /// The same, but a byte below 16 gives one digit, as older `OpenStack` did.
    OpenstackMangled,
    /// Nobody knows: what it opens tells, of the other three, in their order.
    Auto,
}

impl KeyFormat {
    /// The formats that [`Self::Auto`] tries, in their order.
    pub const TRIED: [Self; 3] = [Self::AsIs, Self::Openstack, Self::OpenstackMangled];
}

/// A key in one of the formats. [`KeyFormat::Usual`] and [`KeyFormat::Auto`] leave it as it is.
pub fn formatted(key: &[u8], format: KeyFormat) -> LockedBytes {
    match format {
        KeyFormat::Usual | KeyFormat::AsIs | KeyFormat::Auto => LockedBytes::copy_of(key),
        KeyFormat::Openstack => digits(key, false),
        KeyFormat::OpenstackMangled => digits(key, true),
    }
}

/// Two digits a byte, or where `is_mangled` only those that its number needs.
fn digits(key: &[u8], is_mangled: bool) -> LockedBytes {
    let mut text = SecretBuffer::new();
    for byte in key {
        for (place, digit) in [byte >> 4, byte & 15].into_iter().enumerate() {
            if place == 1 || digit != 0 || !is_mangled {
                text.push(b"0123456789abcdef"[usize::from(digit)]);
            }
        }
    }
    text.into_bytes()
}
