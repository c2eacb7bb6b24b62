//! Copies of a container under another key: decrypted and encrypted in the same buffers, beside a copy of the file, beside
//! two passes, and for several of one reading; our program beside what others have for it.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dmcrypt::SectorSize;
use volume::{Branch, CopyOptions, FileStorage, Sink, Source, Storage, Volume, copy};

use super::images::{
    CP, IS_ENCRYPTED, OURS, Tool, aes_xts_volume, contest, folder, new_file, volume_by,
};
use super::in_place::cipher_by;
use crate::harness::{Chart, Contest, Effort, Work, timed};
use crate::peers::tools;
use crate::test_bytes;

const CHUNK_BYTES: usize = 512 * 1024;
/// What is written and looked at beside the measurements; every image has a whole number of such.
const PIECE_BYTES: usize = 64 * 1024;
/// Clones of one reading.
const MANY: usize = 8;

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    let folder = folder();
    each(one(effort, folder.path()));
    each(many(effort, folder.path()));
    if effort.peers {
        programs(effort, folder.path(), each);
    }
}

/// What the library makes a clone of, and into.
struct Files {
    bytes: u64,
    /// AES-256-XTS in sectors of 512 bytes.
    source: Arc<FileStorage>,
    outs: Vec<Arc<FileStorage>>,
}

impl Files {
    fn new(folder: &Path, bytes: u64, outs: usize) -> Self {
        let file = |name: String| {
            let file = new_file(&folder.join(&name));
            // It stays as long as it is open.
            fs::remove_file(folder.join(name)).expect("it was made here");
            Arc::new(FileStorage::from_file(file).expect("a regular file"))
        };
        let source = file("source".to_owned());
        let chunk = test_bytes(PIECE_BYTES);
        for at in (0..bytes).step_by(PIECE_BYTES) {
            source.write_at(at, &chunk).expect("room for the image");
        }
        Self {
            bytes,
            source,
            outs: (0..outs)
                .map(|index| file(format!("out-{index}")))
                .collect(),
        }
    }

    fn volume(&self, storage: &Arc<FileStorage>) -> Volume {
        let storage: Arc<dyn Storage> = Arc::<FileStorage>::clone(storage);
        aes_xts_volume(&storage, SectorSize::B512, self.bytes)
    }

    /// The volume of a clone, by a key of its own.
    fn cloned(&self, index: usize) -> Volume {
        let storage: Arc<dyn Storage> = Arc::<FileStorage>::clone(&self.outs[index]);
        let mut key = test_bytes(64);
        key[0] = key[0].wrapping_add(u8::try_from(index + 1).expect("there are few"));
        let cipher = cipher_by(None, "aes-xts-plain64", &key, SectorSize::B512);
        volume_by(&storage, cipher, self.bytes)
    }

    /// All write empty files; emptying them is not counted.
    fn timed(&self, action: impl FnOnce()) -> Duration {
        for out in &self.outs {
            out.set_len(0).expect("a file that can be emptied");
        }
        timed(action)
    }

    /// Whether the first `count` of them have the source's plaintext, and another ciphertext.
    fn check(&self, count: usize) {
        let [mut expected, mut found] = [(); 2].map(|()| vec![0; PIECE_BYTES]);
        let plain = self.volume(&self.source);
        for index in 0..count {
            let cloned = self.cloned(index);
            for at in (0..self.bytes).step_by(PIECE_BYTES) {
                plain.read_at(at, &mut expected).expect("the source");
                cloned.read_at(at, &mut found).expect("the clone");
                assert!(found == expected, "other bytes in the piece at {at}");
                self.source.read_at(at, &mut expected).expect("the source");
                self.outs[index].read_at(at, &mut found).expect("the clone");
                assert!(found != expected, "the same ciphertext at {at}");
            }
        }
    }
}

fn options() -> CopyOptions<'static> {
    CopyOptions {
        threads: 2,
        chunk_bytes: CHUNK_BYTES,
        ..CopyOptions::default()
    }
}

