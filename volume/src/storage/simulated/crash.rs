//! What a loss of power may leave of changes that were not synced.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::vec;

use super::super::MemoryStorage;
use super::super::memory::Pages;
use super::choice::{Choice, Piece, Random};
use super::step::Step;

/// What one loss of power may have left.
pub struct CrashState {
    /// The disk when the power is back.
    pub storage: MemoryStorage,
    /// How many syncs had succeeded before, since the recording began.
    pub syncs: usize,
    what: What,
}

/// What one loss of power may have left of several disks.
pub struct CrashedDisks {
    /// The disks when the power is back, by their numbers.
    pub disks: Vec<Arc<MemoryStorage>>,
    /// How many syncs of any of them had succeeded before, since the recording began.
    pub syncs: usize,
    what: What,
}

/// Which of the changes that no sync had reached the disks hold.
struct What {
    choice: Choice,
    pieces: usize,
}

impl fmt::Display for CrashState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crash after {} syncs with {}", self.syncs, self.what)
    }
}

impl fmt::Display for CrashedDisks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crash after {} syncs with {}", self.syncs, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} pieces", self.choice, self.pieces)
    }
}

/// Every state that [`SimulatedStorage::crash_states`](super::SimulatedStorage::crash_states) tells of.
pub struct CrashStates(pub(super) DisksCrashStates);

impl Iterator for CrashStates {
    type Item = CrashState;

    fn next(&mut self) -> Option<CrashState> {
        let (mut disks, syncs, what) = self.0.next_pages()?;
        Some(CrashState {
            storage: MemoryStorage::from_pages(disks.pop().expect("there is the one disk")),
            syncs,
            what,
        })
    }
}

/// Every state that [`SimulatedDisks::crash_states`](super::SimulatedDisks::crash_states) tells of.
pub struct DisksCrashStates {
    /// What the syncs left so far.
    bases: Vec<Pages>,
    /// What comes after the moment.
    steps: vec::IntoIter<Step>,
    /// Where each disk writes whole blocks, and of how many bytes.
    blocks: Vec<Vec<(Range<u64>, u64)>>,
    epoch: Option<Epoch>,
    syncs: usize,
    most: usize,
    only_last: bool,
    random: Random,
}

/// The time between two syncs.
struct Epoch {
    /// What no sync has reached.
    pending: Vec<Step>,
    /// The disk whose sync ends it.
    ends_by: Option<usize>,
    pieces: Vec<Piece>,
    choices: vec::IntoIter<Choice>,
    /// The bases with the first so many changes.
    prefix: Vec<Pages>,
    prefix_len: usize,
}

impl DisksCrashStates {
    pub(super) fn new(
        bases: Vec<Pages>,
        steps: Vec<Step>,
        blocks: Vec<Vec<(Range<u64>, u64)>>,
        seed: u64,
    ) -> Self {
        Self {
            bases,
            steps: steps.into_iter(),
            blocks,
            epoch: None,
            syncs: 0,
            most: usize::MAX,
            only_last: false,
            random: Random(seed),
        }
    }

    /// Only every write boundary, each change lost or kept alone and, of the other states between two syncs, `most` that
    /// the seed chooses. To be called before the first state is taken.
    #[must_use]
    pub fn thinned(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Only states that have something of the last change, `most` of them at most.
    pub(super) fn with_the_last_change(self, most: usize) -> Self {
        Self {
            most,
            only_last: true,
            ..self
        }
    }

    fn next_pages(&mut self) -> Option<(Vec<Pages>, usize, What)> {
        if self.epoch.is_none() {
            let first = self.epoch_after(Vec::new());
            self.epoch = Some(first);
        }
        loop {
            let epoch = self.epoch.as_mut()?;
            if let Some(choice) = epoch.choices.next() {
                let pages = epoch.build(&self.bases, &choice);
                let pieces = epoch.pieces.len();
                return Some((pages, self.syncs, What { choice, pieces }));
            }
            let synced = epoch.ends_by?;
            let mut pending = std::mem::take(&mut epoch.pending);
            pending.retain(|step| {
                let reached = step.disk == synced;
                if reached {
                    step.apply(&mut self.bases);
                }
                !reached
            });
            self.syncs += 1;
            let next = self.epoch_after(pending);
            self.epoch = Some(next);
        }
    }

    /// Up to the next sync, from a moment on when so much is not synced.
    fn epoch_after(&mut self, mut pending: Vec<Step>) -> Epoch {
        let mut ends_by = None;
        for step in self.steps.by_ref() {
            if step.change.is_none() {
                ends_by = Some(step.disk);
                break;
            }
            pending.push(step);
        }
        let pieces = Piece::all_of(&pending, &self.blocks);
        let of = if self.only_last {
            Choice::with_the_last
        } else {
            Choice::of
        };
        let choices = of(pending.len(), &pieces, self.most, &mut self.random);
        Epoch {
            pending,
            ends_by,
            pieces,
            choices: choices.into_iter(),
            prefix: self.bases.clone(),
            prefix_len: 0,
        }
    }
}

impl Iterator for DisksCrashStates {
    type Item = CrashedDisks;

    fn next(&mut self) -> Option<CrashedDisks> {
        let (disks, syncs, what) = self.next_pages()?;
        let storage = |pages| Arc::new(MemoryStorage::from_pages(pages));
        Some(CrashedDisks {
            disks: disks.into_iter().map(storage).collect(),
            syncs,
            what,
        })
    }
}

impl Epoch {
    fn build(&mut self, bases: &[Pages], choice: &Choice) -> Vec<Pages> {
        if let Choice::First(changes) = choice {
            while self.prefix_len < *changes {
                self.pending[self.prefix_len].apply(&mut self.prefix);
                self.prefix_len += 1;
            }
            return self.prefix.clone();
        }
        let mut pages = bases.to_vec();
        let all = || 0..self.pieces.len();
        match choice {
            Choice::First(_) => {}
            Choice::Whole(changes) => {
                for change in changes {
                    self.pending[*change].apply(&mut pages);
                }
            }
            Choice::FirstPieces(count) => self.put(&mut pages, 0..*count),
            Choice::These(chosen) => self.put(&mut pages, chosen.iter().copied()),
            Choice::AllBut(missing) => {
                self.put(&mut pages, all().filter(|piece| piece != missing));
            }
            Choice::Torn {
                piece,
                bytes,
                with_later,
            } => {
                self.put(&mut pages, 0..*piece);
                let torn = &self.pieces[*piece];
                let start = torn.bytes.start;
                self.pending[torn.step].apply_part(&(start..start + bytes), &mut pages);
                if *with_later {
                    self.put(&mut pages, piece + 1..self.pieces.len());
                }
            }
        }
        pages
    }

    fn put(&self, pages: &mut [Pages], pieces: impl Iterator<Item = usize>) {
        for piece in pieces {
            let piece = &self.pieces[piece];
            self.pending[piece.step].apply_part(&piece.bytes, pages);
        }
    }
}

impl Step {
    fn apply(&self, disks: &mut [Pages]) {
        if let Some(change) = &self.change {
            change.apply(&mut disks[self.disk]);
        }
    }

    fn apply_part(&self, bytes: &Range<usize>, disks: &mut [Pages]) {
        if let Some(change) = &self.change {
            change.apply_part(bytes, &mut disks[self.disk]);
        }
    }
}
