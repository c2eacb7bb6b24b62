//! Exit codes of the verbs.

use std::process::ExitCode;

use jobs::Blame;

/// How the program ends; the numbers are cryptsetup's, whose scripts know them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    /// Wrong parameters (usage errors too), or anything that has no code of its own; of `compare`: the images differ.
    Wrong = 1,
    /// No keyslot opens with the key given.
    NoKeyFits = 2,
    /// Not enough memory.
    OutOfMemory = 3,
    /// An image is wrong, damaged, refused (cost and policy too) or cannot be read.
    BadImage = 4,
    /// Something exists already, or is in use.
    ExistsOrBusy = 5,
    /// What is [`Self::Wrong`] elsewhere, of `compare`.
    NotCompared = 64,
}

impl Exit {
    /// Every exit code, in the order of its number.
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
        }
    }

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
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
