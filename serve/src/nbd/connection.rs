//! One connection: the handshake, then requests, several of them at work at once.

mod work;

use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use super::handshake::{
    Agreed, Handshake, MAX_OPTION_BYTES, OptionHeader, Step, Tls, Violation, greeting,
};
use super::memory::{Pool, Share};
use super::replies::Writer;
use super::requests::{Header, Refusal, Request};
use crate::export::Export;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The client said that it ends.
    #[error("the client has ended it")]
    Disconnected,
    /// The client has gone without a word.
    #[error("the client has gone")]
    Gone,
    /// The server ends.
    #[error("the server ends")]
    Stopped,
    /// The client did not come to an end with the handshake in time.
    #[error("the handshake takes too long")]
    TimedOut,
    /// TLS could not be agreed on.
    #[error("no TLS: {0}")]
    NoTls(io::Error),
    /// The client does not keep to the protocol.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The connection is broken.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => Self::Gone,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Io(error),
        }
    }
}

/// The handshake of a connection, with what is said before and after TLS is on.
pub(crate) struct Negotiation<'a> {
    export: &'a Export,
    tls: Tls,
    handshake: Option<Handshake<'a>>,
}

/// What follows.
pub(crate) enum Next {
    /// Requests.
    Requests(Agreed),
    /// TLS, then the rest of the handshake.
    Tls,
}

impl<'a> Negotiation<'a> {
    /// Nothing was said yet.
    pub(crate) fn new(export: &'a Export, tls: Tls) -> Self {
        Self {
            export,
            tls,
            handshake: None,
        }
    }

    /// Speaks until something else follows.
    pub(crate) fn run(&mut self, stream: &mut (impl Read + Write)) -> Result<Next, Ended> {
        let handshake = match &mut self.handshake {
            Some(begun) => begun,
            begun @ None => {
                stream.write_all(&greeting())?;
                let flags = u32::from_be_bytes(exactly(stream)?);
                begun.insert(Handshake::new(self.export, self.tls, flags)?)
            }
        };
        loop {
            let header = OptionHeader::read(exactly(stream)?)?;
            let data = option_data(stream, header.length)?;
            let (bytes, next) = match handshake.take(header, data.as_deref()) {
                Step::Answer(bytes) => (bytes, None),
                Step::Begin(bytes) => (bytes, Some(Next::Requests(handshake.agreed()))),
                Step::StartTls(bytes) => (bytes, Some(Next::Tls)),
                Step::End(bytes) => {
                    // Whoever aborts may have gone already.
                    let _ = stream.write_all(&bytes);
                    return Err(Ended::Disconnected);
                }
                Step::Drop(violation) => return Err(violation.into()),
            };
            stream.write_all(&bytes)?;
            if let Some(next) = next {
                return Ok(next);
            }
        }
    }
}

fn exactly<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The data of an option; of more than one can have only the stream is freed.
fn option_data(stream: &mut impl Read, length: u32) -> io::Result<Option<Vec<u8>>> {
    if length > MAX_OPTION_BYTES {
        skip(stream, length.into())?;
        return Ok(None);
    }
    let mut data = vec![0; length as usize];
    stream.read_exact(&mut data)?;
    Ok(Some(data))
}

/// Reads so many bytes for nothing.
fn skip(stream: &mut impl Read, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut stream.take(bytes), &mut io::sink())?;
    if skipped == bytes {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// What the requests of a connection need beside it.
pub(crate) struct Surroundings<'a> {
    pub(crate) export: &'a Export,
    pub(crate) pool: &'a Pool,
    /// How many requests are at work at once.
    pub(crate) threads: NonZeroUsize,
    /// No new ones.
    pub(crate) is_stopping: &'a AtomicBool,
    /// Wakes whoever waits for the connection, which is over.
    pub(crate) hang_up: &'a (dyn Fn() + Sync),
}

/// A connection after its handshake.
///
/// Each of its threads takes a request out of the stream, does it and answers it. Another one is begun when none waits for
/// the next request, so that one that is used by one request at a time has one.
struct Connection<'a, R, W> {
    around: Surroundings<'a>,
    agreed: Agreed,
    input: Mutex<Input<R>>,
    output: Mutex<W>,
    share: Share,
    /// Threads that there are, and that want the input.
    threads: AtomicUsize,
    waiting: AtomicUsize,
    ended: Mutex<Option<Ended>>,
}

struct Input<R> {
    stream: BufReader<R>,
    is_over: bool,
}

/// Several short requests come with one read.
const INPUT_BYTES: usize = 16 << 10;

