//! cryptsetup's own command line: its actions, options, prompts, texts and exit codes, for scripts that call it.
//!
//! `luksmith cryptsetup ...`, or a link to the program that is named cryptsetup. The grammar is cryptsetup's and not
//! that of the verbs: the action is the first operand, options stand anywhere, and `-h` is `--hash`.
//!
//! | module | what is in it |
//! | --- | --- |
//! | `action`, `options` | tables: what can be asked for, in which spellings |
//! | `parse`, `check` | from words to options and operands, and the rules between them |
//! | `session`, `names`, `key`, `link`, `failure` | what every action shares: messages, questions, devices, passphrases, errors |
//! | `about`, `benchmark`, `dump`, `format`, `header`, `keyslots`, `mapping`, `open`, `reencrypt`, `token` | the actions |
//! | `help` | usage, help, version |
//!
//! The work is that of the libraries and of the modules that the verbs use too. Where the kernel has no device-mapper an
//! action on a mapping says what there is instead.

mod about;
mod action;
mod benchmark;
mod check;
mod dump;
mod failure;
mod format;
mod header;
mod help;
mod key;
mod keyslots;
mod link;
mod mapping;
mod names;
mod open;
mod options;
mod parse;
mod reencrypt;
mod session;
mod token;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;

use action::{Action, spelled};
use failure::Failure;
use open::not_built;
use parse::{Given, Stop, Value};
use session::Session;

use crate::background;
use crate::descriptors;
use crate::exit::Exit;
use crate::output;
use crate::passphrase;
use crate::signals;

/// Whether these words, the program's name first, are for this command line; then how it calls itself and what follows.
pub(crate) fn addressed(words: &[OsString]) -> Option<(String, &[OsString])> {
    let (program, rest) = words.split_first()?;
    if Path::new(program).file_name() == Some(OsStr::new("cryptsetup")) {
        return Some((program.to_string_lossy().into_owned(), rest));
    }
    match rest.split_first() {
        Some((verb, rest)) if verb == "cryptsetup" => {
            Some(("luksmith cryptsetup".to_owned(), rest))
        }
        _ => None,
    }
}

/// Runs the words behind the program's name, which usage errors start with.
pub(crate) fn run(program: &str, words: &[OsString]) -> Exit {
    if let Some((first, words)) = words.split_first()
        && first == background::OPTION
    {
        return serve(program, words);
    }
    let closed = descriptors::check(words);
    let session = match understand(program, words) {
        Ok(Some(session)) => session,
        Ok(None) => return Exit::Done,
        Err(exit) => return exit,
    };
    let (action, session) = session;
    let outcome = closed
        .map_err(|error| Failure::wrong(format!("Descriptor {} is not open.", error.0)))
        .and_then(|()| {
            signals::install().map_err(|error| Failure::from(crate::Error::Signals(error)))
        })
        .and_then(|()| act(action, &session));
    output::warn_of_swap();
    match outcome {
        Ok(()) => {
            let _ = session.tell("Command successful.");
            Exit::Done
        }
        Err(failure) => {
            passphrase::forget_what_was_typed();
            failure.print();
            let exit = failure.exit;
            let _ = session.tell(format!(
                "Command failed with code -{} ({}).",
                exit.code(),
                meaning(exit)
            ));
            exit
        }
    }
}

/// Serves what these words open, with what the parent process has sent.
fn serve(program: &str, words: &[OsString]) -> Exit {
    let served = match understand(program, words) {
        Ok(Some((_, session))) => mapping::serve(&session),
        Ok(None) => return Exit::Wrong,
        Err(exit) => return exit,
    };
    match served {
        Ok(()) => Exit::Done,
        Err(failure) => {
            failure.print();
            failure.exit
        }
    }
}

fn meaning(exit: Exit) -> &'static str {
    match exit {
        Exit::Wrong => "wrong or missing parameters",
        Exit::NoKeyFits => "no permission or bad passphrase",
        Exit::OutOfMemory => "out of memory",
        Exit::BadImage => "wrong device or file specified",
        Exit::ExistsOrBusy => "device already exists or device is busy",
        Exit::Done | Exit::NotCompared | Exit::Command(_) => "unknown error",
    }
}

/// What is to be done, or `None` where that was to print something.
fn understand(program: &str, words: &[OsString]) -> Result<Option<(Action, Session)>, Exit> {
    let printed = |text: String| match output::text(&text) {
        Ok(()) => Ok(None),
        Err(error) => {
            Failure::from(error).print();
            Err(Exit::Wrong)
        }
    };
    let (action, mut session) = match read(words) {
        Ok(read) => read,
        Err(Stop::Version) => return printed(help::version()),
        Err(Stop::Help) => return printed(help::help()),
        Err(Stop::Usage) => {
            let _ = write!(io::stderr(), "{}", help::usage());
            return Ok(None);
        }
        Err(Stop::Wrong(word, reason)) => {
            let who = word.unwrap_or_else(|| program.to_owned());
            let _ = writeln!(io::stderr(), "{}{who}: {reason}", help::usage());
            return Err(Exit::Wrong);
        }
    };
    warn_of_two_keys(action, &session.given, &session.operands);
    if session.given.has("test-args") {
        return printed("No action taken. Invoked with --test-args option.\n".to_owned());
    }
    session.verb = (action == Action::Token).then(|| session.operands.remove(0));
    names::resolve(action, &mut session);
    Ok(Some((action, session)))
}

