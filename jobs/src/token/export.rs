//! One token as its JSON.

use std::path::Path;

use luks::tokens;
use serde::Serialize;
use serde_json::Value;

use super::metadata;
use crate::change::{check_new, write_new};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::policy::Policies;
use crate::temporary::Content;
use crate::text;
use crate::unlock;
use crate::watch::Watch;

/// How a token is exported.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// What the header must look like.
    pub policies: Policies,
    /// It may be read even while somebody else may be writing it.
    pub allow_in_use: bool,
    /// Nothing is written.
    pub dry_run: bool,
}

/// What was exported.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Exported {
    /// How messages name the container.
    pub image: String,
    /// The token's number.
    pub token: u32,
    /// How messages name the file that it is in, if it is in one.
    pub file: Option<String>,
    /// The token, if it is in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Size of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// Nothing was written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// A line of JSON, what drives a terminal escaped.
    #[serde(skip)]
    pub line: String,
}

/// Exports the token of this number, into a new file at `path` that only its owner can read, or nowhere.
///
/// # Errors
///
/// What is wrong with the place, the policies or the header; no such token; what cannot be written.
pub fn export(
    place: &Place,
    token: u32,
    path: Option<&Path>,
    options: &ExportOptions,
    watch: &dyn Watch,
) -> Result<Exported, Error> {
    let source = open::source(place, options.allow_in_use, watch)?;
    let storage = source.seekable()?;
    let luks = unlock::open(&source.name, storage, &options.policies.read()?, watch)?;
    let json = metadata(&luks)
        .and_then(|metadata| tokens::export(metadata, token))
        .map_err(|error| Error::luks(&source.name, error.into()))?;
    let line = format!("{}\n", text::escape_json(&json));
    match path {
        None => {}
        Some(path) if options.dry_run => check_new(path)?,
        Some(path) => write_new(path, 0o600, Content::Public, line.as_bytes())?,
    }
    let value = || serde_json::from_str(&json).expect("a token is exported as JSON");
    Ok(Exported {
        image: source.name,
        token,
        file: path.map(text::path),
        value: path.is_none().then(value),
        bytes: path.map(|_| line.len()),
        dry_run: options.dry_run && path.is_some(),
        line,
    })
}
