use dmcrypt::CipherSpec;
use luks::{FormatOptions, InvalidOption, Layout, Version};

use crate::crash::small;

fn luks2() -> FormatOptions {
    FormatOptions::default()
}

fn refused(options: &FormatOptions) -> InvalidOption {
    Layout::new(options).unwrap_err()
}

#[test]
fn the_last_keyslot_and_the_longest_texts_are_taken() {
    for (version, last, format) in [(Version::Luks1, 7, "LUKS1"), (Version::Luks2, 31, "LUKS2")] {
        let with = |keyslot| FormatOptions {
            keyslot,
            ..small(version)
        };
        Layout::new(&with(last)).unwrap();
        for keyslot in [last + 1, last + 2] {
            assert_eq!(
                refused(&with(keyslot)),
                InvalidOption::KeyslotNumber {
                    keyslot,
                    format,
                    last
                }
            );
        }
    }
    for bytes in [46, 47, 48, 49] {
        let text = "x".repeat(bytes);
        let label = FormatOptions {
            label: text.clone(),
            ..luks2()
        };
        let subsystem = FormatOptions {
            subsystem: text.clone(),
            ..luks2()
        };
        for (field, options) in [("label", label), ("subsystem", subsystem)] {
            let expected = InvalidOption::TextTooLong {
                field,
                value: text.clone(),
                limit: 47,
            };
            assert_eq!(
                Layout::new(&options).err(),
                (bytes > 47).then_some(expected)
            );
        }
    }
}

#[test]
fn areas_and_data_of_luks2_may_touch() {
    let with = |keyslots_bytes, data_offset, detached| {
        let options = FormatOptions {
            keyslots_bytes,
            data_offset,
            detached,
            ..luks2()
        };
        Layout::new(&options).map(|layout| (layout.keyslots_bytes, layout.data_offset))
    };
    let (one, largest) = (258_048, 128 << 20);
    assert_eq!(with(Some(one), None, false), Ok((one, 1 << 20)));
    assert_eq!(
        with(Some(one - 4096), None, false),
        Err(InvalidOption::NoRoomForKeyslot {
            have: one - 4096,
            need: one
        })
    );
    assert_eq!(with(Some(largest), None, true), Ok((largest, 0)));
    assert_eq!(with(None, Some(1 << 30), false), Ok((largest, 1 << 30)));
    for bytes in [largest + 4096, 2 * largest] {
        assert_eq!(
            with(Some(bytes), None, true),
            Err(InvalidOption::KeyslotsSize(bytes))
        );
    }
    let end = 0x8000 + one;
    assert_eq!(with(Some(one), Some(end), false), Ok((one, end)));
    for offset in [0, 4096, end - 4096] {
        assert_eq!(
            with(Some(one), Some(offset), false),
            Err(InvalidOption::DataOffsetInHeader {
                have: offset,
                need: end
            })
        );
    }
    // Elsewhere the data may begin at 0, which is where they begin if nothing is said.
    assert_eq!(with(Some(one), Some(0), true), Ok((one, 0)));
    assert_eq!(with(None, Some(0), true), with(None, None, true));
    assert_eq!(with(Some(one), Some(2 << 20), true), Ok((one, 2 << 20)));
}

#[test]
fn what_luks1_cannot_say_is_named() {
    let luks1 = || small(Version::Luks1);
    let spec = |text: &str| text.parse::<CipherSpec>().unwrap();
    for (options, says) in [
        (
            FormatOptions {
                cipher: spec("aes:2-cbc-plain"),
                key_bytes: 32,
                ..luks1()
            },
            "cipher aes:2-cbc-plain",
        ),
        (
            FormatOptions {
                subsystem: "x".into(),
                ..luks1()
            },
            "label or subsystem",
        ),
        (
            FormatOptions {
                label: "x".into(),
                ..luks1()
            },
            "label or subsystem",
        ),
        (
            FormatOptions {
                keyslot_cipher: Some((spec("aes-xts-plain64"), 64)),
                ..luks1()
            },
            "a cipher of the keyslot's own",
        ),
    ] {
        assert_eq!(
            refused(&options),
            InvalidOption::Luks1Cannot { what: says.into() }
        );
    }
}

#[test]
fn a_keyslot_of_luks2_has_any_cipher_that_is_built() {
    let with = |cipher: &str, key_bytes| {
        let options = FormatOptions {
            keyslot_cipher: Some((cipher.parse().unwrap(), key_bytes)),
            ..luks2()
        };
        Layout::new(&options).err()
    };
    assert_eq!(with("aes-cbc-essiv:sha256", 32), None);
    for (cipher, key_bytes) in [("aes-cbc-essiv:sha256", 33), ("later-xts-plain64", 64)] {
        let error = with(cipher, key_bytes);
        assert!(matches!(error, Some(InvalidOption::Cipher(_))), "{error:?}");
    }
    assert_eq!(with("cipher_null-ecb", 16), Some(InvalidOption::NullCipher));
}
