use luks::{Error, UnlockOptions, Unsupported};
use serde_json::json;

use crate::common::{passphrase, unlock};
use crate::rules::changed;

/// A key that two digests know opens data by the keyslots of the one that the data are in.
#[test]
fn an_unbound_keyslot_gives_its_key_and_no_data() {
    let luks = changed(|json| {
        let mut unbound = json["digests"]["0"].clone();
        unbound["segments"] = json!([]);
        json["digests"]["1"] = unbound;
        json["digests"]["0"]["keyslots"] = json!([]);
    });
    let luks = luks.unwrap();
    assert!(unlock(&luks, b"golden").is_err());
    let options = UnlockOptions {
        keyslot: Some(0),
        ..UnlockOptions::default()
    };
    let unlocked = luks.unlock(&passphrase(b"golden"), &options).unwrap();
    let error = unlocked.volume(luks.storage().clone()).err().unwrap();
    assert!(
        matches!(
            error,
            Error::Unsupported(Unsupported::Unbound { keyslot: 0 })
        ),
        "{error}"
    );
}

/// The header can be looked at; what needs the hash or cipher cannot be done.
#[test]
fn a_hash_or_cipher_that_is_not_built_is_named_where_it_is_used() {
    let refused = |object: &str, pointer: &str, name: &str| {
        let luks = changed(|json| *json.pointer_mut(pointer).unwrap() = name.into()).unwrap();
        let unlocked = unlock(&luks, b"golden");
        let volume = unlocked.and_then(|unlocked| unlocked.volume(luks.storage().clone()));
        let error = volume.err().unwrap();
        assert!(
            matches!(&error, Error::Unsupported(Unsupported::Cipher { object: named, .. }) if named == object),
            "{error:?}"
        );
        assert!(error.to_string().contains("later"), "{error}");
    };
    refused("keyslot 0", "/keyslots/0/kdf/hash", "later");
    refused("keyslot 0", "/keyslots/0/af/hash", "later");
    refused("digest 0", "/digests/0/hash", "later");
    // A name that cannot be read, and one that can.
    for cipher in ["later()", "later-xts-plain64"] {
        refused("keyslot 0", "/keyslots/0/area/encryption", cipher);
        refused("segment 0", "/segments/0/encryption", cipher);
    }
}
