//! Plaintext over NBD: the library beside nothing but its socket, and our program beside nbdkit and QEMU.

use std::fs;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dmcrypt::SectorSize;
use serve::nbd::converse;
use serve::{Export, ExportOptions};
use volume::{MemoryStorage, Storage};

use crate::harness::{Chart, Contest, Effort, Work, timed};
use crate::peers::tools;
use crate::subjects::images::aes_xts_volume;
use crate::{test_bytes, usize_of};

/// What nbdcopy asks for at once.
const REQUEST_BYTES: u32 = 256 << 10;
/// How many of those are under way.
const DEPTH: u64 = 16;
/// What the programs serve. It lies in memory.
const PROGRAM_BYTES: u64 = 256 << 20;

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    each(library(effort));
    if effort.peers {
        programs(effort, each);
    }
}

/// Reads of one connection, by a client of our own.
fn library(effort: &Effort) -> Chart {
    let bytes = effort.image_bytes.min(64 << 20);
    let title = format!("{} MiB read over NBD, the library", bytes >> 20);
    let mut contest = Contest::new(title, Work::Bytes(bytes));
    let memory = || Arc::new(MemoryStorage::from_vec(test_bytes(usize_of(bytes))));
    for sector_size in [SectorSize::B4096, SectorSize::B512] {
        let volume: Arc<dyn Storage> = memory();
        let volume = Arc::new(aes_xts_volume(&volume, sector_size, bytes));
        let name = format!("aes-xts, sectors of {} bytes", sector_size.bytes());
        let export = export(volume);
        contest.add(name, move || read_all(&export, bytes));
    }
    let plain = export(memory());
    contest.add("not encrypted", move || read_all(&plain, bytes));
    contest.run(effort)
}

fn export(storage: Arc<dyn Storage>) -> Export {
    Export::new(storage, ExportOptions::default()).expect("it has a length")
}

/// Reads everything once, with simple replies.
fn read_all(export: &Export, bytes: u64) {
    let (mut client, server) = UnixStream::pair().expect("two descriptors");
    let threads = NonZeroUsize::new(4).expect("it is not 0");
    thread::scope(|scope| {
        scope.spawn(|| converse(&server, &server, export, threads, &|| {}));
        let mut hello = [0; 18];
        client.read_exact(&mut hello).expect("a greeting");
        let mut said = 3_u32.to_be_bytes().to_vec();
        said.extend(b"IHAVEOPT\0\0\0\x01\0\0\0\0");
        client.write_all(&said).expect("it is read");
        client.read_exact(&mut [0; 10]).expect("the export");
        let requests = bytes / u64::from(REQUEST_BYTES);
        let ask = |client: &mut UnixStream, number: u64| {
            let mut request = 0x2560_9513_u32.to_be_bytes().to_vec();
            request.extend([0; 4]);
            request.extend(number.to_be_bytes());
            request.extend((number * u64::from(REQUEST_BYTES)).to_be_bytes());
            request.extend(REQUEST_BYTES.to_be_bytes());
            client.write_all(&request).expect("it is read");
        };
        for number in 0..requests.min(DEPTH) {
            ask(&mut client, number);
        }
        let mut reply = vec![0; 16 + REQUEST_BYTES as usize];
        for number in 0..requests {
            client.read_exact(&mut reply).expect("a reply");
            assert_eq!(reply[..8], [0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0]);
            if number + DEPTH < requests {
                ask(&mut client, number + DEPTH);
            }
        }
        drop(client);
    });
}

/// A server, and what it is started with; `SOCKET` is where.
struct Peer {
    name: &'static str,
    program: &'static str,
    package: &'static str,
    line: &'static str,
}

