//! Disks that do not do as they are told: what the proofs would not notice of that they would not notice of a program either.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use volume::{HeaderLock, LockMode, Storage};

use super::cases::World;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meddling {
    /// All is done.
    None,
    /// The sync of this number, from 0, is not done, and nobody is told.
    ForgetSync(usize),
    /// The write or other change of this number, if it is a write, is done after the next one. A header's bytes behind its
    /// first sector are none: nobody looks at them before that is written.
    SwapWrites(usize),
    /// The change or sync of this number and all that follow fail: nobody is there any more to make them.
    KillAt(usize),
    /// The change or sync of this number fails, once, with this error of the system.
    FailAt(usize, i32),
}

/// What was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asked {
    Write(usize, Range<u64>),
    Sync(usize),
    SetLen(usize),
}

struct Shared {
    meddling: Meddling,
    /// Told when it was done, and when a sync has made it good.
    tell: Box<dyn Fn(bool) + Send>,
    /// The disk of which something is not durable that should be.
    open: Option<usize>,
    asked: Vec<Asked>,
    /// The write that waits for the next one.
    held: Option<Held>,
    /// Whether a sync that should have covered it did not.
    was_missed: bool,
}

struct Held {
    disk: usize,
    offset: u64,
    data: Vec<u8>,
}

struct Meddled {
    disks: Vec<Arc<dyn Storage>>,
    disk: usize,
    shared: Arc<Mutex<Shared>>,
}

/// What to ask afterwards.
pub struct Log(Arc<Mutex<Shared>>);

impl Log {
    pub fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap().asked.clone()
    }

    /// Whether the order that was changed was one that syncs kept.
    pub fn was_missed(&self) -> bool {
        self.0.lock().unwrap().was_missed
    }
}

/// The same world with disks between that meddle; the data's is number 0.
///
/// `tell` is called when it was meddled, and again when a sync of the same disk has made good what can be.
pub fn meddled(
    world: &World,
    meddling: Meddling,
    tell: impl Fn(bool) + Send + 'static,
) -> (World, Log) {
    let shared = Arc::new(Mutex::new(Shared {
        meddling,
        tell: Box::new(tell),
        open: None,
        asked: Vec::new(),
        held: None,
        was_missed: false,
    }));
    let is_one = Arc::ptr_eq(&world.data, &world.header);
    let disks = if is_one {
        vec![world.data.clone()]
    } else {
        vec![world.data.clone(), world.header.clone()]
    };
    let of = |disk| -> Arc<dyn Storage> {
        Arc::new(Meddled {
            disks: disks.clone(),
            disk,
            shared: shared.clone(),
        })
    };
    let data = of(0);
    let header = if is_one { data.clone() } else { of(1) };
    (World { header, data }, Log(shared))
}

/// Of a copy of the header all that is written before its first sector.
pub fn is_behind_first_sector(offset: u64) -> bool {
    [512, 0x4200].contains(&offset)
}

impl Meddled {
    fn disk(&self) -> &Arc<dyn Storage> {
        &self.disks[self.disk]
    }

    /// Logs it, and ends all where it was to end.
    fn ask(&self, asked: Asked) -> io::Result<usize> {
        let mut shared = self.shared.lock().unwrap();
        match shared.meddling {
            Meddling::KillAt(number) if shared.asked.len() >= number => {
                return Err(io::Error::other("killed"));
            }
            Meddling::FailAt(number, os_error) if shared.asked.len() == number => {
                shared.asked.push(asked);
                return Err(io::Error::from_raw_os_error(os_error));
            }
            _ => {}
        }
        let is_sync = |asked: &Asked| matches!(asked, Asked::Sync(_));
        let is_it = is_sync(&asked);
        let number = shared.asked.iter().filter(|it| is_sync(it) == is_it);
        let number = number.count();
        shared.asked.push(asked);
        Ok(number)
    }

    fn let_go(&self) -> io::Result<()> {
        let held = self.shared.lock().unwrap().held.take();
        match held {
            Some(held) => self.disks[held.disk].write_at(held.offset, &held.data),
            None => Ok(()),
        }
    }
}

impl Storage for Meddled {
    fn len(&self) -> io::Result<u64> {
        let len = self.disk().len()?;
        Ok(match &self.shared.lock().unwrap().held {
            Some(held) if held.disk == self.disk => len.max(held.offset + held.data.len() as u64),
            _ => len,
        })
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let shared = self.shared.lock().unwrap();
        let held = shared.held.as_ref().filter(|held| held.disk == self.disk);
        let Some(held) = held else {
            return self.disk().read_at(offset, buf);
        };
        let there_is = self.disk().len()?.saturating_sub(offset);
        let below = buf.len().min(usize::try_from(there_is).unwrap());
        self.disk().read_at(offset, &mut buf[..below])?;
        let end = offset + buf.len() as u64;
        let (start, stop) = (
            held.offset.max(offset),
            (held.offset + held.data.len() as u64).min(end),
        );
        if start < stop {
            let at = |position: u64, from: u64| usize::try_from(position - from).unwrap();
            buf[at(start, offset)..at(stop, offset)]
                .copy_from_slice(&held.data[at(start, held.offset)..at(stop, held.offset)]);
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = offset..offset + data.len() as u64;
        let number = self.ask(Asked::Write(self.disk, range))?;
        let mut shared = self.shared.lock().unwrap();
        if shared.meddling == Meddling::SwapWrites(number) {
            shared.held = Some(Held {
                disk: self.disk,
                offset,
                data: data.to_vec(),
            });
            shared.open = Some(self.disk);
            (shared.tell)(true);
            return Ok(());
        }
        drop(shared);
        self.disk().write_at(offset, data)?;
        if is_behind_first_sector(offset) {
            return Ok(());
        }
        self.let_go()
    }

    fn sync(&self) -> io::Result<()> {
        let number = self.ask(Asked::Sync(self.disk))?;
        let mut shared = self.shared.lock().unwrap();
        if shared.meddling == Meddling::ForgetSync(number) {
            shared.open = Some(self.disk);
            shared.was_missed = true;
            (shared.tell)(true);
            return Ok(());
        }
        let is_held = shared.held.as_ref().map(|held| held.disk) == Some(self.disk);
        shared.was_missed |= is_held;
        if !is_held && shared.open == Some(self.disk) {
            shared.open = None;
            (shared.tell)(false);
        }
        drop(shared);
        self.disk().sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.ask(Asked::SetLen(self.disk))?;
        self.let_go()?;
        self.disk().set_len(len)
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let _ = self.let_go();
        self.disk().data_extent(offset)
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        self.ask(Asked::SetLen(self.disk))?;
        self.let_go()?;
        self.disk().punch_hole(offset, len)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.disk().lock(mode)
    }
}
