//! How whoever serves is asked to end.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

/// Ends a server, from any thread.
#[derive(Debug)]
pub struct Stop {
    is_asked: AtomicBool,
    heard: UnixStream,
    bell: UnixStream,
}

impl Stop {
    /// Nobody has asked for the end yet.
    ///
    /// # Errors
    ///
    /// Where the system has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (heard, bell) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        Ok(Self {
            is_asked: AtomicBool::new(false),
            heard,
            bell,
        })
    }

    /// No new connections and requests from now on; what is at work is answered.
    pub fn ask(&self) {
        self.is_asked.store(true, Ordering::SeqCst);
        // One that is full is heard.
        let _ = { &self.bell }.write(&[0]);
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::SeqCst)
    }

    /// Waits until it is asked for, for so long at most. Whether it was.
    pub fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.is_asked() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let mut heard = [PollFd::new(&self.heard, PollFlags::IN)];
            let left = left.try_into().ok();
            let _ = poll(&mut heard, left.as_ref());
        }
        true
    }

    /// What can be read once it was asked for.
    #[cfg(feature = "nbd")]
    pub(crate) fn to_poll(&self) -> PollFd<'_> {
        PollFd::new(&self.heard, PollFlags::IN)
    }
}
