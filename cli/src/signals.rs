//! An interrupted command ends at once and leaves nothing.
//!
//! Every signal that can be caught and would end the process arrives on a thread of its own, so that neither a key
//! derivation nor a blocked read delays it. The thread puts the terminal back as it was, removes what is not finished
//! (see [`jobs::temporary`]), secrets overwritten before, and lets the signal do what it does by default: the caller's
//! shell sees a death by that signal (128 + its number). Overwriting takes as long as writing did; another signal ends
//! it, if it comes a second later or more. Memory that ends, on which the runtime aborts, is cleaned up after likewise,
//! and ends the process with its exit code.
//!
//! A job that changes data where they lie has SIGINT and SIGTERM held for it ([`hold`]): it ends by itself, when what it
//! has written is whole. Another one, a second later or more, ends the process after all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jobs::temporary;
use rustix::termios::{self, OptionalActions, Termios};
use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::low_level::emulate_default_handler;

use crate::exit::Exit;
use crate::output;

/// A terminal whose settings are others for now, and what they were.
static TERMINAL: Mutex<Option<(File, Termios)>> = Mutex::new(None);
static INSTALL: Once = Once::new();
/// A signal that asks for an end is held for the job.
static IS_HELD: AtomicBool = AtomicBool::new(false);
/// One has come.
static IS_ASKED: AtomicBool = AtomicBool::new(false);
/// Whom that is told, who cannot look whether one has.
static ASK: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();
/// What comes within this time of a signal is the same request: `timeout` sends its signal to the process and once more
/// to its group.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// Takes the signals from now on. Signals that the caller had ignored (`nohup`) stay ignored.
pub fn install() -> io::Result<()> {
    let mut outcome = Ok(());
    temporary::announce_by(announce);
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
            let mut asked = None;
            let (signal, came) = loop {
                let Some(signal) = wait(&mut signals) else {
                    end_without_memory();
                };
                let came = Instant::now();
                if !is_for_job(signal, came, &mut asked) {
                    break (signal, came);
                }
            };
            let mut has_come = false;
            clean_up(&mut || {
                let is_another = signals.pending().next().is_some();
                has_come |= is_another && came.elapsed() > ONE_REQUEST;
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

/// From now on SIGINT and SIGTERM only ask the job to end, which [`is_asked`] tells it.
pub fn hold() {
    IS_HELD.store(true, Ordering::SeqCst);
}

/// The same of SIGHUP too, and each time `ask` is called.
pub fn hold_and_call(ask: impl Fn() + Send + Sync + 'static) {
    // There is one job.
    let _ = ASK.set(Box::new(ask));
    hold();
}

/// SIGINT, SIGTERM and SIGHUP end nothing by themselves: each time one comes `asked` is called, on a thread. In place of
/// [`install`].
pub fn call(asked: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || signals.forever().for_each(|_| asked()))?;
    Ok(())
}

/// Whether a signal that was held has asked for an end.
pub fn is_asked() -> bool {
    IS_ASKED.load(Ordering::SeqCst)
}

/// Whether a signal is the job's affair. `asked` is when the first such one came.
fn is_for_job(signal: i32, came: Instant, asked: &mut Option<Instant>) -> bool {
    let is_request =
        matches!(signal, SIGINT | SIGTERM) || (signal == SIGHUP && ASK.get().is_some());
    if !IS_HELD.load(Ordering::SeqCst) || !is_request {
        return false;
    }
    IS_ASKED.store(true, Ordering::SeqCst);
    if let Some(ask) = ASK.get() {
        ask();
    }
    let first = *asked.get_or_insert(came);
    came.duration_since(first) <= ONE_REQUEST
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

/// Says that secrets in a file are being overwritten, which takes a while.
fn announce(name: &OsStr) {
    output::warn(format_args!(
        "overwriting what was written to {}; another signal ends it",
        output::path(Path::new(name))
    ));
}

/// Undoes what is not finished, until it is enough. The locks are kept to the end: no new file can appear, and nobody
/// writes secrets any more.
fn clean_up(is_enough: &mut dyn FnMut() -> bool) {
    let terminal = temporary::patiently(|| TERMINAL.try_lock());
    if let Some((terminal, settings)) = terminal.as_deref().and_then(Option::as_ref) {
        let _ = termios::tcsetattr(terminal, OptionalActions::Now, settings);
    }
    std::mem::forget(terminal);
    if !temporary::abandon(is_enough) {
        let _ = emulate_default_handler(SIGABRT);
        std::process::abort();
    }
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
        let mut settings = settings();
        *settings = Some((terminal.try_clone()?, before));
        termios::tcsetattr(terminal, OptionalActions::Flush, &silent)
            .inspect_err(|_| *settings = None)?;
        Ok(Self(()))
    }
}

impl Drop for TerminalSettings {
    fn drop(&mut self) {
        if let Some((terminal, settings)) = settings().take() {
            let _ = termios::tcsetattr(terminal, OptionalActions::Now, &settings);
        }
    }
}

fn settings() -> MutexGuard<'static, Option<(File, Termios)>> {
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}
