//! The definitions of one verb alone. All of them take longer to build than most jobs take, and more memory.

use std::ffi::OsString;

use clap::{ArgMatches, Args as _, Command, Subcommand};

use super::{
    BenchmarkArgs, CloneArgs, CloseArgs, CompareArgs, CompletionsArgs, CreateArgs, CryptsetupArgs,
    DecryptArgs, EncryptArgs, GlancePropsArgs, HeaderVerb, InspectArgs, KeyVerb, ManArgs,
    MappingVerb, MeasureArgs, MountArgs, OpenArgs, ProbeArgs, ReencryptArgs, ResumeArgs, ServeArgs,
    StatusArgs, TokenVerb, UmountArgs, VerifyArgs,
};

type Define = fn(Command) -> Command;

/// Each verb as [`super::Verb`] has it.
const VERBS: [(&str, Define); 26] = [
    ("encrypt", EncryptArgs::augment_args),
    ("decrypt", DecryptArgs::augment_args),
    ("clone", CloneArgs::augment_args),
    ("reencrypt", ReencryptArgs::augment_args),
    ("resume", ResumeArgs::augment_args),
    ("serve", ServeArgs::augment_args),
    ("mount", MountArgs::augment_args),
    ("umount", UmountArgs::augment_args),
    ("create", CreateArgs::augment_args),
    ("inspect", InspectArgs::augment_args),
    ("verify", VerifyArgs::augment_args),
    ("compare", CompareArgs::augment_args),
    ("measure", MeasureArgs::augment_args),
    ("probe", ProbeArgs::augment_args),
    ("glance-props", GlancePropsArgs::augment_args),
    ("open", OpenArgs::augment_args),
    ("close", CloseArgs::augment_args),
    ("status", StatusArgs::augment_args),
    ("mapping", of_noun::<MappingVerb>),
    ("key", of_noun::<KeyVerb>),
    ("header", of_noun::<HeaderVerb>),
    ("token", of_noun::<TokenVerb>),
    ("benchmark", BenchmarkArgs::augment_args),
    ("cryptsetup", CryptsetupArgs::augment_args),
    ("completions", CompletionsArgs::augment_args),
    ("man", ManArgs::augment_args),
];

fn of_noun<Verbs: Subcommand>(command: Command) -> Command {
    let command = command.subcommand_required(true);
    Verbs::augment_subcommands(command.arg_required_else_help(true))
}

/// What was typed, where the verb comes first and all of it is right. Help, and what is wrong, are told by all
/// definitions, which know the texts.
pub fn matches(arguments: &[OsString]) -> Option<ArgMatches> {
    let typed = arguments.get(1)?;
    let (name, define) = VERBS.iter().find(|(name, _)| typed == name)?;
    let command = Command::new("luksmith").subcommand(define(Command::new(*name)));
    command.try_get_matches_from(arguments).ok()
}

#[cfg(test)]
mod tests {
    use clap::{Arg, CommandFactory as _};

    use super::*;
    use crate::args::Cli;

    fn assert_same(one: &Command, all: &Command) {
        let arguments = |command: &Command| -> Vec<String> {
            let shown = |arg: &Arg| format!("{arg:?}");
            command.get_arguments().map(shown).collect()
        };
        assert_eq!(arguments(one), arguments(all), "{}", all.get_name());
        let groups = |command: &Command| format!("{:?}", command.get_groups().collect::<Vec<_>>());
        assert_eq!(groups(one), groups(all), "{}", all.get_name());
        let inner =
            |command: &Command| -> Vec<Command> { command.get_subcommands().cloned().collect() };
        let (one, all) = (inner(one), inner(all));
        assert_eq!(one.len(), all.len());
        for (one, all) in one.iter().zip(&all) {
            assert_eq!(one.get_name(), all.get_name());
            assert_same(one, all);
        }
    }

    #[test]
    fn every_verb_is_here_as_it_is_among_all() {
        let all = Cli::command();
        let mut verbs = VERBS.iter();
        for verb in all.get_subcommands() {
            let (name, define) = verbs.next().expect("a verb is not here");
            assert_eq!(*name, verb.get_name());
            assert_same(&define(Command::new(*name)), verb);
        }
        assert!(verbs.next().is_none());
    }

    #[test]
    fn what_is_right_is_understood_and_nothing_else_is() {
        let understood = |line: &str| {
            let arguments: Vec<_> = line.split(' ').map(OsString::from).collect();
            matches(&arguments)
        };
        for line in [
            "luksmith close t",
            "luksmith open a b --allow-discards --key-file k",
            "luksmith mapping resize t --size 8",
            "luksmith key list -- a",
        ] {
            let mut found = understood(line).expect(line);
            let whole = Cli::command().try_get_matches_from(line.split(' '));
            assert_eq!(found.subcommand_name(), whole.unwrap().subcommand_name());
            <Cli as clap::FromArgMatches>::from_arg_matches_mut(&mut found).expect(line);
        }
        for line in [
            "luksmith",
            "luksmith --version",
            "luksmith opne a b",
            "luksmith open a",
            "luksmith open --help",
            "luksmith mapping",
            "luksmith close t --jso",
        ] {
            assert!(understood(line).is_none(), "{line}");
        }
    }
}
