//! A client of the tests' own, and what it must be told.

mod handshakes;
mod limits;
mod power;
mod sessions;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use volume::{MemoryStorage, Storage};

use super::handshake::Replies;
use super::protocol::{
    ALLOCATION, EXTENDED_REPLY_MAGIC, EXTENDED_REQUEST_MAGIC, INIT_MAGIC, OPTION_MAGIC,
    OPTION_REPLY_MAGIC, REQUEST_MAGIC, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC, answer, chunk,
    option,
};
use super::{Ended, converse};
use crate::export::{Export, ExportOptions};

/// Nothing takes as long; a test that would wait for ever fails instead.
const LONG: Duration = Duration::from_secs(60);

/// Somebody who is connected.
struct Client {
    stream: UnixStream,
    replies: Replies,
    server: Option<JoinHandle<Ended>>,
}

/// What was said of a request.
#[derive(Debug, Default, Eq, PartialEq)]
struct Reply {
    cookie: u64,
    error: u32,
    /// Where it failed, where that was said.
    failed_at: Option<u64>,
    /// Offsets and bytes; of simple replies nothing, since they do not say how much there is.
    data: Vec<(u64, Vec<u8>)>,
    extents: Vec<(u64, u64)>,
}

fn export_of(bytes: Vec<u8>, options: ExportOptions) -> (Arc<MemoryStorage>, Arc<Export>) {
    let storage = Arc::new(MemoryStorage::from_vec(bytes));
    let export = Export::new(storage.clone(), options).unwrap();
    (storage, Arc::new(export))
}

fn export(storage: Arc<dyn Storage>) -> Arc<Export> {
    Arc::new(Export::new(storage, ExportOptions::default()).unwrap())
}

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

impl Client {
    /// Connects, and says nothing.
    fn silent(export: &Arc<Export>, count: usize) -> Self {
        let (stream, other) = UnixStream::pair().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let export = Arc::clone(export);
        let server = std::thread::spawn(move || {
            let hang_up = || drop(other.shutdown(Shutdown::Both));
            let ended = converse(&other, &other, &export, threads(count), &hang_up);
            hang_up();
            ended
        });
        Self {
            stream,
            replies: Replies::Simple,
            server: Some(server),
        }
    }

    /// Connects and is ready for options.
    fn greeted(export: &Arc<Export>) -> Self {
        let mut client = Self::silent(export, 4);
        client.greet(3);
        client
    }

    /// Connects and is ready for requests.
    fn ready(export: &Arc<Export>, replies: Replies) -> Self {
        let mut client = Self::greeted(export);
        client.go(replies);
        client
    }

    fn greet(&mut self, flags: u32) {
        let greeting: [u8; 18] = self.take();
        assert_eq!(greeting[..8], INIT_MAGIC.to_be_bytes());
        assert_eq!(greeting[8..16], OPTION_MAGIC.to_be_bytes());
        assert_eq!(greeting[16..], [0, 3]);
        self.send(&flags.to_be_bytes());
    }

    fn go(&mut self, replies: Replies) {
        let chosen = match replies {
            Replies::Simple => None,
            Replies::Structured => Some(option::STRUCTURED_REPLY),
            Replies::Extended => Some(option::EXTENDED_HEADERS),
        };
        if let Some(option) = chosen {
            assert_eq!(self.option(option, &[]), [(answer::ACK, vec![])]);
            let query = [
                &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 15],
                ALLOCATION.as_bytes(),
            ]
            .concat();
            let said = self.option(option::SET_META_CONTEXT, &query);
            assert_eq!(said[0].0, answer::META_CONTEXT);
        }
        let said = self.option(option::GO, &[0; 6]);
        assert_eq!(said.last().unwrap().0, answer::ACK);
        self.replies = replies;
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn take_vec(&mut self, count: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(count).unwrap()];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    fn send_option(&mut self, option: u32, data: &[u8]) {
        let length = u32::try_from(data.len()).unwrap();
        self.send(&OPTION_MAGIC.to_be_bytes());
        self.send(&option.to_be_bytes());
        self.send(&length.to_be_bytes());
        self.send(data);
    }

    /// What is said of an option, to the end.
    fn option(&mut self, option: u32, data: &[u8]) -> Vec<(u32, Vec<u8>)> {
        self.send_option(option, data);
        let mut said = Vec::new();
        loop {
            assert_eq!(self.u64(), OPTION_REPLY_MAGIC);
            assert_eq!(self.u32(), option);
            let (reply, length) = (self.u32(), self.u32());
            said.push((reply, self.take_vec(length.into())));
            if reply == answer::ACK || reply > 1 << 31 {
                return said;
            }
        }
    }

