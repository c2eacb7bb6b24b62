//! What a loss of power may leave of changes that were not synced.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::vec;

use super::super::MemoryStorage;
use super::super::memory::Pages;
use dmcrypt::SECTOR_BYTES;

/// One step of a recording.
#[derive(Clone)]
pub(super) enum Change {
    Write { offset: u64, data: Arc<[u8]> },
    SetLen(u64),
    PunchHole(Range<u64>),
    Sync,
}

impl Change {
    pub(super) fn is_sync(&self) -> bool {
        matches!(self, Self::Sync)
    }

    pub(super) fn apply(&self, pages: &mut Pages) {
        match self {
            Self::Write { offset, data } => put(pages, *offset, data),
            Self::SetLen(len) => pages.set_len(*len),
            Self::PunchHole(range) => pages.punch(range.clone()),
            Self::Sync => (),
        }
    }

    /// The pieces of it that reach the disk or do not, each by itself: its sectors, or all of it.
    fn pieces(&self, number: usize) -> Vec<Piece> {
        let Self::Write { offset, data } = self else {
            return vec![Piece {
                change: number,
                bytes: 0..0,
            }];
        };
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < data.len() {
            let left_in_sector = SECTOR_BYTES - (offset + start as u64) % SECTOR_BYTES;
            let end = data
                .len()
                .min(start + usize::try_from(left_in_sector).unwrap_or(usize::MAX));
            pieces.push(Piece {
                change: number,
                bytes: start..end,
            });
            start = end;
        }
        pieces
    }
}

/// What one loss of power may have left.
pub struct CrashState {
    /// The disk when the power is back.
    pub storage: MemoryStorage,
    /// How many syncs had succeeded before, since the recording began.
    pub syncs: usize,
    /// Which of the changes after the last of those the disk holds.
    what: String,
}

impl fmt::Display for CrashState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crash after {} syncs with {}", self.syncs, self.what)
    }
}

/// Every state that [`SimulatedStorage::crash_states`](super::SimulatedStorage::crash_states) tells of.
pub struct CrashStates {
    /// What the last sync left.
    base: Pages,
    /// The changes between the syncs.
    epochs: VecDeque<Vec<Change>>,
    epoch: Epoch,
    syncs: usize,
    random: Random,
}

/// The changes between two syncs.
struct Epoch {
    changes: Vec<Change>,
    pieces: Vec<Piece>,
    /// The base with the first so many changes.
    prefix: Pages,
    prefix_len: usize,
    /// Nothing has been yielded of it, not even the state without any change.
    is_new: bool,
    choices: vec::IntoIter<Choice>,
}

/// Some bytes of a write, or another change as a whole.
#[derive(Clone)]
struct Piece {
    change: usize,
    bytes: Range<usize>,
}

/// Which pieces of an epoch are on the disk.
enum Choice {
    These(Vec<usize>),
    AllBut(usize),
    /// The first bytes of one, after all before it, with or without all after it.
    Torn {
        piece: usize,
        bytes: usize,
        with_later: bool,
    },
}

impl CrashStates {
    pub(super) fn new(base: Pages, changes: &[Change], seed: u64) -> Self {
        let mut epochs: VecDeque<Vec<Change>> =
            changes.split(Change::is_sync).map(<[_]>::to_vec).collect();
        let mut random = Random(seed);
        let first = epochs.pop_front().unwrap_or_default();
        let epoch = Epoch::new(first, base.clone(), &mut random);
        Self {
            base,
            epochs,
            epoch,
            syncs: 0,
            random,
        }
    }

    fn state(&self, pages: Pages, what: String) -> CrashState {
        CrashState {
            storage: MemoryStorage::from_pages(pages),
            syncs: self.syncs,
            what,
        }
    }
}

impl Iterator for CrashStates {
    type Item = CrashState;

    fn next(&mut self) -> Option<CrashState> {
        loop {
            if self.epoch.is_new {
                self.epoch.is_new = false;
                return Some(self.state(self.base.clone(), "no change".into()));
            }
            if let Some(change) = self.epoch.changes.get(self.epoch.prefix_len) {
                change.apply(&mut self.epoch.prefix);
                self.epoch.prefix_len += 1;
                let what = format!("the first {} changes", self.epoch.prefix_len);
                return Some(self.state(self.epoch.prefix.clone(), what));
            }
            if let Some(choice) = self.epoch.choices.next() {
                let (pages, what) = self.epoch.build(&self.base, &choice);
                return Some(self.state(pages, what));
            }
            self.base = self.epoch.prefix.clone();
            self.epoch = Epoch::new(
                self.epochs.pop_front()?,
                self.base.clone(),
                &mut self.random,
            );
            self.syncs += 1;
        }
    }
}

