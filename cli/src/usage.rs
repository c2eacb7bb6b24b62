//! A command line that cannot be understood: said as the definitions of the options say it, but with the verb that was
//! meant where somebody typed what other programs call it.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::exit::Exit;
use crate::output;

/// What other programs call things, and the verb here. Of a word that is not here the nearest verb is named.
pub const ELSEWHERE: &[(&str, &str)] = &[
    ("luksOpen", "open IMG NAME"),
    ("plainOpen", "open IMG NAME --type plain"),
    ("unlock", "open IMG NAME"),
    ("unmount", "umount TARGET"),
    ("fuse", "mount IMG TARGET"),
    ("nbd", "serve IMG --socket PATH"),
    ("attach", "serve IMG --socket PATH"),
    ("map", "inspect IMG --map text"),
    ("luksClose", "close NAME"),
    ("plainClose", "close NAME"),
    ("luksFormat", "create DST"),
    ("format", "create DST"),
    ("new", "create DST"),
    ("make", "create DST"),
    ("luksDump", "inspect IMG"),
    ("dump", "inspect IMG"),
    ("info", "inspect IMG"),
    ("show", "inspect IMG"),
    ("isLuks", "inspect IMG"),
    ("luksUUID", "header config IMG --uuid UUID"),
    ("check", "verify IMG"),
    ("fsck", "verify IMG"),
    ("diff", "compare A B"),
    ("cmp", "compare A B"),
    ("size", "measure --payload-size SIZE"),
    ("passwd", "key change IMG"),
    ("password", "key change IMG"),
    ("luksChangeKey", "key change IMG"),
    ("luksConvertKey", "key change IMG --keep-passphrase"),
    ("luksAddKey", "key add IMG"),
    ("addkey", "key add IMG"),
    ("luksRemoveKey", "key remove IMG"),
    ("luksKillSlot", "key remove IMG --key-slot N"),
    ("test", "key test IMG"),
    ("keys", "key list IMG"),
    ("keyslot", "key list IMG"),
    ("tokens", "token list IMG"),
    ("backup", "header backup IMG --header-backup-file FILE"),
    (
        "luksHeaderBackup",
        "header backup IMG --header-backup-file FILE",
    ),
    ("restore", "header restore IMG --header-backup-file FILE"),
    (
        "luksHeaderRestore",
        "header restore IMG --header-backup-file FILE",
    ),
    ("repair", "header repair IMG"),
    ("erase", "header erase IMG"),
    ("luksErase", "header erase IMG"),
    ("convert", "header convert IMG --type TYPE"),
    ("config", "header config IMG"),
    ("recover", "resume IMG"),
    ("resume-only", "resume IMG"),
    ("resize", "mapping resize NAME"),
    ("refresh", "mapping refresh NAME"),
    ("suspend", "mapping suspend NAME"),
    ("luksSuspend", "mapping suspend NAME"),
    ("luksResume", "mapping resume NAME"),
    ("bench", "benchmark"),
    ("help", "--help"),
];

/// Prints it on standard error: for people as clap does, for programs as one line of JSON.
pub fn report(error: clap::Error, exit: Exit) {
    let mut error = error;
    let meant = meant(&error);
    if let Some(meant) = meant {
        // What is near by its letters is not what was meant.
        error.remove(ContextKind::SuggestedSubcommand);
        error.remove(ContextKind::Suggested);
        let tip = format!("here that is 'luksmith {meant}'");
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![tip.into()]),
        );
    }
    if output::speaks_json() {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let (message, rest) = text.split_once('\n').unwrap_or((text, ""));
        let advice = rest.split_whitespace().collect::<Vec<_>>().join(" ");
        let advice = Some(advice.as_str()).filter(|advice| !advice.is_empty());
        output::error("", exit, message, advice);
    } else {
        let _ = error.print();
    }
}

fn meant(error: &clap::Error) -> Option<&'static str> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    ELSEWHERE
        .iter()
        .find(|(elsewhere, _)| elsewhere.eq_ignore_ascii_case(word))
        .map(|(_, here)| *here)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::args::Cli;

    #[test]
    fn what_is_named_is_there() {
        let mut command = Cli::command();
        command.build();
        for (elsewhere, here) in ELSEWHERE {
            assert!(
                command.find_subcommand(elsewhere).is_none(),
                "{elsewhere} is a verb"
            );
            let mut at = &command;
            for word in here.split(' ') {
                match at.find_subcommand(word) {
                    Some(inner) => at = inner,
                    None => break,
                }
            }
            assert!(
                *here == "--help" || at.get_name() != command.get_name(),
                "{here}"
            );
            for option in here.split(' ').filter_map(|word| word.strip_prefix("--")) {
                assert!(
                    at.get_arguments().any(|arg| arg.get_long() == Some(option)),
                    "{here}"
                );
            }
            let words = ["luksmith", elsewhere];
            let error = Cli::try_parse_from(words).expect_err("no verb");
            assert_eq!(meant(&error), Some(*here));
        }
    }
}
