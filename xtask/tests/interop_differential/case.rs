//! A case: a header of the golden data with up to three edits, or bytes of which nobody said that they are one.

use std::fs;
use std::path::Path;

use crate::bases::Base;
use crate::choices::Choices;
use crate::{luks1, luks2};

pub struct Case {
    pub base: usize,
    /// The start of the file; a hole follows.
    pub bytes: Vec<u8>,
    /// Length of the file.
    pub length: u64,
    /// Whether key material is there too, so that passphrases can be tried.
    pub is_whole: bool,
    /// What was done to the base.
    pub edits: Vec<String>,
}

/// Every so many cases key material is there.
const WHOLE_ONCE_IN: u64 = 100;

impl Case {
    pub fn of(bases: &[Base], seed: u64, number: u64) -> Self {
        Self::draw(bases, seed, number, number.is_multiple_of(WHOLE_ONCE_IN))
    }

    /// The same case with key material and data.
    pub fn whole(bases: &[Base], seed: u64, number: u64) -> Self {
        Self::draw(bases, seed, number, true)
    }

    /// Writes its file.
    pub fn write(&self, path: &Path) {
        fs::write(path, &self.bytes).expect("the folder can be written");
        let file = fs::File::options().write(true).open(path);
        file.and_then(|file| file.set_len(self.length))
            .expect("the file can be cut or grown");
    }

    fn draw(bases: &[Base], seed: u64, number: u64, is_whole: bool) -> Self {
        let mut choices = Choices::of(seed, number);
        let index = choices.below(bases.len());
        let base = &bases[index];
        let mut case = Self {
            base: index,
            bytes: Vec::new(),
            length: base.length,
            is_whole,
            edits: Vec::new(),
        };
        let header = base.copy_bytes.map_or(luks1::BYTES, |copy| 2 * copy);
        case.bytes = base.image[..header].to_vec();
        let count = choices.one_of(&[0, 1, 1, 1, 1, 2, 2, 3]);
        match base.copy_bytes {
            None => luks1::edit(&mut case, count, &mut choices),
            Some(copy) => luks2::edit(&mut case, copy, count, &mut choices),
        }
        if is_whole {
            case.bytes.extend(&base.image[header..]);
        }
        if choices.once_in(40) {
            case.length = match choices.below(4) {
                0 => choices.near(case.length),
                1 => choices.number(),
                2 => choices.one_of(&[0, 6, 8, 512, 591, 592, 1024, 4096, 16384, 32768]),
                _ => choices.next() % case.length.max(1),
            }
            // More than a file can have.
            .min(1 << 40);
            case.edits.push(format!("file of {} bytes", case.length));
        }
        case.bytes
            .truncate(usize::try_from(case.length).unwrap_or(usize::MAX));
        case
    }
}
