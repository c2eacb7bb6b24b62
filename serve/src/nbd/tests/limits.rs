//! Too many clients, slow and silent ones, and the end.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Mutex;

use super::*;
use crate::nbd::protocol::{command, flag};
use crate::nbd::{Listener, ServeOptions, serve};
use crate::stop::Stop;

/// A server at a socket, and what it has logged.
struct Server {
    path: PathBuf,
    _folder: tempfile::TempDir,
    stop: Arc<Stop>,
    log: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Server {
    fn start(export: &Arc<Export>, options: ServeOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listeners = [Listener::Unix(UnixListener::bind(&path).unwrap())];
        let (stop, log) = (Arc::new(Stop::new().unwrap()), Arc::default());
        let export = Arc::clone(export);
        let (stopped, logged): (_, Arc<Mutex<Vec<String>>>) = (Arc::clone(&stop), Arc::clone(&log));
        let thread = std::thread::spawn(move || {
            serve(&listeners, &export, options, &stopped, &|event| {
                logged.lock().unwrap().push(event.to_string());
            })
        });
        Self {
            path,
            _folder: folder,
            stop,
            log,
            thread,
        }
    }

    fn client(&self) -> Client {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Client {
            stream,
            replies: Replies::Simple,
            server: None,
        }
    }

    fn ready(&self) -> Client {
        let mut client = self.client();
        client.greet(3);
        client.go(Replies::Structured);
        client
    }

    fn end(self) -> (std::io::Result<()>, Vec<String>) {
        self.stop.ask();
        let ended = self.thread.join().unwrap();
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        (ended, log)
    }
}

/// Whether the other end has closed it.
fn is_closed(client: &mut Client) -> bool {
    matches!(client.stream.read(&mut [0; 64]), Ok(0) | Err(_))
}

#[test]
fn one_too_many_is_refused_and_the_others_are_served() {
    let (_, export) = export_of(vec![5; 4096], ExportOptions::default());
    let server = Server::start(&export, ServeOptions::default());
    let mut clients: Vec<_> = (0..64).map(|_| server.ready()).collect();
    let mut more = server.client();
    assert!(is_closed(&mut more));
    for client in &mut clients {
        assert_eq!(client.read(0, 16), Ok(vec![5; 16]));
    }
    drop(clients.pop());
    // The place is free when the server has found out.
    let mut client = loop {
        let mut client = server.client();
        let mut first = [0];
        if matches!(client.stream.read(&mut first), Ok(1)) {
            let _: [u8; 17] = client.take();
            client.send(&[0, 0, 0, 3]);
            client.go(Replies::Simple);
            break client;
        }
    };
    assert_eq!(client.read(1, 16), Ok(vec![5; 16]));
    let (ended, log) = server.end();
    ended.unwrap();
    assert!(log.iter().any(|line| line.contains("too many")));
}

#[test]
fn who_says_nothing_is_let_go_in_time() {
    let (_, export) = export_of(vec![5; 4096], ExportOptions::default());
    let options = ServeOptions {
        handshake: Duration::from_millis(300),
        ..ServeOptions::default()
    };
    let server = Server::start(&export, options);
    let mut silent = server.client();
    let mut slow = server.client();
    let mut half = server.client();
    slow.greet(3);
    half.stream.shutdown(Shutdown::Write).unwrap();
    let _: [u8; 18] = half.take();
    assert!(is_closed(&mut half));
    // One option after another for ever is no way out.
    while slow.stream.write_all(&OPTION_MAGIC.to_be_bytes()).is_ok() {
        if slow.stream.write_all(&[0, 0, 0, 3, 0, 0, 0, 0]).is_err() {
            break;
        }
        let mut said = [0; 44];
        if slow.stream.read_exact(&mut said).is_err() {
            break;
        }
    }
    let _: [u8; 18] = silent.take();
    assert!(is_closed(&mut silent));
    // In time for whoever speaks; after the handshake there is no hurry.
    let mut client = server.ready();
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(client.read(0, 1), Ok(vec![5]));
    let (ended, log) = server.end();
    ended.unwrap();
    let timed_out = log.iter().filter(|line| line.contains("too long")).count();
    assert_eq!(timed_out, 2, "{log:?}");
}

/// Clients that send no data and read no answers hold what they hold, and others go on.
#[test]
fn who_does_not_move_keeps_nobody_from_moving() {
    let (_, export) = export_of(vec![5; 40 << 20], ExportOptions::default());
    let options = ServeOptions {
        patience: Duration::from_millis(200),
        ..ServeOptions::default()
    };
    let server = Server::start(&export, options);
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut writer = server.ready();
        writer.request(command::WRITE, 0, 1, 0, 32 << 20);
        writer.send(&[1; 1000]);
        let mut reader = server.ready();
        for cookie in 0..20 {
            reader.request(command::READ, flag::DF, cookie, 0, 32 << 20);
        }
        held.extend([writer, reader]);
    }
    let mut client = server.ready();
    let data = pattern(9 << 20, 8);
    assert_eq!(client.write(0, 5, &data), 0);
    assert_eq!(client.read(5, 9 << 20), Ok(data));
    // Who does not read keeps the server from its end for a while only.
    let (ended, _) = server.end();
    ended.unwrap();
}

#[test]
fn thousands_come_and_go() {
    let (_, export) = export_of(vec![5; 4096], ExportOptions::default());
    let server = Server::start(&export, ServeOptions::default());
    for round in 0..10_000_u32 {
        // The queue of the listener may be full for a moment.
        while UnixStream::connect(&server.path).is_err() {
            std::thread::yield_now();
        }
        if round % 1000 == 0 {
            let mut client = loop {
                let mut client = server.client();
                if matches!(client.stream.read(&mut [0]), Ok(1)) {
                    break client;
                }
            };
            let _: [u8; 17] = client.take();
            client.send(&[0, 0, 0, 3]);
            client.go(Replies::Structured);
            assert_eq!(client.read(0, 4096), Ok(vec![5; 4096]));
        }
    }
    server.end().0.unwrap();
}

/// What is at work is answered, what was written is durable, and nobody gets in any more.
#[test]
fn the_end_answers_what_is_at_work() {
    let disk = Arc::new(volume::SimulatedStorage::new(8 << 20));
    let export = export(disk.clone());
    let server = Server::start(&export, ServeOptions::default());
    let mut client = server.ready();
    let mut idle = server.ready();
    for cookie in 0..8 {
        client.request(command::WRITE, 0, cookie, cookie << 20, 1 << 20);
        client.send(&vec![7; 1 << 20]);
    }
    let first = client.reply();
    let (ended, log) = server.end();
    ended.unwrap();
    let mut done = vec![first.cookie];
    // As many as were taken are answered, and then it is over.
    let mut magic = [0; 4];
    while client.stream.read_exact(&mut magic).is_ok() {
        assert_eq!(u32::from_be_bytes(magic), SIMPLE_REPLY_MAGIC);
        assert_eq!(client.u32(), 0);
        done.push(client.u64());
    }
    assert!(is_closed(&mut idle));
    for state in disk.crash_states_now(1) {
        let image = state.storage.snapshot();
        for cookie in &done {
            let at = usize::try_from(*cookie).unwrap() << 20;
            assert!(image[at..at + (1 << 20)].iter().all(|byte| *byte == 7));
        }
    }
    assert!(
        log.iter().any(|line| line.contains("the server ends")),
        "{log:?}"
    );
}
