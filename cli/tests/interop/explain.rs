use std::io::Write;
use std::process::{Command, Stdio};

use jobs::explain::code_pages::CODE_PAGES;
use jobs::explain::keyboards::{LAYOUTS, Layout, US};

use crate::common::{Place, check_all};

/// X11's names of the keys, in the order of a layout's.
fn key_names() -> Vec<String> {
    let row = |row: char, keys: u32| (1..=keys).map(move |key| format!("A{row}{key:02}"));
    let mut names = vec!["TLDE".to_owned()];
    names.extend(row('E', 12).chain(row('D', 12)).chain(row('C', 11)));
    names.push("BKSL".to_owned());
    names.extend(row('B', 10));
    names.push("LSGT".to_owned());
    names
}

/// The keys and levels (1 without Shift, 2 with it) that write a character, as libxkbcommon knows the keyboard.
fn keys_of(layout: &Layout, character: char) -> Vec<(String, String)> {
    let mut command = Command::new("xkbcli");
    command.arg("how-to-type");
    match layout.name {
        variant @ ("dvorak" | "colemak") => {
            command.args(["--layout", "us", "--variant", variant]);
        }
        name => {
            command.args(["--layout", name]);
        }
    }
    let output = command
        .arg(u32::from(character).to_string())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.first()?.parse::<u32>().ok()?;
            let place = words.iter().position(|word| *word == "[")?;
            Some((words[1].to_owned(), words[place - 1].to_owned()))
        })
        .collect()
}

#[test]
fn keyboards_are_libxkbcommons() {
    let names = key_names();
    let layouts: Vec<_> = [&US].into_iter().chain(LAYOUTS).collect();
    check_all(
        "keyboards",
        &layouts.iter().map(|layout| layout.name).collect::<Vec<_>>(),
        |name| {
            let layout = layouts.iter().find(|layout| layout.name == *name).unwrap();
            let (mut known, mut all) = (0, 0);
            for (level, keys) in ["1", "2"].iter().zip(layout.keys) {
                for (key, character) in names.iter().zip(keys.chars()) {
                    let found = keys_of(layout, character);
                    all += 1;
                    // A dead key is no key for its character.
                    if found.iter().any(|(_, at)| at == "1" || at == "2") {
                        let here = (key.clone(), (*level).to_owned());
                        assert!(found.contains(&here), "{name}: {character:?}: {found:?}");
                        known += 1;
                    }
                }
            }
            assert!(known * 100 >= all * 85, "{name}: {known} of {all}");
        },
    );
}

#[test]
fn code_pages_are_iconvs() {
    let names: Vec<_> = CODE_PAGES.iter().map(|page| page.name).collect();
    check_all("code pages", &names, |name| {
        let page = CODE_PAGES.iter().find(|page| page.name == *name).unwrap();
        for (byte, character) in (0x80_u8..=0xff).zip(page.high.chars()) {
            let mut iconv = Command::new("iconv")
                .args(["-f", name, "-t", "UTF-8"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            iconv.stdin.take().unwrap().write_all(&[byte]).unwrap();
            let text = String::from_utf8(iconv.wait_with_output().unwrap().stdout).unwrap();
            let expected = text.chars().next().unwrap_or('\u{fffd}');
            assert_eq!(character, expected, "{name}: {byte:#x}");
        }
    });
}

/// cryptsetup makes a keyslot of what came out of a mistake, and we are given what was meant.
#[test]
fn mistakes_that_cryptsetup_took_for_passphrases() {
    let cases = [
        // Given, what made the passphrase of it, what is said.
        (
            "Grüne Straße",
            "iconv -f UTF-8 -t ISO-8859-1",
            "in ISO-8859-1 it",
        ),
        (
            "Grüne Straße\n",
            "tr -d '\\n' | iconv -f UTF-8 -t UTF-16LE",
            "without the newline at its end and in UTF-16 (little endian)",
        ),
        ("пароль", "iconv -f UTF-8 -t KOI8-R", "in KOI8-R"),
        ("żółw", "iconv -f UTF-8 -t WINDOWS-1250 ", "in WINDOWS-1250"),
        (
            "top secret",
            "base64",
            "as the base64 of it and with a newline at its end",
        ),
        (
            "top secret",
            "od -An -v -tx1 | tr -d ' \\n'",
            "as the lower-case hexadecimal digits",
        ),
        (
            "746f70207365637265740a",
            "cat >/dev/null; printf 'top secret\\n'",
            "as the bytes that its hexadecimal digits spell",
        ),
        ("top secret", "sed 's/$/\\r/'", "with a carriage return"),
        (
            "a\\b c",
            "sed 's/\\\\/\\\\\\\\/g'",
            "with its backslashes doubled",
        ),
        (
            "TOP sECRET 1",
            "tr A-Za-z a-zA-Z",
            "with Caps Lock the other way",
        ),
        (
            "cbdefghijklnrtuvcbdefghijklnrtuvcbdefghijklnrtuvcbdefghijklnrtuv",
            "cat >/dev/null; cat systemd",
            "as a recovery key of systemd",
        ),
    ];
    let ways = cases.map(|(_, made_by, _)| made_by);
    check_all(
        "mistakes that cryptsetup took for passphrases",
        &ways,
        |way| {
            let (given, made_by, says) = cases.iter().find(|case| case.1 == *way).unwrap();
            let place = Place::new();
            place.write("given", given);
            place.write(
                "systemd",
                "cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv",
            );
            place.hole("box", 4 << 20);
            place.sh(&format!(
                "({made_by}) <given >pass && cryptsetup luksFormat -q --type luks1 --key-size 256 \
             --pbkdf-force-iterations 1000 box pass"
            ));
            let output =
                place.sh("luksmith key test box --explain --key-file given 2>&1; echo \"exit $?\"");
            let output = String::from_utf8(output).unwrap();
            assert!(output.contains(says), "{given:?}, {made_by}: {output}");
            assert!(output.ends_with("opens keyslot 0\nexit 2\n"), "{output}");
        },
    );
}
