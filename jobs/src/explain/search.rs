//! The guesses, tried in their order until one opens a keyslot or the time is over.

use std::time::Duration;

use dmcrypt::{LockedBytes, Passphrase};
use luks::random::{OsRandom, Random as _};
use luks::verify::{Role, Stretch};
use luks::{Error, Luks, UnlockOptions, Unlocked};
use serde::Serialize;

use super::{Given, Guess, Guesses, Mistake, mistakes};
use crate::limits::Stopwatch;
use crate::watch::Watch;

/// What is right though no passphrase was mistaken.
const FAULTY_WHIRLPOOL: (&str, &str) = (
    "whirlpool-gcryptbug",
    "with Whirlpool as libgcrypt computed it before 1.6.0",
);

/// What came of it.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The keyslot that a guess opens.
    pub keyslot: Option<u32>,
    /// What was done for that, in its order.
    pub mistakes: Vec<Done>,
    /// How many guesses were tried.
    #[serde(rename = "guesses_tried")]
    pub tried: u64,
    /// How many there are.
    pub guesses: u64,
    /// Keyslots whose key material is overwritten.
    #[serde(rename = "overwritten_keyslots")]
    pub overwritten: Vec<Overwritten>,
    /// Whether that is all keyslots which could have been tried.
    #[serde(skip)]
    pub is_hopeless: bool,
}

/// Something that was done to a passphrase.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Done {
    /// Its name for programs.
    pub name: String,
    /// For people, as in "not this passphrase, but ... it opens keyslot 0".
    #[serde(skip)]
    pub text: String,
}

/// A keyslot that nothing opens.
#[derive(Debug, Serialize)]
pub struct Overwritten {
    /// Its number.
    pub keyslot: u32,
    /// Where the first of its sectors starts that are no ciphertext, in bytes.
    #[serde(rename = "first_byte")]
    pub first: u64,
    /// How many of them there are.
    pub sectors: u64,
    /// Sectors of its key material.
    #[serde(rename = "of_sectors")]
    pub of: u64,
}

/// Why `given` does not open any of the keyslots that were `tried` with it, which took `took`. Guesses are made for
/// `longest`, unless `watch` ends them before.
///
/// # Errors
///
/// Those of an unlock, but for a key that does not fit.
pub fn explain(
    luks: &Luks,
    given: &Given,
    options: UnlockOptions<'_>,
    (tried, took): (&[u32], Duration),
    longest: Duration,
    watch: &dyn Watch,
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
    lock.search(given, &mut explanation, took, longest, watch)?;
    dmcrypt::wipe_stack();
    Ok(explanation)
}

/// What is to be opened, and how.
struct Lock<'a> {
    luks: &'a Luks,
    keyslots: Vec<Option<u32>>,
    options: UnlockOptions<'a>,
}

impl Lock<'_> {
    fn search(
        &mut self,
        given: &Given,
        explanation: &mut Explanation,
        took: Duration,
        longest: Duration,
        watch: &dyn Watch,
    ) -> Result<(), Error> {
        let mut key = LockedBytes::zeroed(32);
        OsRandom.fill(&mut key)?;
        let mistakes: Vec<Mistake> = mistakes();
        let guesses = || Guesses::new(given, &mistakes, &key);
        explanation.guesses = guesses().map(|_| 1).sum();
        watch.begin_guesses(explanation.guesses, took);
        let clock = Stopwatch::start();
        for guess in guesses() {
            if clock.elapsed() >= longest {
                break;
            }
            if let Some(keyslot) = self.opened_by(&guess.secret)? {
                explanation.keyslot = Some(keyslot);
                explanation.mistakes = self.done(&guess)?;
                break;
            }
            explanation.tried += 1;
            watch.advance(explanation.tried);
        }
        watch.finish(explanation.tried);
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
