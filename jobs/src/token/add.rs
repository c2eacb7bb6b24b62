//! One more token.

use std::fs::File;
use std::io::{self, Cursor, Read};

use luks::{OsRandom, tokens};
use serde::Serialize;
use serde_json::{Map, Value};

use super::metadata;
use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed, SealKey};
use crate::error::{ChangeError, Error};
use crate::open;
use crate::place::Place;
use crate::watch::Watch;

/// No JSON area is larger than this, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// How a token is added.
#[derive(Clone, Debug, Default)]
pub struct AddOptions {
    /// What every change takes.
    pub change: ChangeOptions,
    /// Its number; the lowest that is free unless said.
    pub token: Option<u32>,
    /// A token of that number is replaced.
    pub replace: bool,
}

/// What is added.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NewToken {
    /// It names a key of the kernel's keyring.
    Keyring {
        /// The key's description.
        description: String,
        /// What its passphrase opens; all keyslots unless said.
        keyslots: Option<Vec<u32>>,
    },
    /// It is as its JSON has it, which lies here: read once the container is known to take a token.
    Json(Place),
}

/// What was added.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Added {
    /// How messages name the container.
    pub image: String,
    /// The token's number.
    pub token: u32,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Adds a token. `key` is used where the header is sealed.
///
/// # Errors
///
/// What is wrong with the place, the options, the header or the token.
pub fn add(
    place: &Place,
    new: &NewToken,
    options: &AddOptions,
    key: Option<SealKey<'_>>,
    watch: &dyn Watch,
) -> Result<Added, Error> {
    let mut change = options.change.clone();
    if let NewToken::Json(Place::Path(path)) = new {
        change.inputs = change.inputs.path("the token file", Some(path));
    }
    let target = open::changed_by(place, &change, Claim::Header)?;
    let luks = target.luks_to_change(&change, key, watch)?;
    let metadata = metadata(&luks).map_err(|error| target.failed()(error.into()))?;
    let token = match new {
        NewToken::Keyring {
            description,
            keyslots: Some(keyslots),
        } => tokens::keyring(description, keyslots),
        NewToken::Keyring { description, .. } => {
            tokens::keyring(description, &tokens::assignable(metadata))
        }
        NewToken::Json(json) => parsed(json)?,
    };
    let token = tokens::add(&luks, token, options.token, options.replace, &mut OsRandom)
        .map_err(target.failed())?;
    Ok(Added {
        token,
        rehearsed: target.finish()?,
        image: target.name,
    })
}

fn parsed(place: &Place) -> Result<Map<String, Value>, Error> {
    let name = place.source_name();
    let text = open_json(place).and_then(read_json);
    let text = text.map_err(|source| ChangeError::Read {
        name: name.clone(),
        source,
    })?;
    tokens::parse(&text).map_err(|error| Error::luks(&name, error.into()))
}

/// Opens what a token's JSON is in.
pub fn open_json(place: &Place) -> io::Result<Box<dyn Read>> {
    Ok(match place {
        Place::Standard => Box::new(io::stdin()),
        Place::Path(path) => Box::new(File::open(path)?),
        Place::Storage { storage, .. } => {
            let bytes = storage.len()?.min(MAX_BYTES);
            let mut text = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
            storage.read_at(0, &mut text)?;
            Box::new(Cursor::new(text))
        }
    })
}

/// Reads a token's JSON, or of something that is none as much as one can have.
pub fn read_json(input: Box<dyn Read>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
}
