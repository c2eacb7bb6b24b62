//! The disks of one machine: in which order they were changed, and what of it was synced.

use std::io;
use std::ops::Range;

use super::super::memory::Pages;
use super::crash::{CrashedDisks, DisksCrashStates};
use super::step::{Change, Step};
use super::{Fault, Operation};

#[derive(Default)]
pub(super) struct Clock {
    pub(super) disks: Vec<Disk>,
    /// Since the recording began, of all disks.
    steps: Vec<Step>,
    /// What is left of them that no sync reached.
    pending: Vec<Step>,
    operations: Vec<(usize, Operation)>,
    pub(super) judge: Option<Judge>,
    /// What the judge said of the first write that it did not let through.
    pub(super) guilty: Option<String>,
}

pub(super) struct Disk {
    /// What reads see.
    pub(super) current: Pages,
    /// What was there when the recording began.
    base: Pages,
    /// What has been synced.
    durable: Pages,
    pub(super) faults: Vec<Fault>,
    /// Places that cannot be read, and the number of the error.
    pub(super) bad: Vec<(Range<u64>, i32)>,
    /// Where whole blocks are written, and of how many bytes.
    pub(super) blocks: Vec<(Range<u64>, u64)>,
}

/// Who is asked before a change is made.
pub(super) struct Judge {
    pub(super) seed: u64,
    /// How many states it looks at for each change, at most.
    pub(super) most: usize,
    pub(super) verdict: Box<Verdict>,
}

pub(super) type Verdict = dyn Fn(&CrashedDisks) -> Result<(), String> + Send + Sync;

impl Clock {
    /// The number of the new disk.
    pub(super) fn add(&mut self, pages: Pages) -> usize {
        self.disks.push(Disk {
            base: pages.clone(),
            durable: pages.clone(),
            current: pages,
            faults: Vec::new(),
            bad: Vec::new(),
            blocks: Vec::new(),
        });
        self.disks.len() - 1
    }

    pub(super) fn restart(&mut self) {
        for disk in &mut self.disks {
            disk.base = disk.current.clone();
            disk.durable = disk.current.clone();
            disk.faults.clear();
        }
        self.steps.clear();
        self.pending.clear();
        self.operations.clear();
        self.guilty = None;
    }

    /// Logs an operation, and fails where that was planned.
    pub(super) fn begin(&mut self, disk: usize, operation: Operation) -> io::Result<()> {
        let mut failed = None;
        self.disks[disk].faults.retain_mut(|fault| {
            if !fault.on.covers(&operation) {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            failed.get_or_insert(fault.os_error);
            fault.forever
        });
        self.log(disk, operation);
        failed.map_or(Ok(()), |os_error| {
            Err(io::Error::from_raw_os_error(os_error))
        })
    }

    pub(super) fn log(&mut self, disk: usize, operation: Operation) {
        self.operations.push((disk, operation));
    }

    pub(super) fn operations(&self) -> &[(usize, Operation)] {
        &self.operations
    }

    pub(super) fn operations_of(&self, disk: usize) -> impl Iterator<Item = &Operation> {
        let of_it = self.operations.iter().filter(move |(of, _)| *of == disk);
        of_it.map(|(_, operation)| operation)
    }

    /// Makes the change that was logged last, if whatever of it reaches the disk does no harm.
    pub(super) fn change(&mut self, disk: usize, change: Change) -> io::Result<()> {
        let step = Step {
            disk,
            change: Some(change),
        };
        self.pending.push(step.clone());
        if let Err(problem) = self.judge() {
            self.pending.pop();
            return Err(io::Error::other(problem));
        }
        if let Some(change) = &step.change {
            change.apply(&mut self.disks[disk].current);
        }
        self.steps.push(step);
        Ok(())
    }

    pub(super) fn sync(&mut self, disk: usize) -> io::Result<()> {
        if let Some(problem) = &self.guilty {
            return Err(io::Error::other(problem.clone()));
        }
        self.steps.push(Step { disk, change: None });
        let durable = &mut self.disks[disk].durable;
        self.pending.retain(|step| {
            let reached = step.disk == disk;
            if let (true, Some(change)) = (reached, &step.change) {
                change.apply(durable);
            }
            !reached
        });
        Ok(())
    }

    pub(super) fn states(&self, only_now: bool, seed: u64) -> DisksCrashStates {
        let (bases, steps): (Vec<_>, _) = if only_now {
            let durable = self.disks.iter().map(|disk| disk.durable.clone());
            (durable.collect(), &self.pending)
        } else {
            let base = self.disks.iter().map(|disk| disk.base.clone());
            (base.collect(), &self.steps)
        };
        DisksCrashStates::new(bases, steps.clone(), self.blocks(), seed)
    }

    /// As if the others were not there.
    pub(super) fn states_of(&self, disk: usize, only_now: bool, seed: u64) -> DisksCrashStates {
        let its = &self.disks[disk];
        let (base, steps) = if only_now {
            (&its.durable, &self.pending)
        } else {
            (&its.base, &self.steps)
        };
        let of_it = steps.iter().filter(|step| step.disk == disk);
        let steps = of_it.map(|step| Step {
            disk: 0,
            change: step.change.clone(),
        });
        let blocks = vec![its.blocks.clone()];
        DisksCrashStates::new(vec![base.clone()], steps.collect(), blocks, seed)
    }

    fn blocks(&self) -> Vec<Vec<(Range<u64>, u64)>> {
        self.disks.iter().map(|disk| disk.blocks.clone()).collect()
    }

    /// What the judge says of the states that the last of the pending changes makes possible.
    fn judge(&mut self) -> Result<(), String> {
        if let Some(problem) = &self.guilty {
            return Err(problem.clone());
        }
        let Some(judge) = &self.judge else {
            return Ok(());
        };
        let number = self.operations.len() - 1;
        let states = self
            .states(true, judge.seed.wrapping_add(number as u64))
            .with_the_last_change(judge.most);
        for state in states {
            if let Err(problem) = (judge.verdict)(&state) {
                let (disk, operation) = &self.operations[number];
                let problem =
                    format!("operation {number}, {operation:?} of disk {disk}: {state}: {problem}");
                self.guilty = Some(problem.clone());
                return Err(problem);
            }
        }
        Ok(())
    }
}

impl Disk {
    pub(super) fn read(&self, range: Range<u64>, buf: &mut [u8]) -> io::Result<()> {
        let hits = |(bad, _): &&(Range<u64>, i32)| bad.start < range.end && range.start < bad.end;
        match self.bad.iter().find(hits) {
            Some((_, os_error)) => Err(io::Error::from_raw_os_error(*os_error)),
            None => self.current.read(range.start, buf),
        }
    }

    /// A sector that is written can be read again.
    pub(super) fn mend(&mut self, written: &Range<u64>) {
        let bad = std::mem::take(&mut self.bad);
        for (range, os_error) in bad {
            let before = range.start..range.end.min(written.start);
            let behind = range.start.max(written.end)..range.end;
            self.bad.extend(
                [before, behind]
                    .into_iter()
                    .filter(|rest| !rest.is_empty())
                    .map(|rest| (rest, os_error)),
            );
        }
    }
}
