//! What is served: a storage, and what may be done with it.

use std::io;
#[cfg(feature = "nbd")]
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use volume::Storage;

/// What may be done with a storage that is served.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ExportOptions {
    /// Nothing is written.
    pub read_only: bool,
    /// What a client does not need any more goes from the storage, which shows which parts of it are in use.
    pub discard: bool,
}

/// A storage that is served. It is as long as it was when it was made, until another one [takes its place](Self::replace).
pub struct Export {
    served: RwLock<Served>,
    options: ExportOptions,
    /// A sync has failed: what was written before it may be lost, whatever a later one says.
    is_lost: AtomicBool,
}

struct Served {
    storage: Arc<dyn Storage>,
    len: u64,
}

impl Served {
    fn new(storage: Arc<dyn Storage>) -> io::Result<Self> {
        Ok(Self {
            len: storage.len()?,
            storage,
        })
    }
}

impl Export {
    /// Serves `storage`.
    ///
    /// # Errors
    ///
    /// What the storage says when it is asked for its length.
    pub fn new(storage: Arc<dyn Storage>, options: ExportOptions) -> io::Result<Self> {
        Ok(Self {
            served: RwLock::new(Served::new(storage)?),
            options,
            is_lost: AtomicBool::new(false),
        })
    }

    /// Serves another view of the same bytes, which may be longer or shorter. What is at work on the one before is waited for.
    ///
    /// # Errors
    ///
    /// What the storage says when it is asked for its length.
    pub fn replace(&self, storage: Arc<dyn Storage>) -> io::Result<()> {
        let next = Served::new(storage)?;
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    fn served(&self) -> RwLockReadGuard<'_, Served> {
        self.served.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its length in bytes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "an empty one is served like any other"
    )]
    pub fn len(&self) -> u64 {
        self.served().len
    }

    /// Whether nothing is written.
    pub fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    /// Makes durable what was written, for the last time.
    ///
    /// # Errors
    ///
    /// Those of the storage; after one of them no later sync is believed.
    pub fn sync(&self) -> io::Result<()> {
        if self.options.read_only {
            return Ok(());
        }
        if self.is_lost.load(Ordering::SeqCst) {
            return Err(lost());
        }
        self.served()
            .storage
            .sync()
            .inspect_err(|_| self.is_lost.store(true, Ordering::SeqCst))?;
        // One that has failed meanwhile may have taken with it what this one was to answer for.
        if self.is_lost.load(Ordering::SeqCst) {
            return Err(lost());
        }
        Ok(())
    }

    /// The default export has an empty name, and there is no other.
    #[cfg(feature = "nbd")]
    #[expect(
        clippy::unused_self,
        reason = "that there is one name is nobody else's affair"
    )]
    pub(crate) fn name(&self) -> &'static str {
        ""
    }

    pub(crate) fn discards(&self) -> bool {
        self.options.discard && !self.options.read_only
    }

    /// The bytes that are best read and written as one.
    #[cfg(feature = "nbd")]
    pub(crate) fn preferred_bytes(&self) -> u32 {
        let own = self
            .served()
            .storage
            .block_size()
            .clamp(PAGE_BYTES, MAX_BLOCK_BYTES);
        u32::try_from(own).expect("it was clamped")
    }

    pub(crate) fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.served().storage.read_at(offset, buf)
    }

    /// Uses the data up.
    pub(crate) fn write(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.served().storage.write_in_place(offset, data)
    }

    /// Zeros; a hole may be made of them, if that `may_be_hole`.
    pub(crate) fn zero(&self, offset: u64, len: u64, may_be_hole: bool) -> io::Result<()> {
        if may_be_hole && self.options.discard {
            self.served().storage.punch_hole(offset, len)
        } else {
            self.served().storage.write_zeroes(offset, len)
        }
    }

    #[cfg(feature = "nbd")]
    pub(crate) fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.served().storage.discard(offset, len)
    }

    /// The first run at or after `offset` that is data, and not zeros.
    #[cfg(feature = "nbd")]
    pub(crate) fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.served().storage.data_extent(offset)
    }
}

#[cfg(feature = "nbd")]
const PAGE_BYTES: u64 = 4096;
#[cfg(feature = "nbd")]
const MAX_BLOCK_BYTES: u64 = 1 << 20;

fn lost() -> io::Error {
    io::Error::other("an earlier sync has failed: what was written before it may be lost")
}
