//! The command line of luksmith, as a library that its thin `main` and the tests call.
//!
//! This is the floor of people: the only one that prompts, prints, takes signals and chooses exit codes. What is done
//! with an image is decided by the [`jobs`] below; what the user meant is decided here.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`args`] | what the user typed: clap's definitions, from which help, man pages and completions come too |
//! | [`options`], [`inputs`], [`unlock`] | the same in the terms of the jobs |
//! | [`commands`] | one file per verb: options, the job, what is said of its result |
//! | [`passphrase`], [`secrets`] | key material: terminal, standard input, key files, and the rules for each; what a job asks for |
//! | [`descriptors`] | whether what the command line names is open |
//! | [`change`] | what is asked before a header is changed, and said after |
//! | [`watch`], [`progress`], [`report`], [`losses`] | what is seen and heard of a job |
//! | [`benchmark`] | cryptsetup's lines of what ciphers and key derivations do here |
//! | [`manual`] | the manual pages |
//! | [`inspect`] | what a container holds, for people |
//! | [`signals`] | an interrupted command ends at once and leaves nothing |
//! | [`cryptsetup`] | cryptsetup's own command line, the second face |
//! | [`human`] | sizes, times and rows as people read them |
//! | [`usage`] | what cannot be understood, and what may have been meant |
//! | [`advice`] | what can be done about an error; a hint names no option that the verb has not |
//! | [`error`], [`exit`], [`output`] | what went wrong, and how the process ends |

pub mod advice;
pub mod args;
mod background;
pub mod benchmark;
pub mod change;
pub mod cinder;
pub mod commands;
pub mod cryptsetup;
pub mod descriptors;
pub mod error;
pub mod exit;
pub mod human;
pub mod inputs;
pub mod inspect;
pub mod key_forms;
pub mod key_managers;
pub mod losses;
pub mod manual;
pub mod options;
pub mod output;
pub mod passphrase;
pub mod progress;
pub mod report;
pub mod secrets;
pub mod signals;
mod start;
pub mod unlock;
pub mod usage;
pub mod watch;

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
    let addressed = cryptsetup::addressed(&arguments);
    // A key may come from elsewhere, and scripts of cryptsetup's close standard input to be sure that nothing is asked.
    if let Err(error) = start::check(addressed.is_some()) {
        let exit = failed(Exit::Wrong);
        advice::report(&error, "", exit);
        return exit;
    }
    if let Some((program, words)) = addressed {
        return cryptsetup::run(&program, words);
    }
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    if options.any(|argument| argument == "--json") {
        output::speak_json();
    }
    let matches = match args::alone::matches(&arguments) {
        Some(matches) => Ok(matches),
        None => args::Cli::command().try_get_matches_from(arguments),
    };
    let parsed = matches.and_then(|mut matches| {
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
                        advice::report(&error.into(), "", exit);
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
    output::warn_of_swap();
    match outcome {
        Ok(exit) => exit,
        Err(error) => {
            passphrase::forget_what_was_typed();
            let exit = failed(error.exit());
            advice::report(&error, &verb, exit);
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
