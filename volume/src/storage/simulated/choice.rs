//! Which of the changes that were not synced a loss of power leaves.

use std::fmt;
use std::ops::Range;

use super::step::{Change, Step};
use dmcrypt::SECTOR_BYTES;

/// Some bytes of a write, or another change as a whole: it reaches the disk or does not, by itself.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) step: usize,
    pub(super) bytes: Range<usize>,
    /// May only the first of its bytes get there?
    tears: bool,
}

/// Which pieces are on the disks.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// So many changes, all of each.
    First(usize),
    /// These changes, all of each.
    Whole(Vec<usize>),
    /// So many pieces.
    FirstPieces(usize),
    /// In the order of the changes.
    These(Vec<usize>),
    AllBut(usize),
    /// The first bytes of one, after all before it, with or without all after it.
    Torn {
        piece: usize,
        bytes: usize,
        with_later: bool,
    },
}

impl Piece {
    pub(super) fn all_of(steps: &[Step], blocks: &[Vec<(Range<u64>, u64)>]) -> Vec<Self> {
        let of_one = |(number, step): (usize, &Step)| Self::of(number, step, &blocks[step.disk]);
        steps.iter().enumerate().flat_map(of_one).collect()
    }

    fn of(step: usize, of: &Step, blocks: &[(Range<u64>, u64)]) -> Vec<Self> {
        let Some(Change::Write { offset, data }) = &of.change else {
            return vec![Self {
                step,
                bytes: 0..0,
                tears: false,
            }];
        };
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < data.len() {
            let at = offset + start as u64;
            let (left, tears) = left_in_block(at, blocks);
            let end = usize::try_from(left)
                .ok()
                .and_then(|left| start.checked_add(left))
                .map_or(data.len(), |end| end.min(data.len()));
            pieces.push(Self {
                step,
                bytes: start..end,
                tears,
            });
            start = end;
        }
        pieces
    }
}

/// How many bytes from `at` on go together, and whether they may be torn.
fn left_in_block(at: u64, blocks: &[(Range<u64>, u64)]) -> (u64, bool) {
    if let Some((range, bytes)) = blocks.iter().find(|(range, _)| range.contains(&at)) {
        let left_in_block = bytes - (at - range.start) % bytes;
        return (left_in_block.min(range.end - at), false);
    }
    let next = blocks.iter().map(|(range, _)| range.start);
    let left_before = next.filter(|start| *start > at).min();
    let left_in_sector = SECTOR_BYTES - at % SECTOR_BYTES;
    let left = left_before.map_or(left_in_sector, |start| left_in_sector.min(start - at));
    (left, true)
}

impl Choice {
    /// What to try where nothing of `steps` was synced: every write boundary, each change lost or kept alone, then `most`
    /// of the others.
    pub(super) fn of(
        steps: usize,
        pieces: &[Piece],
        most: usize,
        random: &mut Random,
    ) -> Vec<Self> {
        let mut choices: Vec<Self> = (0..=steps).map(Self::First).collect();
        // The first one alone and all but the last one are boundaries.
        choices.extend((1..steps).map(|kept| Self::Whole(vec![kept])));
        if steps > 2 {
            choices.extend((0..steps - 1).map(|lost| Self::all_changes_but(lost, steps)));
        }
        let others = Self::others(pieces, 0, random);
        choices.extend(random.thin(others, most));
        choices
    }

    /// Of those only what has something of the last step, `most` at most: first the states that have all of it.
    pub(super) fn with_the_last(
        steps: usize,
        pieces: &[Piece],
        most: usize,
        random: &mut Random,
    ) -> Vec<Self> {
        let mut choices = vec![Self::First(steps)];
        let from = pieces.partition_point(|piece| piece.step + 1 < steps);
        if from < pieces.len() {
            if steps > 1 {
                choices.push(Self::Whole(vec![steps - 1]));
            }
            if steps > 2 {
                // The change that matters is more likely one of the last.
                let lost = (0..steps - 1).rev();
                choices.extend(lost.map(|lost| Self::all_changes_but(lost, steps)));
            }
            choices.truncate(most.max(1));
            let mut others = Self::others(pieces, from, random);
            others.retain(|choice| choice.has_any_from(from, pieces.len()));
            let left = most.saturating_sub(choices.len());
            choices.extend(random.thin(others, left));
        }
        choices
    }

