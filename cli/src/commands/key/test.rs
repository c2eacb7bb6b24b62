//! `key test IMG`: does this key open a keyslot?

use std::time::Duration;

use dmcrypt::{LockedBytes, Passphrase};
use luks::Luks;
use serde_json::{Value, json};

use crate::args::KeyTestArgs;
use crate::error::Error;
use crate::explain::search::{Explanation, Work};
use crate::explain::{self, Given};
use crate::output;
use crate::passphrase::KeyInput;
use crate::unlock;
use crate::watch::Warner;
use jobs::Place;
use jobs::limits::Stopwatch;
use jobs::source::Source;

/// Tests. Nothing is written, and no data is decrypted.
pub fn run(args: &KeyTestArgs) -> Result<(), Error> {
    let source = Source::open(&args.image.header(), args.busy.read_in_use, &Warner)?;
    let keys = KeyInput::new(&args.keys, args.image.header() == Place::Standard)?;
    let luks = unlock::open(&source.name, source.seekable()?, &args.image.policy)?;
    let keyslot = if args.explain {
        explained(&luks, &source.name, &keys, args)?
    } else {
        unlock::unlock(&luks, &source.name, &keys, &args.unlock)?.keyslot()
    };
    if args.output.json {
        let members = json!({"image": source.name, "opens": true, "keyslot": keyslot});
        return Ok(output::json("key test", members)?);
    }
    Ok(output::text(&match keyslot {
        Some(keyslot) => format!(
            "keyslot {keyslot} of {} is opened by this key\n",
            source.name
        ),
        None => format!("this is the volume key of {}\n", source.name),
    })?)
}

/// As [`unlock::unlock`], but a passphrase that does not fit is tried again in the ways that people get it wrong.
fn explained(
    luks: &Luks,
    name: &str,
    keys: &KeyInput,
    args: &KeyTestArgs,
) -> Result<Option<u32>, Error> {
    let secret = keys.read_for(name, false, None)?;
    let options = unlock::options(&args.unlock)?;
    let passphrase = Passphrase::from_locked(LockedBytes::copy_of(&secret));
    let watch = Stopwatch::start();
    let (tried, error) = match luks.unlock(&passphrase, &options) {
        Ok(unlocked) => return Ok(unlocked.keyslot()),
        Err(luks::Error::NoKeyFits { tried }) => (tried.clone(), luks::Error::NoKeyFits { tried }),
        Err(error) => return Err(Error::luks(name, error)),
    };
    let took = watch.elapsed();
    let given = Given {
        whole: keys.whole(&secret),
        secret,
    };
    let work = Work {
        longest: Duration::from_secs(args.explain_time),
        is_quiet: args.output.batch_mode || args.output.json,
    };
    let explanation = explain::search::explain(luks, &given, options, (&tried, took), &work)
        .map_err(|error| Error::luks(name, error))?;
    if args.output.json {
        let members = json!({
            "image": name,
            "opens": false,
            "keyslot": null,
            "explanation": members(&explanation),
        });
        output::json("key test", members)?;
    }
    Err(say(name, explanation, error))
}

/// What came of it, for programs.
fn members(explanation: &Explanation) -> Value {
    let mistakes: Vec<_> = explanation.mistakes.iter().map(|done| &done.name).collect();
    let overwritten = explanation.overwritten.iter();
    json!({
        "keyslot": explanation.keyslot,
        "mistakes": mistakes,
        "guesses_tried": explanation.tried,
        "guesses": explanation.guesses,
        "overwritten_keyslots": overwritten.map(|overwritten| json!({
            "keyslot": overwritten.keyslot,
            "first_byte": overwritten.first,
            "sectors": overwritten.sectors,
            "of_sectors": overwritten.of,
        })).collect::<Vec<_>>(),
    })
}

/// The same for people: warnings, and the error that is left.
fn say(name: &str, explanation: Explanation, error: luks::Error) -> Error {
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
            .map(|done| done.text)
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
    Error::luks(name, error)
}