const PEERS: [Peer; 5] = [
    Peer {
        name: "luksmith, LUKS1",
        program: "luksmith",
        package: "",
        line: "exec \"$LUKSMITH\" serve box1 --key-file key --socket SOCKET --foreground -q",
    },
    Peer {
        name: "luksmith, LUKS2",
        program: "luksmith",
        package: "",
        line: "exec \"$LUKSMITH\" serve box2 --key-file key --socket SOCKET --foreground -q",
    },
    Peer {
        name: "nbdkit luks filter, LUKS1",
        program: "nbdkit",
        package: "nbdkit",
        line: "exec nbdkit -f -U SOCKET file box1copy --filter=luks passphrase=+key",
    },
    Peer {
        name: "qemu-nbd, LUKS1",
        program: "qemu-nbd",
        package: "qemu-utils",
        line: "exec qemu-nbd --object secret,id=key,file=key --image-opts driver=luks,key-secret=key,file.filename=box1copy \
               -k \"$PWD/SOCKET\" -t --shared=16",
    },
    Peer {
        name: "nbdkit file, not encrypted",
        program: "nbdkit",
        package: "nbdkit",
        line: "exec nbdkit -f -U SOCKET file raw",
    },
];

/// What a client does with the plaintext at `$uri`.
const CLIENTS: [(&str, &str, &str, &str); 5] = [
    (
        "read by nbdcopy, 4 connections, 64 requests",
        "nbdcopy",
        "libnbd-bin",
        "nbdcopy --connections=4 --requests=64 \"$uri\" null:",
    ),
    (
        "written by nbdcopy, 4 connections, 64 requests",
        "nbdcopy",
        "libnbd-bin",
        "nbdcopy --connections=4 --requests=64 source \"$uri\"",
    ),
    (
        "read by qemu-img convert -n -W -m 16",
        "qemu-img",
        "qemu-utils",
        "qemu-img convert -n -W -m 16 -f raw -O raw \"$uri\" out",
    ),
    (
        "read at random, 4 KiB, depth 32, by fio",
        "fio",
        "fio",
        "fio --name=x --ioengine=nbd --uri=\"$uri\" --rw=randread --bs=4k --size=256M --io_size=64M --iodepth=32",
    ),
    (
        "written at random, 4 KiB, depth 32, by fio",
        "fio",
        "fio",
        "fio --name=x --ioengine=nbd --uri=\"$uri\" --rw=randwrite --bs=4k --size=256M --io_size=64M --iodepth=32",
    ),
];

fn programs(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    // In memory where that can be had: a disk would be what is measured.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.expect("a folder");
    let at = folder.path();
    fs::write(at.join("key"), "bench").expect("room for a key");
    fs::write(at.join("raw"), test_bytes(usize_of(PROGRAM_BYTES))).expect("room for an image");
    let is_ours = tools::luksmith().is_ok();
    if is_ours {
        tools::sh(
            at,
            "\"$LUKSMITH\" encrypt --type luks1 raw box1 -q --key-file key --pbkdf-force-iterations 1000
             \"$LUKSMITH\" encrypt raw box2 -q --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000
             cp box1 box1copy; cp raw source; cp raw out",
        );
    }
    let mut servers = Vec::new();
    for (number, peer) in PEERS.iter().enumerate() {
        let is_there = if peer.program == "luksmith" {
            tools::luksmith().map(drop)
        } else {
            tools::find(peer.program, peer.package)
        };
        let begun = match is_there {
            Ok(()) if is_ours => Server::begin(at, peer, number),
            Ok(()) => Err("luksmith makes what it serves".to_owned()),
            Err(why) => Err(why),
        };
        servers.push((peer, begun));
    }
    for (what, program, package, line) in CLIENTS {
        let mib = PROGRAM_BYTES >> 20;
        let bytes = if program == "fio" {
            64 << 20
        } else {
            PROGRAM_BYTES
        };
        let mut contest = Contest::new(format!("{mib} MiB {what}"), Work::Bytes(bytes));
        for (peer, server) in &servers {
            match (server, &tools::find(program, package)) {
                (Ok(server), Ok(())) => {
                    let line = format!("uri='nbd+unix:///?socket={}'; {line}", server.socket);
                    contest.add(peer.name, move || tools::sh(at, &line));
                }
                (Err(why), _) | (_, Err(why)) => contest.miss(peer.name, why.clone()),
            }
        }
        each(contest.run(effort));
        if program == "fio" {
            continue;
        }
        // On few processors the client's own work hides what is the server's.
        let title = format!("{mib} MiB {what}, processor time of the server");
        let mut contest = Contest::new(title, Work::Bytes(bytes));
        for (peer, server) in &servers {
            match (server, &tools::find(program, package)) {
                (Ok(server), Ok(())) => {
                    let line = format!("uri='nbd+unix:///?socket={}'; {line}", server.socket);
                    contest.add_timed(peer.name, move || {
                        let before = server.processor_time();
                        tools::sh(at, &line);
                        server.processor_time().saturating_sub(before)
                    });
                }
                (Err(why), _) | (_, Err(why)) => contest.miss(peer.name, why.clone()),
            }
        }
        each(contest.run(effort));
    }
    drop(servers);
    each(ready(effort, at, is_ours));
}

