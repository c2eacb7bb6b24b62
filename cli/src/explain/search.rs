//! The guesses, tried in their order until one opens a keyslot or the time is over.

use std::time::Duration;

use dmcrypt::{LockedBytes, Passphrase};
use luks::random::{OsRandom, Random as _};
use luks::verify::{Role, Stretch};
use luks::{Error, Luks, UnlockOptions, Unlocked};

use super::{Given, Guess, Guesses, Mistake, mistakes};
use crate::output;
use crate::progress::Counted;
use jobs::limits::Stopwatch;

/// What is right though no passphrase was mistaken.
const FAULTY_WHIRLPOOL: (&str, &str) = (
    "whirlpool-gcryptbug",
    "with Whirlpool as libgcrypt computed it before 1.6.0",
);

/// How much is done, and said of it.
pub struct Work {
    /// How long guesses are made.
    pub longest: Duration,
    /// Whether only the outcome is said.
    pub is_quiet: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Explanation {
    /// The keyslot that a guess opens.
    pub keyslot: Option<u32>,
    /// What was done for that, in its order.
    pub mistakes: Vec<Done>,
    /// How many guesses were tried.
    pub tried: u64,
    /// How many there are.
    pub guesses: u64,
    /// Keyslots whose key material is overwritten.
    pub overwritten: Vec<Overwritten>,
    /// Whether that is all keyslots which could have been tried.
    pub is_hopeless: bool,
}

/// Something that was done to a passphrase.
#[derive(Debug)]
pub struct Done {
    /// Its name for programs.
    pub name: String,
    /// For people.
    pub text: String,
}

/// A keyslot that nothing opens.
#[derive(Debug)]
pub struct Overwritten {
    /// Its number.
    pub keyslot: u32,
    /// Sectors of its key material that are no ciphertext.
    pub sectors: u64,
    /// Sectors of its key material.
    pub of: u64,
    /// Where the first of them starts, in bytes.
    pub first: u64,
}

/// Why `given` does not open any of the keyslots that were `tried` with it, which took `took`.
///
/// # Errors
///
/// Those of an unlock, but for a key that does not fit.
pub fn explain(
    luks: &Luks,
    given: &Given,
    options: UnlockOptions<'static>,
    (tried, took): (&[u32], Duration),
    work: &Work,
) -> Result<Explanation, Error> {
    let mut explanation = Explanation {
        overwritten: overwritten(luks, tried)?,
        ..Explanation::default()
    };
    let sound = tried
        .iter()
        .copied()
        .filter(|keyslot| {
            let mut overwritten = explanation.overwritten.iter();
            overwritten.all(|overwritten| overwritten.keyslot != *keyslot)
        })
        .collect::<Vec<_>>();
    if sound.is_empty() {
        explanation.is_hopeless = true;
        return Ok(explanation);
    }
    let mut lock = Lock {
        luks,
        // All of them at once, as an unlock has them, or each by its name.
        keyslots: if sound.len() == tried.len() {
            vec![options.keyslot]
        } else {
            sound.into_iter().map(Some).collect()
        },
        options,
    };
    if luks.is_spread_by_whirlpool() {
        lock.options.faulty_whirlpool = true;
        if let Some(keyslot) = lock.opened_by(&given.secret)? {
            explanation.keyslot = Some(keyslot);
            explanation.mistakes = vec![Done::faulty_whirlpool()];
            return Ok(explanation);
        }
    }
    lock.search(given, &mut explanation, took, work)?;
    dmcrypt::wipe_stack();
    Ok(explanation)
}

/// What is to be opened, and how.
struct Lock<'a> {
    luks: &'a Luks,
    keyslots: Vec<Option<u32>>,
    options: UnlockOptions<'static>,
}

impl Lock<'_> {
    fn search(
        &mut self,
        given: &Given,
        explanation: &mut Explanation,
        took: Duration,
        work: &Work,
    ) -> Result<(), Error> {
        let mut key = LockedBytes::zeroed(32);
        OsRandom.fill(&mut key)?;
        let mistakes: Vec<Mistake> = mistakes();
        let guesses = || Guesses::new(given, &mistakes, &key);
        explanation.guesses = guesses().map(|_| 1).sum();
        if !work.is_quiet {
            announce(explanation.guesses, took, work.longest);
        }
        let progress = Counted::start(explanation.guesses, work.is_quiet);
        let watch = Stopwatch::start();
        for guess in guesses() {
            if watch.elapsed() >= work.longest {
                break;
            }
            if let Some(keyslot) = self.opened_by(&guess.secret)? {
                explanation.keyslot = Some(keyslot);
                explanation.mistakes = self.done(&guess)?;
                break;
            }
            explanation.tried += 1;
            progress.update(explanation.tried);
        }
        Ok(())
    }

    fn opened_by(&self, secret: &[u8]) -> Result<Option<u32>, Error> {
        let passphrase = Passphrase::from_locked(LockedBytes::copy_of(secret));
        for keyslot in &self.keyslots {
            let options = UnlockOptions {
                keyslot: *keyslot,
                ..self.options
            };
            match self.luks.unlock(&passphrase, &options) {
                Ok(unlocked) => return Ok(Unlocked::keyslot(&unlocked)),
                Err(Error::NoKeyFits { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// What was done for the guess that fits.
    fn done(&mut self, guess: &Guess<'_>) -> Result<Vec<Done>, Error> {
        let mistakes = guess.mistakes.iter().map(|mistake| Done {
            name: mistake.name.to_string(),
            text: mistake.text.to_string(),
        });
        let mut done: Vec<_> = mistakes.collect();
        if self.options.faulty_whirlpool {
            self.options.faulty_whirlpool = false;
            if self.opened_by(&guess.secret)?.is_none() {
                done.insert(0, Done::faulty_whirlpool());
            }
        }
        Ok(done)
    }
}

impl Done {
    fn faulty_whirlpool() -> Self {
        let (name, text) = FAULTY_WHIRLPOOL;
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }
}

/// How much there is to do. The first guess tells how long each takes.
fn announce(guesses: u64, took: Duration, longest: Duration) {
    let all = took.saturating_mul(u32::try_from(guesses).unwrap_or(u32::MAX));
    let of_them = if all > longest {
        let count = longest.as_millis() / took.as_millis().max(1);
        format!("; the likeliest {count} of them are tried, --explain-time allows more")
    } else {
        String::new()
    };
    output::done(format_args!(
        "luksmith: no key fits as it was given; {guesses} guesses at what was meant take about {} s{of_them}",
        all.as_secs() + 1
    ));
}

/// Those of the keyslots whose key material is something else: nothing opens them.
fn overwritten(luks: &Luks, tried: &[u32]) -> Result<Vec<Overwritten>, Error> {
    let stretches = luks::verify::examine(&**luks.storage(), luks.header())?;
    let overwritten = |stretch: &Stretch| match stretch.role {
        Role::Keyslot(keyslot) if tried.contains(&keyslot) => Some(Overwritten {
            keyslot,
            sectors: stretch.content.zeros + stretch.content.other,
            of: stretch.content.sectors(),
            first: stretch.content.first_not_random?,
        }),
        _ => None,
    };
    Ok(stretches.iter().filter_map(overwritten).collect())
}
