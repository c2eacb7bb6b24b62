//! A line typed on the terminal, unseen.
//!
//! The terminal stays in its line mode and keeps its signals: what is typed is taken byte for byte, as cryptsetup
//! takes it, tabs and bytes that are no UTF-8 included.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dmcrypt::LockedBytes;
use jobs::secret_buffer::SecretBuffer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{QueueSelector, tcflush};

use super::PassphraseError;
use crate::signals::TerminalSettings;

/// The longest passphrase that can be typed, in bytes; cryptsetup's limit.
const MAX_BYTES: u64 = 512;

/// Whether somebody was asked for something on the terminal.
static WAS_ASKED: AtomicBool = AtomicBool::new(false);

/// Throws away what waits to be read on the terminal, if somebody was asked there.
pub(super) fn forget_what_was_typed() {
    if WAS_ASKED.load(Ordering::Relaxed)
        && let Ok(terminal) = open()
    {
        let _ = tcflush(&terminal, QueueSelector::IFlush);
    }
}

/// Shows `prompt` and reads one line without echo; where there is a `timeout`, it must be there by then.
pub(super) fn ask(prompt: &str, timeout: Option<Duration>) -> Result<LockedBytes, PassphraseError> {
    let mut terminal = open().map_err(PassphraseError::NoTerminal)?;
    WAS_ASKED.store(true, Ordering::Relaxed);
    let settings =
        TerminalSettings::without_echo(&terminal).map_err(PassphraseError::NoTerminal)?;
    terminal
        .write_all(prompt.as_bytes())
        .map_err(PassphraseError::NoTerminal)?;
    if let Some(timeout) = timeout {
        wait(&terminal, timeout)?;
    }
    let line = read_line(&mut terminal)?;
    drop(settings);
    Ok(line)
}

/// Waits for a line: in its line mode the terminal has nothing to read before.
fn wait(terminal: &File, timeout: Duration) -> Result<(), PassphraseError> {
    let timeout = Timespec::try_from(timeout).unwrap_or(Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    });
    let mut polled = [PollFd::new(terminal, PollFlags::IN)];
    match poll(&mut polled, Some(&timeout)) {
        Ok(0) => Err(PassphraseError::TimedOut),
        Ok(_) => Ok(()),
        Err(error) => Err(PassphraseError::NoTerminal(error.into())),
    }
}

/// The terminal that controls the process, or the one that standard input is.
fn open() -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .or_else(|error| {
            let stdin = io::stdin();
            if stdin.is_terminal() {
                Ok(File::from(stdin.as_fd().try_clone_to_owned()?))
            } else {
                Err(error)
            }
        })
}

fn read_line(input: &mut impl Read) -> Result<LockedBytes, PassphraseError> {
    let line = SecretBuffer::read_line(input, MAX_BYTES + 1)
        .map_err(PassphraseError::NoTerminal)?
        .ok_or(PassphraseError::Aborted)?;
    if line.len() as u64 > MAX_BYTES {
        return Err(PassphraseError::LineTooLong);
    }
    let counted = line.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(LockedBytes::copy_of(counted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Result<Vec<u8>, String> {
        read_line(&mut &*bytes)
            .map(|line| line.to_vec())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_ends_at_its_newline_and_counts_to_a_nul() {
        assert_eq!(typed(b"abc\nrest"), Ok(b"abc".to_vec()));
        assert_eq!(typed(b"a\tb\xff\n"), Ok(b"a\tb\xff".to_vec()));
        assert_eq!(typed(b"ab\0cd\n"), Ok(b"ab".to_vec()));
        assert_eq!(typed(b"\n"), Ok(Vec::new()));
        assert_eq!(typed(b"abc"), Ok(b"abc".to_vec()));
        assert_eq!(typed(b""), Err("no passphrase was typed".to_owned()));
    }

    #[test]
    fn a_line_has_at_most_512_bytes() {
        let mut longest = vec![b'x'; 512];
        assert_eq!(typed(&longest).map(|line| line.len()), Ok(512));
        longest.push(b'x');
        assert_eq!(
            typed(&longest),
            Err("the passphrase is longer than 512 bytes".to_owned())
        );
    }
}
