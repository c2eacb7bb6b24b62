//! An interrupted command ends at once and leaves nothing.
//!
//! Every signal that can be caught and would end the process arrives on a thread of its own, so that neither a key
//! derivation nor a blocked read delays it. The thread puts the terminal back as it was, removes what is registered here, secrets overwritten
//! before, and lets the signal do what it does by default: the caller's shell sees a death by that signal (128 + its
//! number). Overwriting takes as long as writing did; a second signal ends it. Memory that ends, on which the runtime aborts,
//! is cleaned up after likewise, and ends the process with its exit code.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{
    Arc, Barrier, Mutex, MutexGuard, Once, OnceLock, PoisonError, RwLock, RwLockReadGuard,
    TryLockError,
};
use std::thread;
use std::time::{Duration, Instant};

use rustix::termios::{self, OptionalActions, Termios};
use signal_hook::consts::{SIGABRT, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::low_level::emulate_default_handler;
use volume::{FileStorage, Storage as _};

use crate::exit::Exit;
use crate::folder::Folder;
use crate::output;

/// What has to be undone when the process ends early.
struct Leavings {
    files: Vec<(u64, Arc<Leaving>)>,
    next: u64,
    terminal: Option<(File, Termios)>,
}

impl Leavings {
    fn forget(&mut self, number: u64) {
        self.files.retain(|(its, _)| *its != number);
    }
}

static LEAVINGS: Mutex<Leavings> = Mutex::new(Leavings {
    files: Vec::new(),
    next: 0,
    terminal: None,
});
static INSTALL: Once = Once::new();
/// Held for reading by who writes secrets to a file, for writing by who overwrites them.
static WRITERS: RwLock<()> = RwLock::new(());

/// A file that is not finished: what was made, not what has its name.
struct Leaving {
    folder: Arc<Folder>,
    name: OsString,
    /// Not there as long as it is not made.
    file: OnceLock<FileStorage>,
    content: Content,
}

impl Leaving {
    /// Overwrites it if it is secret, until it is enough. What cannot be overwritten is removed all the same.
    fn overwrite(&self, is_enough: &mut dyn FnMut() -> bool) {
        if let Some(file) = self.file.get()
            && self.content == Content::Secret
        {
            let _ = overwrite(file, &self.name, is_enough);
        }
    }

    /// Makes it.
    fn make(&self, mode: u32) -> io::Result<File> {
        let made = self.folder.create(&self.name, mode)?;
        let kept = made.try_clone().and_then(FileStorage::from_file);
        let kept = kept.inspect_err(|_| {
            let _ = self.folder.remove_own(&self.name, &made);
        })?;
        self.file.get_or_init(|| kept);
        Ok(made)
    }

    fn remove(&self) {
        if let Some(file) = self.file.get() {
            let _ = self.folder.remove_own(&self.name, file.file());
        }
    }
}

/// What a file holds that is not finished.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// Nothing that its reader could not have anyway, ciphertext for one.
    Public,
    /// A key, or plaintext.
    Secret,
}

/// Keeps a file of secrets from being overwritten while something is written to it. A process that is about to end never
/// gives it back.
pub fn writing() -> RwLockReadGuard<'static, ()> {
    WRITERS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the signals from now on. Signals that the caller had ignored (`nohup`) stay ignored.
pub fn install() -> io::Result<()> {
    let mut outcome = Ok(());
    INSTALL.call_once(|| outcome = start());
    outcome
}

/// Signals that end a process unless it says otherwise. Not those of a fault in the program's own instructions, which
/// would come again where the handler returns (SIGILL, SIGBUS, SIGFPE, SIGSEGV), and not SIGPIPE, which the runtime has
/// turned into errors of the writes.
mod ending {
    use signal_hook::consts::{
        SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGSYS, SIGTERM, SIGTRAP,
        SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU,
    };

    pub(super) const NAMED: [i32; 14] = [
        SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGSYS, SIGTERM, SIGTRAP,
        SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU,
    ];
    /// Of Linux alone, by their numbers on all its usual processors: SIGSTKFLT, SIGPWR, and what the C library leaves of
    /// the real-time signals.
    #[cfg(target_os = "linux")]
    pub(super) const OTHERS: [std::ops::RangeInclusive<i32>; 3] = [16..=16, 30..=30, 34..=64];
    #[cfg(not(target_os = "linux"))]
    pub(super) const OTHERS: [std::ops::RangeInclusive<i32>; 0] = [];
}

