//! Plaintext as a file by FUSE: our program beside the same adapter over a file that is not encrypted, and beside QEMU's.

use std::fs::{self, File};
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dmcrypt::SectorSize;
use rustix::fs::Advice;
use serve::fuse::{MountOptions, Mounted, Target};
use serve::{Export, ExportOptions, Stop};
use volume::{Access, FileStorage, MemoryStorage, Storage};

use crate::harness::{Chart, Contest, Effort, Work};
use crate::peers::tools;
use crate::subjects::images::aes_xts_volume;
use crate::{test_bytes, usize_of};

/// What is mounted. It lies in memory.
const BYTES: u64 = 256 << 20;
/// Of random requests only some.
const RANDOM_BYTES: u64 = 32 << 20;

/// What fio does with the file, and with how much of it.
const WORKS: [(&str, &str, u64); 6] = [
    (
        "read in pieces of 1 MiB through the cache",
        "--rw=read --bs=1M --ioengine=psync",
        BYTES,
    ),
    (
        "written in pieces of 1 MiB through the cache",
        "--rw=write --bs=1M --ioengine=psync",
        BYTES,
    ),
    (
        "read in pieces of 1 MiB, direct, depth 8",
        "--rw=read --bs=1M --ioengine=libaio --direct=1 --iodepth=8",
        BYTES,
    ),
    (
        "written in pieces of 1 MiB, direct, depth 8",
        "--rw=write --bs=1M --ioengine=libaio --direct=1 --iodepth=8",
        BYTES,
    ),
    (
        "read at random, 4 KiB, direct, depth 32",
        "--rw=randread --bs=4k --ioengine=libaio --direct=1 --iodepth=32",
        RANDOM_BYTES,
    ),
    (
        "written at random, 4 KiB, direct, depth 32",
        "--rw=randwrite --bs=4k --ioengine=libaio --direct=1 --iodepth=32",
        RANDOM_BYTES,
    ),
];

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    each(library(effort));
    if effort.peers {
        programs(effort, each);
    }
}

/// Reads by this process, which answers itself.
fn library(effort: &Effort) -> Chart {
    let bytes = effort.image_bytes.min(64 << 20);
    let title = format!("{} MiB read by FUSE, the library", bytes >> 20);
    let mut contest = Contest::new(title, Work::Bytes(bytes));
    let folder = tempfile::tempdir().expect("a folder");
    let memory = || Arc::new(MemoryStorage::from_vec(test_bytes(usize_of(bytes))));
    let storages: [(&str, Arc<dyn Storage>); 2] = [
        (
            "aes-xts",
            Arc::new(aes_xts_volume(
                &(memory() as Arc<dyn Storage>),
                SectorSize::B4096,
                bytes,
            )),
        ),
        ("not encrypted", memory()),
    ];
    let mut mounts = Vec::new();
    for (name, storage) in storages {
        let path = folder.path().join(name);
        match Through::begin(&path, storage) {
            Ok(through) => {
                mounts.push(through);
                contest.add(name, move || read_all(&path, bytes));
            }
            Err(why) => contest.miss(name, why),
        }
    }
    contest.run(effort)
}

/// Reads everything once, and not from what the kernel has kept.
fn read_all(path: &Path, bytes: u64) {
    let mut file = File::open(path).expect("it is mounted");
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).expect("a file");
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    while read < bytes {
        let step = file.read(&mut buffer).expect("it is there");
        assert_ne!(step, 0);
        read += step as u64;
    }
}

