//! The keyslots in use.

use std::time::Duration;

use serde::Serialize;

use crate::error::Error;
use crate::inspect;
use crate::inspect::report::Keyslot;
use crate::open;
use crate::place::Place;
use crate::policy::Policies;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How keyslots are listed.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// What the header must look like.
    pub policies: Policies,
    /// Time that one keyslot may take, as in [`Unlock::max_time`]: it is said which ask for more.
    pub max_time: Option<Duration>,
    /// Memory that one keyslot may take, as in [`Unlock::max_memory_kib`].
    pub max_memory_kib: Option<u64>,
    /// It may be read even while somebody else may be writing it.
    pub allow_in_use: bool,
}

/// The keyslots in use.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// How messages name the container.
    pub image: String,
    /// `luks1` or `luks2`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// In the order of their numbers.
    pub keyslots: Vec<Keyslot>,
}

/// Lists. Nothing is unlocked and nothing is written.
///
/// # Errors
///
/// What is wrong with the place, the policies or the header.
pub fn list(place: &Place, options: &ListOptions, watch: &dyn Watch) -> Result<Listed, Error> {
    let source = open::source(place, options.allow_in_use, watch)?;
    let storage = source.seekable()?;
    let bytes = storage.len().map_err(|error| source.unreadable(error))?;
    let luks = unlock::open(&source.name, storage, &options.policies.read()?, watch)?;
    let limits = Unlock {
        max_time: options.max_time,
        max_memory_kib: options.max_memory_kib,
        ..Unlock::default()
    };
    let report = inspect::report(source.name.clone(), &luks, bytes, &limits.limits());
    Ok(Listed {
        image: report.image,
        kind: report.kind,
        keyslots: report.keyslots,
    })
}
