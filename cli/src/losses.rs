//! What is said of what an image has lost.

use jobs::Report;
use jobs::header::backup::Hole;
use jobs::losses::Lost;

use crate::error::Error;
use crate::output;

/// Says what was lost of the source of what was made, and ends with an error where something was.
pub fn of_report(report: &Report) -> Result<(), Error> {
    let destination = &report.destination;
    say(
        report.lost.as_deref(),
        report.source.as_deref().unwrap_or_default(),
        &format!("it is zeros in {destination}, which holds all the rest"),
    )
}

/// Says what was lost of `source`, and ends with an error where something was. `result` says what there is instead.
pub fn say(lost: Option<&[Lost]>, source: &str, result: &str) -> Result<(), Error> {
    /// The rest is in the list of `--error-map` and in the JSON.
    const LINES: usize = 20;
    let lost = lost.unwrap_or_default();
    for Lost { offset, length } in lost.iter().take(LINES) {
        output::warn(format_args!(
            "{source}: bytes {offset} to {} of the plaintext cannot be read",
            offset + length - 1
        ));
    }
    if lost.len() > LINES {
        output::warn(format_args!(
            "{source}: {} more places cannot be read; --error-map FILE and --json list all of them",
            lost.len() - LINES
        ));
    }
    if lost.is_empty() {
        return Ok(());
    }
    Err(Error::Lost {
        source_name: source.to_owned(),
        bytes: lost.iter().map(|lost| lost.length).sum(),
        places: lost.len(),
        result: result.to_owned(),
    })
}

/// A backup without something that is needed is made, and is no success.
pub fn check_whole(name: &str, file: &str, holes: &[Hole]) -> Result<(), Error> {
    let needed = holes.iter().filter(|hole| hole.in_use);
    let (places, bytes) = needed.fold((0, 0), |(places, bytes), hole| {
        (places + 1, bytes + hole.length)
    });
    if places == 0 {
        return Ok(());
    }
    Err(Error::Lost {
        source_name: name.to_owned(),
        bytes,
        places,
        result: format!("they are zeros in {file}, which holds all the rest"),
    })
}
