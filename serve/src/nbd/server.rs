//! Who connects, and when it ends.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::connection::{self, Ended, Negotiation, Next, Surroundings};
use super::handshake::{Agreed, Tls};
use super::memory::Pool;
use super::socket::{Listener, Peer, Socket, Timed};
use super::tls::{Secured, Session, TlsServer};
use crate::export::Export;
use crate::stop::Stop;

/// How a server does its work.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// So many connections at once; the next is refused.
    pub max_connections: usize,
    /// So many requests of one connection are at work at once.
    pub threads: NonZeroUsize,
    /// A client that has not come to its first request by then is not talked to any longer.
    pub handshake: Duration,
    /// So long a client may take to read its last answers when the server ends.
    pub patience: Duration,
    /// What TLS needs; then nothing is said to a client that does not begin with it.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsServer>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_connections: 64,
            threads: NonZeroUsize::new(8).expect("it is not 0"),
            handshake: Duration::from_secs(10),
            patience: Duration::from_secs(10),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl ServeOptions {
    #[cfg(feature = "tls")]
    fn tls(&self) -> Option<&TlsServer> {
        self.tls.as_ref()
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "it is asked where there is TLS")]
    fn tls(&self) -> Option<&TlsServer> {
        None
    }
}

/// What has happened to a connection: a line of a log, without anything that a client has sent or read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Somebody has connected.
    Connected {
        /// The number of the connection.
        number: u64,
        /// Who it is.
        peer: Peer,
    },
    /// Somebody has connected, and there are too many.
    Refused {
        /// Who it is.
        peer: Peer,
    },
    /// A connection is over.
    Ended {
        /// Its number.
        number: u64,
        /// Why.
        why: &'a Ended,
    },
    /// Nobody can connect for now.
    CannotAccept {
        /// The system's reason.
        error: &'a io::Error,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { number, peer } => write!(f, "connection {number}: from {peer}"),
            Self::Refused { peer } => {
                write!(f, "a connection from {peer} is refused: there are too many")
            }
            Self::Ended { number, why } => write!(f, "connection {number}: {why}"),
            Self::CannotAccept { error } => write!(f, "nobody can connect: {error}"),
        }
    }
}

/// Serves `export` to whoever connects to one of `listeners`, until `stop` is asked for. Then what is at work is answered,
/// and what was written is made durable.
///
/// # Errors
///
/// That of the last sync, and what keeps the listeners from being used at all.
pub fn serve(
    listeners: &[Listener],
    export: &Export,
    options: ServeOptions,
    stop: &Stop,
    log: &(dyn Fn(&Event<'_>) + Sync),
) -> io::Result<()> {
    for listener in listeners {
        listener.do_not_wait()?;
    }
    let server = Server {
        export,
        options,
        log,
        pool: Pool::default(),
        connections: Mutex::default(),
        changed: Condvar::new(),
        is_stopping: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let mut numbers = 1..;
        while !stop.is_asked() {
            let waiting = wait(listeners, stop);
            for listener in waiting {
                let (socket, peer) = match listener.accept() {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        server.not_accepted(&error, stop);
                        continue;
                    }
                };
                let number = numbers.next().unwrap_or(u64::MAX);
                let Some(socket) = server.admit(number, socket) else {
                    log(&Event::Refused { peer });
                    continue;
                };
                log(&Event::Connected { number, peer });
                let server = &server;
                let connection = thread::Builder::new().name("nbd".to_owned());
                let begun = connection.spawn_scoped(scope, move || {
                    let why = server.talk(&socket);
                    server.leave(number);
                    (server.log)(&Event::Ended { number, why: &why });
                });
                if let Err(error) = begun {
                    server.leave(number);
                    server.not_accepted(&error, stop);
                }
            }
        }
        server.end();
    });
    export.sync()
}

