//! The ways in which a passphrase comes out wrong though somebody knows it.

use zeroize::Zeroizing;

/// Another passphrase that may have been meant.
pub struct Variant {
    /// What was done to the one that was given.
    pub mistake: &'static str,
    /// What it becomes then.
    pub secret: Zeroizing<Vec<u8>>,
}

/// Every variant that differs from `secret` and from those before it, the likeliest first.
pub fn variants(secret: &[u8]) -> Vec<Variant> {
    let text = String::from_utf8(secret.to_vec()).map(Zeroizing::new);
    let mut variants: Vec<Variant> = Vec::new();
    let mut add = |mistake, bytes: Vec<u8>| {
        let bytes = Zeroizing::new(bytes);
        let known = *bytes == secret || variants.iter().any(|variant| *variant.secret == *bytes);
        if !known {
            variants.push(Variant {
                mistake,
                secret: bytes,
            });
        }
    };
    let without_newline = secret.strip_suffix(b"\n").unwrap_or(secret);
    add("without the newline at its end", without_newline.to_vec());
    let without_return = without_newline
        .strip_suffix(b"\r")
        .unwrap_or(without_newline);
    add(
        "without the carriage return and newline at its end",
        without_return.to_vec(),
    );
    add("with a newline at its end", [secret, b"\n"].concat());
    add(
        "with a carriage return and newline at its end",
        [secret, b"\r\n"].concat(),
    );
    add("without the blanks around it", secret.trim_ascii().to_vec());
    if let Ok(text) = &text {
        add(
            "without the byte order mark at its start",
            text.trim_start_matches('\u{feff}').as_bytes().to_vec(),
        );
        add(
            "with Caps Lock the other way",
            text.chars()
                .flat_map(other_case)
                .collect::<String>()
                .into_bytes(),
        );
        add(
            "with y and z exchanged, as on another keyboard",
            text.chars()
                .map(other_keyboard)
                .collect::<String>()
                .into_bytes(),
        );
    }
    add(
        "as the lower-case hexadecimal digits of it (--key-format openstack)",
        hex::encode(secret).into_bytes(),
    );
    if let Ok(bytes) = hex::decode(secret.trim_ascii()) {
        add(
            "as the bytes that its hexadecimal digits spell (--key-encoding hex)",
            bytes,
        );
    }
    variants
}

fn other_case(character: char) -> impl Iterator<Item = char> {
    let (lower, upper): (Vec<_>, Vec<_>) = (
        character.to_lowercase().collect(),
        character.to_uppercase().collect(),
    );
    if character.is_lowercase() {
        upper.into_iter()
    } else {
        lower.into_iter()
    }
}

fn other_keyboard(character: char) -> char {
    match character {
        'y' => 'z',
        'z' => 'y',
        'Y' => 'Z',
        'Z' => 'Y',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::variants;

    fn has(secret: &[u8], meant: &[u8]) -> bool {
        variants(secret)
            .iter()
            .any(|variant| *variant.secret == *meant)
    }

    #[test]
    fn the_usual_mistakes_are_undone() {
        for (given, meant) in [
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret", "secret\n"),
            (" secret ", "secret"),
            ("sECRET", "Secret"),
            ("crayz", "crazy"),
            ("\u{feff}secret", "secret"),
            ("secret", "736563726574"),
            ("736563726574", "secret"),
        ] {
            assert!(
                has(given.as_bytes(), meant.as_bytes()),
                "{given:?} for {meant:?}"
            );
        }
    }

    #[test]
    fn no_variant_is_tried_twice_or_is_the_passphrase_itself() {
        let all = variants(b"1234");
        for (index, variant) in all.iter().enumerate() {
            assert_ne!(*variant.secret, *b"1234");
            assert!(
                all[..index]
                    .iter()
                    .all(|other| *other.secret != *variant.secret)
            );
        }
    }
}
