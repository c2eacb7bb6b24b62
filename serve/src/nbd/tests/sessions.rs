//! Requests, one by one and many at once.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use volume::{HeaderLock, LockMode, SimulatedStorage};

use super::*;
use crate::nbd::Violation;
use crate::nbd::protocol::{command, error, flag};

const ALL: [Replies; 3] = [Replies::Simple, Replies::Structured, Replies::Extended];

#[test]
fn every_request_in_every_kind_of_reply() {
    for replies in ALL {
        let discard = ExportOptions {
            discard: true,
            ..ExportOptions::default()
        };
        let mut model = pattern(100_000, 1);
        let (storage, export) = export_of(model.clone(), discard);
        let mut client = Client::ready(&export, replies);
        assert_eq!(client.read(0, 100_000), Ok(model.clone()));
        assert_eq!(client.read(99_999, 1), Ok(vec![model[99_999]]));
        for (at, len, flags) in [(0, 1, 0), (99_000, 1000, flag::FUA), (512, 70_000, 0)] {
            let data = pattern(len, at as u64 + 2);
            assert_eq!(client.write(flags, at as u64, &data), 0);
            model[at..at + len].copy_from_slice(&data);
        }
        for (at, flags) in [(100, 0), (30_000, flag::NO_HOLE), (50_000, flag::FUA)] {
            let zeroed = client.ask(command::WRITE_ZEROES, flags, at as u64, 5000);
            assert_eq!(zeroed.error, 0);
            model[at..at + 5000].fill(0);
        }
        assert_eq!(client.ask(command::CACHE, 0, 0, 100_000).error, 0);
        assert_eq!(client.ask(command::FLUSH, 0, 0, 0).error, 0);
        assert_eq!(client.ask(command::FLUSH, flag::FUA, 0, 0).error, 0);
        assert!(storage.snapshot() == model);
        assert_eq!(client.ask(command::TRIM, flag::FUA, 4096, 4096).error, 0);
        client.request(command::DISCONNECT, 0, 1, 0, 0);
        assert!(matches!(client.ended(), Ended::Disconnected));
    }
}

/// Each error is the client's own, and what follows is answered.
#[test]
fn what_cannot_be_done_is_refused_by_number() {
    let len = 100_000;
    for replies in ALL {
        let (storage, export) = export_of(vec![1; 100_000], ExportOptions::default());
        let mut client = Client::ready(&export, replies);
        let is_simple = replies == Replies::Simple;
        let cases: &[(u16, u16, u64, u64, u32)] = &[
            (command::READ, 0, len, 1, error::INVAL),
            (command::READ, 0, 0, len + 1, error::INVAL),
            (command::READ, 0, u64::MAX, 1, error::INVAL),
            (command::READ, 0, 0, 0, error::INVAL),
            (command::READ, 0, 0, (32 << 20) + 1, error::INVAL),
            (command::READ, flag::NO_HOLE, 0, 1, error::INVAL),
            (command::READ, flag::REQ_ONE, 0, 1, error::INVAL),
            (command::READ, 1 << 9, 0, 1, error::INVAL),
            (command::FLUSH, 0, 1, 0, error::INVAL),
            (command::FLUSH, 0, 0, 1, error::INVAL),
            (command::FLUSH, flag::DF, 0, 0, error::INVAL),
            (command::TRIM, 0, 0, 1, error::INVAL),
            (command::CACHE, 0, len, 1, error::INVAL),
            (command::CACHE, flag::NO_HOLE, 0, 1, error::INVAL),
            (command::WRITE_ZEROES, 0, len, 1, error::NOSPC),
            (command::WRITE_ZEROES, 0, 1, len, error::NOSPC),
            (command::WRITE_ZEROES, 0, 0, 0, error::INVAL),
            (command::WRITE_ZEROES, flag::FAST_ZERO, 0, 1, error::NOTSUP),
            (command::WRITE_ZEROES, flag::DF, 0, 1, error::INVAL),
            (8, 0, 0, 1, error::INVAL),
            (999, 0, 0, 0, error::INVAL),
            (
                command::BLOCK_STATUS,
                0,
                if is_simple { 0 } else { len },
                1,
                error::INVAL,
            ),
        ];
        for (command, flags, offset, length, error) in cases {
            let reply = client.ask(*command, *flags, *offset, *length);
            assert_eq!(reply.error, *error, "{command} {flags} {offset} {length}");
        }
        for (flags, offset, length, error) in [
            (0, len, 1, error::NOSPC),
            (0, len - 1, 2, error::NOSPC),
            (0, u64::MAX, 5, error::NOSPC),
            (flag::NO_HOLE, 0, 700, error::INVAL),
            (0, 0, 0, error::INVAL),
            (0, 0, (32 << 20) + 1, error::NOSPC),
        ] {
            let data = vec![9; length];
            assert_eq!(client.write(flags, offset, &data), error, "{length}");
        }
        assert!(storage.snapshot().iter().all(|byte| *byte == 1));
        assert_eq!(client.read(5, 3), Ok(vec![1; 3]));
        client.send(&[0; 32]);
        let ended = client.ended();
        let magic = matches!(ended, Ended::Violation(Violation::RequestMagic));
        assert!(magic, "{ended}");
    }
}