/// The listeners at which somebody waits; none where it is to end.
fn wait<'a>(listeners: &'a [Listener], stop: &Stop) -> Vec<&'a Listener> {
    let mut polled: Vec<_> = listeners
        .iter()
        .map(|listener| PollFd::new(listener, PollFlags::IN))
        .collect();
    polled.push(stop.to_poll());
    match poll(&mut polled, None) {
        Ok(_) => listeners
            .iter()
            .zip(&polled)
            .filter(|(_, polled)| !polled.revents().is_empty())
            .map(|(listener, _)| listener)
            .collect(),
        // A signal; the flag is looked at.
        Err(_) => Vec::new(),
    }
}

struct Server<'a> {
    export: &'a Export,
    options: ServeOptions,
    log: &'a (dyn Fn(&Event<'_>) + Sync),
    pool: Pool,
    connections: Mutex<BTreeMap<u64, Arc<Socket>>>,
    /// One has gone.
    changed: Condvar,
    is_stopping: AtomicBool,
}

impl Server<'_> {
    /// Has a connection, if there may be one more.
    fn admit(&self, number: u64, socket: Socket) -> Option<Arc<Socket>> {
        let mut connections = self.connections();
        if connections.len() >= self.options.max_connections {
            return None;
        }
        let socket = Arc::new(socket);
        connections.insert(number, Arc::clone(&socket));
        Some(socket)
    }

    fn leave(&self, number: u64) {
        self.connections().remove(&number);
        self.changed.notify_all();
    }

    /// Somebody who has gone again is nothing to speak of; without descriptors or memory there may be some again soon.
    fn not_accepted(&self, error: &io::Error, stop: &Stop) {
        let is_passing = matches!(
            Errno::from_io_error(error),
            Some(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED | Errno::PROTO)
        );
        if !is_passing {
            (self.log)(&Event::CannotAccept { error });
            stop.wait(Duration::from_millis(200));
        }
    }

    /// All that a connection is.
    fn talk(&self, socket: &Socket) -> Ended {
        match self.shake_hands(socket) {
            Ok((agreed, session)) => {
                let around = Surroundings {
                    export: self.export,
                    pool: &self.pool,
                    threads: self.options.threads,
                    is_stopping: &self.is_stopping,
                    hang_up: &|| socket.shut_down(Shutdown::Both),
                };
                let ended = if let Some(session) = &session {
                    let secured = |transport| Secured { session, transport };
                    let ended = connection::serve(secured(socket), secured(socket), agreed, around);
                    // Who has gone does not hear it.
                    let _ = session.close(&mut { socket });
                    ended
                } else {
                    connection::serve(socket, socket, agreed, around)
                };
                // What was said last is to be read.
                socket.shut_down(Shutdown::Write);
                ended
            }
            Err(ended) if self.is_stopping.load(Ordering::SeqCst) => match ended {
                Ended::Gone => Ended::Stopped,
                ended => ended,
            },
            Err(ended) => ended,
        }
    }

    fn shake_hands(&self, socket: &Socket) -> Result<(Agreed, Option<Session>), Ended> {
        let mut timed = Timed {
            socket,
            until: Instant::now() + self.options.handshake,
        };
        let tls = self.options.tls();
        let is_wanted = tls.map_or(Tls::Without, |_| Tls::Required);
        let mut negotiation = Negotiation::new(self.export, is_wanted);
        let mut session = None;
        loop {
            let next = match &session {
                None => negotiation.run(&mut timed)?,
                Some(session) => negotiation.run(&mut Secured {
                    session,
                    transport: &mut timed,
                })?,
            };
            match (next, tls) {
                (Next::Requests(agreed), _) => {
                    socket.set_timeouts(None)?;
                    return Ok((agreed, session));
                }
                (Next::Tls, Some(tls)) => session = Some(tls.begin(&mut timed)?),
                (Next::Tls, None) => unreachable!("there is no TLS to be begun"),
            }
        }
    }

    /// No more requests; waits for the answers to be read.
    fn end(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        let mut connections = self.connections();
        for socket in connections.values() {
            socket.shut_down(Shutdown::Read);
        }
        let until = Instant::now() + self.options.patience;
        while !connections.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                for socket in connections.values() {
                    socket.shut_down(Shutdown::Both);
                }
                return;
            }
            connections = self
                .changed
                .wait_timeout(connections, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Socket>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
