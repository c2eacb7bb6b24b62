//! Each mistake is found, alone and with another one.

use dmcrypt::LockedBytes;

use super::{Given, Guesses, mistakes};

/// The names of the mistakes that make `meant` of `given`, and how many guesses come before.
fn explanation(given: &[u8], whole: Option<&[u8]>, meant: &[u8]) -> Option<(Vec<String>, usize)> {
    let given = Given {
        secret: LockedBytes::copy_of(given),
        whole: whole.map(LockedBytes::copy_of),
    };
    let (mistakes, key) = (mistakes(), LockedBytes::copy_of(&[7; 32]));
    Guesses::new(&given, &mistakes, &key)
        .enumerate()
        .find(|(_, guess)| *guess.secret == *meant)
        .map(|(before, guess)| {
            let names = guess.mistakes.iter();
            (
                names.map(|mistake| mistake.name.to_string()).collect(),
                before,
            )
        })
}

#[test]
fn each_mistake_alone() {
    let systemd = "CDEFGHIJ KLNRTUVC bdefghij klnrtuvc bdefghij klnrtuvc bdefghij klnrtuvc";
    let with_dashes = systemd.to_lowercase().replace(' ', "-");
    let no_dashes = systemd.replace(' ', "");
    let cases: &[(&[u8], &[u8], &str)] = &[
        (b"secret\n", b"secret", "newline-removed"),
        (b"secret", b"secret\n", "newline-added"),
        (
            b"secret\r\n",
            b"secret",
            "carriage-return-and-newline-removed",
        ),
        (
            b"secret",
            b"secret\r\n",
            "carriage-return-and-newline-added",
        ),
        (b" secret\n\n\n", b" secret", "newlines-removed"),
        (b"a\nb\n", b"a", "first-line"),
        (b"ab\0cd", b"ab", "nul-cut"),
        (b"a\0b\0", b"ab", "nul-bytes-removed"),
        (b"secret", b"secret\0", "nul-added"),
        (b" secret\t", b"secret", "blanks-removed"),
        (b"secret", b"secret ", "blank-added-after"),
        (b"secret", b" secret", "blank-added-before"),
        (b"ab cd ef", b"abcdef", "inner-blanks-removed"),
        (b"sECRET 1", b"Secret 1", "caps-lock"),
        ("GRÖSSE".as_bytes(), "grösse".as_bytes(), "caps-lock"),
        (b"secret", b"Secret", "first-letter"),
        (b"SeCret", b"secret", "lower-case"),
        (b"SeCret", b"SECRET", "upper-case"),
        (
            "\u{feff}secret".as_bytes(),
            b"secret",
            "byte-order-mark-removed",
        ),
        (
            b"secret",
            "\u{feff}secret".as_bytes(),
            "byte-order-mark-added",
        ),
        (b"s\0\xe9\0c\0", "s\u{e9}c".as_bytes(), "utf-16-decoded"),
        (b"\xfe\xff\0s\0e", b"se", "utf-16-decoded"),
        (b"sec", b"s\0e\0c\0", "utf-16le-encoded"),
        (b"se", b"\xff\xfes\0e\0", "utf-16le-encoded-with-mark"),
        (b"se", b"\0s\0e", "utf-16be-encoded"),
        (b"se", b"\xfe\xff\0s\0e", "utf-16be-encoded-with-mark"),
        (
            "Grüne Straße".as_bytes(),
            b"Gr\xfcne Stra\xdfe",
            "iso-8859-1-encoded",
        ),
        (
            b"Gr\xfcne Stra\xdfe",
            "Grüne Straße".as_bytes(),
            "iso-8859-1-decoded",
        ),
        ("10 €".as_bytes(), b"10 \x80", "windows-1252-encoded"),
        ("10 €".as_bytes(), b"10 \xa4", "iso-8859-15-encoded"),
        ("ü".as_bytes(), b"\x81", "cp850-encoded"),
        ("łódź".as_bytes(), b"\xb3\xf3d\x9f", "windows-1250-encoded"),
        ("łódź".as_bytes(), b"\xb3\xf3d\xbc", "iso-8859-2-encoded"),
        (
            "пароль".as_bytes(),
            b"\xef\xe0\xf0\xee\xeb\xfc",
            "windows-1251-encoded",
        ),
        (
            "пароль".as_bytes(),
            b"\xd0\xc1\xd2\xcf\xcc\xd8",
            "koi8-r-encoded",
        ),
        (
            b"\xd0\xc1\xd2\xcf\xcc\xd8",
            "пароль".as_bytes(),
            "koi8-r-decoded",
        ),
        ("π√".as_bytes(), b"\xe3\xfb", "cp437-encoded"),
        (
            "u\u{308}".as_bytes(),
            "\u{fc}".as_bytes(),
            "unicode-composed",
        ),
        (
            "\u{fc}".as_bytes(),
            "u\u{308}".as_bytes(),
            "unicode-decomposed",
        ),
        (b"qwerty!(*$", b"azerty1984", "keyboard-us-fr"),
        (b"azerty1984", b"qwerty!(*$", "keyboard-fr-us"),
        (b"crayz_", b"crazy?", "keyboard-us-de"),
        (b"gfhjkm", "пароль".as_bytes(), "keyboard-us-ru"),
        ("зфыыцщкв".as_bytes(), b"password", "keyboard-ru-us"),
        (
            b"akuo",
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd}".as_bytes(),
            "keyboard-us-il",
        ),
        (
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd}".as_bytes(),
            b"akuo",
            "keyboard-il-us",
        ),
        (b"kvdikow", "κωδικος".as_bytes(), "keyboard-us-gr"),
        (b"password", b"laoo,rpe", "keyboard-us-dvorak"),
        (b"laoo,rpe", b"password", "keyboard-dvorak-us"),
        (
            systemd.as_bytes(),
            with_dashes.as_bytes(),
            "systemd-recovery-key",
        ),
        (
            no_dashes.as_bytes(),
            with_dashes.as_bytes(),
            "systemd-recovery-key",
        ),
        (b"ab-cd", b"abcd", "dashes-removed"),
        (b"a\\\\b", b"a\\b", "backslashes-halved"),
        (b"a\\b", b"a\\\\b", "backslashes-doubled"),
        (b"a\\tb", b"a\tb", "backslash-escapes-undone"),
        (b"\"secret\"", b"secret", "quotes-removed"),
        (b"secret", b"\"secret\"", "double-quotes-added"),
        (b"secret", b"'secret'", "single-quotes-added"),
        (
            "\u{201c}it\u{2019}s\u{a0}\u{2026}\u{201d}".as_bytes(),
            b"\"it's ...\"",
            "typography-undone",
        ),
        (b"736563726574", b"secret", "hexadecimal-decoded"),
        (b"secret", b"736563726574", "hexadecimal-encoded"),
        (b"\xab", b"AB", "hexadecimal-encoded-in-capitals"),
        (b"\x07\xab", b"7ab", "hexadecimal-encoded-without-zeros"),
        (b"c2VjcmV0cw==", b"secrets", "base64-decoded"),
        (b"secrets", b"c2VjcmV0cw==", "base64-encoded"),
    ];
    let mut missing: Vec<_> = mistakes()
        .iter()
        .map(|mistake| mistake.name.to_string())
        .collect();
    for (given, meant, name) in cases {
        let (names, _) = explanation(given, None, meant)
            .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(given)));
        assert_eq!(names, [*name], "{}", String::from_utf8_lossy(given));
        missing.retain(|missing| missing != name);
    }
    // The others are rows of the two tables, which real programs judge.
    missing.retain(|name| !name.starts_with("keyboard") && !name.ends_with("coded"));
    assert_eq!(missing, ["whole-input"]);
}

