//! Exit codes of the verbs.

use std::process::ExitCode;

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

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
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
