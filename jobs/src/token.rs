//! The tokens of a LUKS2 container: what programs keep in it to find a passphrase by.

pub mod add;
pub mod edit;
pub mod export;
pub mod list;

use luks::luks2::Metadata;
use luks::{Header, InvalidOption, Luks};

/// The metadata of a LUKS2 container.
fn metadata(luks: &Luks) -> Result<&Metadata, InvalidOption> {
    match luks.header() {
        Header::Luks2(header) => Ok(&header.metadata),
        Header::Luks1(_) => Err(InvalidOption::OtherFormat {
            format: "LUKS1",
            what: "tokens",
        }),
    }
}
