//! What stands for TLS where it was left out: nothing that there could be.

use std::convert::Infallible;
use std::io::{self, Read, Write};

use super::connection::Ended;

/// There is none.
#[derive(Debug)]
pub(crate) struct TlsServer(Infallible);

/// There is none.
pub(crate) struct Session(Infallible);

/// There is none.
pub(crate) struct Secured<'a, T> {
    pub(crate) session: &'a Session,
    pub(crate) transport: T,
}

impl TlsServer {
    pub(crate) fn begin(&self, _: &mut (impl Read + Write)) -> Result<Session, Ended> {
        match self.0 {}
    }
}

impl Session {
    pub(crate) fn close(&self, _: &mut impl Write) -> io::Result<()> {
        match self.0 {}
    }
}

impl<T> Read for Secured<'_, T> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.session.0 {}
    }
}

impl<T: Write> Write for Secured<'_, T> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match self.session.0 {}
    }

    fn flush(&mut self) -> io::Result<()> {
        self.transport.flush()
    }
}
