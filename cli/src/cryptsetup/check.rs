//! Which options exclude, need or bound each other: all that is held against a command line before anything is done.

use std::ffi::OsString;

use super::action::Action;
use super::parse::Given;

/// The first rule that is broken. `operands` are those behind the action.
pub(super) fn check(
    action: Action,
    kind: Option<&str>,
    given: &Given,
    operands: &[OsString],
) -> Result<(), String> {
    for spec in given.specs() {
        if !spec.allows(action) {
            return Err(format!(
                "Option --{} is not allowed with {} action.",
                spec.name,
                action.name()
            ));
        }
    }
    let tcrypt = kind == Some("tcrypt") || action == Action::TcryptDump;
    rule(
        given.count("key-file") > 1 && !tcrypt,
        "Only one --key-file argument is allowed.",
    )?;
    values(given)?;
    match action {
        Action::Open => open(kind.unwrap_or("luks"), given),
        Action::Close => rule(
            given.has("deferred") && given.has("cancel-deferred"),
            "Options --cancel-deferred and --deferred cannot be used at the same time.",
        ),
        Action::Format => format(given),
        Action::Resize => one_size(given),
        Action::Reencrypt => reencrypt(given),
        Action::AddKey => rule(
            given.has("unbound") && given.small("key-size").unwrap_or(0) == 0,
            "Key size is required with --unbound option.",
        ),
        Action::KillSlot => rule(number_of(&operands[1]).is_none(), "Key slot is invalid."),
        Action::Dump => rule(
            given.has("unbound") && !given.has("key-slot"),
            "Keyslot specification is required.",
        ),
        Action::Config => {
            let priority = given.string("priority");
            rule(
                priority.is_some() && !given.has("key-slot"),
                "Keyslot specification is required.",
            )
        }
        Action::Token => token(given, &operands[0]),
        _ => Ok(()),
    }
}

const OPAL: &str = "OPAL drives";
pub(super) const INTEGRITY: &str = "authenticated encryption";

/// Options that say where a key comes from or what is made, of things that luksmith has not. Without them something
/// else would be done.
const NOT_BUILT: [(&str, &str); 6] = [
    ("hw-opal", OPAL),
    ("hw-opal-only", OPAL),
    ("hw-opal-factory-reset", OPAL),
    ("disable-sum", OPAL),
    ("integrity-inline", INTEGRITY),
    ("integrity-key-size", INTEGRITY),
];

/// What luksmith does not have and one of the options asks for.
pub(super) fn not_there(given: &Given) -> Option<&'static str> {
    NOT_BUILT
        .iter()
        .find(|(option, _)| given.has(option))
        .map(|(_, what)| *what)
}

/// A keyslot among the operands: its first digits count, and none are 0.
pub(super) fn number_of(operand: &OsString) -> Option<u32> {
    let text = operand.to_string_lossy();
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|other: char| !other.is_ascii_digit());
    let number = match &digits[..end.unwrap_or(digits.len())] {
        "" => 0,
        digits => digits.parse().unwrap_or(u32::MAX),
    };
    (!negative || number == 0).then_some(number)
}

fn rule(broken: bool, message: &str) -> Result<(), String> {
    if broken {
        Err(message.to_owned())
    } else {
        Ok(())
    }
}

/// What holds for values, whatever the action is.
fn values(given: &Given) -> Result<(), String> {
    rule(
        given.signed("key-slot").is_some_and(i32::is_negative),
        "Key slot is invalid.",
    )?;
    for option in ["key-size", "keyslot-key-size"] {
        let bits = given.small(option).unwrap_or_default();
        rule(
            !bits.is_multiple_of(8),
            "Key size must be a multiple of 8 bits",
        )?;
    }
    for option in ["keyslot-cipher", "keyslot-key-size"] {
        rule(
            given.has(option) && !(given.has("keyslot-cipher") && given.has("keyslot-key-size")),
            "Options --keyslot-cipher and --keyslot-key-size must be used together.",
        )?;
    }
    if let Some(pbkdf) = given.string("pbkdf") {
        rule(
            !matches!(&*pbkdf, "pbkdf2" | "argon2i" | "argon2id"),
            "Password-based key derivation function (PBKDF) can be only pbkdf2 or argon2i/argon2id.",
        )?;
    }
    rule(
        given.has("pbkdf-force-iterations") && given.has("iter-time"),
        "PBKDF forced iterations cannot be combined with iteration time option.",
    )?;
    if let Some(priority) = given.string("priority") {
        rule(
            !matches!(&*priority, "ignore" | "normal" | "prefer"),
            "Option --priority can be only ignore/normal/prefer.",
        )?;
    }
    let sector_size = given.small("sector-size").unwrap_or(512);
    rule(
        !matches!(sector_size, 512 | 1024 | 2048 | 4096),
        "Unsupported encryption sector size.",
    )
}

