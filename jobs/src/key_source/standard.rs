//! Standard input without a buffer: what is not read of it is left for whoever reads next.

use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Standard input: what is not read stays in the pipe.
pub struct StandardInput;

impl Read for StandardInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(io::stdin().as_fd(), &mut *buffer) {
                Err(Errno::INTR) => {}
                outcome => return outcome.map_err(Into::into),
            }
        }
    }
}

/// Standard input as far as it need not be waited for.
pub(super) struct WhatIsThere;

impl Read for WhatIsThere {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = io::stdin();
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut polled, Some(&Timespec::default()))? {
            0 => Ok(0),
            _ => StandardInput.read(buffer),
        }
    }
}