/// One clone by the library.
fn one(effort: &Effort, folder: &Path) -> Chart {
    let bytes = effort.image_bytes;
    let files = &Files::new(folder, bytes, 2);
    let source = &files.volume(&files.source);
    let cloned = &files.cloned(0);
    let mut contest = Contest::new(
        format!(
            "{} MiB under another key by the library, 2 threads",
            bytes >> 20
        ),
        Work::Bytes(bytes),
    );
    contest.add_checked(
        "decrypt and encrypt in the same buffers",
        || {
            files.timed(|| {
                copy(Source::Volume(source), Sink::Volume(cloned), &options()).expect("a clone");
            })
        },
        || files.check(1),
    );
    let from = |storage| Source::Storage {
        storage,
        offset: 0,
        len: bytes,
    };
    let to = |storage| Sink::Storage {
        storage,
        offset: 0,
        sparse: false,
    };
    contest.add_timed("copy", || {
        files.timed(|| {
            copy(from(&*files.source), to(&*files.outs[0]), &options()).expect("a copy");
        })
    });
    contest.add_checked(
        "decrypt into a file, and encrypt that",
        || {
            files.timed(|| {
                let plaintext = &*files.outs[1];
                copy(Source::Volume(source), to(plaintext), &options()).expect("its plaintext");
                copy(from(plaintext), Sink::Volume(cloned), &options()).expect("a container");
            })
        },
        || files.check(1),
    );
    contest.run(effort)
}

/// Several of one reading. Each is a quarter as large, for all lie in memory at once.
fn many(effort: &Effort, folder: &Path) -> Chart {
    let bytes = effort.image_bytes / 4;
    let files = &Files::new(folder, bytes, MANY);
    let source = &files.volume(&files.source);
    let mut contest = Contest::new(
        format!(
            "{MANY} clones of {} MiB by the library, 2 threads",
            bytes >> 20
        ),
        Work::Whole,
    );
    contest.add_checked(
        "one reading",
        || {
            files.timed(|| {
                let branches: Vec<_> = (0..MANY)
                    .map(|index| Branch::new(files.cloned(index)))
                    .collect();
                copy(
                    Source::Volume(source),
                    Sink::Branches(&branches),
                    &options(),
                )
                .expect("clones");
            })
        },
        || files.check(MANY),
    );
    let clone = |index| {
        let cloned = files.cloned(index);
        copy(Source::Volume(source), Sink::Volume(&cloned), &options()).expect("a clone");
    };
    contest.add_checked(
        "one after another",
        || files.timed(|| (0..MANY).for_each(clone)),
        || files.check(MANY),
    );
    contest.add_timed("one alone", || files.timed(|| clone(0)));
    contest.run(effort)
}

/// A key of one's own by what cryptsetup has for it. Its header has room for the new keyslot.
const REENCRYPT: Tool = Tool {
    name: "cp and cryptsetup reencrypt",
    program: "cryptsetup",
    package: "cryptsetup-bin",
    before: OURS.before,
    line: "cp --reflink=never --sparse=never box out && cryptsetup reencrypt -q --force-offline-reencrypt out --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --resilience none",
    check: None,
};

/// Whole programs.
fn programs(effort: &Effort, folder: &Path, each: &mut dyn FnMut(Chart)) {
    fs::write(folder.join("key"), "bench").expect("room for a key");
    let (raw, chunk) = (new_file(&folder.join("raw")), test_bytes(PIECE_BYTES));
    for at in (0..effort.image_bytes).step_by(PIECE_BYTES) {
        raw.write_all_at(&chunk, at).expect("room for the image");
    }
    if tools::luksmith().is_ok() {
        tools::sh(
            folder,
            "\"$LUKSMITH\" encrypt raw box --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000",
        );
    }
    let mib = effort.image_bytes >> 20;
    let list = [
        Tool {
            line: "\"$LUKSMITH\" clone box out --key-file key --keep-passphrase --threads 2",
            ..OURS
        },
        Tool {
            line: "cp --reflink=never --sparse=never box out",
            check: Some("cmp box out"),
            ..CP
        },
        REENCRYPT,
        Tool {
            name: "luksmith decrypt | luksmith encrypt",
            line: "\"$LUKSMITH\" decrypt box - --key-file key | \"$LUKSMITH\" encrypt - out --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000",
            ..OURS
        },
    ];
    let title = format!("{mib} MiB from LUKS2 to LUKS2 under another key, programs");
    each(contest(effort, folder, title, &list, IS_ENCRYPTED));
}
