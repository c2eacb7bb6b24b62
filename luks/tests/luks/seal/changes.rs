//! Changes of sealed headers.

use std::sync::Arc;

use dmcrypt::VolumeKey;
use luks::config::{ConfigChanges, configure};
use luks::edit::{seal, unseal};
use luks::format::Version;
use luks::keyslots::{self, UnboundKey};
use luks::luks2::Priority;
use luks::reencrypt::check_begin;
use luks::seal::SealWanted;
use luks::{
    Error, InvalidOption, Luks, OsRandom, ReencryptionObstacle, SealProblem, TokenProblem,
    UnlockOptions, convert, erase, tokens,
};
use serde_json::json;
use volume::MemoryStorage;

use super::{REQUIRED, held, judged, options, sealed};
use crate::common::{memory, passphrase, unlock};
use crate::keyslots::{COPY, cheap, open};
use crate::tampering::{json_of, with_json};

/// Each change of a sealed header, by its name.
pub(super) type Change = (&'static str, fn(&Luks) -> Result<(), Error>);

pub(super) const CHANGES: &[Change] = &[
    ("priority", |luks| {
        keyslots::set_priority(luks, 0, Priority::Prefer, &mut OsRandom)
    }),
    ("label", |luks| {
        let changes = ConfigChanges {
            label: Some("Ümlaut \"quoted\" / slash".into()),
            uuid: Some("0fc63daf-8483-4772-8e79-3d69d8477de4".into()),
            ..ConfigChanges::default()
        };
        configure(luks, &changes, &mut OsRandom)
    }),
    ("token", |luks| {
        let token = tokens::keyring("a / description \u{7}", &[0]);
        tokens::add(luks, token, None, false, &mut OsRandom).map(drop)
    }),
    ("keyslot", |luks| {
        let unbound = UnboundKey {
            key: &VolumeKey::zeroed(16),
            digest_iterations: 1000,
        };
        let secret = passphrase(b"unbound");
        keyslots::add_unbound(luks, &unbound, &secret, &cheap(), &mut OsRandom).map(drop)
    }),
    ("remove", |luks| {
        keyslots::remove(luks, 1, false, &mut OsRandom)
    }),
];

/// A sealed container with a second passphrase.
pub(super) fn sealed_with_two() -> Arc<MemoryStorage> {
    let disk = sealed();
    let luks = open(&disk);
    let unlocked = held(&luks, b"old", REQUIRED).unwrap();
    let new = passphrase(b"other");
    keyslots::add(&luks, &unlocked, &new, &cheap(), &mut OsRandom).unwrap();
    assert_eq!(judged(&disk, b"other"), Ok(()));
    disk
}

#[test]
fn a_change_seals_anew_with_a_key_and_is_refused_without() {
    for (name, change) in CHANGES {
        let disk = sealed_with_two();
        let before = disk.snapshot();
        assert!(matches!(change(&open(&disk)), Err(Error::Sealed)), "{name}");
        assert!(disk.snapshot() == before, "{name}");

        let luks = open(&disk);
        unlock(&luks, b"old").unwrap();
        assert_eq!(luks.checked_seal(), Some(Ok(())), "{name}");
        change(&luks).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(disk.snapshot() != before, "{name}");
        assert_eq!(judged(&disk, b"old"), Ok(()), "{name}");

        // Without a key the seal goes, when that is meant.
        let disk = memory(before.clone());
        let luks = open(&disk);
        luks.drop_seal();
        change(&luks).unwrap();
        assert_eq!(judged(&disk, b"old"), Err(SealProblem::Missing), "{name}");
        assert!(!open(&disk).is_sealed(), "{name}");

        // What somebody else has changed is not sealed by us.
        let mut json = json_of(&before, 0);
        json["tokens"]["7"] = json!({"type": "foreign", "keyslots": []});
        let disk = memory(with_json(&before, &[0, COPY], &json).unwrap());
        let before = disk.snapshot();
        let luks = open(&disk);
        unlock(&luks, b"old").unwrap();
        assert_eq!(luks.checked_seal(), Some(Err(SealProblem::Broken)));
        assert!(
            matches!(change(&luks), Err(Error::Seal(SealProblem::Broken))),
            "{name}"
        );
        assert!(disk.snapshot() == before, "{name}");
        // It is by who says so.
        let unlocked = unlock(&luks, b"old").unwrap();
        assert_eq!(seal(&luks, &unlocked, &mut OsRandom).unwrap(), 0);
        assert_eq!(judged(&disk, b"old"), Ok(()), "{name}");
    }
}

#[test]
fn other_changes_of_a_sealed_header() {
    // A keyslot that is changed: two commits, each sealed.
    let disk = sealed_with_two();
    let luks = open(&disk);
    let unlocked = unlock(&luks, b"old").unwrap();
    let new = passphrase(b"new");
    keyslots::change(&luks, &unlocked, 0, &new, &cheap(), &mut OsRandom).unwrap();
    assert_eq!(judged(&disk, b"new"), Ok(()));
    // The token of the seal itself.
    let luks = open(&disk);
    assert!(matches!(
        tokens::remove(&luks, 0, &mut OsRandom),
        Err(Error::Sealed)
    ));
    let token = json!({"type": "luksmith-seal", "keyslots": []});
    let token = token.as_object().unwrap().clone();
    assert!(matches!(
        tokens::add(&luks, token, None, false, &mut OsRandom),
        Err(Error::InvalidOption(InvalidOption::Token(
            TokenProblem::Seal
        )))
    ));
    unlock(&luks, b"new").unwrap();
    tokens::remove(&luks, 0, &mut OsRandom).unwrap();
    assert_eq!(judged(&disk, b"new"), Err(SealProblem::Missing));

    let disk = sealed();
    assert_eq!(unseal(&open(&disk), &mut OsRandom).unwrap(), [0]);
    assert_eq!(judged(&disk, b"old"), Err(SealProblem::Missing));
    assert!(unseal(&open(&disk), &mut OsRandom).unwrap().is_empty());

    // Nobody can check a seal when all keyslots are gone, and nobody is kept from that.
    let disk = sealed();
    assert_eq!(erase::erase(&open(&disk), &mut OsRandom).unwrap(), [0]);
    assert!(!open(&disk).is_sealed());

    // A reencryption in place is refused by name.
    let luks = open(&sealed());
    assert!(matches!(
        check_begin(&luks),
        Err(Error::InvalidOption(InvalidOption::Reencryption(
            ReencryptionObstacle::Sealed
        )))
    ));
    luks.drop_seal();
    assert!(check_begin(&luks).is_ok());

    // LUKS1 has no room for it.
    let disk = sealed();
    let luks = open(&disk);
    assert!(matches!(
        convert::convert(&luks, Version::Luks1, &mut OsRandom),
        Err(Error::Sealed)
    ));
    luks.drop_seal();
    convert::convert(&luks, Version::Luks1, &mut OsRandom).unwrap();
    assert!(unlock(&open(&disk), b"old").is_ok());
}

/// The key of an unbound keyslot says nothing of the seal.
#[test]
fn only_the_key_of_the_data_checks_a_seal() {
    let disk = sealed();
    let luks = open(&disk);
    unlock(&luks, b"old").unwrap();
    let unbound = UnboundKey {
        key: &VolumeKey::zeroed(16),
        digest_iterations: 1000,
    };
    let secret = passphrase(b"unbound");
    let keyslot = keyslots::add_unbound(&luks, &unbound, &secret, &cheap(), &mut OsRandom).unwrap();
    let luks = open(&disk);
    let with = |seal| UnlockOptions {
        keyslot: Some(keyslot),
        ..options(seal)
    };
    assert!(matches!(
        luks.unlock(&secret, &with(REQUIRED)),
        Err(Error::Seal(SealProblem::OtherKey))
    ));
    let unlocked = luks.unlock(&secret, &with(SealWanted::default())).unwrap();
    assert_eq!(luks.checked_seal(), None);
    assert!(matches!(
        seal(&luks, &unlocked, &mut OsRandom),
        Err(Error::Seal(SealProblem::OtherKey))
    ));
    assert!(matches!(
        luks.seal_in_file(&unlocked, &mut OsRandom),
        Err(Error::Seal(SealProblem::OtherKey))
    ));
}
