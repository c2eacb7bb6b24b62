use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmcrypt::LockedBytes;
use jobs::change::ChangeOptions;
use jobs::confirm::{Loss, Question};
use jobs::encrypt::encrypt;
use jobs::error::Unconfirmed;
use jobs::header::backup::{BackupOptions, backup};
use jobs::header::config::{Config, config};
use jobs::header::convert::convert;
use jobs::header::erase::erase;
use jobs::header::repair::{RepairOptions, repair};
use jobs::header::restore::{RestoreOptions, restore};
use jobs::inspect::{InspectOptions, inspect};
use jobs::key::add::{AddOptions, add};
use jobs::key::change::{ChangeKeyOptions, change};
use jobs::key::export::{ExportOptions, export};
use jobs::key::list::{ListOptions, list};
use jobs::key::remove::{RemoveOptions, remove};
use jobs::key::test::{TestOptions, test};
use jobs::new_keyslot::NewKeyslot;
use jobs::new_luks::{Cost, Kdf};
use jobs::policy::Policies;
use jobs::secret::Passphrase;
use jobs::token;
use jobs::token::add::NewToken;
use jobs::token::edit::{Edit, edit};
use jobs::unlock::Unlock;
use jobs::verify::{VerifyOptions, verify};
use jobs::{Asked, Blame, Confirm, Error, Place, SecretError, Secrets, Watch};
use luks::config::ConfigChanges;
use luks::luks2::Priority;
use luks::{Policy, Version};
use serde_json::{Value, json};
use volume::Storage;

use crate::{all_of, bytes, memory, place, quick, secret};

/// A container that `pw` opens.
fn container(version: Version) -> (Arc<dyn Storage>, Place) {
    let storage = memory(Vec::new());
    let sealed = place("box", Arc::clone(&storage));
    let raw = place("raw", memory(bytes(64 << 10)));
    let key = secret("pw");
    encrypt(&raw, &sealed, &quick(version), &Passphrase(&key), &()).expect("it is encrypted");
    (storage, sealed)
}

fn cheap() -> NewKeyslot {
    NewKeyslot {
        cost: Cost {
            kdf: Some(Kdf::Pbkdf2),
            iterations: Some(1000),
            ..Cost::default()
        },
        ..NewKeyslot::default()
    }
}

/// Whether this opens it, and which keyslot.
fn opens(place: &Place, text: &str) -> Option<u32> {
    let key = secret(text);
    match test(place, &TestOptions::default(), &Passphrase(&key), &()) {
        Ok(tested) => tested.keyslot,
        Err(error) => {
            assert_eq!(error.blame(), Blame::Key, "{error}");
            None
        }
    }
}

fn members(result: &impl serde::Serialize) -> Value {
    serde_json::to_value(result).expect("a result is plain data")
}

/// Says no, and keeps what was asked.
#[derive(Default)]
struct No(Mutex<Vec<String>>);

impl Confirm for No {
    fn confirm(&self, question: &Question<'_>) -> Result<(), Unconfirmed> {
        let what = format!("{} {:?}", question.image, question.loss);
        self.0.lock().expect("nobody panics with it").push(what);
        Err(Unconfirmed::new("no"))
    }
}

/// Has none, and is not to be asked.
struct Nobody;

impl Secrets for Nobody {
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        panic!("asked for the passphrase of {}", asked.image)
    }
}

#[test]
fn keyslots_come_change_and_go() {
    for version in [Version::Luks1, Version::Luks2] {
        let (_, sealed) = container(version);
        let (old, new, newer) = (secret("pw"), secret("new"), secret("newer"));
        let options = AddOptions {
            new: cheap(),
            keyslot: Some(3),
            ..AddOptions::default()
        };
        let added = add(&sealed, &options, &Passphrase(&old), &Passphrase(&new), &()).unwrap();
        let expected = json!({"image": "box", "keyslot": 3, "unbound": false});
        assert_eq!(members(&added), expected);
        assert_eq!(opens(&sealed, "new"), Some(3));

        let options = ChangeKeyOptions {
            new: cheap(),
            ..ChangeKeyOptions::default()
        };
        let changed = change(
            &sealed,
            &options,
            &Passphrase(&new),
            &Passphrase(&newer),
            &(),
        )
        .unwrap();
        assert_eq!(changed.old_keyslot, 3);
        assert_eq!(opens(&sealed, "new"), None);
        assert_eq!(opens(&sealed, "newer"), Some(changed.keyslot));
        let listed = list(&sealed, &ListOptions::default(), &()).unwrap();
        let ids: Vec<_> = listed.keyslots.iter().map(|slot| slot.id).collect();
        assert_eq!(ids, [0, changed.keyslot]);

        let options = RemoveOptions::default();
        let removed = remove(&sealed, &options, &Passphrase(&newer), &No::default(), &()).unwrap();
        assert!(!removed.last);
        assert_eq!(opens(&sealed, "newer"), None);
    }
}