fn start() -> io::Result<()> {
    let ignored = ignored_signals();
    let others = ending::OTHERS.into_iter().flatten();
    let wanted = ending::NAMED
        .into_iter()
        .chain(others)
        .filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let (arrival, sender) = UnixStream::pair()?;
    let wake = sender.try_clone()?;
    let is_ready = Arc::new(Barrier::new(2));
    let ready = Arc::clone(&is_ready);
    let mut signals = SignalDelivery::with_pipe(arrival, sender, SignalOnly, wanted)?;
    // A write beyond the limit on file sizes is to fail like any other, not to kill the process.
    flag::register(SIGXFSZ, Arc::default())?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            volume::hold_aborts(wake.into());
            ready.wait();
            let Some(signal) = wait(&mut signals) else {
                end_without_memory();
            };
            let mut has_come = false;
            clean_up(&mut || {
                has_come |= signals.pending().next().is_some();
                has_come
            });
            let _ = emulate_default_handler(signal);
            // One that the handler knows no default of: the shell sees the same number.
            std::process::exit(128 + signal);
        })?;
    // Nothing is begun before somebody can undo it.
    is_ready.wait();
    Ok(())
}

/// From now on memory that ends is an error like others. Before anything else takes signals, whose handler calls the one
/// of this first.
pub fn expect_no_memory() -> io::Result<()> {
    volume::end_aborts(Exit::OutOfMemory.code(), without_memory)
}

/// Ends a process that has aborted itself, which it does where its memory ends. No memory is asked for here: there may be
/// none.
fn end_without_memory() -> ! {
    clean_up(&mut || false);
    let _ = rustix::io::write(io::stderr(), without_memory().as_bytes());
    std::process::exit(Exit::OutOfMemory.code().into())
}

/// What is said then.
fn without_memory() -> &'static str {
    const TEXT: &str = "luksmith: not enough memory\n";
    const JSON: &str = concat!(
        r#"{"schema":"luksmith.error/1","verb":"","exit":3,"kind":"out-of-memory","#,
        r#""message":"not enough memory","advice":null}"#,
        "\n"
    );
    if output::speaks_json() { JSON } else { TEXT }
}