/// Understands the words and holds them to the rules; the verb of `token` is still an operand.
fn read(words: &[OsString]) -> Result<(Action, Session), Stop> {
    let wrong = |reason: &str| Stop::Wrong(None, reason.to_owned());
    let mut given = parse::parse(words)?;
    let mut operands = std::mem::take(&mut given.operands);
    if operands.is_empty() {
        return Err(wrong("Argument <action> missing."));
    }
    let name = operands.remove(0);
    if name == "help" {
        return Err(Stop::Help);
    }
    let spelled =
        spelled(&name.to_string_lossy(), &mut operands).ok_or_else(|| wrong("Unknown action."))?;
    let action = spelled.action;
    if spelled.refresh {
        given.add("refresh", Value::Flag);
    }
    let kind = given
        .string("type")
        .or_else(|| spelled.kind.map(str::to_owned));
    if operands.len() < action.required() {
        return Err(wrong(&format!(
            "{}: requires {} as arguments",
            action.name(),
            action.operands()
        )));
    }
    check::check(action, kind.as_deref(), &given, &operands).map_err(|reason| wrong(&reason))?;
    let session = Session {
        given,
        kind,
        verb: None,
        operands,
        words: words.to_vec(),
    };
    Ok((action, session))
}

/// What words ask for, where nothing is done about it.
#[derive(Debug, Eq, PartialEq)]
pub enum Asked {
    /// To do something, and every rule between its options is kept.
    Action {
        /// Its name.
        action: &'static str,
        /// `--type`, or what the name of the action says of it.
        kind: Option<String>,
        /// What it works on.
        operands: Vec<OsString>,
        /// Each option that stands there by its first name, with the value that counts: numbers in decimal digits, nothing
        /// for what takes none.
        options: BTreeMap<&'static str, OsString>,
    },
    /// To print help, usage or version.
    Print,
    /// Something that is refused.
    Refused {
        /// The word that cannot be read, escaped.
        word: Option<String>,
        /// Why.
        reason: String,
    },
}

/// Understands the words behind the program's name as [`crate::run`] would.
pub fn asked(words: &[OsString]) -> Asked {
    match read(words) {
        Ok((action, session)) => Asked::Action {
            action: action.name(),
            kind: session.kind,
            operands: session.operands,
            options: session.given.values().collect(),
        },
        Err(Stop::Help | Stop::Usage | Stop::Version) => Asked::Print,
        Err(Stop::Wrong(word, reason)) => Asked::Refused { word, reason },
    }
}

fn warn_of_two_keys(action: Action, given: &Given, operands: &[OsString]) {
    let takes_key = matches!(action, Action::Format | Action::RemoveKey);
    if takes_key && operands.len() > 1 && given.has("key-file") {
        let _ = writeln!(
            io::stderr(),
            "Option --key-file takes precedence over specified key file argument."
        );
    }
}

fn act(action: Action, session: &Session) -> Result<(), Failure> {
    if let Some(what) = check::not_there(&session.given) {
        return Err(not_built(what));
    }
    match action {
        Action::Open => open::run(session),
        Action::Benchmark => benchmark::run(session),
        Action::Repair => header::repair(session),
        Action::Erase => header::erase(session),
        Action::Convert => header::convert(session),
        Action::Config => header::configure(session),
        Action::Format => format::run(session),
        Action::AddKey => keyslots::add(session),
        Action::RemoveKey => keyslots::remove(session),
        Action::ChangeKey => keyslots::change(session),
        Action::ConvertKey => keyslots::convert(session),
        Action::KillSlot => keyslots::kill(session),
        Action::Uuid => about::uuid(session),
        Action::IsLuks => about::is_luks(session),
        Action::Dump => dump::run(session),
        Action::HeaderBackup => header::backup(session),
        Action::HeaderRestore => header::bring_back(session),
        Action::Token => token::run(session),
        Action::Close => mapping::close(session),
        Action::Resize => mapping::resize(session),
        Action::Status => mapping::status(session),
        Action::Suspend => mapping::suspend(session),
        Action::Resume => mapping::resume(session),
        Action::Reencrypt => reencrypt::run(session),
        Action::TcryptDump => Err(not_built("TrueCrypt and VeraCrypt containers")),
        Action::BitlkDump => Err(not_built("BitLocker containers")),
        Action::Fvault2Dump => Err(not_built("FileVault2 containers")),
    }
}