fn reencrypt(given: &Given) -> Result<(), String> {
    // That is how it is called there.
    rule(
        given.has("reduce-device-size") && given.has("device-size"),
        "Options --reduce-device-size and --data-size cannot be combined.",
    )?;
    rule(
        given.has("new-volume-key-file") && given.has("keep-key"),
        "Options --new-volume-key-file and --keep-key cannot be combined.",
    )?;
    rule(
        given.has("active-name") && given.has("force-offline-reencrypt"),
        "Options --active-name and --force-offline-reencrypt cannot be combined.",
    )
}

fn format(given: &Given) -> Result<(), String> {
    rule(
        given.has("use-random") && given.has("use-urandom"),
        "Only one of --use-[u]random options is allowed.",
    )?;
    rule(
        given.has("align-payload") && given.has("offset"),
        "Options --align-payload and --offset cannot be combined.",
    )?;
    rule(
        given.has("integrity-no-wipe") && !given.has("integrity"),
        "Option --integrity-no-wipe can be used only for format action with integrity extension.",
    )
}

fn open(kind: &str, given: &Given) -> Result<(), String> {
    let refresh = given.has("refresh");
    let has_offsets = refresh || matches!(kind, "plain" | "loopaes");
    let disables = given.has("disable-veracrypt");
    rule(
        given.has("persistent") && given.has("test-passphrase"),
        "Option --persistent is not allowed with --test-passphrase.",
    )?;
    rule(
        refresh && given.has("test-passphrase"),
        "Options --refresh and --test-passphrase are mutually exclusive.",
    )?;
    rule(
        given.has("shared") && kind != "plain" && !refresh,
        "Option --shared is allowed only for open of plain device.",
    )?;
    rule(
        given.has("skip") && !has_offsets,
        "Option --skip is supported only for open of plain and loopaes devices.",
    )?;
    rule(
        given.has("offset") && !has_offsets,
        "Option --offset with open action is only supported for plain and loopaes devices.",
    )?;
    rule(
        ["tcrypt-hidden", "tcrypt-system", "tcrypt-backup"]
            .iter()
            .any(|option| given.has(option))
            && kind != "tcrypt",
        "Option --tcrypt-hidden, --tcrypt-system or --tcrypt-backup is supported only for TCRYPT device.",
    )?;
    rule(
        (disables || given.has("veracrypt")) && kind != "tcrypt",
        "Option --veracrypt or --disable-veracrypt is supported only for TCRYPT device type.",
    )?;
    for option in ["veracrypt-pim", "veracrypt-query-pim"] {
        rule(
            given.has(option) && disables,
            &format!("Option --{option} is supported only for VeraCrypt compatible devices."),
        )?;
    }
    rule(
        given.has("sector-size") && kind != "plain",
        "Sector size option with open action is supported only for plain devices.",
    )?;
    rule(
        given.has("iv-large-sectors")
            && (kind != "plain" || given.small("sector-size").unwrap_or(512) <= 512),
        "Large IV sectors option is supported only for opening plain type device with sector size larger than 512 bytes.",
    )?;
    rule(
        given.has("test-passphrase")
            && !matches!(
                kind,
                "luks" | "luks1" | "luks2" | "tcrypt" | "bitlk" | "fvault2"
            ),
        "Option --test-passphrase is allowed only for open of LUKS, TCRYPT, BITLK and FVAULT2 devices.",
    )?;
    one_size(given)?;
    rule(
        given.has("unbound") && !kind.starts_with("luks"),
        "Option --unbound is allowed only for open of luks device.",
    )?;
    rule(
        given.has("unbound") && !given.has("test-passphrase"),
        "Option --unbound cannot be used without --test-passphrase.",
    )
}

fn one_size(given: &Given) -> Result<(), String> {
    rule(
        given.has("device-size") && given.has("size"),
        "Options --device-size and --size cannot be combined.",
    )
}

fn token(given: &Given, verb: &OsString) -> Result<(), String> {
    let verb = verb.to_string_lossy();
    rule(
        !matches!(&*verb, "add" | "remove" | "import" | "export" | "unassign"),
        "Invalid token action.",
    )?;
    rule(
        verb == "add" && !given.has("key-description"),
        "--key-description parameter is mandatory for token add action.",
    )?;
    let named = given.signed("token-id").is_some_and(|id| id >= 0);
    rule(
        matches!(&*verb, "remove" | "export") && !named,
        "Action requires specific token. Use --token-id parameter.",
    )?;
    if verb == "unassign" {
        rule(
            !given.has("key-slot"),
            "Action requires specific keyslot. Use --key-slot parameter.",
        )?;
        rule(
            !named,
            "Action requires specific token. Use --token-id parameter.",
        )?;
    }
    rule(
        given.has("unbound") && verb != "add",
        "Option --unbound is valid only with token add action.",
    )?;
    rule(
        given.has("unbound") && given.has("key-slot"),
        "Options --key-slot and --unbound cannot be combined.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyslot_operand_is_read_as_far_as_it_is_a_number() {
        for (text, number) in [
            ("3", Some(3)),
            ("1x", Some(1)),
            ("x", Some(0)),
            ("-0", Some(0)),
            ("-1", None),
            ("99999999999", Some(u32::MAX)),
        ] {
            assert_eq!(number_of(&text.into()), number, "{text}");
        }
    }
}