impl Epoch {
    fn new(changes: Vec<Change>, base: Pages, random: &mut Random) -> Self {
        let pieces: Vec<Piece> = changes
            .iter()
            .enumerate()
            .flat_map(|(number, change)| change.pieces(number))
            .collect();
        let choices = Choice::of(&pieces, random).into_iter();
        Self {
            changes,
            pieces,
            prefix: base,
            prefix_len: 0,
            is_new: true,
            choices,
        }
    }

    fn build(&self, base: &Pages, choice: &Choice) -> (Pages, String) {
        let mut pages = base.clone();
        let what = match choice {
            Choice::These(chosen) => {
                for &piece in chosen {
                    self.apply(&mut pages, &self.pieces[piece]);
                }
                format!("pieces {chosen:?} of {}", self.pieces.len())
            }
            Choice::AllBut(missing) => {
                for (number, piece) in self.pieces.iter().enumerate() {
                    if number != *missing {
                        self.apply(&mut pages, piece);
                    }
                }
                format!("all of {} pieces but number {missing}", self.pieces.len())
            }
            Choice::Torn {
                piece,
                bytes,
                with_later,
            } => {
                for (number, applied) in self.pieces.iter().enumerate() {
                    if number == *piece {
                        let start = applied.bytes.start;
                        let torn = Piece {
                            change: applied.change,
                            bytes: start..start + bytes,
                        };
                        self.apply(&mut pages, &torn);
                    } else if number < *piece || *with_later {
                        self.apply(&mut pages, applied);
                    }
                }
                let later = if *with_later { "all" } else { "none" };
                format!(
                    "piece {piece} of {} torn after {bytes} bytes, {later} after it",
                    self.pieces.len()
                )
            }
        };
        (pages, what)
    }

    fn apply(&self, pages: &mut Pages, piece: &Piece) {
        match &self.changes[piece.change] {
            Change::Write { offset, data } => {
                put(
                    pages,
                    offset + piece.bytes.start as u64,
                    &data[piece.bytes.clone()],
                );
            }
            whole => whole.apply(pages),
        }
    }
}

impl Choice {
    /// What to try of so many pieces.
    fn of(pieces: &[Piece], random: &mut Random) -> Vec<Self> {
        let count = pieces.len();
        let mut choices = Vec::new();
        if count <= EXHAUSTIVE_PIECES {
            for bits in 1..1_usize << count {
                choices.push(Self::These(
                    (0..count).filter(|piece| bits >> piece & 1 == 1).collect(),
                ));
            }
        } else {
            for piece in random.some_of(count) {
                choices.push(Self::These(vec![piece]));
            }
            for piece in random.some_of(count) {
                choices.push(Self::AllBut(piece));
            }
            for _ in 0..SELECTED {
                let (one, other) = (random.below(count), random.below(count));
                choices.push(Self::These(vec![one.min(other), one.max(other)]));
            }
            // A crash at a random moment, that kept each piece or did not.
            for _ in 0..SELECTED {
                let issued = random.below(count) + 1;
                choices.push(Self::These(
                    (0..issued).filter(|_| random.below(2) == 1).collect(),
                ));
            }
        }
        for piece in random.some_of(count) {
            let len = pieces[piece].bytes.len();
            let mut cuts = vec![1, len / 2, len.saturating_sub(1)];
            cuts.retain(|cut| (1..len).contains(cut));
            cuts.dedup();
            for bytes in cuts {
                for with_later in [false, true] {
                    choices.push(Self::Torn {
                        piece,
                        bytes,
                        with_later,
                    });
                }
            }
        }
        choices
    }
}

fn put(pages: &mut Pages, offset: u64, data: &[u8]) {
    pages
        .write(offset, data)
        .expect("the end was checked when the write was recorded");
}

/// All subsets of so many pieces are tried.
const EXHAUSTIVE_PIECES: usize = 12;
/// How many of each kind are tried where there are more.
const SELECTED: usize = 96;

/// `SplitMix64` (Steele, Lea, Flood 2014): repeatable choices, nothing else.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("below a usize")
    }

    /// All numbers below `count`, or a selection that has the first and the last.
    fn some_of(&mut self, count: usize) -> Vec<usize> {
        if count <= SELECTED {
            return (0..count).collect();
        }
        let chosen = (2..SELECTED).map(|_| self.below(count));
        [0, count - 1].into_iter().chain(chosen).collect()
    }
}
