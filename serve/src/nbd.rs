//! The Network Block Device protocol, as its text has it (doc/proto.md of the project of that name).
//!
//! Parsers take bytes (`handshake`, `requests`), replies are bytes, and what moves them is in `connection` and `server`.
//!
//! What a client may rely on:
//!
//! - A flush covers every write that any connection had answered before it was sent; after a sync that has failed no later
//!   one succeeds.
//! - Encrypted bytes are always data: a hole of the container decrypts to noise, so that `base:allocation` says neither
//!   hole nor zero of them. Zeros are written as ciphertext.
//! - A request beyond the limits is refused, and the connection goes on.

mod connection;
mod handshake;
mod memory;
mod protocol;
mod replies;
mod requests;
mod server;
mod socket;
#[cfg(test)]
mod tests;
#[cfg(not(feature = "tls"))]
#[path = "nbd/no_tls.rs"]
mod tls;
#[cfg(feature = "tls")]
mod tls;

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

pub use connection::Ended;
pub use handshake::Violation;
pub use server::{Event, ServeOptions, serve};
pub use socket::{Listener, Peer};
#[cfg(feature = "tls")]
pub use tls::{TlsError, TlsMaterial, TlsPart, TlsServer, computing};

use crate::export::Export;
use connection::{Negotiation, Next, Surroundings};
use handshake::Tls;
use memory::Pool;

/// Talks to one client over any two streams, from the greeting on, with so many threads. The connection is over when this
/// returns; what waits for the client is woken by `hang_up`, where it has gone.
pub fn converse(
    input: impl Read + Send,
    output: impl Write + Send,
    export: &Export,
    threads: NonZeroUsize,
    hang_up: &(dyn Fn() + Sync),
) -> Ended {
    let mut both = Both { input, output };
    let agreed = match Negotiation::new(export, Tls::Without).run(&mut both) {
        Ok(Next::Requests(agreed)) => agreed,
        Ok(Next::Tls) => unreachable!("there is no TLS to be begun"),
        Err(ended) => return ended,
    };
    let around = Surroundings {
        export,
        pool: &Pool::default(),
        threads,
        is_stopping: &AtomicBool::new(false),
        hang_up,
    };
    connection::serve(both.input, both.output, agreed, around)
}

/// Two streams as one.
struct Both<R, W> {
    input: R,
    output: W,
}

impl<R: Read, W> Read for Both<R, W> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.input.read(buf)
    }
}

impl<R, W: Write> Write for Both<R, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}
