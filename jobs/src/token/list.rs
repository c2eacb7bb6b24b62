//! The tokens that there are.

use luks::luks2::Token;
use luks::{Header, tokens};
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::policy::Policies;
use crate::unlock;
use crate::watch::Watch;

/// How tokens are listed.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// What the header must look like.
    pub policies: Policies,
    /// It may be read even while somebody else may be writing it.
    pub allow_in_use: bool,
}

/// The tokens.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// How messages name the container.
    pub image: String,
    /// In the order of their numbers; LUKS1 has none.
    pub tokens: Vec<ListedToken>,
}

/// A token. Its texts are those of the header.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ListedToken {
    /// Its number.
    pub id: u32,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Keyslots that it is for.
    pub keyslots: Vec<u32>,
    /// Which key of the keyring it names, if it is such a token.
    #[serde(skip)]
    pub key_description: Option<String>,
}

/// Lists. Nothing is written.
///
/// # Errors
///
/// What is wrong with the place, the policies or the header.
pub fn list(place: &Place, options: &ListOptions, watch: &dyn Watch) -> Result<Listed, Error> {
    let source = open::source(place, options.allow_in_use, watch)?;
    let storage = source.seekable()?;
    let luks = unlock::open(&source.name, storage, &options.policies.read()?, watch)?;
    let tokens = match luks.header() {
        Header::Luks1(_) => Vec::new(),
        Header::Luks2(header) => {
            let metadata = &header.metadata;
            let raw = &metadata.raw()["tokens"];
            let listed = |token: &Token| listed(token, &raw[token.id.to_string()]);
            metadata.tokens.iter().map(listed).collect()
        }
    };
    Ok(Listed {
        image: source.name,
        tokens,
    })
}

fn listed(token: &Token, raw: &Value) -> ListedToken {
    let description = raw.get("key_description").and_then(Value::as_str);
    let is_keyring = raw["type"] == tokens::KEYRING;
    ListedToken {
        id: token.id,
        kind: token.kind.clone(),
        keyslots: token.keyslots.clone(),
        key_description: description.filter(|_| is_keyring).map(ToOwned::to_owned),
    }
}
