//! A session that one thread reads of while others write.

use std::io::{self, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::ServerConnection;

/// What is read from the other end with one call.
const INPUT_BYTES: usize = 32 << 10;

/// TLS that is on, without what carries it.
///
/// The state is locked while something is computed, never while somebody waits for the other end: who writes to a client
/// that does not read keeps nobody from reading what it says.
pub(crate) struct Session {
    connection: Mutex<ServerConnection>,
    input: Mutex<Input>,
    /// Records go out in the order in which they were made.
    output: Mutex<Vec<u8>>,
}

/// What has come and was not looked at.
struct Input {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
    is_over: bool,
}

impl Session {
    pub(super) fn new(connection: ServerConnection) -> Self {
        Self {
            connection: Mutex::new(connection),
            input: Mutex::new(Input {
                bytes: vec![0; INPUT_BYTES],
                from: 0,
                to: 0,
                is_over: false,
            }),
            output: Mutex::default(),
        }
    }

    fn read(&self, transport: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
        let mut input = locked(&self.input);
        loop {
            {
                let mut connection = locked(&self.connection);
                loop {
                    match connection.reader().read(buf) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        read => return read,
                    }
                    if input.from == input.to && !input.is_over {
                        break;
                    }
                    let Input {
                        bytes, from, to, ..
                    } = &mut *input;
                    let mut rest = &bytes[*from..*to];
                    connection.read_tls(&mut rest)?;
                    *from = *to - rest.len();
                    let taken = connection.process_new_packets();
                    taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                }
            }
            let count = transport.read(&mut input.bytes)?;
            (input.from, input.to) = (0, count);
            input.is_over = count == 0;
        }
    }

    /// Takes as much of it as goes out at once, and sends it.
    fn write(&self, transport: &mut impl Write, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut output = locked(&self.output);
        let count = {
            let mut connection = locked(&self.connection);
            let count = connection.writer().write_vectored(parts)?;
            records(&mut connection, &mut output)?;
            count
        };
        send(transport, &mut output)?;
        Ok(count)
    }

    /// Says that nothing follows.
    pub(crate) fn close(&self, transport: &mut impl Write) -> io::Result<()> {
        let mut output = locked(&self.output);
        {
            let mut connection = locked(&self.connection);
            connection.send_close_notify();
            records(&mut connection, &mut output)?;
        }
        send(transport, &mut output)
    }
}

fn records(connection: &mut ServerConnection, output: &mut Vec<u8>) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(output)?;
    }
    Ok(())
}

fn send(transport: &mut impl Write, output: &mut Vec<u8>) -> io::Result<()> {
    let sent = transport.write_all(output);
    output.clear();
    sent
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A session over what carries it.
pub(crate) struct Secured<'a, T> {
    pub(crate) session: &'a Session,
    pub(crate) transport: T,
}

impl<T: Read> Read for Secured<'_, T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.session.read(&mut self.transport, buf)
    }
}

impl<T: Write> Write for Secured<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.session.write(&mut self.transport, parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.transport.flush()
    }
}