#[test]
fn a_no_and_a_dry_run_leave_every_byte() {
    let (storage, sealed) = container(Version::Luks2);
    let before = all_of(&*storage);
    let (no, key) = (No::default(), secret("pw"));
    let plain = ChangeOptions::default();
    let dry = ChangeOptions {
        dry_run: true,
        ..ChangeOptions::default()
    };
    let unconfirmed = |error: Error| {
        assert!(matches!(error, Error::Unconfirmed(_)), "{error}");
        assert_eq!(error.to_string(), "no");
    };
    unconfirmed(erase(&sealed, &plain, &no, &()).unwrap_err());
    unconfirmed(convert(&sealed, Version::Luks1, &plain, &no, &()).unwrap_err());
    let options = RemoveOptions::default();
    unconfirmed(remove(&sealed, &options, &Passphrase(&key), &no, &()).unwrap_err());
    let asked = no.0.into_inner().unwrap();
    let losses = [
        Loss::Keyslots,
        Loss::Version(Version::Luks1),
        Loss::LastKeyslot(0),
    ];
    assert_eq!(asked, losses.map(|loss| format!("box {loss:?}")));

    let erased = erase(&sealed, &dry, &(), &()).unwrap();
    let rehearsed = erased.rehearsed.unwrap();
    assert!(rehearsed.dry_run && !rehearsed.writes.is_empty());
    assert!(all_of(&*storage) == before);
    assert_eq!(opens(&sealed, "pw"), Some(0));

    assert_eq!(
        members(&erase(&sealed, &plain, &(), &()).unwrap()),
        json!({"image": "box", "keyslots": [0]})
    );
    assert!(
        list(&sealed, &ListOptions::default(), &())
            .unwrap()
            .keyslots
            .is_empty()
    );
}

#[test]
fn a_header_comes_back_is_mended_and_converted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let (storage, sealed) = container(Version::Luks2);
    let saved = backup(&sealed, &file, &BackupOptions::default(), &()).unwrap();
    assert_eq!((saved.bytes, saved.holes.len()), (16 << 20, 0));
    erase(&sealed, &ChangeOptions::default(), &(), &()).unwrap();
    let restored = restore(&sealed, &file, &RestoreOptions::default(), &(), &()).unwrap();
    assert_eq!((restored.revived, restored.lost), (vec![0], vec![]));
    assert_eq!(opens(&sealed, "pw"), Some(0));

    storage.write_at(4096, b"x").unwrap();
    let mended = repair(&sealed, &RepairOptions::default(), &()).unwrap();
    assert!(mended.repaired && mended.damages.len() == 1);
    let mended = repair(&sealed, &RepairOptions::default(), &()).unwrap();
    assert!(!mended.repaired && mended.damages.is_empty());

    let label = Config::Container(ConfigChanges {
        label: Some("disk".to_owned()),
        ..ConfigChanges::default()
    });
    config(&sealed, &label, &ChangeOptions::default(), None, &()).unwrap();
    let report = inspect(&sealed, &InspectOptions::default(), &()).unwrap();
    assert_eq!(report.label.as_deref(), Some("disk"));
    let ignored = Config::Keyslot {
        keyslot: 0,
        priority: Priority::Ignore,
    };
    config(&sealed, &ignored, &ChangeOptions::default(), None, &()).unwrap();
    let report = inspect(&sealed, &InspectOptions::default(), &()).unwrap();
    assert_eq!(report.keyslots[0].priority, "ignore");
    assert_eq!(report.map.last().unwrap().end, storage.len().unwrap());

    let (_, older) = container(Version::Luks1);
    let converted = convert(&older, Version::Luks2, &ChangeOptions::default(), &(), &()).unwrap();
    assert_eq!(
        members(&converted),
        json!({"image": "box", "type": "luks2"})
    );
    assert_eq!(opens(&older, "pw"), Some(0));
}

#[test]
fn tokens_come_change_and_go() {
    let (_, sealed) = container(Version::Luks2);
    let options = token::add::AddOptions::default();
    let keyring = NewToken::Keyring {
        description: "disk".to_owned(),
        keyslots: None,
    };
    assert_eq!(
        token::add::add(&sealed, &keyring, &options, None, &())
            .unwrap()
            .token,
        0
    );
    let json = br#"{"type": "other", "keyslots": [], "x": 1}"#;
    let json = NewToken::Json(place("token", memory(json.to_vec())));
    assert_eq!(
        token::add::add(&sealed, &json, &options, None, &())
            .unwrap()
            .token,
        1
    );
    edit(
        &sealed,
        1,
        Edit::Assign(0),
        &ChangeOptions::default(),
        None,
        &(),
    )
    .unwrap();
    edit(
        &sealed,
        0,
        Edit::Unassign(0),
        &ChangeOptions::default(),
        None,
        &(),
    )
    .unwrap();
    let listed = token::list::list(&sealed, &token::list::ListOptions::default(), &()).unwrap();
    assert_eq!(
        members(&listed)["tokens"],
        json!([
            {"id": 0, "type": "luks2-keyring", "keyslots": []},
            {"id": 1, "type": "other", "keyslots": [0]},
        ])
    );
    assert_eq!(listed.tokens[0].key_description.as_deref(), Some("disk"));
    let exported = token::export::export(
        &sealed,
        1,
        None,
        &token::export::ExportOptions::default(),
        &(),
    )
    .unwrap();
    assert_eq!(exported.value.unwrap()["x"], json!(1));
    edit(
        &sealed,
        1,
        Edit::Remove,
        &ChangeOptions::default(),
        None,
        &(),
    )
    .unwrap();
    let gone = edit(
        &sealed,
        1,
        Edit::Remove,
        &ChangeOptions::default(),
        None,
        &(),
    );
    assert_eq!(gone.unwrap_err().blame(), Blame::Request);
}

