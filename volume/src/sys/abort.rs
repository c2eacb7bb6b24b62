//! SIGABRT of our own, by which the runtime ends a process whose memory has ended: it ends with a code of
//! the caller's, and once there is something to be undone, by another thread, while the one that aborts is held.

use std::cell::Cell;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// What is said at the end. A function, since it may depend on what was asked for.
type Said = fn() -> &'static str;

/// How the process ends, and what it says then, as long as nobody cleans up.
static ENDING: OnceLock<(u8, Said)> = OnceLock::new();
/// A socket by which the thread that cleans up is woken.
static WAKE: AtomicI32 = AtomicI32::new(-1);
/// Whether a thread of this process has aborted it and is held.
static ABORTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this is the thread that cleans up: nobody else could go on if it were held. A constant that needs no
    /// destructor, so that a handler can read it: no memory is asked for.
    static CLEANS_UP: Cell<bool> = const { Cell::new(false) };
}

/// See [`crate::end_aborts`].
pub(crate) fn end(code: u8, said: Said) -> io::Result<()> {
    ENDING.get_or_init(|| (code, said));
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = aborted;
    // SAFETY: a `sigaction` is integers, a set of signals and a function that need not be there: zeros are one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: `action` is a whole `sigaction` whose handler has the type that SA_SIGINFO promises, and does only what a
    // handler may; the old one is not asked for.
    let result = unsafe { libc::sigaction(libc::SIGABRT, &raw const action, std::ptr::null_mut()) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// See [`crate::hold_aborts`].
pub(crate) fn hold(wake: OwnedFd) {
    CLEANS_UP.set(true);
    // It stays open for as long as the handler may come, which is for ever.
    WAKE.store(wake.into_raw_fd(), Ordering::SeqCst);
}

/// See [`crate::has_aborted`].
pub(crate) fn has_aborted() -> bool {
    ABORTED.load(Ordering::SeqCst)
}

/// Async-signal-safe: atomics, a constant of the thread, and system calls.
extern "C" fn aborted(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a handler with SA_SIGINFO a whole `siginfo_t`; every signal that `kill` or a thread of
    // this process sends has the sender in it, and of others the number is only compared.
    let sender = unsafe { (*info).si_pid() };
    // SAFETY: it takes nothing and changes nothing.
    let is_own = sender == unsafe { libc::getpid() };
    if !is_own || CLEANS_UP.get() {
        return;
    }
    let wake = WAKE.load(Ordering::SeqCst);
    if wake == -1 {
        end_at_once();
        return;
    }
    ABORTED.store(true, Ordering::SeqCst);
    let byte = [0_u8];
    // SAFETY: the socket is open for ever, and the byte is there for the call, which does not wait.
    unsafe {
        libc::send(
            wake,
            byte.as_ptr().cast(),
            byte.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    loop {
        // SAFETY: it takes nothing, and returns when another handler has run.
        unsafe { libc::pause() };
    }
}

/// Where nothing was begun yet that would have to be undone.
fn end_at_once() {
    if let Some((code, said)) = ENDING.get() {
        let said = said();
        // SAFETY: the text is static. What becomes of it changes nothing.
        unsafe { libc::write(libc::STDERR_FILENO, said.as_ptr().cast(), said.len()) };
        // SAFETY: it ends the process, whatever state that is in, and runs nothing of it.
        unsafe { libc::_exit(i32::from(*code)) };
    }
}