fn programs(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    // In memory where that can be had: a disk would be what is measured.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.expect("a folder");
    let at = folder.path();
    fs::write(at.join("key"), "bench").expect("room for a key");
    fs::write(at.join("raw"), test_bytes(usize_of(BYTES))).expect("room for an image");
    let ours = tools::luksmith().map(|_| {
        tools::sh(
            at,
            "\"$LUKSMITH\" encrypt --type luks1 raw box1 -q --key-file key --pbkdf-force-iterations 1000
             \"$LUKSMITH\" encrypt raw box2 -q --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000
             cp box1 box1copy",
        );
    });
    let program = |line: &str, name: &str| {
        ours.clone()
            .and_then(|()| Server::begin(at, line, name))
            .map(Kind::Program)
    };
    let mut contestants = vec![
        (
            "not encrypted, by the same adapter",
            "m0",
            Through::begin(&at.join("m0"), file_of(at)).map(Kind::Library),
        ),
        (
            "luksmith, LUKS1",
            "m1",
            program("exec \"$LUKSMITH\" mount box1 m1 --key-file key --foreground -q", "m1"),
        ),
        (
            "luksmith, LUKS2",
            "m2",
            program("exec \"$LUKSMITH\" mount box2 m2 --key-file key --foreground -q", "m2"),
        ),
        (
            "qemu-storage-daemon, LUKS1",
            "m3",
            tools::find("qemu-storage-daemon", "qemu-utils").and_then(|()| {
                program(
                    "exec qemu-storage-daemon --object secret,id=s,file=key --blockdev driver=file,node-name=f,filename=box1copy \
                     --blockdev driver=luks,node-name=l,file=f,key-secret=s \
                     --export type=fuse,id=e,node-name=l,mountpoint=m3,writable=on",
                    "m3",
                )
            }),
        ),
        ("the file itself", "raw2", {
            tools::sh(at, "cp raw raw2");
            Ok(Kind::Nobody)
        }),
    ];
    let fio = tools::find("fio", "fio");
    for (what, options, bytes) in WORKS {
        let title = format!("{} MiB {what}", BYTES >> 20);
        let mut contest = Contest::new(title, Work::Bytes(bytes));
        for (name, file, server) in &contestants {
            match (server, &fio) {
                (Ok(_), Ok(())) => {
                    let line = format!(
                        "fio --name=x --filename={file} --size={BYTES} --io_size={bytes} --overwrite=1 {options}"
                    );
                    contest.add(*name, move || tools::sh(at, &line));
                }
                (Err(why), _) | (_, Err(why)) => contest.miss(*name, why.clone()),
            }
        }
        each(contest.run(effort));
    }
    contestants.clear();
}

/// A file that is not encrypted.
fn file_of(folder: &Path) -> Arc<dyn Storage> {
    let path = folder.join("through");
    fs::copy(folder.join("raw"), &path).expect("room for an image");
    Arc::new(FileStorage::open(&path, Access::ReadWrite).expect("it was made just now"))
}

/// Who answers.
enum Kind {
    Nobody,
    #[expect(dead_code, reason = "it ends with this value")]
    Library(Through),
    #[expect(dead_code, reason = "it ends with this value")]
    Program(Server),
}

/// The library over a storage.
struct Through {
    stop: Arc<Stop>,
    serving: Option<JoinHandle<()>>,
}

impl Through {
    fn begin(path: &Path, storage: Arc<dyn Storage>) -> Result<Self, String> {
        File::create(path).expect("room for nothing");
        let export = Export::new(storage, ExportOptions::default()).expect("it has a length");
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let options = MountOptions {
            threads: NonZeroUsize::new(processors.clamp(2, 16)).expect("it is not 0"),
            ..MountOptions::default()
        };
        let target = Target::of(path).map_err(|error| error.to_string())?;
        let mounted = Mounted::at(&target, export, &options).map_err(|error| error.to_string())?;
        let stop = Arc::new(Stop::new().expect("two descriptors"));
        let asked = Arc::clone(&stop);
        let serving = thread::spawn(move || mounted.serve(&asked).expect("it serves to the end"));
        Ok(Self {
            stop,
            serving: Some(serving),
        })
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        self.stop.ask();
        let _ = self.serving.take().map(JoinHandle::join);
    }
}

/// A program that has something mounted over a file; it ends with this value.
struct Server {
    child: Child,
    target: PathBuf,
}

impl Server {
    fn begin(folder: &Path, line: &str, name: &str) -> Result<Self, String> {
        let target = folder.join(name);
        File::create(&target).expect("room for nothing");
        let child = Command::new("sh")
            .args(["-c", line])
            .current_dir(folder)
            .env("LUKSMITH", tools::luksmith().unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("every system has sh");
        let mut server = Self { child, target };
        let start = Instant::now();
        while fs::metadata(&server.target).is_ok_and(|file| file.len() != BYTES) {
            let has_ended = matches!(server.child.try_wait(), Ok(Some(_)));
            if has_ended || start.elapsed() > Duration::from_mins(1) {
                return Err("it does not mount here".to_owned());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = serve::fuse::unmount(&self.target, true);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
