use std::fmt::Display;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dmcrypt::LockedBytes;
use jobs::decrypt::{DecryptOptions, decrypt};
use jobs::encrypt::{EncryptOptions, encrypt};
use jobs::secret::Passphrase;
use jobs::{Asked, Blame, Report, SecretError, Secrets, Watch};
use luks::Version;

use crate::{all_of, bytes, memory, place, quick, secret};

/// Keeps all that is told, and ends the job after so many questions whether to.
#[derive(Default)]
struct Ear {
    told: Mutex<Vec<String>>,
    most: AtomicU64,
    asked: AtomicUsize,
    ends_after: Option<usize>,
}

impl Ear {
    fn note(&self, what: impl Display) {
        self.told
            .lock()
            .expect("nobody panics with it")
            .push(what.to_string());
    }
}

impl Watch for Ear {
    fn warn(&self, warning: &dyn Display) {
        self.note(format_args!("warning: {warning}"));
    }

    fn planned(&self, report: &Report) {
        self.note(format_args!("planned: {}", report.destination));
    }

    fn begin(&self, name: &str, bytes: Option<u64>) {
        self.note(format_args!("begin: {name} {bytes:?}"));
    }

    fn advance(&self, done: u64) {
        self.most.fetch_max(done, Ordering::Relaxed);
    }

    fn finish(&self, done: u64) {
        self.note(format_args!("finish: {done}"));
    }

    fn is_cancelled(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        self.ends_after.is_some_and(|most| asked >= most)
    }
}

/// A secret that notes when it is asked for.
struct Keeper<'a> {
    ear: &'a Ear,
    right_at: u32,
    asked: Mutex<u32>,
}

impl Secrets for Keeper<'_> {
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        let mut count = self.asked.lock().expect("nobody panics with it");
        *count += 1;
        self.ear
            .note(format_args!("asked: {} {}", asked.image, asked.is_new));
        if *count > 5 {
            return Err(SecretError::new(Blame::Request, "gone"));
        }
        Ok(secret(if *count == self.right_at { "pw" } else { "no" }))
    }

    fn tries(&self) -> u32 {
        3
    }

    fn did_not_fit(&self, error: &jobs::Error) {
        self.ear.note(format_args!("misfit: {error}"));
    }
}

#[test]
fn a_job_tells_what_it_does_in_this_order_and_asks_when_it_can_run() {
    let source = place("raw", memory(bytes(3 << 20)));
    let sealed = place("sealed", memory(Vec::new()));
    let ear = Ear::default();
    let keeper = |right_at| Keeper {
        ear: &ear,
        right_at,
        asked: Mutex::default(),
    };
    encrypt(&source, &sealed, &quick(Version::Luks2), &keeper(1), &ear).unwrap();
    let told = std::mem::take(&mut *ear.told.lock().unwrap());
    assert_eq!(
        told,
        [
            "planned: sealed",
            "asked: sealed true",
            "begin: raw Some(3145728)",
            "finish: 3145728"
        ]
    );
    assert_eq!(ear.most.load(Ordering::Relaxed), 3 << 20);

    let plain = place("plain", memory(Vec::new()));
    decrypt(
        &sealed,
        &plain,
        &DecryptOptions::default(),
        &keeper(3),
        &ear,
    )
    .unwrap();
    let told = std::mem::take(&mut *ear.told.lock().unwrap());
    assert_eq!(told.len(), 8, "{told:?}");
    assert!(told[2].starts_with("misfit: sealed: no key"), "{told:?}");
    assert_eq!(told[1], told[3]);
    assert_eq!(told[7], "finish: 3145728");

    // Nobody is asked for what cannot be done.
    let empty = place("empty", memory(Vec::new()));
    let refused = encrypt(&empty, &plain, &EncryptOptions::default(), &keeper(1), &ear);
    assert!(refused.is_err());
    assert_eq!(*ear.told.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_job_that_is_ended_fails_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let source = place("raw", memory(bytes(8 << 20)));
    let key = secret("pw");
    for ends_after in [0, 1, 5, 12] {
        let ear = Ear {
            ends_after: Some(ends_after),
            ..Ear::default()
        };
        let path = folder.path().join("sealed").into();
        let outcome = encrypt(
            &source,
            &path,
            &quick(Version::Luks2),
            &Passphrase(&key),
            &ear,
        );
        let error = outcome.unwrap_err();
        assert!(
            error.to_string().contains("cancelled"),
            "{ends_after}: {error}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_new_container_does_not_open_with_nothing_unless_that_is_allowed() {
    let source = place("raw", memory(bytes(1 << 20)));
    let target = memory(Vec::new());
    let sealed = place("sealed", target.clone());
    let key = secret("");
    let refused = encrypt(
        &source,
        &sealed,
        &quick(Version::Luks2),
        &Passphrase(&key),
        &(),
    );
    assert!(matches!(refused, Err(jobs::Error::EmptyPassphrase { .. })));
    assert!(all_of(&*target).is_empty());
    let mut options = quick(Version::Luks2);
    options.allow.empty_passphrase = true;
    encrypt(&source, &sealed, &options, &Passphrase(&key), &()).unwrap();
}
