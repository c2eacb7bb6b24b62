use std::sync::Arc;

use luks::text::is_hidden;
use luks::{Corrupt, Error, UnlockOptions};
use serde_json::{Value, json};
use volume::MemoryStorage;

use crate::common::passphrase;
use crate::rules::changed;

/// Clears the screen, sets a colour by the one-character introducer, begins a line, turns the direction around.
const TEXT: &str = "A\u{1b}[2J\u{7}\u{9b}31m\r\nB \u{85}\u{2028}\u{202e}\u{7f}C";

/// What the library says of a header, to open it, unlock it and change it.
fn said(edit: impl FnOnce(&mut Value)) -> Vec<String> {
    let luks = match changed(edit) {
        Ok(luks) => luks,
        Err(error) => return vec![error.to_string(), format!("{error:?}")],
    };
    let errors = [
        luks.unlock(&passphrase(b"golden"), &UnlockOptions::default())
            .and_then(|open| open.volume(Arc::new(MemoryStorage::new(1 << 20))))
            .err(),
        luks.check_change().err(),
        luks.check_encrypted().err(),
    ];
    let errors = errors.into_iter().flatten();
    errors
        .flat_map(|error| [error.to_string(), format!("{error:?}")])
        .chain(luks.warnings().iter().map(ToString::to_string))
        .collect()
}

#[track_caller]
fn is_tame(name: &str, edit: impl FnOnce(&mut Value)) {
    let said = said(edit);
    assert!(!said.is_empty(), "{name}: nothing is wrong");
    for text in said {
        assert!(!text.chars().any(is_hidden), "{name}: {text:?}");
    }
}

#[test]
fn no_error_has_a_terminal_obey_a_header() {
    for pointer in [
        "/keyslots/0/type",
        "/keyslots/0/key_size",
        "/keyslots/0/kdf/type",
        "/keyslots/0/kdf/hash",
        "/keyslots/0/kdf/salt",
        "/keyslots/0/af/type",
        "/keyslots/0/af/hash",
        "/keyslots/0/area/encryption",
        "/keyslots/0/area/offset",
        "/segments/0/type",
        "/segments/0/offset",
        "/segments/0/size",
        "/segments/0/iv_tweak",
        "/digests/0/type",
        "/digests/0/keyslots/0",
        "/digests/0/segments/0",
        "/config/json_size",
    ] {
        is_tame(pointer, |json| {
            *json.pointer_mut(pointer).expect("a member") = TEXT.into();
        });
    }
    for object in ["/keyslots", "/segments", "/digests"] {
        is_tame(object, |json| {
            let object = json.pointer_mut(object).expect("an object");
            *object = json!({ TEXT: object["0"] });
        });
    }
    for name in [TEXT.to_owned(), format!("online-reencrypt-v9{TEXT}")] {
        is_tame("requirements", |json| {
            json["config"]["requirements"] = json!({"mandatory": [name]});
        });
    }
}

#[test]
fn what_stands_there_can_be_had() {
    let error = changed(|json| {
        let slots = &mut json["keyslots"];
        *slots = json!({ TEXT: slots["0"] });
    });
    match error {
        Err(Error::Corrupt(Corrupt::Member { path, .. })) => {
            assert!(path.as_raw().contains(TEXT), "{path}");
        }
        other => panic!("{:?}", other.err()),
    }
}
