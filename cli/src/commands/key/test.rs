//! `key test IMG`: does this key open a keyslot?

use std::fmt::{Display, Write as _};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jobs::explain::search::Explanation;
use jobs::key::test::{TestOptions, Tested, test};
use jobs::{Place, Watch};

use crate::args::KeyTestArgs;
use crate::error::Error;
use crate::output;
use crate::passphrase::KeyInput;
use crate::progress::Counted;
use crate::secrets::Keys;
use crate::unlock;

/// Tests. Nothing is written, and no data is decrypted.
pub fn run(args: &KeyTestArgs) -> Result<(), Error> {
    let longest = Duration::from_secs(args.explain_time);
    let options = TestOptions {
        policies: (&args.image.policy.policy[..]).into(),
        unlock: unlock::how(&args.unlock)?,
        explain: args.explain.then_some(longest),
        allow_in_use: args.busy.read_in_use,
    };
    let place = args.image.header();
    let keys = KeyInput::to_open(&args.keys, place == Place::Standard)?;
    let secrets = Keys::to_unlock(&keys, &args.unlock);
    let guesser = Guesser {
        longest,
        is_quiet: args.output.batch_mode || args.output.json,
        progress: RwLock::default(),
    };
    let tested = test(&place, &options, &secrets, &guesser)?;
    if args.output.json {
        let members = serde_json::to_value(&tested).expect("an outcome is plain data");
        output::json("key test", members)?;
    }
    let Tested {
        image,
        keyslot,
        other_keyslot,
        other_missing,
        explanation,
        error,
        ..
    } = tested;
    match (explanation, error) {
        (Some(explanation), Some(error)) => Err(say(&image, explanation, error)),
        _ if args.output.json => Ok(()),
        _ => {
            let mut text = match keyslot {
                Some(keyslot) => format!("keyslot {keyslot} of {image} is opened by this key\n"),
                None => format!("this is the volume key of {image}\n"),
            };
            if let Some(keyslot) = other_keyslot {
                let _ = writeln!(
                    text,
                    "so is keyslot {keyslot}, of the other key of its reencryption"
                );
            }
            if other_missing {
                text.push_str("a reencryption is in progress, and its other key was not given\n");
            }
            Ok(output::text(&text)?)
        }
    }
}

/// Says how many guesses there are, and counts them.
struct Guesser {
    longest: Duration,
    is_quiet: bool,
    progress: RwLock<Option<Counted>>,
}

impl Guesser {
    fn count(&self, progress: Option<Counted>) {
        let place = self.progress.write();
        *place.unwrap_or_else(PoisonError::into_inner) = progress;
    }
}

impl Watch for Guesser {
    fn warn(&self, warning: &dyn Display) {
        output::warn(warning);
    }

    fn begin_guesses(&self, guesses: u64, each: Duration) {
        if !self.is_quiet {
            announce(guesses, each, self.longest);
        }
        self.count(Some(Counted::start(guesses, self.is_quiet)));
    }

    fn advance(&self, done: u64) {
        let progress = self.progress.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = &*progress {
            progress.update(done);
        }
    }

    fn finish(&self, _done: u64) {
        self.count(None);
    }
}

/// How much there is to do. The first guess tells how long each takes.
fn announce(guesses: u64, each: Duration, longest: Duration) {
    let all = each.saturating_mul(u32::try_from(guesses).unwrap_or(u32::MAX));
    let of_them = if all > longest {
        let count = longest.as_millis() / each.as_millis().max(1);
        format!("; the likeliest {count} of them are tried, --explain-time allows more")
    } else {
        String::new()
    };
    output::done(format_args!(
        "luksmith: no key fits as it was given; {guesses} guesses at what was meant take about {} s{of_them}",
        all.as_secs() + 1
    ));
}

/// What came of it, for people: warnings, and the error that is left.
fn say(name: &str, explanation: Explanation, error: jobs::Error) -> Error {
    let overwritten = explanation.overwritten.iter().map(|overwritten| {
        format!(
            "the key material of keyslot {} is overwritten: {} of its {} sectors are no ciphertext, the first at \
             {}, and nothing opens it",
            overwritten.keyslot, overwritten.sectors, overwritten.of, overwritten.first
        )
    });
    let overwritten: Vec<_> = overwritten.collect();
    if explanation.is_hopeless {
        return Error::Overwritten {
            name: name.to_owned(),
            what: overwritten.join("; "),
        };
    }
    for overwritten in &overwritten {
        output::warn(format_args!("{name}: {overwritten}"));
    }
    if let Some(keyslot) = explanation.keyslot {
        let mistakes: Vec<_> = explanation
            .mistakes
            .into_iter()
            .map(|done| match option_for(&done.name) {
                Some(option) => format!("{} ({option})", done.text),
                None => done.text,
            })
            .collect();
        return Error::Explained {
            name: name.to_owned(),
            keyslot,
            mistakes: mistakes.join(" and "),
        };
    }
    let (tried, all) = (explanation.tried, explanation.guesses);
    output::warn(if tried < all {
        format!(
            "none of the first {tried} of {all} guesses at a mistake fits; --explain-time allows more time"
        )
    } else {
        format!(
            "none of {all} guesses at a mistake fits: it is another passphrase, or more is wrong with it"
        )
    });
    error.into()
}

/// The option by which a key is taken so in the first place.
fn option_for(mistake: &str) -> Option<&'static str> {
    Some(match mistake {
        "hexadecimal-decoded" => "--key-encoding hex",
        "base64-decoded" => "--key-encoding base64",
        "hexadecimal-encoded" => "--key-format openstack",
        "hexadecimal-encoded-without-zeros" => "--key-format openstack-mangled",
        _ => return None,
    })
}