#[test]
fn two_at_a_time() {
    for (given, meant, wanted) in [
        (
            "\u{feff}Winter-2026\r\n".as_bytes(),
            &b"Winter-2026"[..],
            [
                "carriage-return-and-newline-removed",
                "byte-order-mark-removed",
            ],
        ),
        (
            b"AZERTY1984\n",
            b"qwerty!(*$\n",
            ["caps-lock", "keyboard-fr-us"],
        ),
        (
            "Größe\n".as_bytes(),
            b"Gr\xf6\xdfe",
            ["newline-removed", "iso-8859-1-encoded"],
        ),
        (
            b"c2VjcmV0cw==",
            b"secrets\n",
            ["base64-decoded", "newline-added"],
        ),
        ("\u{fc}".as_bytes(), b"\x9a", ["caps-lock", "cp850-encoded"]),
        (
            b"secret",
            b"s\0e\0c\0r\0e\0t\0\n\0",
            ["newline-added", "utf-16le-encoded"],
        ),
        (
            "\u{feff}s\u{e9}cret".as_bytes(),
            "se\u{301}cret".as_bytes(),
            ["byte-order-mark-removed", "unicode-decomposed"],
        ),
    ] {
        let (mut names, _) = explanation(given, None, meant)
            .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(given)));
        let mut wanted = wanted.map(str::to_owned).to_vec();
        names.sort();
        wanted.sort();
        assert_eq!(names, wanted, "{}", String::from_utf8_lossy(given));
    }
}

#[test]
fn what_was_left_unread_counts() {
    let found = explanation(b"one", Some(b"one\ntwo\n"), b"one\ntwo\n").unwrap();
    assert_eq!(found.0, ["whole-input"]);
    let found = explanation(b"one", Some(b"one\ntwo\n"), b"one\ntwo").unwrap();
    assert_eq!(found.0, ["whole-input", "newline-removed"]);
    assert!(explanation(b"one", None, b"one\ntwo\n").is_none());
}

/// What happens every day is tried at once, and common pairs before rare mistakes.
#[test]
fn the_likely_comes_first() {
    let before = |given: &[u8], meant: &[u8]| explanation(given, None, meant).unwrap().1;
    assert!(before(b"secret\n", b"secret") < 4);
    assert!(before(b"sECRET", b"Secret") < 4);
    assert!(before("\u{feff}a\r\n".as_bytes(), b"a") < 40);
    assert!(before(b"sECRET\n", b"Secret") < 20);
}

#[test]
fn no_guess_is_made_twice_or_is_what_was_given() {
    let given = Given {
        secret: LockedBytes::copy_of("pä ss\\1".as_bytes()),
        whole: None,
    };
    let (mistakes, key) = (mistakes(), LockedBytes::copy_of(&[7; 32]));
    let mut secrets: Vec<_> = Guesses::new(&given, &mistakes, &key)
        .map(|guess| guess.secret.to_vec())
        .collect();
    let count = secrets.len();
    assert!(count > 500, "{count}");
    secrets.push(given.secret.to_vec());
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), count + 1);
}

#[test]
fn names_are_one_each() {
    let mut names: Vec<_> = mistakes()
        .iter()
        .map(|mistake| mistake.name.to_string())
        .collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// A large key file is tried in a moment, its mistakes one at a time.
#[test]
fn of_a_large_file_no_two_mistakes_are_combined() {
    let given = Given {
        secret: LockedBytes::copy_of(&[b'x'; 5000]),
        whole: None,
    };
    let (mistakes, key) = (mistakes(), LockedBytes::copy_of(&[7; 32]));
    let guesses = Guesses::new(&given, &mistakes, &key);
    assert!(guesses.map(|guess| guess.mistakes.len()).max() == Some(1));
}