    fn all_changes_but(lost: usize, steps: usize) -> Self {
        Self::Whole((0..steps).filter(|step| *step != lost).collect())
    }

    /// All but the boundaries; those that are many are chosen with a mind to the pieces from `from` on.
    fn others(pieces: &[Piece], from: usize, random: &mut Random) -> Vec<Self> {
        let count = pieces.len();
        let mut choices = Vec::new();
        if count <= EXHAUSTIVE_PIECES {
            for bits in 1..1_usize << count {
                choices.push(Self::These(
                    (0..count).filter(|piece| bits >> piece & 1 == 1).collect(),
                ));
            }
        } else {
            choices.extend(random.some_of(0..count).into_iter().map(Self::FirstPieces));
            for piece in random.some_of(from..count) {
                choices.push(Self::These(vec![piece]));
            }
            choices.extend(random.some_of(0..count).into_iter().map(Self::AllBut));
            for _ in 0..SELECTED {
                let (one, other) = (random.below(count), from + random.below(count - from));
                choices.push(Self::These(vec![one.min(other), one.max(other)]));
            }
            // A crash at a random moment, that kept each piece or did not.
            for _ in 0..SELECTED {
                let issued = from + random.below(count - from) + 1;
                choices.push(Self::These(
                    (0..issued).filter(|_| random.below(2) == 1).collect(),
                ));
            }
        }
        for piece in random.some_of(0..count) {
            if !pieces[piece].tears {
                continue;
            }
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

    /// Does it have any piece from this one on?
    fn has_any_from(&self, from: usize, count: usize) -> bool {
        match self {
            Self::First(_) | Self::Whole(_) => false,
            Self::FirstPieces(pieces) => *pieces > from,
            Self::These(pieces) => pieces.last().is_some_and(|last| *last >= from),
            Self::AllBut(missing) => from + 1 < count || *missing != from,
            Self::Torn {
                piece, with_later, ..
            } => *piece >= from || *with_later,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(0) => write!(f, "no change"),
            Self::First(changes) => write!(f, "the first {changes} changes"),
            Self::Whole(changes) => write!(f, "changes {changes:?}"),
            Self::FirstPieces(pieces) => write!(f, "the first {pieces} pieces"),
            Self::These(pieces) => write!(f, "pieces {pieces:?}"),
            Self::AllBut(missing) => write!(f, "all pieces but number {missing}"),
            Self::Torn {
                piece,
                bytes,
                with_later,
            } => {
                let later = if *with_later { "all" } else { "none" };
                write!(
                    f,
                    "piece {piece} torn after {bytes} bytes, {later} after it"
                )
            }
        }
    }
}

/// All subsets of so many pieces are tried.
const EXHAUSTIVE_PIECES: usize = 12;
/// How many of each kind are tried where there are more.
const SELECTED: usize = 96;

/// `SplitMix64` (Steele, Lea, Flood 2014): repeatable choices, nothing else.
pub(super) struct Random(pub(super) u64);

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

    /// All of these numbers, or a selection that has the first and the last.
    fn some_of(&mut self, range: Range<usize>) -> Vec<usize> {
        if range.len() <= SELECTED {
            return range.collect();
        }
        let chosen = (2..SELECTED).map(|_| range.start + self.below(range.len()));
        [range.start, range.end - 1]
            .into_iter()
            .chain(chosen)
            .collect()
    }

    /// At most so many, each as likely as any other, in their order (Knuth's algorithm S).
    fn thin<T>(&mut self, all: Vec<T>, most: usize) -> Vec<T> {
        let (mut wanted, mut left) = (most.min(all.len()), all.len());
        let mut kept = all;
        kept.retain(|_| {
            let keep = wanted > 0 && self.below(left) < wanted;
            left -= 1;
            wanted -= usize::from(keep);
            keep
        });
        kept
    }
}