/// Lengths of 64 bits, and payloads that a request has no use for.
#[test]
fn extended_lengths_are_hostile_too() {
    let (_, export) = export_of(vec![1; 5000], ExportOptions::default());
    let mut client = Client::ready(&export, Replies::Extended);
    for command in [command::READ, command::WRITE_ZEROES, command::CACHE] {
        for (offset, length) in [(0, u64::MAX), (1, u64::MAX), (5000, 1 << 40)] {
            assert_ne!(client.ask(command, 0, offset, length).error, 0);
        }
    }
    for command in [command::READ, command::FLUSH, command::BLOCK_STATUS, 77] {
        client.request(command, flag::PAYLOAD_LEN, 3, 0, 4000);
        client.send(&[0x25; 4000]);
        assert_eq!(client.reply().error, error::INVAL, "{command}");
    }
    assert_eq!(client.write(flag::PAYLOAD_LEN, 0, &[2; 5000]), 0);
    assert_eq!(client.read(0, 5000), Ok(vec![2; 5000]));
    client.request(command::WRITE, flag::PAYLOAD_LEN, 3, 0, 1 << 40);
    let ended = client.ended();
    let length = matches!(ended, Ended::Violation(Violation::WriteLength(_)));
    assert!(length, "{ended}");
}

#[test]
fn nothing_is_written_where_it_is_only_read() {
    let read_only = ExportOptions {
        read_only: true,
        discard: true,
    };
    for replies in ALL {
        let (storage, export) = export_of(vec![1; 5000], read_only);
        let mut client = Client::ready(&export, replies);
        assert_eq!(client.write(0, 0, &[2; 5000]), error::PERM);
        for command in [command::TRIM, command::WRITE_ZEROES] {
            assert_eq!(client.ask(command, 0, 0, 5000).error, error::PERM);
        }
        assert_eq!(client.ask(command::FLUSH, 0, 0, 0).error, 0);
        assert_eq!(client.read(0, 5000), Ok(vec![1; 5000]));
        assert!(storage.snapshot() == [1; 5000]);
        drop(client);
    }
}

