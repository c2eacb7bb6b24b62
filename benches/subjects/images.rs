//! Whole images in the page cache: our pipeline beside reading and writing alone with the same buffers and threads, and
//! our program beside others.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dmcrypt::{SectorCipher, SectorSize};
use tempfile::TempDir;
use volume::{
    CopyOptions, FileStorage, Mapping, Segment, SegmentKind, Sink, Source, Storage, Volume, copy,
};

use super::in_place::{aes_xts, model_aes_xts};
use crate::harness::{Chart, Contest, Effort, Work, timed};
use crate::peers::tools;
use crate::test_bytes;

const CHUNK_BYTES: usize = 512 * 1024;

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    let folder = folder();
    let raw = new_file(&folder.path().join("raw"));
    let chunk = test_bytes(CHUNK_BYTES);
    for at in (0..effort.image_bytes).step_by(CHUNK_BYTES) {
        raw.write_all_at(&chunk, at).expect("room for the image");
    }
    for threads in [1, 2] {
        each(pipeline(effort, &raw, folder.path(), threads));
    }
    if effort.peers {
        programs(effort, folder.path(), each);
    }
}

/// The library: one image read and another written.
fn pipeline(effort: &Effort, raw: &File, folder: &Path, threads: usize) -> Chart {
    let bytes = effort.image_bytes;
    let source = FileStorage::from_file(raw.try_clone().expect("one more handle"));
    let source: Arc<FileStorage> = Arc::new(source.expect("a regular file"));
    let path = folder.join("out");
    let out = Arc::new(FileStorage::from_file(new_file(&path)).expect("a file"));
    let options = CopyOptions {
        threads,
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
    let plural = if threads == 1 { "" } else { "s" };
    let mut contest = Contest::new(
        format!(
            "{} MiB by the library, {threads} thread{plural}",
            bytes >> 20
        ),
        Work::Bytes(bytes),
    );
    // All write an empty file; emptying it is not counted.
    let timed_into_empty = |action: &dyn Fn()| {
        out.set_len(0).expect("a file that can be emptied");
        timed(action)
    };
    let is_copy = || assert_same(out.file(), raw, bytes, |_, _| ());
    contest.add_checked(
        "read and write alone",
        || timed_into_empty(&|| read_and_write(raw, out.file(), bytes, threads)),
        is_copy,
    );
    contest.add_checked(
        "copy",
        || {
            timed_into_empty(&|| {
                copy(from_raw(), to_out(false), &options).expect("a copy");
            })
        },
        is_copy,
    );
    for size in [SectorSize::B512, SectorSize::B4096] {
        let (timed_into_empty, options, out) = (&timed_into_empty, &options, &out);
        let storage: Arc<dyn Storage> = out.clone();
        let encrypted = aes_xts_volume(&storage, size, bytes);
        contest.add_checked(
            format!("encrypt, sectors of {} bytes", size.bytes()),
            move || {
                timed_into_empty(&|| {
                    copy(from_raw(), Sink::Volume(&encrypted), options).expect("a copy");
                })
            },
            move || {
                let model = model_aes_xts(size);
                assert_same(out.file(), raw, bytes, |sector, chunk| {
                    model.decrypt(sector, chunk);
                });
            },
        );
        let storage: Arc<dyn Storage> = source.clone();
        let decrypted = aes_xts_volume(&storage, size, bytes);
        contest.add_checked(
            format!("decrypt, sectors of {} bytes", size.bytes()),
            move || {
                timed_into_empty(&|| {
                    copy(Source::Volume(&decrypted), to_out(true), options).expect("a copy");
                })
            },
            move || {
                let model = model_aes_xts(size);
                assert_same(out.file(), raw, bytes, |sector, chunk| {
                    model.encrypt(sector, chunk);
                });
            },
        );
    }
    let chart = contest.run(effort);
    fs::remove_file(path).expect("it was made here");
    chart
}

/// Whether `made`, undone, is `raw`: chunk by chunk, each with the number of its first sector.
fn assert_same(made: &File, raw: &File, bytes: u64, undo: impl Fn(u64, &mut [u8])) {
    assert_eq!(made.metadata().expect("an open file").len(), bytes);
    let [mut chunk, mut expected] = [(); 2].map(|()| vec![0; CHUNK_BYTES]);
    for at in (0..bytes).step_by(CHUNK_BYTES) {
        made.read_exact_at(&mut chunk, at).expect("what was made");
        raw.read_exact_at(&mut expected, at).expect("the image");
        undo(at / 512, &mut chunk);
        assert!(chunk == expected, "other bytes in the chunk at {at}");
    }
}

/// What the pipeline does, without the pipeline.
fn read_and_write(from: &File, to: &File, bytes: u64, threads: usize) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
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
#[derive(Clone, Copy)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) package: &'static str,
    /// What is not counted.
    pub(super) before: &'static str,
    pub(super) line: &'static str,
    /// Succeeds where it made what it should, unless that is what all should make.
    pub(super) check: Option<&'static str>,
}

