//! Where two plaintexts differ first: several threads, each with two buffers, at any position.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use volume::{AlignedBuffer, Unread, read_around};

use super::{Opened, Plaintext};
use crate::error::Error;
use crate::losses::Losses;
use crate::transfer::Work;
use crate::watch::Watch;

/// How much a thread reads of each image at a time.
const CHUNK_BYTES: usize = 512 * 1024;

/// The first byte that is not the same in both, up to the end of the shorter one. What is a hole in both is not read.
pub(super) fn first_difference(
    a: &Opened,
    b: &Opened,
    work: Work,
    losses: &Losses,
    watch: &dyn Watch,
) -> Result<Option<u64>, Error> {
    let bytes = a.plaintext.len().min(b.plaintext.len());
    watch.begin(&a.name, Some(bytes));
    let job = Job {
        a,
        b,
        bytes,
        losses,
        plan: Mutex::new(Plan::default()),
        first: AtomicU64::new(u64::MAX),
        done: AtomicU64::new(0),
        error: Mutex::new(None),
        watch,
    };
    thread::scope(|scope| {
        for _ in 1..work.threads() {
            // Without another thread it only takes longer.
            let _ = thread::Builder::new()
                .name("compare".into())
                .spawn_scoped(scope, || job.work());
        }
        job.work();
    });
    let error = job.error.into_inner();
    if let Some(error) = error.unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    // A hole that was not read may have been cut off meanwhile.
    for image in [a, b] {
        if let Plaintext::Raw(storage, bytes) = &image.plaintext {
            let now = storage.len().map_err(|error| failed(image, 0, error))?;
            if now < *bytes {
                let shrank = io::Error::new(io::ErrorKind::UnexpectedEof, "it shrank meanwhile");
                return Err(failed(image, now, shrank));
            }
        }
    }
    watch.finish(job.done.into_inner());
    let first = job.first.into_inner();
    Ok((first != u64::MAX).then_some(first))
}

struct Job<'a> {
    a: &'a Opened,
    b: &'a Opened,
    bytes: u64,
    losses: &'a Losses,
    plan: Mutex<Plan>,
    /// The first difference so far; nothing behind it is looked at any more.
    first: AtomicU64,
    done: AtomicU64,
    error: Mutex<Option<Error>>,
    watch: &'a dyn Watch,
}

/// What is read next.
#[derive(Default)]
struct Plan {
    position: u64,
    /// The last runs of data found in both images.
    extents: [Range<u64>; 2],
    /// An error ended the work.
    is_stopped: bool,
}

impl Job<'_> {
    fn work(&self) {
        let [mut a, mut b] = [(); 2].map(|()| AlignedBuffer::new(CHUNK_BYTES));
        loop {
            let outcome = match self.claim() {
                _ if self.watch.is_cancelled() => Err(Error::Cancelled),
                Ok(None) => return,
                Ok(Some(range)) => self.compare(range, a.bytes(), b.bytes()),
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                self.plan().is_stopped = true;
                let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(error);
                return;
            }
        }
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next bytes that may differ.
    fn claim(&self) -> Result<Option<Range<u64>>, Error> {
        let mut plan = self.plan();
        let start = plan.position;
        let mut next = self.bytes;
        for (index, image) in [self.a, self.b].into_iter().enumerate() {
            next = next.min(data_from(image, &mut plan.extents[index], start)?);
        }
        if plan.is_stopped || next >= self.bytes.min(self.first.load(Ordering::Acquire)) {
            plan.position = self.bytes;
            self.count(self.bytes - start);
            return Ok(None);
        }
        let end = next.saturating_add(CHUNK_BYTES as u64).min(self.bytes);
        plan.position = end;
        drop(plan);
        self.count(next - start);
        Ok(Some(next..end))
    }

    fn compare(&self, range: Range<u64>, a: &mut [u8], b: &mut [u8]) -> Result<(), Error> {
        let len = usize::try_from(range.end - range.start).unwrap_or(CHUNK_BYTES);
        let (a, b) = (&mut a[..len], &mut b[..len]);
        let lost_of_a = self.read(self.a, range.start, a)?;
        let lost_of_b = self.read(self.b, range.start, b)?;
        for Unread { range: lost, .. } in lost_of_a.into_iter().chain(lost_of_b) {
            let within = |position: u64| usize::try_from(position - range.start).unwrap_or(len);
            let place = within(lost.start)..within(lost.end);
            a[place.clone()].fill(0);
            b[place].fill(0);
            self.losses.add(lost);
        }
        if a != b {
            let equal = a.iter().zip(&*b).take_while(|(a, b)| a == b).count();
            self.first
                .fetch_min(range.start + equal as u64, Ordering::AcqRel);
        }
        self.count(range.end - range.start);
        Ok(())
    }

    /// Reads, and says what could not be where that is no end.
    fn read(&self, image: &Opened, offset: u64, buffer: &mut [u8]) -> Result<Vec<Unread>, Error> {
        match (&image.plaintext, self.losses.may_lose()) {
            (Plaintext::Raw(storage, _), true) => read_around(&**storage, offset, buffer),
            (Plaintext::Raw(storage, _), false) => {
                storage.read_at(offset, buffer).map(|()| Vec::new())
            }
            (Plaintext::Volume(volume), true) => volume.read_around(offset, buffer),
            (Plaintext::Volume(volume), false) => {
                volume.read_at(offset, buffer).map(|()| Vec::new())
            }
        }
        .map_err(|error| failed(image, offset, error))
    }

    fn count(&self, bytes: u64) {
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        self.watch.advance(before + bytes);
    }
}

/// Where data starts at or after `position`; `known` is the last run of it that was found.
fn data_from(image: &Opened, known: &mut Range<u64>, position: u64) -> Result<u64, Error> {
    let Plaintext::Raw(storage, bytes) = &image.plaintext else {
        return Ok(position);
    };
    if position >= known.end {
        let found = storage
            .data_extent(position)
            .map_err(|error| failed(image, position, error))?;
        *known = found.unwrap_or(*bytes..u64::MAX);
    }
    Ok(known.start.max(position))
}

fn failed(image: &Opened, offset: u64, source: io::Error) -> Error {
    Error::Compare {
        name: image.name.clone(),
        offset,
        source,
    }
}