/// A policy that no header of LUKS2 keeps.
fn refused() -> Policies {
    let policy = Policy {
        format: Some(vec![Version::Luks1]),
        ..Policy::default()
    };
    Policies {
        given: vec![policy],
        ..Policies::default()
    }
}

#[test]
fn nobody_is_asked_for_a_header_that_is_refused() {
    let (storage, sealed) = container(Version::Luks2);
    let before = all_of(&*storage);
    let change_options = ChangeOptions {
        policies: refused(),
        ..ChangeOptions::default()
    };
    let unlock = Unlock::default();
    let no = No::default();
    let errors = [
        add(
            &sealed,
            &AddOptions {
                change: change_options.clone(),
                ..AddOptions::default()
            },
            &Nobody,
            &Nobody,
            &(),
        )
        .map(drop),
        remove(
            &sealed,
            &RemoveOptions {
                change: change_options.clone(),
                ..RemoveOptions::default()
            },
            &Nobody,
            &no,
            &(),
        )
        .map(drop),
        export(
            &sealed,
            "key".as_ref(),
            &ExportOptions {
                policies: refused(),
                ..ExportOptions::default()
            },
            &Nobody,
            &no,
            &(),
        )
        .map(drop),
        verify(
            &sealed,
            &VerifyOptions {
                policies: refused(),
                key: Some(unlock),
                ..VerifyOptions::default()
            },
            &Nobody,
            &(),
        )
        .map(drop),
        erase(&sealed, &change_options, &no, &()).map(drop),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.blame(), Blame::Image, "{error}");
    }
    assert!(no.0.into_inner().unwrap().is_empty());
    assert!(all_of(&*storage) == before);
}

#[test]
fn what_verify_finds_is_data() {
    let (storage, sealed) = container(Version::Luks2);
    let key = secret("no");
    let options = VerifyOptions {
        key: Some(Unlock::default()),
        ..VerifyOptions::default()
    };
    let verified = verify(&sealed, &options, &Passphrase(&key), &()).unwrap();
    assert!(verified.sound && verified.encrypted);
    assert!(matches!(verified.key, Some(Err(_))));
    assert_eq!(members(&verified)["key"]["fits"], json!(false));

    let area = verified.areas.iter().find(|area| area.keyslot == Some(0));
    let offset = area.unwrap().offset;
    storage.write_at(offset, &[0; 512]).unwrap();
    let verified = verify(&sealed, &VerifyOptions::default(), &Nobody, &()).unwrap();
    assert!(!verified.sound && verified.key.is_none());
    assert_eq!(verified.problems.len(), 1);
    assert_eq!(members(&verified)["areas"][0]["zero_sectors"], json!(1));
}

/// Counts guesses.
#[derive(Default)]
struct Counter {
    begun: AtomicU64,
    finished: AtomicU64,
}

impl Watch for Counter {
    fn begin_guesses(&self, guesses: u64, _each: Duration) {
        self.begun.store(guesses, Ordering::Relaxed);
    }

    fn finish(&self, done: u64) {
        self.finished.store(done, Ordering::Relaxed);
    }
}

#[test]
fn a_mistake_is_found_without_a_terminal() {
    let (_, sealed) = container(Version::Luks2);
    let options = TestOptions {
        explain: Some(Duration::from_secs(600)),
        ..TestOptions::default()
    };
    let (counter, key) = (Counter::default(), secret("PW"));
    let tested = test(&sealed, &options, &Passphrase(&key), &counter).unwrap();
    assert!(!tested.opens);
    assert!(matches!(tested.error, Some(error) if error.blame() == Blame::Key));
    let explanation = members(&tested.explanation.unwrap());
    assert_eq!(explanation["keyslot"], json!(0));
    assert_eq!(explanation["mistakes"], json!(["caps-lock"]));
    let begun = counter.begun.into_inner();
    assert!(begun > 100, "{begun}");
    assert_eq!(
        explanation["guesses_tried"],
        json!(counter.finished.into_inner())
    );
}