pub(super) const OURS: Tool = Tool {
    name: "luksmith",
    program: "luksmith",
    package: "",
    before: "rm -f out",
    line: "",
    check: None,
};

pub(super) const CP: Tool = Tool {
    name: "cp",
    program: "cp",
    package: "coreutils",
    before: "rm -f out",
    line: "cp --reflink=never --sparse=never raw out",
    check: Some(IS_RAW),
};

/// QEMU measures its key derivation for two seconds when it creates; that is no part of a conversion.
const QEMU: Tool = Tool {
    name: "qemu-img convert -n",
    program: "qemu-img",
    package: "qemu-utils",
    before: "rm -f out; qemu-img create SECRET -f luks -o key-secret=key,iter-time=10 out $(stat -c %s raw)",
    line: "qemu-img convert SECRET -n -f raw --target-image-opts raw driver=luks,key-secret=key,file.filename=out",
    check: None,
};

const NBD: Tool = Tool {
    name: "nbdcopy and nbdkit's luks filter",
    program: "nbdkit",
    package: "nbdkit libnbd-bin",
    before: QEMU.before,
    line: "nbdkit --unix - file out --filter=luks passphrase=+key --run 'nbdcopy raw \"$uri\"'",
    check: None,
};

/// Whether a container that was made holds `raw`, and after it what cryptsetup needed room for.
pub(super) const IS_ENCRYPTED: &str =
    "\"$LUKSMITH\" decrypt out back --key-file key && cmp -n $(stat -c %s raw) raw back && rm back";
const IS_RAW: &str = "cmp raw out";

