//! The actions, and the older spellings of some of them.

use std::ffi::OsString;

/// What cryptsetup's command line can be asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Open,
    Close,
    Resize,
    Status,
    Benchmark,
    Repair,
    Reencrypt,
    Erase,
    Convert,
    Config,
    Format,
    AddKey,
    RemoveKey,
    ChangeKey,
    ConvertKey,
    KillSlot,
    Uuid,
    IsLuks,
    Dump,
    TcryptDump,
    BitlkDump,
    Fvault2Dump,
    Suspend,
    Resume,
    HeaderBackup,
    HeaderRestore,
    Token,
}

/// An action, its name, and the operands that it cannot do without.
struct Row {
    action: Action,
    name: &'static str,
    operands: &'static str,
    required: usize,
}

const fn row(action: Action, name: &'static str, operands: &'static str, required: usize) -> Row {
    Row {
        action,
        name,
        operands,
        required,
    }
}

/// In the order in which help lists them.
const ROWS: [Row; 27] = [
    row(Action::Open, "open", "<device> [--type <type>] [<name>]", 1),
    row(Action::Close, "close", "<name>", 1),
    row(Action::Resize, "resize", "<name>", 1),
    row(Action::Status, "status", "<name>", 1),
    row(Action::Benchmark, "benchmark", "[--cipher <cipher>]", 0),
    row(Action::Repair, "repair", "<device>", 1),
    row(Action::Reencrypt, "reencrypt", "<device>", 0),
    row(Action::Erase, "erase", "<device>", 1),
    row(Action::Convert, "convert", "<device>", 1),
    row(Action::Config, "config", "<device>", 1),
    row(Action::Format, "luksFormat", "<device> [<new key file>]", 1),
    row(Action::AddKey, "luksAddKey", "<device> [<new key file>]", 1),
    row(
        Action::RemoveKey,
        "luksRemoveKey",
        "<device> [<key file>]",
        1,
    ),
    row(
        Action::ChangeKey,
        "luksChangeKey",
        "<device> [<key file>]",
        1,
    ),
    row(
        Action::ConvertKey,
        "luksConvertKey",
        "<device> [<key file>]",
        1,
    ),
    row(Action::KillSlot, "luksKillSlot", "<device> <key slot>", 2),
    row(Action::Uuid, "luksUUID", "<device>", 1),
    row(Action::IsLuks, "isLuks", "<device>", 1),
    row(Action::Dump, "luksDump", "<device>", 1),
    row(Action::TcryptDump, "tcryptDump", "<device>", 1),
    row(Action::BitlkDump, "bitlkDump", "<device>", 1),
    row(Action::Fvault2Dump, "fvault2Dump", "<device>", 1),
    row(Action::Suspend, "luksSuspend", "<device>", 1),
    row(Action::Resume, "luksResume", "<device>", 1),
    row(Action::HeaderBackup, "luksHeaderBackup", "<device>", 1),
    row(Action::HeaderRestore, "luksHeaderRestore", "<device>", 1),
    row(
        Action::Token,
        "token",
        "<add|remove|import|export> <device>",
        2,
    ),
];

impl Action {
    /// Every action, in the order in which help lists them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.action)
    }

    fn parse(name: &str) -> Option<Self> {
        ROWS.iter()
            .find(|row| row.name == name)
            .map(|row| row.action)
    }

    fn row(self) -> &'static Row {
        ROWS.iter()
            .find(|row| row.action == self)
            .expect("every action has a row")
    }

    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        self.row().name
    }

    /// Its operands, as help shows them.
    pub(super) fn operands(self) -> &'static str {
        self.row().operands
    }

    /// How many operands it cannot do without.
    pub(super) fn required(self) -> usize {
        self.row().required
    }
}

/// An action as it was typed, understood: older spellings say with it what it works on, and with which option.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Spelled {
    pub(super) action: Action,
    /// What `--type` would say.
    pub(super) kind: Option<&'static str>,
    /// `--refresh` is part of the name.
    pub(super) refresh: bool,
}

/// Understands the name of an action. `operands` change places where the older spelling had them the other way round.
pub(super) fn spelled(name: &str, operands: &mut [OsString]) -> Option<Spelled> {
    let of = |action, kind| {
        Some(Spelled {
            action,
            kind,
            refresh: false,
        })
    };
    match name {
        // `create NAME DEVICE`
        "create" => {
            if let [name, device, ..] = operands {
                std::mem::swap(name, device);
            }
            of(Action::Open, Some("plain"))
        }
        "plainOpen" => of(Action::Open, Some("plain")),
        "luksOpen" => of(Action::Open, Some("luks")),
        "loopaesOpen" => of(Action::Open, Some("loopaes")),
        "tcryptOpen" => of(Action::Open, Some("tcrypt")),
        "bitlkOpen" => of(Action::Open, Some("bitlk")),
        "fvault2Open" => of(Action::Open, Some("fvault2")),
        "remove" | "plainClose" => of(Action::Close, Some("plain")),
        "luksClose" => of(Action::Close, Some("luks")),
        "loopaesClose" => of(Action::Close, Some("loopaes")),
        "tcryptClose" => of(Action::Close, Some("tcrypt")),
        "bitlkClose" => of(Action::Close, Some("bitlk")),
        "fvault2Close" => of(Action::Close, Some("fvault2")),
        "luksErase" => of(Action::Erase, Some("luks")),
        "luksConfig" => of(Action::Config, Some("luks2")),
        "refresh" => Some(Spelled {
            action: Action::Open,
            kind: None,
            refresh: true,
        }),
        other => of(Action::parse(other)?, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_spellings_turn_their_operands_round() {
        let mut operands = ["name".into(), "/dev/x".into()];
        let spelled = spelled("create", &mut operands).unwrap();
        assert_eq!(
            (spelled.action, spelled.kind),
            (Action::Open, Some("plain"))
        );
        assert_eq!(operands, ["/dev/x", "name"]);
        assert_eq!(super::spelled("luksCreate", &mut []), None);
    }
}