/// Of what is asked for in one piece there is one piece, and of all else what was asked for.
#[test]
fn large_reads_and_writes_come_whole() {
    let len: usize = 33 << 20;
    let model = pattern(len, 5);
    let (storage, export) = export_of(model.clone(), ExportOptions::default());
    for replies in ALL {
        let mut client = Client::ready(&export, replies);
        let read = client.read(12_345, 32 << 20).unwrap();
        assert!(read == model[12_345..][..32 << 20]);
        if replies != Replies::Simple {
            let reply = client.ask(command::READ, flag::DF, 4097, 32 << 20);
            assert_eq!((reply.error, reply.data.len()), (0, 1));
            assert!(reply.data[0].1 == model[4097..][..32 << 20]);
        }
        assert_eq!(client.write(0, 99, &model[99..][..32 << 20]), 0);
        assert_eq!(client.write(flag::FUA, 0, &model[..5 << 20]), 0);
        assert_eq!(client.read(0, (32 << 20) + 1), Err(error::INVAL));
        let more = vec![0; (32 << 20) + 1];
        assert_eq!(client.write(0, 0, &more), error::INVAL);
    }
    assert!(storage.snapshot() == model);
}

/// A storage that fails from some offset on, and at a sync.
struct Failing {
    below: MemoryStorage,
    from: u64,
    code: i32,
    sync_fails: AtomicBool,
}

impl Failing {
    fn check(&self, offset: u64, len: usize) -> io::Result<()> {
        if offset + len as u64 > self.from {
            return Err(io::Error::from_raw_os_error(self.code));
        }
        Ok(())
    }
}

