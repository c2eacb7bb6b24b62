//! Whole images in the page cache: our pipeline beside reading and writing alone with the same buffers and threads, and
//! our program beside others.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dmcrypt::{CipherSpec, SectorOptions, SectorSize};
use tempfile::TempDir;
use volume::{
    CopyOptions, FileStorage, Mapping, Segment, SegmentKind, Sink, Source, Storage, Volume, copy,
};

use crate::harness::{Chart, Contest, Effort, Work};
use crate::peers::tools;
use crate::test_bytes;

const CHUNK_BYTES: usize = 512 * 1024;
const THREADS: usize = 2;

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    let folder = folder();
    let raw = new_file(&folder.path().join("raw"));
    let chunk = test_bytes(CHUNK_BYTES);
    for at in (0..effort.image_bytes).step_by(CHUNK_BYTES) {
        raw.write_all_at(&chunk, at).expect("room for the image");
    }
    each(pipeline(effort, &raw, folder.path()));
    if effort.peers {
        fs::write(folder.path().join("key"), "bench").expect("room for a key");
        each(encryption(effort, folder.path()));
        // What the others decrypt comes from our program.
        if tools::luksmith().is_ok() {
            each(decryption(effort, folder.path()));
        }
    }
}

/// The library: one image read and another written.
fn pipeline(effort: &Effort, raw: &File, folder: &Path) -> Chart {
    let bytes = effort.image_bytes;
    let source = FileStorage::from_file(raw.try_clone().expect("one more handle"));
    let source: Arc<FileStorage> = Arc::new(source.expect("a regular file"));
    let out = Arc::new(FileStorage::from_file(new_file(&folder.join("out"))).expect("a file"));
    let options = CopyOptions {
        threads: THREADS,
        chunk_bytes: CHUNK_BYTES,
        ..CopyOptions::default()
    };
    let from_raw = || Source::Storage {
        storage: source.as_ref(),
        offset: 0,
        len: bytes,
    };
    let to_out = |sparse| Sink::Storage {
        storage: out.as_ref(),
        offset: 0,
        sparse,
    };
    let mut contest = Contest::new(
        format!(
            "{} MiB by the library, {THREADS} threads",
            bytes / (1 << 20)
        ),
        Work::Bytes(bytes),
    );
    // All write an empty file; emptying it is not counted.
    let timed = |action: &dyn Fn()| {
        out.set_len(0).expect("a file that can be emptied");
        let start = Instant::now();
        action();
        start.elapsed()
    };
    contest.add_timed("read and write alone", || {
        timed(&|| read_and_write(raw, out.file(), bytes))
    });
    contest.add_timed("copy", || {
        timed(&|| {
            copy(from_raw(), to_out(false), &options).expect("a copy");
        })
    });
    for sector_bytes in [512, 4096] {
        let timed = &timed;
        let options = &options;
        let storage: Arc<dyn Storage> = out.clone();
        let encrypted = aes_xts_volume(&storage, sector_bytes, bytes);
        contest.add_timed(
            format!("encrypt, sectors of {sector_bytes} bytes"),
            move || {
                timed(&|| {
                    copy(from_raw(), Sink::Volume(&encrypted), options).expect("a copy");
                })
            },
        );
        let storage: Arc<dyn Storage> = source.clone();
        let decrypted = aes_xts_volume(&storage, sector_bytes, bytes);
        contest.add_timed(
            format!("decrypt, sectors of {sector_bytes} bytes"),
            move || {
                timed(&|| {
                    copy(Source::Volume(&decrypted), to_out(true), options).expect("a copy");
                })
            },
        );
    }
    contest.run(effort)
}

/// What the pipeline does, without the pipeline.
fn read_and_write(from: &File, to: &File, bytes: u64) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut chunk = vec![0; CHUNK_BYTES];
                loop {
                    let position = next.fetch_add(CHUNK_BYTES as u64, Ordering::Relaxed);
                    if position >= bytes {
                        break;
                    }
                    from.read_exact_at(&mut chunk, position).expect("the image");
                    to.write_all_at(black_box(&chunk), position)
                        .expect("room for a copy");
                }
            });
        }
    });
}

/// A program that makes `out` of `raw` or of a container, and the one whose absence is told.
struct Tool {
    name: &'static str,
    program: &'static str,
    package: &'static str,
    /// What is not counted.
    before: &'static str,
    line: &'static str,
}

const QEMU_SECRET: &str = "--object secret,id=key,file=key";

