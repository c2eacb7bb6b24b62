//! Why a passphrase does not fit: the ways in which one comes out wrong though somebody knows it.
//!
//! `mistakes` has a row for each, [`keyboards`] and [`code_pages`] have what theirs are made of, [`search`] tries what
//! they give. [`Guesses`] is their order: the likelier first, each alone or two together. A guess is a secret as the
//! passphrase is: on locked pages, wiped, and only one of them at a time.

pub mod code_pages;
pub mod keyboards;
mod mistakes;
pub mod search;

use std::borrow::Cow;
use std::collections::BTreeSet;

use code_pages::{CODE_PAGES, CodePage};
use dmcrypt::{HashAlgorithm, LockedBytes};
use keyboards::{LAYOUTS, Layout, US};
use mistakes::{Kind, ROWS, Undo};

use crate::secret_buffer::SecretBuffer;

/// Two mistakes are put together for what people type and small key files hold; of a longer secret each guess is a copy.
const LONGEST_OF_PAIRS: usize = 4096;

/// One way to get it wrong.
pub struct Mistake {
    /// Its name for programs, which stays.
    pub name: Cow<'static, str>,
    /// What was done, for people.
    pub text: Cow<'static, str>,
    rarity: u32,
    kind: Kind,
    how: How,
}

enum How {
    Row(Undo),
    Retyped(&'static Layout, &'static Layout),
    Encoded(&'static CodePage),
    Decoded(&'static CodePage),
    /// All of the input, where only a part was read.
    Whole,
}

/// What was given.
pub struct Given {
    /// The bytes that were taken for the passphrase.
    pub secret: LockedBytes,
    /// All that the input had, where that is more.
    pub whole: Option<LockedBytes>,
}

/// What may have been meant.
pub struct Guess<'a> {
    /// What was done to what was given: one mistake or two, in their order.
    pub mistakes: Vec<&'a Mistake>,
    /// What it becomes then.
    pub secret: LockedBytes,
}

/// Every guess that differs from what was given and from those before it, the likeliest first.
pub struct Guesses<'a> {
    given: &'a Given,
    mistakes: &'a [Mistake],
    /// Which mistakes, in the order of the guesses.
    plan: std::vec::IntoIter<(usize, Option<usize>)>,
    seen: Seen,
}

/// Every mistake there is.
pub fn mistakes() -> Vec<Mistake> {
    let rows = ROWS.iter().map(|row| Mistake {
        name: row.name.into(),
        text: row.text.into(),
        rarity: row.rarity,
        kind: row.kind,
        how: How::Row(row.undo),
    });
    let whole = Mistake {
        name: "whole-input".into(),
        text: "with all of its input, of which only a part was read,".into(),
        rarity: 3,
        kind: Kind::Extent,
        how: How::Whole,
    };
    let keyboards = (3..).zip(LAYOUTS).flat_map(|(rarity, layout)| {
        [(&US, layout), (layout, &US)].map(|(from, to)| Mistake {
            name: format!("keyboard-{}-{}", from.name, to.name).into(),
            text: format!(
                "with the keys pressed on a keyboard that is {}, not {},",
                to.text, from.text
            )
            .into(),
            rarity,
            kind: Kind::Keyboard,
            how: How::Retyped(from, to),
        })
    });
    let pages = (3..).zip(CODE_PAGES).flat_map(|(rarity, page)| {
        let name = page.name.to_lowercase();
        [
            (
                format!("{name}-encoded"),
                format!("in {}", page.name),
                How::Encoded(page),
            ),
            (
                format!("{name}-decoded"),
                format!("in UTF-8 in place of {}", page.name),
                How::Decoded(page),
            ),
        ]
        .map(|(name, text, how)| Mistake {
            name: name.into(),
            text: text.into(),
            rarity,
            kind: Kind::Encoding,
            how,
        })
    });
    let mut mistakes: Vec<_> = rows.chain([whole]).chain(keyboards).chain(pages).collect();
    mistakes.sort_by_key(|mistake| mistake.rarity);
    mistakes
}