/// From the start of a program to where a client is served, without any derivation of keys.
fn ready(effort: &Effort, at: &Path, is_ours: bool) -> Chart {
    /// Each goes to the background once it is ready.
    const BEGIN: [(&str, &str, &str, &str); 5] = [
        (
            "luksmith, LUKS1",
            "luksmith",
            "",
            "\"$LUKSMITH\" serve box1 --volume-key-file vk1 --socket ready --pid-file pid -q",
        ),
        (
            "luksmith, LUKS2",
            "luksmith",
            "",
            "\"$LUKSMITH\" serve box2 --volume-key-file vk2 --socket ready --pid-file pid -q",
        ),
        (
            "luksmith mount, LUKS2",
            "luksmith",
            "",
            "\"$LUKSMITH\" mount box2 m --volume-key-file vk2 --pid-file pid -q",
        ),
        (
            "nbdkit file, not encrypted",
            "nbdkit",
            "nbdkit",
            "nbdkit -U ready -P pid file raw",
        ),
        (
            "qemu-nbd, not encrypted",
            "qemu-nbd",
            "qemu-utils",
            "qemu-nbd -f raw -k \"$PWD/ready\" -t --fork --pid-file=\"$PWD/pid\" raw",
        ),
    ];
    if is_ours {
        tools::sh(
            at,
            "mkdir m; for n in 1 2; do \"$LUKSMITH\" key export box$n -q --key-file key --volume-key-file vk$n; done",
        );
    }
    let mut contest = Contest::new("ready to be connected to, with the volume key", Work::Whole);
    for (name, program, package, line) in BEGIN {
        let is_there = if program == "luksmith" {
            tools::luksmith().map(drop)
        } else {
            tools::find(program, package)
        };
        match is_there {
            Ok(()) => contest.add_timed(name, move || {
                let took = timed(|| tools::sh(at, line));
                tools::sh(
                    at,
                    "p=$(cat pid); kill $p; while kill -0 $p 2>/dev/null; do sleep 0.01; done; rm -f ready pid",
                );
                took
            }),
            Err(why) => contest.miss(name, why),
        }
    }
    contest.run(effort)
}

/// A program that serves; it ends with this value.
struct Server {
    child: Child,
    socket: String,
}

impl Server {
    fn begin(folder: &Path, peer: &Peer, number: usize) -> Result<Self, String> {
        let name = format!("s{number}");
        let child = Command::new("sh")
            .args(["-c", &peer.line.replace("SOCKET", &name)])
            .current_dir(folder)
            .env("LUKSMITH", tools::luksmith().unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("every system has sh");
        let socket = folder.join(name);
        let mut server = Self {
            child,
            socket: socket.display().to_string(),
        };
        let start = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            let has_ended = matches!(server.child.try_wait(), Ok(Some(_)));
            if has_ended || start.elapsed() > Duration::from_mins(1) {
                return Err("it does not serve here".to_owned());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Of all its threads, also those that have ended.
    fn processor_time(&self) -> Duration {
        /// What Linux counts in, whatever the machine.
        const TICKS: u64 = 100;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        // What comes behind the name, which may have blanks.
        let (_, numbers) = stat.rsplit_once(") ").unwrap_or_default();
        let ticks = numbers.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * (1000 / TICKS))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
