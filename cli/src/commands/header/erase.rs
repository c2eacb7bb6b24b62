//! `header erase IMG`.

use jobs::header::erase::erase;
use jobs::inputs::Inputs;

use crate::args::HeaderEraseArgs;
use crate::change::{self, Asker};
use crate::error::Error;
use crate::watch::Warner;

/// Overwrites every keyslot.
pub fn run(args: &HeaderEraseArgs) -> Result<(), Error> {
    let say = args.change.output;
    let options = change::options(&args.image, &args.change, Inputs::none());
    let erased = erase(&args.image.header(), &options, &Asker::new(say), &Warner)?;
    let (image, keyslots) = (&erased.image, erased.keyslots.len());
    let text = format!("{keyslots} keyslots of {image} are erased\n");
    let rehearsed = erased.rehearsed.as_ref();
    change::done("header erase", say, &erased, image, rehearsed, &text)
}
