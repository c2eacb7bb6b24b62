//! Whether the tables of an image fit each other: `docs/interop/qcow2.txt` of QEMU, "Host cluster management" and
//! "Cluster mapping".
//!
//! All references are counted and held against the refcounts, for so many clusters of the file at a time that memory does
//! not grow with it. An image whose tables refer to each other over and over is not followed to the end.

mod count;
mod walk;

use std::fmt;
use std::io;

use crate::image::Image;
use crate::table;

use self::count::Counts;

/// Problems are told one by one up to this number.
const MOST_PROBLEMS: usize = 100;
/// As many clusters of the file are counted at a time.
const WINDOW: u64 = 4 << 20;
/// And so often at most.
const MOST_WINDOWS: u64 = 256;
/// Tables are read by pieces of this size.
const PIECE: usize = 64 << 10;
/// So many bytes of tables are looked at in any image, and as often the size of the file behind that.
const LEAST_WORK: u64 = 1 << 30;
const TIMES: u64 = 16;

/// What the tables of an image are like.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Checked {
    /// The clusters of the disk, as it is now.
    pub clusters: Clusters,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// How many more are wrong.
    pub more: u64,
    /// Clusters of the file whose refcount says that they are used, or used more often than they are.
    pub leaked: u64,
    /// Something was not looked at, and what.
    pub left_out: Option<&'static str>,
}

/// How many clusters of a disk are where.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Clusters {
    /// All of them.
    pub total: u64,
    /// In the file as they are.
    pub data: u64,
    /// Compressed.
    pub compressed: u64,
    /// Zeros, by a mark.
    pub zeros: u64,
    /// Not there: as what is below, or zeros.
    pub absent: u64,
}

/// What is wrong with an image.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// An entry of a table that cannot be.
    Entry {
        /// Which table.
        table: &'static str,
        /// Where the entry is.
        at: u64,
        /// What it says.
        entry: u64,
        /// Why it cannot be.
        reason: &'static str,
    },
    /// Two things lie in one cluster.
    Overlap {
        /// Where it starts.
        offset: u64,
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A cluster is used more often than its refcount says: whoever believes that may give it away.
    Refcount {
        /// Where it starts.
        offset: u64,
        /// How often it is used.
        used: u64,
        /// What is said.
        refcount: u64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry {
                table,
                at,
                entry,
                reason,
            } => write!(f, "{table} entry {entry:#x} at byte {at} {reason}"),
            Self::Overlap { offset, one, other } => {
                write!(f, "the cluster at byte {offset} is {one} and {other}")
            }
            Self::Refcount {
                offset,
                used,
                refcount,
            } => write!(
                f,
                "the cluster at byte {offset} is used {used} times, and its refcount is {refcount}"
            ),
        }
    }
}

/// What a cluster of the file is used as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Use {
    Header,
    L1,
    RefcountTable,
    RefcountBlock,
    Luks,
    Snapshots,
    L2,
    Data,
    Compressed,
}

impl Use {
    const ALL: [Self; 9] = [
        Self::Header,
        Self::L1,
        Self::RefcountTable,
        Self::RefcountBlock,
        Self::Luks,
        Self::Snapshots,
        Self::L2,
        Self::Data,
        Self::Compressed,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Header => "the header",
            Self::L1 => "a part of an L1 table",
            Self::RefcountTable => "a part of the refcount table",
            Self::RefcountBlock => "a refcount block",
            Self::Luks => "a part of the LUKS header",
            Self::Snapshots => "a part of the snapshot table",
            Self::L2 => "an L2 table",
            Self::Data => "data",
            Self::Compressed => "compressed data",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }

    /// The two that cannot be in one cluster, of a set of them.
    fn clash(set: u16) -> Option<(Self, Self)> {
        let mut there = Self::ALL.into_iter().filter(|one| set & one.bit() != 0);
        let (one, other) = (there.next()?, there.next()?);
        let may = one == Self::Data && other == Self::Compressed;
        (!may).then_some((one, other))
    }

    /// Whether snapshots may have it together.
    fn may_be_shared(self) -> bool {
        matches!(self, Self::L2 | Self::Data | Self::Compressed)
    }
}

impl Image {
    /// Counts the clusters of the disk, and holds all references against the refcounts. Nothing that the image refers to is
    /// looked at.
    ///
    /// # Errors
    ///
    /// What the storage says. What is wrong with the image is no error.
    pub fn check(&self) -> io::Result<Checked> {
        let len = self.storage().len()?;
        let cluster = self.header().cluster_bytes();
        let mut checked = Checked::default();
        let windows = len.div_ceil(cluster).div_ceil(WINDOW);
        let mut work = LEAST_WORK.saturating_add(len.saturating_mul(TIMES));
        if windows > MOST_WINDOWS {
            checked.left_out = Some("refcounts, of more clusters than are counted");
        }
        for window in 0..windows.clamp(1, MOST_WINDOWS) {
            let first = window * WINDOW;
            let last = first.saturating_add(WINDOW).min(len.div_ceil(cluster));
            let mut counts = Counts::new(first..last);
            let mut walk = walk::Walk {
                image: self,
                len,
                is_first: window == 0,
                work: &mut work,
                counts: &mut counts,
                checked: &mut checked,
            };
            let is_whole = walk.all()?;
            if !is_whole {
                checked.left_out = Some("tables that are referred to again and again");
                return Ok(checked);
            }
            // Clusters behind those that were looked at are none that anybody counts.
            if windows <= MOST_WINDOWS {
                counts.judge(cluster, self.has_other_users(), &mut checked);
            }
        }
        Ok(checked)
    }

    /// Counts the clusters of the disk alone; `None` where its tables refer to each other over and over.
    ///
    /// # Errors
    ///
    /// What the storage says.
    pub fn clusters(&self) -> io::Result<Option<Clusters>> {
        let len = self.storage().len()?;
        let mut checked = Checked::default();
        let mut walk = walk::Walk {
            image: self,
            len,
            is_first: true,
            work: &mut LEAST_WORK.saturating_add(len.saturating_mul(TIMES)),
            counts: &mut Counts::new(0..0),
            checked: &mut checked,
        };
        let is_whole = walk.disk()?;
        Ok(is_whole.then_some(checked.clusters))
    }

    /// Whether something has clusters that is not looked at here.
    fn has_other_users(&self) -> bool {
        self.header().has_bitmaps
    }
}

impl Checked {
    fn add(&mut self, problem: Problem) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }
}

/// Whether an entry says that what it leads to has one user.
fn is_copied(entry: u64) -> bool {
    entry & table::COPIED != 0
}
