//! `header convert IMG`.

use jobs::header::convert::convert;
use jobs::inputs::Inputs;
use luks::Version;

use crate::args::{ContainerType, HeaderConvertArgs};
use crate::change::{self, Asker};
use crate::error::Error;
use crate::watch::Warner;

/// Converts the header to the other version.
pub fn run(args: &HeaderConvertArgs) -> Result<(), Error> {
    let to = match args.kind {
        ContainerType::Luks1 => Version::Luks1,
        ContainerType::Luks2 => Version::Luks2,
        ContainerType::Plain => {
            return Err(Error::Conflict {
                one: "header convert",
                other: "--type plain",
            });
        }
    };
    let say = args.change.output;
    let options = change::options(&args.image, &args.change, Inputs::none());
    let place = args.image.header();
    let converted = convert(&place, to, &options, &Asker::new(say), &Warner)?;
    let image = &converted.image;
    let text = format!("{image} is {} now\n", converted.kind);
    let rehearsed = converted.rehearsed.as_ref();
    change::done("header convert", say, &converted, image, rehearsed, &text)
}