impl Mistake {
    /// What `secret` becomes without this mistake.
    fn undo(&self, secret: &[u8], given: &Given) -> Option<LockedBytes> {
        let mut out = SecretBuffer::new();
        match &self.how {
            How::Row(undo) => undo(secret, &mut out)?,
            How::Retyped(from, to) => keyboards::retype(secret, from, to, &mut out)?,
            How::Encoded(page) => code_pages::encode(secret, page, &mut out)?,
            How::Decoded(page) => code_pages::decode(secret, page, &mut out)?,
            How::Whole => out.extend(given.whole.as_ref()?),
        }
        Some(out.into_bytes())
    }

    fn goes_before(&self, other: &Self) -> bool {
        // All of the input is no change of what was read of it: it comes first.
        self.kind != other.kind && !matches!(other.how, How::Whole)
    }
}

impl<'a> Guesses<'a> {
    /// Those for what was given. `key` is random and of this run.
    pub fn new(given: &'a Given, mistakes: &'a [Mistake], key: &'a LockedBytes) -> Self {
        let mut seen = Seen::new(key);
        seen.is_new(&given.secret);
        Self {
            given,
            mistakes,
            plan: plan(given, mistakes).into_iter(),
            seen,
        }
    }
}

/// Those mistakes that can have been made, alone and two at a time, by how rare they are.
fn plan(given: &Given, mistakes: &[Mistake]) -> Vec<(usize, Option<usize>)> {
    let possible: Vec<_> = (0..mistakes.len())
        .filter(|index| mistakes[*index].undo(&given.secret, given).is_some())
        .collect();
    let mut plan: Vec<_> = possible.iter().map(|index| (*index, None)).collect();
    if given.secret.len() <= LONGEST_OF_PAIRS {
        for first in possible {
            let seconds = (0..mistakes.len())
                .filter(|second| mistakes[first].goes_before(&mistakes[*second]));
            plan.extend(seconds.map(|second| (first, Some(second))));
        }
    }
    // Two mistakes are rarer than each of them, even where those are common.
    plan.sort_by_key(|(first, second)| {
        let of_second = second.map_or(0, |second| 2 + mistakes[second].rarity);
        mistakes[*first].rarity + of_second
    });
    plan
}

impl<'a> Iterator for Guesses<'a> {
    type Item = Guess<'a>;

    fn next(&mut self) -> Option<Guess<'a>> {
        loop {
            let (first, second) = self.plan.next()?;
            let mut made = vec![&self.mistakes[first]];
            let mut secret = self.mistakes[first].undo(&self.given.secret, self.given);
            if let (Some(half), Some(second)) = (&secret, second) {
                made.push(&self.mistakes[second]);
                secret = self.mistakes[second].undo(half, self.given);
            }
            if let Some(secret) = secret.filter(|secret| self.seen.is_new(secret)) {
                return Some(Guess {
                    mistakes: made,
                    secret,
                });
            }
        }
    }
}

/// Which secrets there were, without keeping them: what is kept of each depends on a random key, which is wiped at the
/// end, and says nothing to who reads it later.
struct Seen {
    key: LockedBytes,
    codes: BTreeSet<[u8; 16]>,
}

impl Seen {
    fn new(key: &LockedBytes) -> Self {
        Self {
            key: LockedBytes::copy_of(key),
            codes: BTreeSet::new(),
        }
    }

    /// Remembers it. The codes are compared as usual: how long that takes tells of codes, and those are random.
    fn is_new(&mut self, secret: &[u8]) -> bool {
        let code = HashAlgorithm::Sha256.digest(&[&self.key, secret, &self.key]);
        let (code, _) = code.split_first_chunk().expect("SHA-256 has 32 bytes");
        self.codes.insert(*code)
    }
}

/// The characters of a secret that is UTF-8, in place. The error of the conversion says where, and has no bytes; that of
/// `String::from_utf8` has them all.
fn text(secret: &[u8]) -> Option<&str> {
    std::str::from_utf8(secret).ok()
}

#[cfg(test)]
mod tests;
