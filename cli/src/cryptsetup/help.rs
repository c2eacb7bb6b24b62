//! `--help`, `--usage` and `--version`.

use std::fmt::Write as _;

use super::action::Action;
use super::options::{Kind, OPTIONS, Spec};

/// Columns of a line of usage, as popt fills it.
const COLUMNS: usize = 79;

/// The version that scripts look for, and whose defaults these are; then ours.
pub(super) fn version() -> String {
    format!(
        "cryptsetup 2.8.0 (luksmith {})\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Every spelling in brackets.
pub(super) fn usage() -> String {
    let letters: String = OPTIONS
        .iter()
        .filter(|spec| spec.kind == Kind::Flag)
        .filter_map(|spec| spec.short)
        .collect();
    let mut words = vec![format!("[-{letters}]")];
    words.extend(
        OPTIONS
            .iter()
            .map(|spec| format!("[{}]", spelling(spec, "|"))),
    );
    words.push("[OPTION...] <action> <action-specific>".to_owned());
    let mut text = "Usage: cryptsetup".to_owned();
    let mut column = text.len();
    for word in words {
        if column + 1 + word.len() > COLUMNS {
            text.push_str("\n       ");
            column = 7;
        }
        let _ = write!(text, " {word}");
        column += 1 + word.len();
    }
    text.push('\n');
    text
}

fn spelling(spec: &Spec, between: &str) -> String {
    let mut text = String::new();
    if let Some(letter) = spec.short {
        let _ = write!(text, "-{letter}{between}");
    }
    let _ = write!(text, "--{}", spec.name);
    if spec.kind != Kind::Flag {
        let _ = write!(text, "={}", spec.value);
    }
    text
}

/// Options and actions; what the options mean is in cryptsetup's manual pages.
pub(super) fn help() -> String {
    let mut text = version();
    text.push_str(
        "Usage: cryptsetup [OPTION...] <action> <action-specific>\n\
         cryptsetup's command line over luksmith: LUKS headers in files and on devices, and mappings of the kernel.\n\
         Its manual pages describe the options; what is left out here is refused by name.\n\n",
    );
    for spec in OPTIONS {
        let indent = if spec.short.is_some() { "  " } else { "      " };
        let _ = writeln!(text, "{indent}{}", spelling(spec, ", "));
    }
    text.push_str("\n<action> is one of:\n");
    for action in Action::all() {
        let _ = writeln!(text, "\t{} {}", action.name(), action.operands());
    }
    text.push_str(
        "\nOlder spellings: create NAME DEVICE and plainOpen, luksOpen (open); remove, luksClose (close); luksErase (erase).\n\
         Actions that work on a mapping (open without --test-passphrase, close, resize, status, luksSuspend, luksResume) need device-mapper.\n\
         --disable-locks is taken and changes nothing: headers are locked all the same.\n\n\
         Defaults: LUKS2, aes-xts-plain64, 512 bits, sha256, argon2id (LUKS1: pbkdf2), 2000 ms; plain: aes-xts-plain64, 256 bits, sha256.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_starts_as_scripts_know_it() {
        let usage = usage();
        assert!(usage.starts_with("Usage: cryptsetup [-?VqrvyN"), "{usage}");
        assert!(usage.contains(" [-q|--batch-mode]"));
        assert!(usage.lines().all(|line| line.len() <= COLUMNS));
        assert!(usage.ends_with("[OPTION...] <action> <action-specific>\n"));
    }
}
