//! The command line of luksmith, as a library that its thin `main` and the tests call.
//!
//! This is the floor of people: the only one that prompts, prints, reads the clock and the memory size, takes
//! signals and chooses exit codes. What is encrypted and how is decided by the crates below; what the user meant
//! is decided here.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`args`] | what the user typed: clap's definitions, from which help, man pages and completions come too |
//! | [`commands`] | one file per verb: what it means, and the steps |
//! | [`plain`] | the options of a headerless container, complete or refused |
//! | [`passphrase`] | key material: terminal, standard input, key files, and the rules for each |
//! | [`source`], [`destination`] | the images: how they are opened, checked, made and replaced |
//! | [`descriptors`], [`inputs`] | what the command line names: whether it is open, and that it is read or written, not both |
//! | [`folder`] | a folder that is open, and what is done in it |
//! | [`block`] | what the kernel says of a device: who uses it, and what it stands on |
//! | [`change`] | an image whose header is to be changed: opened, asked about, backed up first |
//! | [`payload`], [`transfer`], [`progress`] | one copy of a payload, and what is seen of it |
//! | [`policy`] | what a header must look like, as text: `--policy` and the policies in the box |
//! | [`unlock`], [`format`](mod@format) | the options of LUKS containers: existing ones, new ones |
//! | [`new_container`], [`sizes`], [`sector_size`] | the order in which a new one is written, how large it becomes, and in what sectors |
//! | [`data_facts`], [`stream_header`] | what a header says of its data, and a header that comes in a stream |
//! | [`limits`] | what this machine can do: the only file that reads clock and memory for key derivations |
//! | [`benchmark`] | what ciphers and key derivations do here; the clock of the former |
//! | [`manual`] | the manual pages |
//! | [`explain`] | why a passphrase does not fit: a table of the mistakes that people make |
//! | [`inspect`] | what a container holds, for people and programs |
//! | [`signals`] | an interrupted command ends at once and leaves nothing |
//! | [`cryptsetup`] | cryptsetup's own command line, the second face |
//! | [`human`] | sizes, times and rows as people read them |
//! | [`usage`] | what cannot be understood, and what may have been meant |
//! | [`advice`] | a hint names no option that the verb has not |
//! | [`error`], [`exit`], [`output`], [`report`] | what went wrong, what to do, and how the process ends |

pub mod advice;
pub mod args;
pub mod benchmark;
pub mod change;
pub mod commands;
pub mod cryptsetup;
pub mod descriptors;
pub mod destination;
pub mod error;
pub mod exit;
pub mod explain;
pub mod format;
pub mod human;
pub mod inputs;
pub mod inspect;
pub mod losses;
pub mod manual;
pub mod new_container;
pub mod output;
pub mod passphrase;
pub mod payload;
pub mod plain;
pub mod policy;
pub mod progress;
pub mod report;
pub mod sector_size;
pub mod signals;
pub mod sizes;
pub mod source;
mod start;
pub mod transfer;
pub mod unlock;
pub mod usage;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};

pub use crate::error::Error;
pub use crate::exit::Exit;

/// Runs the program with `arguments`, the program's own name first, and says how it ended.
///
/// Everything but the exit code has happened when it returns: results are on standard output, the error, if there
/// was one, is on standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    // No system refuses it; where one does, an abort is one.
    let _ = signals::expect_no_memory();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Before anything is opened.
    let closed = descriptors::check(arguments.get(1..).unwrap_or_default());
    let compares = arguments.get(1).is_some_and(|verb| verb == "compare");
    let failed = |exit: Exit| {
        if compares {
            exit.without_comparison()
        } else {
            exit
        }
    };
    if let Err(error) = start::check() {
        let exit = failed(Exit::Wrong);
        error.report("", exit);
        return exit;
    }
    if let Some((program, words)) = cryptsetup::addressed(&arguments) {
        return cryptsetup::run(&program, words);
    }
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    if options.any(|argument| argument == "--json") {
        output::speak_json();
    }
    let parsed = args::Cli::command()
        .try_get_matches_from(arguments)
        .and_then(|mut matches| {
            let verb = verb_of(&matches);
            let cli = args::Cli::from_arg_matches_mut(&mut matches)?;
            Ok((verb, cli))
        });
    let (verb, cli) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are results; a usage error is cryptsetup's 1 where clap's own code is 2.
            if !error.use_stderr() {
                return match output::text(&error.render().ansi().to_string()) {
                    Ok(()) => Exit::Done,
                    Err(error) => {
                        let exit = failed(Exit::Wrong);
                        Error::from(error).report("", exit);
                        exit
                    }
                };
            }
            let exit = failed(Exit::Wrong);
            usage::report(error, exit);
            return exit;
        }
    };
    let outcome = closed
        .map_err(Error::Descriptor)
        .and_then(|()| signals::install().map_err(Error::Signals))
        .and_then(|()| commands::run(cli.verb));
    warn_of_swap();
    match outcome {
        Ok(exit) => exit,
        Err(error) => {
            passphrase::forget_what_was_typed();
            let exit = failed(error.exit());
            error.report(&verb, exit);
            exit
        }
    }
}

/// The verb that was typed, such as `key add`.
fn verb_of(matches: &clap::ArgMatches) -> String {
    let mut words = Vec::new();
    let mut matches = matches;
    while let Some((word, inner)) = matches.subcommand() {
        words.push(word);
        matches = inner;
    }
    words.join(" ")
}

/// Says so where keys were not kept out of swap.
fn warn_of_swap() {
    if dmcrypt::is_lock_refused() {
        output::warn(
            "the system did not let keys be locked in memory, so they may have been written to swap; a higher limit \
             (ulimit -l) lets it",
        );
    }
}
