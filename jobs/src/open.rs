//! What a job reads, writes or changes is opened from a [`Place`]: which kind of place is opened how stands here alone.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;

use crate::block::Claim;
use crate::change::{self, ChangeOptions};
use crate::destination::{Overwrite, Target};
use crate::error::{ChangeError, DestinationError, SourceError};
use crate::inputs::Inputs;
use crate::place::Place;
use crate::source::{Data, Source};
use crate::watch::Watch;

/// Opens the image in `place` for reading. `in_use`: read it even while somebody else may be writing it, which `watch` is
/// told.
pub fn source(place: &Place, in_use: bool, watch: &dyn Watch) -> Result<Source, SourceError> {
    let name = place.source_name();
    let failed = |name: &String, source| SourceError::Open {
        name: name.clone(),
        source,
    };
    match place {
        Place::Standard if io::stdin().is_terminal() => Err(SourceError::Terminal),
        Place::Standard => {
            let stdin = io::stdin().as_fd().try_clone_to_owned();
            let stdin = stdin.map_err(|error| failed(&name, error))?;
            Source::of_stream(name, stdin.into())
        }
        Place::Path(path) => {
            let file = File::open(path).map_err(|error| failed(&name, error))?;
            Source::of_file(name, file, in_use, watch)
        }
        Place::Storage { storage, .. } => Ok(Source::of_storage(name, storage)),
    }
}

/// Looks at the file in `place` that has the data of a detached header, where there is one.
pub fn data(
    place: Option<&Place>,
    in_use: bool,
    watch: &dyn Watch,
) -> Result<Option<Data>, SourceError> {
    let opened = place
        .map(|place| source(place, in_use, watch))
        .transpose()?;
    opened.map(Data::of).transpose()
}

/// Finds out whether `place` may be written by a job that reads `inputs`. Nothing is written yet.
pub fn target(
    place: &Place,
    overwrite: Overwrite,
    inputs: &Inputs,
) -> Result<Target, DestinationError> {
    let name = place.destination_name();
    match place {
        Place::Standard => Target::stdout(name, inputs),
        Place::Path(path) => Target::at(path, name, overwrite, inputs),
        Place::Storage { storage, .. } => Target::of_storage(storage, name, overwrite, inputs),
    }
}

/// Opens the image in `place` to be changed, unless somebody uses it as `claim` forbids, or it is one of the inputs. In a
/// dry run its changes are kept in memory, and what would not let them be written is an error all the same.
pub fn changed(
    place: &Place,
    dry_run: bool,
    claim: Claim,
    inputs: &Inputs,
) -> Result<change::Target, ChangeError> {
    let name = place.source_name();
    match place {
        Place::Standard => Err(ChangeError::Stream { name }),
        Place::Path(path) => change::Target::at(path, name, dry_run, claim, inputs),
        Place::Storage { storage, .. } => {
            change::Target::of_storage(storage, name, dry_run, claim, inputs)
        }
    }
}

/// The same as `options` say: their policies are inputs too.
pub fn changed_by(
    place: &Place,
    options: &ChangeOptions,
    claim: Claim,
) -> Result<change::Target, ChangeError> {
    let mut inputs = options.inputs.clone();
    for policy in &options.policies.files {
        inputs = inputs.path("the policy", Some(policy));
    }
    changed(place, options.dry_run, claim, &inputs)
}
