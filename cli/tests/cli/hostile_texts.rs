//! Texts out of an image: whatever they are made of, no verb and no error has a terminal obey them.

use serde_json::{Value, json};

use crate::crafted::Crafted;
use crate::support::{Place, golden};

/// Clears the screen, renames the terminal, sets a colour by the one-character introducer, goes back to the line's start,
/// begins a line of its own, and turns the direction of writing around.
const TEXT: &str = "A\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\rB\nINJECTED \u{85}\u{202e}\u{7f}C";

/// Verbs that say something of the container `box`, or why they do not.
const LINES: &[&str] = &[
    "inspect box",
    "inspect box --json",
    "inspect box --map text",
    "inspect box --policy-template",
    "verify box",
    "verify box --json",
    "key list box",
    "key list box --json",
    "key test box -d pw",
    "key test box -d pw --json",
    "key add box -d pw --new-keyfile pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --dry-run",
    "decrypt box - -d pw --type luks1",
    "compare box box -d pw -d pw",
    "token list box",
    "token list box --json",
    "token export box --token-id 0",
    "header repair box --dry-run",
    "header config box --label x --dry-run",
    "header convert box --type luks1 -q --dry-run",
    "header backup box --header-backup-file saved --dry-run",
    "header restore box --header-backup-file box -q --dry-run",
    "cryptsetup luksDump box",
    "cryptsetup luksDump --dump-json-metadata box",
    "cryptsetup luksUUID box",
    "cryptsetup isLuks -v box",
    "cryptsetup open --test-passphrase -v -d pw box",
    "cryptsetup token export --token-id 0 box",
    "cryptsetup convert --type luks1 -q box",
    "cryptsetup luksChangeKey -q -d pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000 box pw",
    "cryptsetup luksKillSlot -q box 0",
    "cryptsetup luksHeaderRestore -q --header-backup-file box box",
    "cryptsetup repair -q box",
    "cryptsetup config --label x box",
    "cryptsetup reencrypt -q -d pw box",
    "cryptsetup luksAddKey -q -d pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000 box pw",
];

/// Whether a terminal shows it as it is: no control character but the ends of lines, tabs and our own colours.
#[track_caller]
fn assert_tame(line: &str, printed: &str) {
    let colours = printed.replace("\u{1b}[0m", "").replace("\u{1b}[1m", "");
    let colours = ["31", "33", "32", "36", "4"]
        .iter()
        .fold(colours, |text, colour| {
            text.replace(&format!("\u{1b}[{colour}m"), "")
        });
    for character in colours.chars() {
        let is_obeyed = character.is_control() && !matches!(character, '\n' | '\t');
        assert!(
            !is_obeyed && character != '\u{202e}',
            "{line}: {character:?} in {printed:?}"
        );
    }
    for text in printed.lines() {
        assert!(!text.starts_with("INJECTED"), "{line}: {printed:?}");
    }
}

fn check(name: &str, image: &[u8]) {
    let place = Place::new();
    place.write("pw", "golden");
    for line in LINES {
        place.write("box", image);
        let mut command = place.command(line);
        // As on a terminal, to which colours go: to a pipe they would be taken out, and others' with them.
        let output = command
            .env("CLICOLOR_FORCE", "1")
            .output()
            .expect("it runs");
        let printed = [output.stdout, output.stderr].concat();
        assert_tame(
            &format!("{name}: {line}"),
            &String::from_utf8_lossy(&printed),
        );
        assert!(
            output
                .status
                .code()
                .is_some_and(|code| code < 64 || line.starts_with("compare"))
        );
    }
}

fn luks2(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut crafted = Crafted::new("luks2/pbkdf2-cbc-essiv-128-sector-4096.img.xz");
    change(&mut crafted.json);
    crafted.bytes()
}

/// Gives the only member of an object the name.
fn rename(object: &mut Value) {
    let members = object.as_object_mut().expect("an object");
    let (name, value) = members.iter().next().expect("a member");
    let (name, value) = (name.clone(), value.clone());
    members.remove(&name);
    members.insert(TEXT.to_owned(), value);
}

