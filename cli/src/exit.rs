//! Exit codes of the verbs.

use std::process::ExitCode;

use jobs::Blame;

/// How the program ends; the numbers are cryptsetup's, whose scripts know them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done,
    /// Wrong parameters (usage errors too), or anything that has no code of its own; of `compare`: the images differ.
    Wrong,
    /// No keyslot opens with the key given.
    NoKeyFits,
    /// Not enough memory.
    OutOfMemory,
    /// An image is wrong, damaged, refused (cost and policy too) or cannot be read.
    BadImage,
    /// Something exists already, or is in use.
    ExistsOrBusy,
    /// What is [`Self::Wrong`] elsewhere, of `compare`.
    NotCompared,
    /// Of `serve --run` and `mount --run`: the command has ended so, which is not 0.
    Command(u8),
}

impl Exit {
    /// How it ends when the command that it was run for has ended with this number.
    pub const fn of_command(code: u8) -> Self {
        match code {
            0 => Self::Done,
            code => Self::Command(code),
        }
    }

    /// Every exit code of its own, in the order of its number.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Wrong,
        Self::NoKeyFits,
        Self::OutOfMemory,
        Self::BadImage,
        Self::ExistsOrBusy,
        Self::NotCompared,
    ];

    /// How `compare` ends where it came to no result: 1 would say that the images differ.
    #[must_use]
    pub const fn without_comparison(self) -> Self {
        match self {
            Self::Wrong => Self::NotCompared,
            other => other,
        }
    }

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Wrong => "wrong",
            Self::NoKeyFits => "no-key-fits",
            Self::OutOfMemory => "out-of-memory",
            Self::BadImage => "bad-image",
            Self::ExistsOrBusy => "exists-or-busy",
            Self::NotCompared => "not-compared",
            Self::Command(_) => "command",
        }
    }

    /// What it means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "Everything that was asked for is done.",
            Self::Wrong => {
                "Wrong parameters, or anything that has no code of its own. Of compare: the images differ."
            }
            Self::NoKeyFits => "No keyslot opens with the key given.",
            Self::OutOfMemory => "Not enough memory.",
            Self::BadImage => {
                "An image is wrong, damaged, refused for its cost or by the policy, or cannot be read."
            }
            Self::ExistsOrBusy => "Something exists already, or is in use.",
            Self::NotCompared => {
                "Of compare, where 1 says that the images differ: what is 1 elsewhere."
            }
            Self::Command(_) => "Of serve --run and mount --run: that of the command.",
        }
    }

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Wrong => 1,
            Self::NoKeyFits => 2,
            Self::OutOfMemory => 3,
            Self::BadImage => 4,
            Self::ExistsOrBusy => 5,
            Self::NotCompared => 64,
            Self::Command(code) => code,
        }
    }
}

impl From<Blame> for Exit {
    fn from(blame: Blame) -> Self {
        match blame {
            Blame::Key => Self::NoKeyFits,
            Blame::Memory => Self::OutOfMemory,
            Blame::Image => Self::BadImage,
            Blame::Taken => Self::ExistsOrBusy,
            _ => Self::Wrong,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_cryptsetups() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 5, 64]);
    }
}