/// Answers requests until there are no more of them, and all are answered.
pub(crate) fn serve(
    input: impl Read + Send,
    output: impl Write + Send,
    agreed: Agreed,
    around: Surroundings<'_>,
) -> Ended {
    let connection = Connection {
        around,
        agreed,
        input: Mutex::new(Input {
            stream: BufReader::with_capacity(INPUT_BYTES, input),
            is_over: false,
        }),
        output: Mutex::new(output),
        share: Share::default(),
        threads: AtomicUsize::new(1),
        waiting: AtomicUsize::new(0),
        ended: Mutex::new(None),
    };
    thread::scope(|scope| connection.work(scope));
    let ended = locked(&connection.ended).take();
    ended.unwrap_or(Ended::Gone)
}

impl<R: Read + Send, W: Write + Send> Connection<'_, R, W> {
    /// Takes and answers requests until there are no more.
    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        loop {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let mut input = locked(&self.input);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            if input.is_over {
                return;
            }
            match self.next(&mut input) {
                Ok(Some(request)) => {
                    self.want_another(scope);
                    if let Err(ended) = self.answer(&request, input) {
                        self.end(ended);
                        return;
                    }
                }
                Ok(None) => {
                    // Who says no more may still hear what he has asked for.
                    input.is_over = true;
                    locked(&self.ended).get_or_insert(Ended::Gone);
                    return;
                }
                Err(ended) => {
                    input.is_over = true;
                    drop(input);
                    self.end(ended);
                    return;
                }
            }
        }
    }

    /// The next request; none where the client has said all.
    fn next(&self, input: &mut Input<R>) -> Result<Option<Request>, Ended> {
        let replies = self.agreed.replies;
        let mut bytes = [0; Header::MAX_BYTES];
        let bytes = &mut bytes[..Header::bytes(replies)];
        let stopped = |error: io::Error| {
            if self.is_stopping() {
                Ended::Stopped
            } else {
                error.into()
            }
        };
        let is_all = loop {
            match input.stream.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                filled => break filled.map_err(stopped)?.is_empty(),
            }
        };
        if self.is_stopping() {
            return Err(Ended::Stopped);
        }
        if is_all {
            return Ok(None);
        }
        input.stream.read_exact(bytes).map_err(stopped)?;
        if self.is_stopping() {
            return Err(Ended::Stopped);
        }
        let header = Header::read(bytes, replies)?;
        let request = Request::of(header, self.agreed, self.around.export)?;
        Ok(Some(request))
    }

    /// Begins another thread where nobody waits for the next request, if there may be one more.
    fn want_another<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return;
        }
        let most = self.around.threads.get();
        let one_more = |threads: usize| (threads < most).then_some(threads + 1);
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        if self.threads.fetch_update(set, fetch, one_more).is_err() {
            return;
        }
        let worker = thread::Builder::new().name("nbd".to_owned());
        if worker.spawn_scoped(scope, || self.work(scope)).is_err() {
            // Those that there are go on.
            self.threads.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The first reason counts. Whoever waits for the client finds out.
    fn end(&self, why: Ended) {
        let is_clean = matches!(why, Ended::Disconnected | Ended::Stopped);
        locked(&self.ended).get_or_insert(why);
        if !is_clean {
            (self.around.hang_up)();
        }
    }

    fn is_stopping(&self) -> bool {
        self.around.is_stopping.load(Ordering::SeqCst)
    }

    fn writer(&self) -> Writer {
        Writer(self.agreed.replies)
    }

    fn say(&self, bytes: &[u8]) -> Result<(), Ended> {
        let mut output = locked(&self.output);
        output.write_all(bytes)?;
        Ok(output.flush()?)
    }

    /// Says a header and data with one call, where the system takes both.
    fn say_both(output: &mut W, header: &[u8], data: &[u8]) -> Result<(), Ended> {
        let (mut header, mut data) = (header, data);
        while !header.is_empty() || !data.is_empty() {
            let both = [IoSlice::new(header), IoSlice::new(data)];
            match output.write_vectored(&both) {
                Ok(0) => return Err(Ended::Gone),
                Ok(count) => {
                    let of_header = count.min(header.len());
                    header = &header[of_header..];
                    data = &data[count - of_header..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(output.flush()?)
    }

    fn say_done(&self, request: &Request, done: Result<(), Refusal>) -> Result<(), Ended> {
        self.say(&match done {
            Ok(()) => self.writer().done(request),
            Err(refusal) => self.writer().failed(request, refusal),
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