#[test]
fn of_a_luks2_headers_json() {
    for pointer in [
        "/keyslots/0/type",
        "/keyslots/0/key_size",
        "/keyslots/0/kdf/type",
        "/keyslots/0/kdf/hash",
        "/keyslots/0/kdf/salt",
        "/keyslots/0/af/type",
        "/keyslots/0/af/hash",
        "/keyslots/0/area/type",
        "/keyslots/0/area/encryption",
        "/keyslots/0/area/offset",
        "/segments/0/type",
        "/segments/0/offset",
        "/segments/0/size",
        "/segments/0/iv_tweak",
        "/segments/0/encryption",
        "/digests/0/type",
        "/digests/0/hash",
        "/digests/0/keyslots/0",
        "/digests/0/segments/0",
        "/config/json_size",
    ] {
        let image = luks2(|json| {
            *json
                .pointer_mut(pointer)
                .unwrap_or_else(|| panic!("{pointer}")) = TEXT.into();
        });
        check(pointer, &image);
    }
    for object in ["/keyslots", "/segments", "/digests"] {
        check(
            object,
            &luks2(|json| rename(json.pointer_mut(object).expect(object))),
        );
    }
    check(
        "members",
        &luks2(|json| {
            json[TEXT] = TEXT.into();
            json["keyslots"]["0"][TEXT] = json!({TEXT: [TEXT]});
            json["segments"]["0"]["flags"] = json!([TEXT]);
            json["config"]["flags"] = json!([TEXT]);
            json["tokens"]["0"] = json!({"type": TEXT, "keyslots": ["0"], TEXT: TEXT});
        }),
    );
    check(
        "only members of objects",
        &luks2(|json| {
            json["segments"]["0"]["flags"] = json!([TEXT]);
            json["config"]["flags"] = json!([TEXT]);
            json["tokens"]["0"] = json!({"type": TEXT, "keyslots": ["0"], "key_description": TEXT});
        }),
    );
    check(
        "keyring",
        &luks2(|json| {
            json["tokens"]["0"] =
                json!({"type": "luks2-keyring", "keyslots": ["0"], "key_description": TEXT});
        }),
    );
    check(
        "requirements",
        &luks2(|json| {
            json["config"]["requirements"] = json!({"mandatory": [TEXT]});
        }),
    );
    check(
        "integrity",
        &luks2(|json| {
            json["segments"]["0"]["integrity"] =
                json!({"type": TEXT, "journal_encryption": TEXT, "journal_integrity": TEXT});
        }),
    );
}

#[test]
fn of_the_fields_of_both_headers() {
    for (name, at, bytes) in [
        ("label", 24, 48),
        ("checksum", 72, 32),
        ("uuid", 168, 40),
        ("subsystem", 208, 48),
    ] {
        let mut crafted = Crafted::new("luks2/pbkdf2-cbc-essiv-128-sector-4096.img.xz");
        crafted.put(at, &field(bytes));
        check(name, &crafted.bytes());
    }
    for (name, at, bytes) in [
        ("cipher", 8, 32),
        ("mode", 40, 32),
        ("hash", 72, 32),
        ("uuid", 168, 40),
    ] {
        let mut image = golden("luks1/xts-512-sha256.img.xz");
        image[at..at + bytes].copy_from_slice(&field(bytes));
        check(name, &image);
    }
}

/// The text, cut to a field and its NUL.
fn field(bytes: usize) -> Vec<u8> {
    let mut end = bytes - 1;
    while !TEXT.is_char_boundary(end.min(TEXT.len())) {
        end -= 1;
    }
    let mut field = TEXT.as_bytes()[..end.min(TEXT.len())].to_vec();
    field.resize(bytes, 0);
    field
}

/// What is escaped means the same to programs.
#[test]
fn json_and_a_policy_mean_what_the_header_has() {
    let image = luks2(|json| {
        json["tokens"]["0"] = json!({"type": TEXT, "keyslots": ["0"]});
    });
    let place = Place::new();
    place.write("box", image);
    let run = place.run("token list box --json").expect(0);
    assert!(run.text().is_ascii());
    let tokens: Value = serde_json::from_str(run.text()).expect("JSON");
    assert_eq!(tokens["tokens"][0]["type"], TEXT);
    let run = place.run("token export box --token-id 0").expect(0);
    let token: Value = serde_json::from_str(run.text()).expect("JSON");
    assert_eq!(token["type"], TEXT);
    let run = place
        .run("cryptsetup luksDump --dump-json-metadata box")
        .expect(0);
    let metadata: Value = serde_json::from_str(run.text()).expect("JSON");
    assert_eq!(metadata["tokens"]["0"]["type"], TEXT);
    let run = place.run("inspect box --policy-template").expect(0);
    place.write("policy", run.text());
    place.run("inspect box --policy policy").expect(0);
}
