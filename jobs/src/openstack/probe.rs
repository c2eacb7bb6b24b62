//! How a plain volume of an old cloud was made: nothing in it says so, and what made it has changed its mind.
//!
//! cryptsetup before 2.7 hashed with ripemd160 where nobody said otherwise, and does so with sha256 since; the passphrase
//! of a key was its digits, and for a while the wrong ones. Each guess is held to what is recognised in the plaintext.

use dmcrypt::Passphrase;
use dmcrypt_plain::KeySource;
use recognise::Class;
use serde::Serialize;

use crate::error::{Error, OpenstackError, PlainError};
use crate::key_source::{self, KeyFormat, formatted};
use crate::open;
use crate::place::Place;
use crate::plain::{Age, Plain, PlainKey, PlainWanted};
use crate::secret::{Asked, Secrets};
use crate::watch::Watch;

/// What is known of the volume.
#[derive(Clone, Debug, Default)]
pub struct ProbeOptions {
    /// Cipher, key size and hash are guessed where they are not said; the rest is as it is.
    pub known: PlainWanted,
    /// What becomes of the key; unless said each of [`KeyFormat::TRIED`].
    pub format: Option<KeyFormat>,
    /// It may be read even while somebody else may be writing it.
    pub allow_in_use: bool,
}

/// What fits.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Probed {
    /// How messages name the volume.
    pub image: String,
    /// How many guesses there were.
    pub tried: usize,
    /// Those that fit, one at least.
    pub fits: Vec<Fit>,
}

/// A guess that fits.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Fit {
    /// What is in the volume.
    pub content: &'static str,
    /// The word by which libblkid knows that; empty where it has none.
    pub content_type: &'static str,
    /// The cipher.
    pub cipher: String,
    /// Size of the key, in bits.
    pub key_bits: u32,
    /// The hash that makes a key of the passphrase, as [`dmcrypt_plain::PassphraseHash`] spells it.
    pub hash: String,
    /// What becomes of the key first.
    #[serde(serialize_with = "name")]
    pub key_format: KeyFormat,
}

/// The hashes that were anybody's default or are used in its place; the last one is none.
const HASHES: [&str; 5] = ["ripemd160", "sha256", "sha1", "sha512", PLAIN];
const PLAIN: &str = "plain";
/// Whose ciphers and key sizes are tried.
const AGES: [Age; 2] = [Age::V2_6, Age::V2_7];
/// The likelier first.
const FORMATS: [KeyFormat; 3] = [
    KeyFormat::Openstack,
    KeyFormat::OpenstackMangled,
    KeyFormat::AsIs,
];

