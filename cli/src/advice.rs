//! Hints: of the ways that an error's advice names, those that the verb at hand has.
//!
//! An error knows what would help, not which verb it ended: the same header is refused by `decrypt`, which can be told to
//! read what a null cipher did not encrypt, and by `token add`, which cannot.

mod errors;

use clap::{Command, CommandFactory};
use jobs::error::PlainError;

use crate::args::Cli;
use crate::error::{self, Error};
use crate::exit::Exit;
use crate::output;

/// Prints an error on standard error: first what is wrong, then, where there is one, a line that says what to do; or for
/// programs all of that as one line of JSON. `verb` ends with `exit`.
pub fn report(error: &Error, verb: &str, exit: Exit) {
    let advice = errors::of(error).map(|advice| of_the_source(error, advice, verb));
    let advice = advice.and_then(|advice| fitting(&advice, verb));
    if output::speaks_json() {
        output::error(verb, exit, &error.to_string(), advice.as_deref());
        return;
    }
    error::tell(error);
    if let Some(advice) = advice {
        output::done(advice);
    }
}

/// Of `clone` the options of a plain container are those of its source, which have a word more.
fn of_the_source(error: &Error, advice: String, verb: &str) -> String {
    match error {
        Error::Job(jobs::Error::Plain(PlainError::Missing { .. })) if verb == "clone" => {
            advice.replace("it with --", "it with --source-")
        }
        _ => advice,
    }
}

/// The parts of `advice`, which a semicolon parts, that `verb` can follow. An option belongs to the verb that is named
/// before it in its part, else to `verb` itself.
fn fitting(advice: &str, verb: &str) -> Option<String> {
    let mut command = Cli::command();
    command.build();
    let own = find(&command, verb.split(' '));
    let parts: Vec<_> = advice
        .split("; ")
        .filter(|part| fits(&command, own, part))
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn fits(command: &Command, own: Option<&Command>, part: &str) -> bool {
    let words: Vec<_> = part.split([' ', ',', ':', '(', ')']).collect();
    let mut at = own;
    for (index, word) in words.iter().enumerate() {
        if let Some(option) = word.strip_prefix("--") {
            let option = option.trim_end_matches(['.', '?', '!']);
            let has = at.is_some_and(|at| {
                at.get_arguments().any(|argument| {
                    let aliases = argument.get_all_aliases().unwrap_or_default();
                    argument.get_long() == Some(option) || aliases.contains(&option)
                })
            });
            if !has {
                return false;
            }
        } else if OTHERS.contains(word) {
            // What follows is for that program.
            return true;
        } else if let Some(named) = find(command, words[index..].iter().copied().take(2)) {
            at = Some(named);
        }
    }
    true
}

/// Programs of others that advice names with options of their own.
const OTHERS: &[&str] = &[
    "cryptsetup",
    "dd",
    "dmsetup",
    "losetup",
    "mdadm",
    "qemu-img",
    "rbd",
    "vgchange",
];

/// The verb that the first word, or the first two, name.
fn find<'a, 'w>(command: &'a Command, words: impl Iterator<Item = &'w str>) -> Option<&'a Command> {
    let mut at = command;
    for word in words {
        match at.find_subcommand(word) {
            Some(inner) => at = inner,
            None => break,
        }
    }
    (!at.has_subcommands()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn a_hint_is_one_that_the_verb_can_follow() {
        let null = "--allow-unencrypted reads it all the same";
        for (advice, verb, fits) in [
            (null, "decrypt", Some(null)),
            (null, "key test", Some(null)),
            (null, "token list", None),
            (null, "inspect", None),
            (
                "--key-slot N tries one alone; --max-kdf-time MS allows more time",
                "decrypt",
                Some("--key-slot N tries one alone; --max-kdf-time MS allows more time"),
            ),
            (
                "free some memory; --max-kdf-time MS allows more time",
                "token list",
                Some("free some memory"),
            ),
            (
                "inspect IMG --policy-template writes one that is right",
                "token list",
                Some("inspect IMG --policy-template writes one that is right"),
            ),
            ("decrypt DATA --nonsense reads it", "decrypt", None),
            ("say --batch-mode", "", None),
        ] {
            assert_eq!(fitting(advice, verb).as_deref(), fits, "{verb}: {advice}");
        }
    }
}
