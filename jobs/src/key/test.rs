//! Does a key open a keyslot, and if not, why?

use std::time::Duration;

use dmcrypt::LockedBytes;
use luks::{Luks, Unfinished, Unlocked};
use serde::Serialize;

use crate::error::Error;
use crate::explain::Given;
use crate::explain::search::{Explanation, explain};
use crate::limits::Stopwatch;
use crate::open;
use crate::place::Place;
use crate::policy::Policies;
use crate::secret::{Asked, Secrets};
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How a key is tested.
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    /// What the header must look like.
    pub policies: Policies,
    /// How the container is unlocked.
    pub unlock: Unlock,
    /// Where a passphrase does not fit, the mistakes that people make are tried for so long.
    pub explain: Option<Duration>,
    /// It may be read even while somebody else may be writing it.
    pub allow_in_use: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Tested {
    /// How messages name the container.
    pub image: String,
    /// The key opens it.
    pub opens: bool,
    /// The keyslot that it opens; none for the volume key itself.
    pub keyslot: Option<u32>,
    /// The keyslot of the other key of a reencryption that is under way, where that was given as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_keyslot: Option<u32>,
    /// A reencryption is under way, and its other key was not given.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub other_missing: bool,
    /// Why it does not, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// The error that it is without one.
    #[serde(skip)]
    pub error: Option<Error>,
}

/// Tests. Nothing is written, and no data is decrypted.
///
/// # Errors
///
/// What is wrong with the place, the policies, the header or the key; that no keyslot opens with it is none where it is to
/// be explained.
pub fn test(
    place: &Place,
    options: &TestOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Tested, Error> {
    let source = open::source(place, options.allow_in_use, watch)?;
    let storage = source.seekable()?;
    let luks = unlock::open(&source.name, storage, &options.policies.read()?, watch)?;
    if let Some(longest) = options.explain {
        return explained(&luks, source.name, options, longest, secrets, watch);
    }
    let unlocked = unlock::unlock_as_given(&luks, &source.name, secrets, &options.unlock, watch)?;
    check(&unlocked, &source.name)?;
    Ok(Tested::opened(source.name, &unlocked))
}

/// What a reencryption that is under way says is proven by its keys. That there is another one makes this one no worse.
fn check(unlocked: &Unlocked, image: &str) -> Result<(), Error> {
    match unlocked.check_reencryption() {
        Err(error @ luks::Error::Unfinished(Unfinished::Digest | Unfinished::NoDigest)) => {
            Err(Error::luks(image, error))
        }
        _ => Ok(()),
    }
}

/// A passphrase that does not fit is tried again in the ways that people get it wrong.
fn explained(
    luks: &Luks,
    image: String,
    options: &TestOptions,
    longest: Duration,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Tested, Error> {
    let secret = secrets.passphrase(&Asked::of(&image))?;
    let (cancel, unusable) = (|| watch.is_cancelled(), unlock::telling_once(watch));
    let how = options.unlock.options(&cancel, &unusable);
    let given = LockedBytes::copy_of(&secret);
    let clock = Stopwatch::start();
    let found = unlock::try_forms(&image, secrets, given, |passphrase, spent| {
        luks.unlock(passphrase, &unlock::after(&how, spent))
    });
    let (tried, error) = match found {
        Ok((unlocked, _)) => {
            check(&unlocked, &image)?;
            return Ok(Tested::opened(image, &unlocked));
        }
        Err(luks::Error::NoKeyFits { tried }) => (tried.clone(), luks::Error::NoKeyFits { tried }),
        Err(error) => return Err(Error::luks(&image, error)),
    };
    let took = clock.elapsed();
    let given = Given {
        whole: secrets.whole(&secret),
        secret,
    };
    let explanation = explain(luks, &given, how, (&tried, took), longest, watch)
        .map_err(|error| Error::luks(&image, error))?;
    Ok(Tested {
        opens: false,
        keyslot: None,
        other_keyslot: None,
        other_missing: false,
        explanation: Some(explanation),
        error: Some(Error::luks(&image, error)),
        image,
    })
}

impl Tested {
    fn opened(image: String, unlocked: &Unlocked) -> Self {
        Self {
            image,
            opens: true,
            keyslot: unlocked.keyslot(),
            other_keyslot: unlocked.keys().nth(1).and_then(|(_, _, keyslot)| keyslot),
            other_missing: unlocked.missing_key().is_some(),
            explanation: None,
            error: None,
        }
    }
}
