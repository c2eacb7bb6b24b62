//! One option is one thing: from the definitions of all verbs, held to a table.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command, CommandFactory};
use luksmith::args::Cli;

use self::rules::{DIFFER, RULES};

/// Every verb and its definition.
fn verbs() -> Vec<(String, Command)> {
    fn collect(prefix: &str, command: &Command, verbs: &mut Vec<(String, Command)>) {
        for inner in command.get_subcommands() {
            let name = format!("{prefix}{}", inner.get_name());
            if inner.has_subcommands() {
                collect(&format!("{name} "), inner, verbs);
            } else {
                verbs.push((name, inner.clone()));
            }
        }
    }
    let mut command = Cli::command();
    command.build();
    let mut verbs = Vec::new();
    collect("", &command, &mut verbs);
    assert!(verbs.len() >= 30, "{}", verbs.len());
    verbs
}

fn option<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(name))
}

fn help(argument: &Arg) -> String {
    argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[test]
fn every_verb_takes_what_can_mean_anything_to_it() {
    let verbs = verbs();
    let mut cases = 0;
    let mut wrong = Vec::new();
    for rule in RULES {
        let of = |list: &[(&[&str], &str)], verb: &str| {
            list.iter().any(|(verbs, reason)| {
                assert!(!reason.is_empty());
                verbs.contains(&verb)
            })
        };
        let lists = rule.nothing.iter().chain(rule.other);
        for named in lists.flat_map(|(verbs, _)| verbs.iter()) {
            assert!(verbs.iter().any(|(verb, _)| verb == named), "{named}");
        }
        for (verb, command) in &verbs {
            let what = format!("{verb} --{}", rule.option);
            let found = option(command, rule.option);
            let is_as_elsewhere = found.is_some_and(|argument| {
                argument.get_short() == rule.short
                    && (rule.help.is_empty() || help(argument) == rule.help)
            });
            let right = if of(rule.nothing, verb) {
                found.is_none()
            } else if of(rule.other, verb) {
                found.is_some() && !is_as_elsewhere
            } else {
                is_as_elsewhere
            };
            if !right {
                wrong.push(format!("{what}: {:?}", found.map(help)));
            }
            cases += 1;
        }
    }
    println!(
        "cases: options of verbs {} passed, {} failed",
        cases - wrong.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What no rule speaks of has one meaning as well, wherever it stands.
#[test]
fn one_name_is_one_meaning() {
    let mut meanings: BTreeMap<String, BTreeMap<_, Vec<String>>> = BTreeMap::new();
    for (verb, command) in verbs() {
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long() else {
                continue;
            };
            let values: Vec<_> = argument
                .get_value_names()
                .unwrap_or_default()
                .iter()
                .map(ToString::to_string)
                .collect();
            let takes_value = argument.get_action().takes_values();
            let values = if takes_value { values } else { Vec::new() };
            meanings
                .entry(long.to_owned())
                .or_default()
                .entry((argument.get_short(), help(argument), values))
                .or_default()
                .push(verb.clone());
        }
    }
    let ruled: BTreeSet<_> = RULES.iter().map(|rule| rule.option).collect();
    let differ: BTreeSet<_> = DIFFER.iter().map(|(option, _)| *option).collect();
    for (long, meanings) in meanings.iter().filter(|(long, _)| *long != "help") {
        let may = ruled.contains(long.as_str()) || differ.contains(long.as_str());
        assert!(meanings.len() == 1 || may, "--{long}: {meanings:#?}");
    }
    for (long, reason) in DIFFER {
        assert!(
            meanings[*long].len() > 1,
            "--{long} is the same everywhere: {reason}"
        );
    }
    // One letter is one option.
    let mut letters: BTreeMap<char, BTreeSet<&str>> = BTreeMap::new();
    for (long, meanings) in &meanings {
        for (short, ..) in meanings.keys() {
            if let Some(short) = short {
                letters.entry(*short).or_default().insert(long);
            }
        }
    }
    for (letter, longs) in letters {
        assert_eq!(longs.len(), 1, "-{letter}: {longs:?}");
    }
}

/// The hints that the source holds, by the literals of every function that is called advice: each names options that
/// some verb has. That the verb at hand has them is seen to where it is printed.
#[test]
fn every_hint_names_options_that_there_are() {
    let known: BTreeSet<String> = verbs()
        .iter()
        .flat_map(|(_, command)| command.get_arguments().cloned().collect::<Vec<_>>())
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .collect();
    let mut hints = 0;
    for file in sources(std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))) {
        // cryptsetup's own command line has its own options.
        if file
            .components()
            .any(|part| part.as_os_str() == "cryptsetup")
        {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a source");
        for body in text.split("advice").skip(1) {
            let body = body.split("\n}\n").next().unwrap_or_default();
            for literal in body.split('"').skip(1).step_by(2) {
                for word in literal.split([' ', ',', ':', '(', ')']) {
                    if let Some(option) = word.strip_prefix("--").filter(|word| !word.is_empty()) {
                        let option = option.trim_end_matches(['.', '?', '!', ';', '=']);
                        assert!(
                            known.contains(option)
                                || option == "nonsense"
                                // The beginning of some, which is replaced.
                                || option.ends_with('-')
                                // Of losetup.
                                || ["sizelimit", "find", "show", "assemble", "readonly", "export-format"].contains(&option),
                            "{}: --{option} in {literal:?}",
                            file.display()
                        );
                        hints += 1;
                    }
                }
            }
        }
    }
    println!("cases: options in hints {hints} passed, 0 failed");
    assert!(hints > 20, "{hints}");
}

pub fn sources(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
