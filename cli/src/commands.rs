//! The verbs, one file each.

pub mod benchmark;
pub mod clone;
pub mod close;
pub mod compare;
pub mod completions;
pub mod create;
mod daemon;
pub mod decrypt;
pub mod encrypt;
pub mod glance_props;
pub mod header;
pub(crate) mod in_place;
pub mod inspect;
pub mod key;
pub mod man;
pub mod mapping;
pub mod measure;
pub mod mount;
pub mod open;
pub mod probe;
pub mod reencrypt;
pub mod resume;
pub mod serve;
pub mod status;
pub mod token;
pub mod umount;
pub mod verify;

use jobs::Place;

use crate::args::{OutputArgs, Verb};
use crate::cryptsetup;
use crate::error::Error;
use crate::exit::Exit;

/// Does what was asked for; how the program ends where that is done.
pub fn run(verb: Verb) -> Result<Exit, Error> {
    let done = match verb {
        Verb::Compare(args) => return compare::run(&args),
        Verb::Serve(args) => return serve::run(&args),
        Verb::Mount(args) => return mount::run(&args),
        Verb::Encrypt(args) => encrypt::run(args),
        Verb::Decrypt(args) => decrypt::run(&args),
        Verb::Clone(args) => clone::run(&args),
        Verb::Reencrypt(args) => reencrypt::run(&args),
        Verb::Resume(args) => resume::run(&args),
        Verb::Create(args) => create::run(args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Measure(args) => measure::run(args),
        Verb::Probe(args) => probe::run(&args),
        Verb::GlanceProps(args) => glance_props::run(&args),
        Verb::Umount(args) => umount::run(&args),
        Verb::Open(args) => open::run(&args),
        Verb::Close(args) => close::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Mapping(verb) => mapping::run(&verb),
        Verb::Key(verb) => key::run(&verb),
        Verb::Header(verb) => header::run(&verb),
        Verb::Token(verb) => token::run(&verb),
        Verb::Benchmark(args) => benchmark::run(&args),
        Verb::Cryptsetup(args) => {
            return Ok(cryptsetup::run("luksmith cryptsetup", &args.words));
        }
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => man::run(&args),
    };
    done.map(|()| Exit::Done)
}

/// Refuses a result where image data goes.
fn check_stdout(destination: &Place, say: OutputArgs) -> Result<(), Error> {
    if say.json && *destination == Place::Standard {
        return Err(Error::Conflict {
            one: "--json",
            other: "image data on standard output",
        });
    }
    Ok(())
}
