//! What the tables of an image do not say yet.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use crate::lock;
use crate::table::Entry;

/// What was changed, and which clusters of the file are taken.
#[derive(Default)]
pub(crate) struct Changes(Mutex<State>);

#[derive(Default)]
struct State {
    /// The first cluster of the file that nobody has.
    next: u64,
    /// What is to be said of clusters of the disk.
    waiting: BTreeMap<u64, Entry>,
    /// The same, while it is being written.
    going: BTreeMap<u64, Entry>,
    /// Clusters of the file that have one user less once that is said.
    left: Vec<u64>,
    /// What was taken and not used.
    given_up: Vec<Range<u64>>,
}

/// What is to be written now.
pub(super) struct Going {
    pub(super) entries: Vec<(u64, Entry)>,
    pub(super) left: Vec<u64>,
}

impl Changes {
    pub(super) fn begin_at(&self, next: u64) {
        lock(&self.0).next = next;
    }

    /// The first cluster of the file that nobody has.
    pub(super) fn next(&self) -> u64 {
        lock(&self.0).next
    }

    /// Takes so many clusters of the file, one behind the other.
    pub(super) fn take(&self, clusters: u64) -> u64 {
        let mut state = lock(&self.0);
        let first = state.next;
        state.next += clusters;
        first
    }

    /// What is to be said of a cluster of the disk, if that is not in the tables yet.
    pub(crate) fn entry(&self, cluster: u64) -> Option<Entry> {
        let state = lock(&self.0);
        let waiting = state.waiting.get(&cluster);
        waiting.or_else(|| state.going.get(&cluster)).copied()
    }

    /// Whether anything is to be said of any of them.
    pub(crate) fn has_any(&self, clusters: Range<u64>) -> bool {
        let state = lock(&self.0);
        let mut both = [&state.waiting, &state.going].into_iter();
        both.any(|some| some.range(clusters.clone()).next().is_some())
    }

    /// How much waits.
    pub(super) fn waiting(&self) -> usize {
        let state = lock(&self.0);
        state.waiting.len().max(state.left.len())
    }

    /// From now on `entries` are said of clusters of the disk, from `first` on; these clusters of the file lose a user.
    pub(super) fn say(&self, first: u64, entries: impl Iterator<Item = Entry>, left: &[u64]) {
        let mut state = lock(&self.0);
        state.waiting.extend((first..).zip(entries));
        state.left.extend(left);
    }

    /// Nobody will use these clusters of the file, and nothing leads there: the last ones are taken again.
    pub(super) fn give_up(&self, clusters: Range<u64>) {
        let mut state = lock(&self.0);
        state.given_up.push(clusters);
        while let Some(last) = state.given_up.iter().position(|one| one.end == state.next) {
            state.next = state.given_up.swap_remove(last).start;
        }
    }

    /// What waits is written from now on.
    pub(super) fn go(&self) -> Going {
        let mut state = lock(&self.0);
        state.going = std::mem::take(&mut state.waiting);
        let given_up = std::mem::take(&mut state.given_up);
        state.left.extend(given_up.into_iter().flatten());
        Going {
            entries: state
                .going
                .iter()
                .map(|(at, entry)| (*at, *entry))
                .collect(),
            left: std::mem::take(&mut state.left),
        }
    }

    /// The tables say it now.
    pub(super) fn done(&self) {
        lock(&self.0).going.clear();
    }

    /// It waits again.
    pub(super) fn failed(&self, left: Vec<u64>) {
        let mut state = lock(&self.0);
        let mut all = std::mem::take(&mut state.going);
        all.append(&mut state.waiting);
        state.waiting = all;
        state.left.extend(left);
    }
}
