//! An interrupted command ends at once and leaves nothing.
//!
//! SIGINT, SIGTERM and SIGHUP arrive on a thread of their own, so that neither a key derivation nor a blocked
//! read delays them. The thread removes what is registered here, puts the terminal back as it was, and lets the
//! signal do what it does by default: the caller's shell sees a death by that signal (128 + its number).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use rustix::termios::{self, OptionalActions, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// What has to be undone when the process ends early.
struct Leavings {
    files: BTreeSet<PathBuf>,
    terminal: Option<(File, Termios)>,
}

static LEAVINGS: Mutex<Leavings> = Mutex::new(Leavings {
    files: BTreeSet::new(),
    terminal: None,
});
static INSTALL: Once = Once::new();

/// Takes the signals from now on. Signals that the caller had ignored (`nohup`) stay ignored.
pub fn install() -> io::Result<()> {
    let mut outcome = Ok(());
    INSTALL.call_once(|| outcome = start());
    outcome
}

fn start() -> io::Result<()> {
    let ignored = ignored_signals();
    let wanted = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(wanted)?;
    // A write beyond the limit on file sizes is to fail like any other, not to kill the process.
    flag::register(SIGXFSZ, Arc::default())?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let leavings = leavings();
                for file in &leavings.files {
                    let _ = fs::remove_file(file);
                }
                if let Some((terminal, settings)) = &leavings.terminal {
                    let _ = termios::tcsetattr(terminal, OptionalActions::Now, settings);
                }
                // The lock is still held: no new file can appear before the end.
                let _ = emulate_default_handler(signal);
            }
        })?;
    Ok(())
}

/// The signals that this process was started with ignored, as a mask; bit 0 is signal 1.
fn ignored_signals() -> u64 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let mask = status
                .lines()
                .find_map(|line| line.strip_prefix("SigIgn:"))?
                .trim()
                .to_owned();
            u64::from_str_radix(&mask, 16).ok()
        })
        .unwrap_or(0)
}

/// A file that must not outlive this value, nor the process if a signal ends it.
///
/// It is made under the same lock under which the signal thread removes it, and taken off the list together with
/// what makes it permanent: there is no moment at which a signal leaves a file behind.
pub struct TemporaryFile {
    path: PathBuf,
    kept: bool,
}

impl TemporaryFile {
    /// Makes a file with `create` and remembers its path.
    pub fn create<T>(
        path: &Path,
        create: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<(T, Self)> {
        let mut leavings = leavings();
        let made = create(path)?;
        leavings.files.insert(path.to_owned());
        Ok((
            made,
            Self {
                path: path.to_owned(),
                kept: false,
            },
        ))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets `keep` make the file permanent (a rename); if it fails the file is removed.
    pub fn keep(mut self, keep: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let mut leavings = leavings();
        keep(&self.path)?;
        leavings.files.remove(&self.path);
        self.kept = true;
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.kept {
            let mut leavings = leavings();
            let _ = fs::remove_file(&self.path);
            leavings.files.remove(&self.path);
        }
    }
}

/// The settings of a terminal, restored when this value is dropped or a signal ends the process.
pub struct TerminalSettings(());

impl TerminalSettings {
    /// Turns the echo of `terminal` off, and throws away what was typed before it was.
    pub fn without_echo(terminal: &File) -> io::Result<Self> {
        let before = termios::tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(termios::LocalModes::ECHO);
        // The line feed that ends the line is all that is seen of it.
        silent.local_modes.insert(termios::LocalModes::ECHONL);
        let mut leavings = leavings();
        leavings.terminal = Some((terminal.try_clone()?, before));
        termios::tcsetattr(terminal, OptionalActions::Flush, &silent)
            .inspect_err(|_| leavings.terminal = None)?;
        Ok(Self(()))
    }
}

impl Drop for TerminalSettings {
    fn drop(&mut self) {
        if let Some((terminal, settings)) = leavings().terminal.take() {
            let _ = termios::tcsetattr(terminal, OptionalActions::Now, &settings);
        }
    }
}

fn leavings() -> MutexGuard<'static, Leavings> {
    LEAVINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_goes_unless_it_is_kept() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("made");
        let (_, file) = TemporaryFile::create(&path, |path| File::create_new(path))?;
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());

        let (_, file) = TemporaryFile::create(&path, |path| File::create_new(path))?;
        let kept = directory.path().join("kept");
        file.keep(|path| fs::rename(path, &kept))?;
        assert!(kept.exists() && !path.exists());
        Ok(())
    }

    #[test]
    fn a_file_that_cannot_be_kept_goes() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("made");
        let (_, file) = TemporaryFile::create(&path, |path| File::create_new(path))?;
        assert!(
            file.keep(|_| Err(io::ErrorKind::AlreadyExists.into()))
                .is_err()
        );
        assert!(!path.exists());
        Ok(())
    }
}