impl Storage for Failing {
    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.check(offset, buf.len())?;
        self.below.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(offset, data.len())?;
        self.below.write_at(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        if self.sync_fails.swap(false, Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }

    fn data_extent(&self, _offset: u64) -> io::Result<Option<Range<u64>>> {
        Err(io::Error::from_raw_os_error(self.code))
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.below.lock(mode)
    }
}

fn failing(from: u64, code: i32) -> Arc<Failing> {
    Arc::new(Failing {
        below: MemoryStorage::new(20 << 20),
        from,
        code,
        sync_fails: AtomicBool::new(false),
    })
}

#[test]
fn errors_of_the_storage_reach_the_client() {
    for (code, expected) in [
        (5, error::IO),
        (28, error::NOSPC),
        (122, error::NOSPC),
        (12, error::NOMEM),
        (30, error::PERM),
        (6, error::IO),
    ] {
        for replies in ALL {
            let export = export(failing(4096, code));
            let mut client = Client::ready(&export, replies);
            assert_eq!(client.read(0, 4096).map(|data| data.len()), Ok(4096));
            assert_eq!(client.read(4000, 4096), Err(expected));
            assert_eq!(client.write(0, 4096, &[1; 512]), expected);
            assert_eq!(client.write(0, 0, &vec![1; 9 << 20]), expected);
            let zero = client.ask(command::WRITE_ZEROES, 0, 0, 1 << 20);
            assert_eq!(zero.error, expected);
            if replies != Replies::Simple {
                let status = client.ask(command::BLOCK_STATUS, 0, 0, 1 << 20);
                assert_eq!(status.error, expected);
            }
            assert_eq!(client.read(0, 512), Ok(vec![0; 512]));
        }
    }
}

/// What was said of a read before it failed is followed by where it did; a simple reply can only break off.
#[test]
fn a_read_that_fails_later_says_where() {
    let export = export(failing(9 << 20, 5));
    for replies in [Replies::Structured, Replies::Extended] {
        let mut client = Client::ready(&export, replies);
        for flags in [0, flag::DF] {
            let reply = client.ask(command::READ, flags, 0, 16 << 20);
            assert_eq!(reply.error, error::IO);
            let at = reply.failed_at.unwrap();
            assert!(at > 0 && at <= 9 << 20, "{at}");
            let said: usize = reply.data.iter().map(|(_, data)| data.len()).sum();
            let whole = if flags == 0 { at } else { 16 << 20 };
            assert_eq!(said as u64, whole);
        }
        assert_eq!(client.read(0, 512), Ok(vec![0; 512]));
    }
    let mut client = Client::ready(&export, Replies::Simple);
    client.request(command::READ, 0, 1, 0, 16 << 20);
    assert_eq!(client.reply().error, 0);
    assert!(matches!(client.ended(), Ended::Io(_)));
}

#[test]
fn after_a_sync_that_failed_none_succeeds() {
    for flags in [None, Some(flag::FUA)] {
        let storage = failing(u64::MAX, 5);
        let export = export(storage.clone());
        let mut one = Client::ready(&export, Replies::Structured);
        let mut other = Client::ready(&export, Replies::Simple);
        assert_eq!(one.ask(command::FLUSH, 0, 0, 0).error, 0);
        storage.sync_fails.store(true, Ordering::SeqCst);
        let failed = match flags {
            None => one.ask(command::FLUSH, 0, 0, 0).error,
            Some(flags) => one.write(flags, 0, &[1]),
        };
        assert_eq!(failed, error::IO);
        assert!(!storage.sync_fails.load(Ordering::SeqCst));
        for client in [&mut one, &mut other] {
            assert_eq!(client.ask(command::FLUSH, 0, 0, 0).error, error::IO);
            assert_eq!(client.write(flag::FUA, 0, &[1]), error::IO);
            assert_eq!(client.write(0, 0, &[1]), 0);
        }
        assert!(export.sync().is_err());
    }
}

#[test]
fn extents_say_what_is_there() {
    let storage = Arc::new(MemoryStorage::new(1 << 20));
    for at in [100_000, 300_000, 700_000] {
        storage.write_at(at, &vec![1; 50_000]).unwrap();
    }
    let export = export(storage);
    let spelled = |extents: &[(u64, u64)]| -> Vec<u64> {
        assert!(extents.windows(2).all(|pair| pair[0].1 != pair[1].1));
        let runs = extents.iter().map(|(length, state)| {
            assert!([0, 3].contains(state));
            std::iter::repeat_n(*state, usize::try_from(*length).unwrap())
        });
        runs.flatten().collect()
    };
    for replies in [Replies::Structured, Replies::Extended] {
        let mut client = Client::ready(&export, replies);
        let all = client.ask(command::BLOCK_STATUS, 0, 0, 1 << 20).extents;
        assert_eq!(all.len(), 7);
        let all = spelled(&all);
        assert_eq!(all.len(), 1 << 20);
        assert!([100_000, 349_999, 749_999].iter().all(|at| all[*at] == 0));
        assert!(
            [0, 200_000, 500_000, 1_048_575]
                .iter()
                .all(|at| all[*at] == 3)
        );
        for (at, len) in [(0, 1), (99_999, 200_000), (120_000, 10), (1_048_575, 1)] {
            let part = client.ask(command::BLOCK_STATUS, 0, at, len).extents;
            let bounds = usize::try_from(at).unwrap()..usize::try_from(at + len).unwrap();
            assert_eq!(spelled(&part), all[bounds]);
            let one = client
                .ask(command::BLOCK_STATUS, flag::REQ_ONE, at, len)
                .extents;
            assert_eq!(one, part[..1]);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Read(u64, u64),
    Write(u64, usize),
    Zero(u64, u64),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..60_000_u64;
    prop_oneof![
        (at(), 1..30_000_u64).prop_map(|(at, len)| Step::Read(at, len)),
        (at(), 1..30_000_usize).prop_map(|(at, len)| Step::Write(at, len)),
        (at(), 1..30_000_u64).prop_map(|(at, len)| Step::Zero(at, len)),
        Just(Step::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Beside a slice of bytes.
    #[test]
    fn a_session_is_a_slice(steps in prop::collection::vec(step(), 1..20), kind in 0..3_usize) {
        let mut model = pattern(50_000, 3);
        let (storage, export) = export_of(model.clone(), ExportOptions::default());
        let mut client = Client::ready(&export, ALL[kind]);
        for (number, step) in steps.into_iter().enumerate() {
            let index = |at: u64, len: u64| {
                let (from, to) = (usize::try_from(at).unwrap(), usize::try_from(at + len).unwrap());
                (to <= 50_000).then_some(from..to)
            };
            match step {
                Step::Read(at, len) => {
                    let expected = index(at, len).map(|range| model[range].to_vec());
                    prop_assert_eq!(client.read(at, len), expected.ok_or(error::INVAL));
                }
                Step::Write(at, len) => {
                    let data = pattern(len, number as u64);
                    let said = client.write(0, at, &data);
                    let range = index(at, len as u64);
                    prop_assert_eq!(said == 0, range.is_some());
                    if let Some(range) = range {
                        model[range].copy_from_slice(&data);
                    }
                }
                Step::Zero(at, len) => {
                    let said = client.ask(command::WRITE_ZEROES, 0, at, len).error;
                    let range = index(at, len);
                    prop_assert_eq!(said == 0, range.is_some());
                    if let Some(range) = range {
                        model[range].fill(0);
                    }
                }
                Step::Flush => prop_assert_eq!(client.ask(command::FLUSH, 0, 0, 0).error, 0),
            }
        }
        prop_assert!(storage.snapshot() == model);
    }
}

/// Many at work at once, each answered once; a flush covers what another connection was answered.
#[test]
fn many_requests_are_at_work_at_once() {
    let storage = Arc::new(SimulatedStorage::new(1 << 20));
    let export = export(storage.clone());
    let mut client = Client::ready(&export, Replies::Structured);
    let mut other = Client::ready(&export, Replies::Simple);
    for round in 0..8_u64 {
        let byte = u8::try_from(round).unwrap() + 1;
        for cookie in 0..64 {
            client.request(command::WRITE, 0, cookie, cookie * 4096, 4096);
            client.send(&[byte; 4096]);
        }
        let mut answered: Vec<_> = (0..64).map(|_| client.reply()).collect();
        answered.sort_by_key(|reply| reply.cookie);
        let cookies: Vec<_> = answered.iter().map(|reply| reply.cookie).collect();
        assert_eq!(cookies, (0..64).collect::<Vec<_>>());
        assert!(answered.iter().all(|reply| reply.error == 0));
        assert_eq!(other.ask(command::FLUSH, 0, 0, 0).error, 0);
        for state in storage.crash_states_now(round) {
            assert!(
                state.storage.snapshot()[..64 * 4096]
                    .iter()
                    .all(|at| *at == byte)
            );
        }
        for cookie in 0..64 {
            client.request(command::READ, 0, cookie, cookie * 4096, 4096);
        }
        for _ in 0..64 {
            let reply = client.reply();
            assert_eq!(reply.data, [(reply.cookie * 4096, vec![byte; 4096])]);
        }
    }
}

/// One who has shut his side is still answered.
#[test]
fn who_says_no_more_hears_what_he_has_asked_for() {
    let bytes = pattern(1 << 20, 3);
    let (_, export) = export_of(bytes.clone(), ExportOptions::default());
    for round in 0..60 {
        let replies = ALL[round % 3];
        let mut client = Client::ready(&export, replies);
        // More than a socket holds, and fewer than there are threads: one finds out that nothing follows.
        for cookie in 0..3 {
            client.request(
                command::READ,
                flag::DF * u16::from(replies != Replies::Simple),
                cookie,
                0,
                1 << 20,
            );
        }
        client.stream.shutdown(Shutdown::Write).unwrap();
        let mut cookies = Vec::new();
        for _ in 0..3 {
            let reply = client.reply();
            let data = match replies {
                Replies::Simple => client.take_vec(1 << 20),
                _ => reply.data.into_iter().flat_map(|(_, data)| data).collect(),
            };
            assert!(data == bytes);
            cookies.push(reply.cookie);
        }
        cookies.sort_unstable();
        assert_eq!(cookies, [0, 1, 2]);
        assert!(matches!(client.ended(), Ended::Gone));
    }
}