/// Whole programs, each format for itself.
fn programs(effort: &Effort, folder: &Path, each: &mut dyn FnMut(Chart)) {
    let mib = effort.image_bytes >> 20;
    fs::write(folder.join("key"), "bench").expect("room for a key");
    if tools::luksmith().is_ok() {
        // What is decrypted comes from our program.
        tools::sh(
            folder,
            "\"$LUKSMITH\" encrypt raw box --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000
             \"$LUKSMITH\" encrypt --type luks1 raw box1 --key-file key --pbkdf-force-iterations 1000",
        );
    }
    let encryption: [(&str, &[Tool]); 2] = [
        (
            "LUKS2",
            &[
                Tool {
                    line: "\"$LUKSMITH\" encrypt raw out --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --threads 2",
                    ..OURS
                },
                CP,
                Tool {
                    name: "cryptsetup reencrypt --encrypt",
                    program: "cryptsetup",
                    package: "cryptsetup-bin",
                    before: "rm -f out; cp raw out; truncate -s +32M out",
                    line: "cryptsetup reencrypt --encrypt -q out --reduce-device-size 32M --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --resilience none",
                    check: None,
                },
            ],
        ),
        (
            "LUKS1",
            &[
                Tool {
                    line: "\"$LUKSMITH\" encrypt --type luks1 raw out --key-file key --pbkdf-force-iterations 1000 --threads 2",
                    ..OURS
                },
                CP,
                QEMU,
                Tool {
                    name: "qemu-img convert -n -W -m 16",
                    line: "qemu-img convert SECRET -n -W -m 16 -f raw --target-image-opts raw driver=luks,key-secret=key,file.filename=out",
                    ..QEMU
                },
                NBD,
            ],
        ),
    ];
    for (format, list) in encryption {
        let title = format!("{mib} MiB from raw to {format}, programs");
        each(contest(effort, folder, title, list, IS_ENCRYPTED));
    }
    let decryption: [(&str, &[Tool]); 2] = [
        (
            "LUKS2",
            &[
                Tool {
                    line: "\"$LUKSMITH\" decrypt box out --key-file key --threads 2",
                    ..OURS
                },
                CP,
            ],
        ),
        (
            "LUKS1",
            &[
                Tool {
                    line: "\"$LUKSMITH\" decrypt box1 out --key-file key --threads 2",
                    ..OURS
                },
                CP,
                Tool {
                    before: "rm -f out; truncate -s $(stat -c %s raw) out",
                    line: "qemu-img convert SECRET -n --image-opts driver=luks,key-secret=key,file.filename=box1 -O raw out",
                    ..QEMU
                },
                Tool {
                    name: "qemu-img convert -n -W -m 16",
                    before: "rm -f out; truncate -s $(stat -c %s raw) out",
                    line: "qemu-img convert SECRET -n -W -m 16 --image-opts driver=luks,key-secret=key,file.filename=box1 -O raw out",
                    ..QEMU
                },
                Tool {
                    before: "rm -f out",
                    line: "nbdkit --unix - --readonly file box1 --filter=luks passphrase=+key --run 'nbdcopy \"$uri\" out'",
                    ..NBD
                },
            ],
        ),
    ];
    for (format, list) in decryption {
        let title = format!("{mib} MiB from {format} to raw, programs");
        each(contest(effort, folder, title, list, IS_RAW));
    }
}

pub(super) fn contest(
    effort: &Effort,
    folder: &Path,
    title: String,
    list: &[Tool],
    check: &str,
) -> Chart {
    let mut contest = Contest::new(title, Work::Bytes(effort.image_bytes));
    // It makes what is decrypted, and looks at what was encrypted.
    let ours = tools::luksmith();
    for tool in list {
        let found = match (&ours, tool.program) {
            (Err(why), _) => Err(format!("it takes luksmith: {why}")),
            (Ok(_), "luksmith") => Ok(()),
            (Ok(_), program) => tools::find(program, tool.package),
        };
        let check = tool.check.unwrap_or(check);
        match found {
            Ok(()) => contest.add_checked(
                tool.name,
                || {
                    tools::sh(folder, &tool.before.replace("SECRET", QEMU_SECRET));
                    timed(|| tools::sh(folder, &tool.line.replace("SECRET", QEMU_SECRET)))
                },
                move || tools::sh(folder, check),
            ),
            Err(why) => contest.miss(tool.name, why),
        }
    }
    contest.run(effort)
}

const QEMU_SECRET: &str = "--object secret,id=key,file=key";

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
pub fn aes_xts_volume(storage: &Arc<dyn Storage>, size: SectorSize, bytes: u64) -> Volume {
    volume_by(storage, aes_xts(None, size), bytes)
}

/// All of a storage as a volume of that cipher.
pub fn volume_by(storage: &Arc<dyn Storage>, cipher: Box<dyn SectorCipher>, bytes: u64) -> Volume {
    let segment = Segment {
        length: bytes,
        storage_offset: 0,
        elsewhere: None,
        kind: SegmentKind::Crypt {
            cipher: Arc::from(cipher),
            first_iv_sector: 0,
        },
    };
    let mapping = Mapping::new(vec![segment]).expect("a valid mapping");
    Volume::new(Arc::clone(storage), mapping)
}