fn encryption(effort: &Effort, folder: &Path) -> Chart {
    programs(
        effort,
        folder,
        "from raw to a container",
        &[
            Tool {
                name: "luksmith encrypt (LUKS2)",
                program: "luksmith",
                package: "",
                before: "rm -f out",
                line: "\"$LUKSMITH\" encrypt raw out --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --threads 2",
            },
            Tool {
                name: "luksmith encrypt --type luks1",
                program: "luksmith",
                package: "",
                before: "rm -f out",
                line: "\"$LUKSMITH\" encrypt --type luks1 raw out --key-file key --pbkdf-force-iterations 1000 --threads 2",
            },
            Tool {
                name: "cp",
                program: "cp",
                package: "coreutils",
                before: "rm -f out",
                line: "cp --reflink=never --sparse=never raw out",
            },
            Tool {
                name: "qemu-img convert (LUKS1)",
                program: "qemu-img",
                package: "qemu-utils",
                before: "rm -f out",
                line: "qemu-img convert SECRET -f raw -O luks -o key-secret=key,iter-time=10 raw out",
            },
            Tool {
                name: "qemu-img convert -n -W -m 16 (LUKS1)",
                program: "qemu-img",
                package: "qemu-utils",
                before: "rm -f out; qemu-img create SECRET -f luks -o key-secret=key,iter-time=10 out $(stat -c %s raw)",
                line: "qemu-img convert SECRET -n -W -m 16 -f raw --target-image-opts raw driver=luks,key-secret=key,file.filename=out",
            },
            Tool {
                name: "cryptsetup reencrypt --encrypt (LUKS2)",
                program: "cryptsetup",
                package: "cryptsetup-bin",
                before: "rm -f out; cp raw out; truncate -s +32M out",
                line: "cryptsetup reencrypt --encrypt -q out --reduce-device-size 32M --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --resilience none",
            },
            Tool {
                name: "nbdcopy to nbdkit's luks filter (LUKS1)",
                program: "nbdkit",
                package: "nbdkit libnbd-bin",
                before: "rm -f out; qemu-img create SECRET -f luks -o key-secret=key,iter-time=10 out $(stat -c %s raw)",
                line: "nbdkit --unix - file out --filter=luks passphrase=+key --run 'nbdcopy raw \"$uri\"'",
            },
        ],
    )
}

fn decryption(effort: &Effort, folder: &Path) -> Chart {
    tools::sh(
        folder,
        "\"$LUKSMITH\" encrypt raw box --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000
         \"$LUKSMITH\" encrypt --type luks1 raw box1 --key-file key --pbkdf-force-iterations 1000",
    );
    programs(
        effort,
        folder,
        "from a container to raw",
        &[
            Tool {
                name: "luksmith decrypt (LUKS2)",
                program: "luksmith",
                package: "",
                before: "rm -f out",
                line: "\"$LUKSMITH\" decrypt box out --key-file key --threads 2",
            },
            Tool {
                name: "luksmith decrypt (LUKS1)",
                program: "luksmith",
                package: "",
                before: "rm -f out",
                line: "\"$LUKSMITH\" decrypt box1 out --key-file key --threads 2",
            },
            Tool {
                name: "cp",
                program: "cp",
                package: "coreutils",
                before: "rm -f out",
                line: "cp --reflink=never --sparse=never raw out",
            },
            Tool {
                name: "qemu-img convert (LUKS1)",
                program: "qemu-img",
                package: "qemu-utils",
                before: "rm -f out",
                line: "qemu-img convert SECRET --image-opts driver=luks,key-secret=key,file.filename=box1 -O raw out",
            },
            Tool {
                name: "qemu-img convert -n -W -m 16 (LUKS1)",
                program: "qemu-img",
                package: "qemu-utils",
                before: "rm -f out; truncate -s $(stat -c %s raw) out",
                line: "qemu-img convert SECRET -n -W -m 16 --image-opts driver=luks,key-secret=key,file.filename=box1 -O raw out",
            },
            Tool {
                name: "nbdcopy from nbdkit's luks filter (LUKS1)",
                program: "nbdkit",
                package: "nbdkit libnbd-bin",
                before: "rm -f out",
                line: "nbdkit --unix - --readonly file box1 --filter=luks passphrase=+key --run 'nbdcopy \"$uri\" out'",
            },
        ],
    )
}

fn programs(effort: &Effort, folder: &Path, what: &str, list: &[Tool]) -> Chart {
    let title = format!("{} MiB {what}, programs", effort.image_bytes >> 20);
    let mut contest = Contest::new(title, Work::Bytes(effort.image_bytes));
    for tool in list {
        let found = match tool.program {
            "luksmith" => tools::luksmith().map(drop),
            program => tools::find(program, tool.package),
        };
        match found {
            Ok(()) => contest.add_timed(tool.name, || {
                tools::sh(folder, &tool.before.replace("SECRET", QEMU_SECRET));
                timed(|| tools::sh(folder, &tool.line.replace("SECRET", QEMU_SECRET)))
            }),
            Err(why) => contest.miss(tool.name, why),
        }
    }
    contest.run(effort)
}

fn timed(action: impl FnOnce()) -> Duration {
    let start = Instant::now();
    action();
    start.elapsed()
}

/// A folder in memory, where there is one: the page cache without a disk behind it.
pub fn folder() -> TempDir {
    let shared_memory = Path::new("/dev/shm");
    let folder = if shared_memory.is_dir() {
        tempfile::tempdir_in(shared_memory)
    } else {
        tempfile::tempdir()
    };
    folder.expect("a folder for images")
}

/// A file that is not there yet.
pub fn new_file(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .expect("a new file")
}

/// All of a storage as an AES-256-XTS volume.
pub fn aes_xts_volume(storage: &Arc<dyn Storage>, sector_bytes: u32, bytes: u64) -> Volume {
    let spec: CipherSpec = "aes-xts-plain64".parse().expect("a specification");
    let options = SectorOptions {
        sector_size: SectorSize::new(sector_bytes).expect("a size that there is"),
        iv_large_sectors: false,
    };
    let cipher = spec
        .sector_cipher(&test_bytes(64), options)
        .expect("a cipher that is built");
    let segment = Segment {
        length: bytes,
        storage_offset: 0,
        kind: SegmentKind::Crypt {
            cipher: Arc::from(cipher),
            first_iv_sector: 0,
        },
    };
    let mapping = Mapping::new(vec![segment]).expect("a valid mapping");
    Volume::new(Arc::clone(storage), mapping)
}
