//! How often clusters of the file are used, and what their refcounts say.

use std::ops::Range;

use super::{Checked, Problem, Use};

/// Of some of the clusters.
pub(super) struct Counts {
    clusters: Range<u64>,
    refcounts: Vec<u32>,
    used: Vec<u32>,
    uses: Vec<u16>,
}

impl Counts {
    pub(super) fn new(clusters: Range<u64>) -> Self {
        let count = usize::try_from(clusters.end - clusters.start).unwrap_or(0);
        Self {
            clusters,
            refcounts: vec![0; count],
            used: vec![0; count],
            uses: vec![0; count],
        }
    }

    fn index(&self, cluster: u64) -> Option<usize> {
        let index = cluster.checked_sub(self.clusters.start)?;
        let index = usize::try_from(index).ok()?;
        (index < self.used.len()).then_some(index)
    }

    /// Those of them.
    pub(super) fn clusters(&self) -> Range<u64> {
        self.clusters.clone()
    }

    pub(super) fn refcount(&self, cluster: u64) -> Option<u32> {
        Some(self.refcounts[self.index(cluster)?])
    }

    pub(super) fn set_refcount(&mut self, cluster: u64, refcount: u64) {
        if let Some(index) = self.index(cluster) {
            self.refcounts[index] = u32::try_from(refcount).unwrap_or(u32::MAX);
        }
    }

    /// One more use of a cluster.
    pub(super) fn add(&mut self, cluster: u64, as_what: Use) {
        if let Some(index) = self.index(cluster) {
            self.used[index] = self.used[index].saturating_add(1);
            self.uses[index] |= as_what.bit();
        }
    }

    /// What does not fit. `has_others`: something may have clusters that was not counted.
    pub(super) fn judge(&self, cluster_bytes: u64, has_others: bool, checked: &mut Checked) {
        let counts = self.refcounts.iter().zip(&self.used).zip(&self.uses);
        for (cluster, ((&refcount, &used), &uses)) in self.clusters.clone().zip(counts) {
            let offset = cluster * cluster_bytes;
            let only = Use::ALL.into_iter().find(|one| uses == one.bit());
            let clash = Use::clash(uses);
            let twice = only.filter(|one| used > 1 && !one.may_be_shared());
            if let Some((one, other)) = clash.or(twice.map(|one| (one, one))) {
                checked.add(Problem::Overlap {
                    offset,
                    one: one.name(),
                    other: other.name(),
                });
            }
            if refcount < used {
                checked.add(Problem::Refcount {
                    offset,
                    used: used.into(),
                    refcount: refcount.into(),
                });
            } else if refcount > used && !has_others {
                checked.leaked += 1;
            }
        }
    }
}