/// Waits for a signal, or for an abort of this process, which is `None`. Not as the library does it, which panics where
/// it cannot be waited for.
fn wait(signals: &mut SignalDelivery<UnixStream, SignalOnly>) -> Option<i32> {
    loop {
        if volume::has_aborted() {
            return None;
        }
        if let Some(signal) = signals.pending().next() {
            return Some(signal);
        }
        match signals.get_read_mut().read(&mut [0]) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It is looked for now and then.
            Ok(0) | Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Undoes what is registered, until it is enough. The locks are kept to the end: no new file can appear, and nobody writes
/// secrets any more.
fn clean_up(is_enough: &mut dyn FnMut() -> bool) {
    let Some(leavings) = patiently(|| LEAVINGS.try_lock()) else {
        let _ = emulate_default_handler(SIGABRT);
        std::process::abort();
    };
    if let Some((terminal, settings)) = &leavings.terminal {
        let _ = termios::tcsetattr(terminal, OptionalActions::Now, settings);
    }
    let writers = if volume::has_aborted() {
        patiently(|| WRITERS.try_write())
    } else {
        Some(WRITERS.write().unwrap_or_else(PoisonError::into_inner))
    };
    for (_, leaving) in &leavings.files {
        leaving.overwrite(is_enough);
        leaving.remove();
    }
    std::mem::forget((leavings, writers));
}

/// Takes a lock; `None` where it is held by a thread that has aborted the process, which gives nothing back.
fn patiently<G>(mut lock: impl FnMut() -> Result<G, TryLockError<G>>) -> Option<G> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut since = None;
    loop {
        match lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(error)) => return Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        if volume::has_aborted() && since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Overwrites all that a file holds with zeros, through to the disk, until it is enough.
fn overwrite(
    storage: &FileStorage,
    name: &OsStr,
    is_enough: &mut dyn FnMut() -> bool,
) -> io::Result<()> {
    /// Not from memory, which may have ended.
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    /// What takes longer than a moment to overwrite is announced.
    const QUIET_BYTES: u64 = 256 << 20;
    if storage.len()? > QUIET_BYTES && !volume::has_aborted() {
        output::warn(format_args!(
            "overwriting what was written to {}; another signal ends it",
            output::path(Path::new(name))
        ));
    }
    let mut offset = 0;
    while let Some(extent) = storage.data_extent(offset)? {
        for start in extent.clone().step_by(ZEROS.len()) {
            if is_enough() {
                return Ok(());
            }
            let left = usize::try_from(extent.end - start).unwrap_or(usize::MAX);
            storage.write_at(start, &ZEROS[..left.min(ZEROS.len())])?;
        }
        offset = extent.end;
    }
    storage.sync()
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
/// what makes it permanent: there is no moment at which a signal leaves a file behind. It is overwritten by its
/// descriptor and removed from the folder that is open, so that nobody who moves things about has another file hit.
pub struct TemporaryFile {
    number: u64,
    leaving: Arc<Leaving>,
    kept: bool,
}

impl TemporaryFile {
    /// Makes a file in `folder` and remembers it.
    pub fn create(
        folder: &Arc<Folder>,
        name: &OsStr,
        mode: u32,
        content: Content,
    ) -> io::Result<(File, Self)> {
        let leaving = Arc::new(Leaving {
            folder: Arc::clone(folder),
            name: name.to_owned(),
            file: OnceLock::new(),
            content,
        });
        let mut leavings = leavings();
        let number = leavings.next;
        leavings.next += 1;
        // First, and so that it fails: with this lock held nothing could be undone where memory ends.
        let reserved = leavings.files.try_reserve(1);
        reserved.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        leavings.files.push((number, Arc::clone(&leaving)));
        let made = leaving.make(mode).inspect_err(|_| {
            leavings.forget(number);
        })?;
        Ok((
            made,
            Self {
                number,
                leaving,
                kept: false,
            },
        ))
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Folder {
        &self.leaving.folder
    }

    /// What it is called there.
    pub fn name(&self) -> &OsStr {
        &self.leaving.name
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        let file = self.leaving.file.get();
        file.expect("it is made before this value is").file()
    }

    /// Lets `keep` make the file permanent (a rename); if it fails the file is removed.
    pub fn keep<E>(self, keep: impl FnOnce(&Self) -> Result<(), E>) -> Result<(), E> {
        Self::keep_all([self], |[file]| keep(file))
    }

    /// The same for more than one, of which a signal leaves all or none.
    pub fn keep_all<const N: usize, E>(
        mut files: [Self; N],
        keep: impl FnOnce(&[Self; N]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut leavings = leavings();
        keep(&files)?;
        for file in &mut files {
            leavings.forget(file.number);
            file.kept = true;
        }
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.kept {
            // Without the lock on what is left: a signal does not wait for this.
            self.leaving.overwrite(&mut || false);
            let mut leavings = leavings();
            self.leaving.remove();
            leavings.forget(self.number);
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

    fn make(path: &Path) -> io::Result<TemporaryFile> {
        let (folder, name) = Folder::of(path)?;
        let made = TemporaryFile::create(&Arc::new(folder), &name, 0o600, Content::Public)?;
        Ok(made.1)
    }

    #[test]
    fn a_temporary_file_goes_unless_it_is_kept() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("made");
        let file = make(&path)?;
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());

        let file = make(&path)?;
        file.keep(|file| file.folder().rename(file.name(), "kept".as_ref()))?;
        assert!(directory.path().join("kept").exists() && !path.exists());
        Ok(())
    }

    #[test]
    fn what_has_its_name_and_place_meanwhile_stays() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("folder"))?;
        let file = make(&at("folder/made"))?;
        fs::rename(at("folder"), at("moved"))?;
        fs::create_dir(at("folder"))?;
        fs::write(at("folder/made"), "theirs")?;
        drop(file);
        assert!(!at("moved/made").exists());
        assert_eq!(fs::read(at("folder/made"))?, b"theirs");

        let file = make(&at("made"))?;
        fs::remove_file(at("made"))?;
        fs::write(at("made"), "theirs")?;
        drop(file);
        assert_eq!(fs::read(at("made"))?, b"theirs");
        Ok(())
    }

    #[test]
    fn secrets_are_overwritten_until_it_is_enough() -> io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let data = vec![7; 3 << 20];
        // Data, a hole of 1 MiB, data.
        let write = || {
            fs::write(file.path(), &data)?;
            FileStorage::from_file(file.as_file().try_clone()?)?.punch_hole(1 << 20, 1 << 20)
        };
        write()?;
        let storage = FileStorage::from_file(file.as_file().try_clone()?)?;
        overwrite(&storage, "x".as_ref(), &mut || false)?;
        assert!(fs::read(file.path())? == vec![0; 3 << 20]);

        write()?;
        let mut pieces = 0;
        overwrite(&storage, "x".as_ref(), &mut || {
            pieces += 1;
            pieces > 16
        })?;
        let left = fs::read(file.path())?;
        assert!(left[..2 << 20] == vec![0; 2 << 20] && left[2 << 20..] == data[..1 << 20]);
        Ok(())
    }

    #[test]
    fn a_file_that_cannot_be_kept_goes() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("made");
        let file = make(&path)?;
        assert!(
            file.keep(|_| Err::<(), io::Error>(io::ErrorKind::AlreadyExists.into()))
                .is_err()
        );
        assert!(!path.exists());
        Ok(())
    }
}