/// Makes all guesses. `secrets` have the key itself. Nothing is written.
///
/// # Errors
///
/// What is wrong with the place, the options or the key; [`OpenstackError::NotPlain`], [`OpenstackError::NothingFits`].
pub fn probe(
    place: &Place,
    options: &ProbeOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Probed, Error> {
    let source = open::source(place, options.allow_in_use, watch)?;
    let storage = source.seekable()?;
    let name = source.name.clone();
    if options.known.offset_sectors == 0 {
        let found = recognise::recognise(&*storage).map_err(|error| source.unreadable(error))?;
        if let Some(found) = found {
            let found = found.content.name();
            return Err(OpenstackError::NotPlain { name, found }.into());
        }
    }
    let guesses = guesses(options)?;
    let key = secrets.passphrase(&Asked::of(&name))?;
    let mut fits: Vec<Fit> = Vec::new();
    for guess in &guesses {
        if watch.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let passphrase = Passphrase::from_locked(formatted(&key, guess.format));
        let PlainKey::Hashed { hash, .. } = &guess.plain.key else {
            continue;
        };
        let of = KeySource::Passphrase(&passphrase);
        let volume_key = dmcrypt_plain::derive_key(of, Some(hash), guess.plain.key_bytes())
            .map_err(PlainError::from)?;
        let volume = dmcrypt_plain::open(storage.clone(), &volume_key, &guess.plain.options)
            .map_err(PlainError::from)?;
        let found = recognise::look(&volume).map_err(|error| source.unreadable(error))?;
        let Some(found) = found.iter().find(|found| is_telling(found.content.class())) else {
            continue;
        };
        let key_bytes = guess.plain.key_bytes();
        let fit = Fit {
            content: found.content.name(),
            content_type: found.content.type_name(),
            cipher: guess.plain.cipher().to_string(),
            key_bits: u32::try_from(key_bytes * 8).unwrap_or(u32::MAX),
            hash: match guess.hash.as_str() {
                // However many bytes whoever opens it reads.
                PLAIN => format!("{PLAIN}:{}", passphrase.len().min(key_bytes)),
                hash => hash.to_owned(),
            },
            key_format: guess.format,
        };
        // Two forms of a key may be the same.
        let is_there = fits.iter().any(|other| {
            formatted(&key, other.key_format).ct_eq(&formatted(&key, fit.key_format))
                && (&other.cipher, &other.hash) == (&fit.cipher, &fit.hash)
        });
        if !is_there {
            fits.push(fit);
        }
    }
    if fits.is_empty() {
        return Err(OpenstackError::NothingFits {
            name,
            tried: guesses.len(),
            what: tried(&guesses),
        }
        .into());
    }
    Ok(Probed {
        image: name,
        tried: guesses.len(),
        fits,
    })
}

/// Whether it is what a volume has at its start. Marks of a few bytes in the middle of noise are none.
fn is_telling(class: Class) -> bool {
    matches!(
        class,
        Class::Luks | Class::FileSystem | Class::Swap | Class::PartitionTable | Class::Member
    )
}

struct Guess {
    plain: Plain,
    hash: String,
    format: KeyFormat,
}

/// The likelier first: what was the default of an age together.
fn guesses(options: &ProbeOptions) -> Result<Vec<Guess>, PlainError> {
    let known = &options.known;
    let hashes = match &known.hash {
        Some(hash) => vec![hash.clone()],
        None => HASHES.map(str::to_owned).to_vec(),
    };
    let formats = match options.format {
        None | Some(KeyFormat::Auto | KeyFormat::Usual) => FORMATS.to_vec(),
        Some(format) => vec![format],
    };
    let ages = match (&known.cipher, known.key_bits) {
        (Some(_), _) => &AGES[..1],
        (None, _) => &AGES[..],
    };
    let mut guesses = Vec::new();
    let mut refused = None;
    for hash in &hashes {
        for age in ages {
            for format in &formats {
                let wanted = PlainWanted {
                    hash: Some(hash.clone()),
                    defaults: Some(*age),
                    ..known.clone()
                };
                match wanted.understood(&key_source::KeySource::default()) {
                    Ok(plain) => guesses.push(Guess {
                        plain,
                        hash: hash.clone(),
                        format: *format,
                    }),
                    Err(error) => refused = Some(error),
                }
            }
        }
    }
    // A key size that is given may be that of the other cipher.
    match refused {
        Some(error) if guesses.is_empty() => Err(error),
        _ => Ok(guesses),
    }
}

/// What was tried, for people.
fn tried(guesses: &[Guess]) -> String {
    let mut parts: [Vec<String>; 3] = Default::default();
    for guess in guesses {
        let cipher = format!(
            "{} with {} bits",
            guess.plain.cipher(),
            guess.plain.key_bytes() * 8
        );
        let hash = match guess.hash.as_str() {
            PLAIN => "no hash".to_owned(),
            hash => hash.to_owned(),
        };
        for (part, word) in
            parts
                .iter_mut()
                .zip([cipher, hash, format_name(guess.format).to_owned()])
        {
            if !part.contains(&word) {
                part.push(word);
            }
        }
    }
    let [ciphers, hashes, formats] = parts.map(|part| part.join(", "));
    format!("{ciphers}; {hashes}; the key {formats}")
}

fn format_name(format: KeyFormat) -> &'static str {
    match format {
        KeyFormat::Openstack => "openstack",
        KeyFormat::OpenstackMangled => "openstack-mangled",
        KeyFormat::AsIs | KeyFormat::Usual | KeyFormat::Auto => "as-is",
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn name<S: serde::Serializer>(format: &KeyFormat, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(format_name(*format))
}