    fn request(&mut self, command: u16, flags: u16, cookie: u64, offset: u64, length: u64) {
        let is_extended = self.replies == Replies::Extended;
        let magic = if is_extended {
            EXTENDED_REQUEST_MAGIC
        } else {
            REQUEST_MAGIC
        };
        let mut bytes = magic.to_be_bytes().to_vec();
        bytes.extend(flags.to_be_bytes());
        bytes.extend(command.to_be_bytes());
        bytes.extend(cookie.to_be_bytes());
        bytes.extend(offset.to_be_bytes());
        if is_extended {
            bytes.extend(length.to_be_bytes());
        } else {
            bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        }
        self.send(&bytes);
    }

    /// A request and its reply, where it is the only one.
    fn ask(&mut self, command: u16, flags: u16, offset: u64, length: u64) -> Reply {
        self.request(command, flags, 7, offset, length);
        let reply = self.reply();
        assert_eq!(reply.cookie, 7);
        reply
    }

    fn read(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, u32> {
        let reply = self.ask(super::protocol::command::READ, 0, offset, length);
        if reply.error != 0 {
            return Err(reply.error);
        }
        if self.replies == Replies::Simple {
            return Ok(self.take_vec(length));
        }
        let mut all = Vec::new();
        for (at, bytes) in reply.data {
            assert_eq!(at, offset + all.len() as u64);
            all.extend(bytes);
        }
        Ok(all)
    }

    fn write(&mut self, flags: u16, offset: u64, data: &[u8]) -> u32 {
        self.request(
            super::protocol::command::WRITE,
            flags,
            9,
            offset,
            data.len() as u64,
        );
        self.send(data);
        self.reply().error
    }

    fn reply(&mut self) -> Reply {
        let mut reply = Reply::default();
        loop {
            let magic = self.u32();
            if magic == SIMPLE_REPLY_MAGIC {
                assert_ne!(self.replies, Replies::Extended);
                reply.error = self.u32();
                reply.cookie = self.u64();
                return reply;
            }
            let is_extended = magic == EXTENDED_REPLY_MAGIC;
            assert_eq!(is_extended, self.replies == Replies::Extended);
            assert!(is_extended || magic == STRUCTURED_REPLY_MAGIC);
            let (flags, kind) = (self.u16(), self.u16());
            reply.cookie = self.u64();
            let length = if is_extended {
                let _offset = self.u64();
                self.u64()
            } else {
                self.u32().into()
            };
            self.chunk(kind, length, &mut reply);
            if flags & chunk::DONE != 0 {
                return reply;
            }
        }
    }

    fn chunk(&mut self, kind: u16, length: u64, reply: &mut Reply) {
        match kind {
            chunk::NONE => assert_eq!(length, 0),
            chunk::OFFSET_DATA => {
                let offset = self.u64();
                let data = self.take_vec(length - 8);
                reply.data.push((offset, data));
            }
            chunk::BLOCK_STATUS => {
                assert_eq!(self.u32(), 1);
                for _ in 0..(length - 4) / 8 {
                    let extent = (self.u32().into(), self.u32().into());
                    reply.extents.push(extent);
                }
            }
            chunk::BLOCK_STATUS_EXT => {
                assert_eq!(self.u32(), 1);
                let count = self.u32();
                assert_eq!(length, 8 + 16 * u64::from(count));
                for _ in 0..count {
                    let extent = (self.u64(), self.u64());
                    reply.extents.push(extent);
                }
            }
            chunk::ERROR | chunk::ERROR_OFFSET => {
                reply.error = self.u32();
                let text = self.u16();
                assert!(text > 0, "people are told why");
                self.take_vec(text.into());
                if kind == chunk::ERROR_OFFSET {
                    reply.failed_at = Some(self.u64());
                }
            }
            other => panic!("a chunk of type {other}"),
        }
    }

    /// Goes, and says how the server took it.
    fn leave(mut self) -> Ended {
        self.stream.shutdown(Shutdown::Both).unwrap();
        self.server.take().unwrap().join().unwrap()
    }

    /// How the server ended it.
    fn ended(mut self) -> Ended {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        self.server.take().unwrap().join().unwrap()
    }
}

/// Bytes without repeats that a shift could hide.
fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let step = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).unwrap()
    };
    (0..len).map(step).collect()
}
