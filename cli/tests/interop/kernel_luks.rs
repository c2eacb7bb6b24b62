use std::fmt::Write as _;
use std::sync::Arc;

use dmcrypt::Passphrase;
use luks::{Luks, UnlockOptions};
use volume::{Access, FileStorage, Volume};
use zeroize::Zeroizing;

use crate::common::{Place, check_all, pattern};
use crate::luks_cases::{Case, data_cases, kernel_cases};

/// Several sectors of every size, and more than IVs of one byte can count.
const RAW_BYTES: usize = 256 << 10;

/// What the kernel writes: other bytes than what we did.
fn others() -> Vec<u8> {
    pattern(RAW_BYTES).iter().map(|byte| !byte).collect()
}

/// A container that we made and one that cryptsetup made, for the kernel to read and to write.
struct Pair {
    case: Case,
    ours: Place,
    theirs: Place,
    /// It takes a kernel to format theirs: that is slow, for so is everything there.
    is_formatted_there: bool,
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.case.fmt(f)
    }
}

/// All in one kernel, for it takes seconds to start.
#[test]
fn containers_both_ways() {
    let place = Place::new();
    place.write("others", others());
    let mut pairs = Vec::new();
    for (case, is_formatted_there) in data_cases()
        .into_iter()
        .map(|case| (case, false))
        .chain(kernel_cases().into_iter().map(|case| (case, true)))
    {
        pairs.push(Pair {
            ours: case.place(),
            theirs: case.place(),
            case,
            is_formatted_there,
        });
    }
    check_all("luks containers made for the kernel", &pairs, make);
    let large = ["luks1", "luks2"].map(Large::new);

    let mut script = format!("others='{}'\nfailed=0\n", place.path("others").display());
    for pair in &pairs {
        script.push_str(&pair.script());
    }
    for container in &large {
        container.write_script(&mut script);
    }
    script.push_str("exit $failed\n");
    assert_eq!(place.kernel(&script, &[]), "");

    check_all("luks containers, ours by the kernel", &pairs, |pair| {
        assert!(pair.ours.read("opened") == pattern(RAW_BYTES));
    });
    check_all("luks containers, the kernel's by us", &pairs, |pair| {
        pair.theirs.sh(&format!(
            "luksmith decrypt image back {} {}",
            pair.case.header_arguments(),
            pair.case.key_arguments()
        ));
        assert!(pair.theirs.read("back") == others());
    });
    check_all(
        "luks containers beyond 2 TiB, both ways",
        &large,
        Large::check,
    );
}

fn make(pair: &Pair) {
    let format = pair.case.format_arguments();
    pair.ours.write("raw", pattern(RAW_BYTES));
    pair.ours
        .sh(&format!("luksmith encrypt raw image {format}"));
    pair.theirs.hole("image", pair.ours.len("image"));
    if !pair.is_formatted_there {
        pair.theirs.sh(&pair.luks_format());
    }
}

impl Pair {
    fn luks_format(&self) -> String {
        format!(
            "cryptsetup luksFormat --batch-mode image {}",
            self.case.format_arguments()
        )
    }

    fn script(&self) -> String {
        let open = format!(
            "timeout 60 cryptsetup open image t {} {}",
            self.case.header_arguments(),
            self.case.key_arguments()
        );
        let format = if self.is_formatted_there {
            self.luks_format()
        } else {
            "true".to_owned()
        };
        format!(
            "cd '{}'\n\
             {{ {open} && cat /dev/mapper/t >opened; }} || {{ echo \"not opened: {self}\"; failed=1; }}\n\
             cryptsetup close t\n\
             cd '{}'\n\
             {{ {format} && {open} && cat \"$others\" >/dev/mapper/t; }} || {{ echo \"not written: {self}\"; failed=1; }}\n\
             cryptsetup close t\n",
            self.ours.path("").display(),
            self.theirs.path("").display(),
        )
    }
}

/// An empty container of 3 TiB, almost all of it a hole.
struct Large {
    kind: &'static str,
    place: Place,
}

const LARGE_BYTES: u64 = 3 << 40;
const BLOCK_BYTES: u64 = 64 << 10;
/// Where in it: on both sides of 2 TiB, where 32-bit sector numbers end, and far beyond. We write a block there, and
/// the kernel the one after it.
const POSITIONS: [u64; 3] = [
    (2 << 40) - BLOCK_BYTES,
    (2 << 40) + BLOCK_BYTES,
    LARGE_BYTES - 2 * BLOCK_BYTES,
];

impl Large {
    fn new(kind: &'static str) -> Self {
        let place = Place::new();
        place.write("key", "secret");
        place.sh(&format!(
            "luksmith create image --type {kind} --payload-size 3T --key-file key --pbkdf pbkdf2 \
             --pbkdf-force-iterations 1000"
        ));
        let large = Self { kind, place };
        let volume = large.open();
        for at in POSITIONS {
            volume.write_at(at, &large.block(at)).unwrap();
        }
        volume.sync().unwrap();
        large
    }

    fn write_script(&self, script: &mut String) {
        let _ = writeln!(
            script,
            "cd '{}' && cryptsetup open image t --key-file key || exit 1",
            self.place.path("").display()
        );
        for at in POSITIONS {
            let _ = write!(
                script,
                "dd if=/dev/mapper/t of={at} bs={BLOCK_BYTES} skip={} count=1 status=none || exit 1\n\
                 dd if=\"$others\" of=/dev/mapper/t bs={BLOCK_BYTES} seek={} count=1 status=none || exit 1\n",
                at / BLOCK_BYTES,
                at / BLOCK_BYTES + 1
            );
        }
        script.push_str("cryptsetup close t || exit 1\n");
    }

    fn check(&self) {
        let volume = self.open();
        assert_eq!(volume.len(), LARGE_BYTES);
        for at in POSITIONS {
            let read = self.place.read(at.to_string());
            assert!(
                read == self.block(at),
                "the kernel reads something else at {at}"
            );
            let mut read = vec![0; self.block(at).len()];
            volume.read_at(at + BLOCK_BYTES, &mut read).unwrap();
            let written = &others()[..read.len()];
            assert!(read == written, "we read something else at {at}");
        }
    }

    /// What we write at a position.
    fn block(&self, at: u64) -> Vec<u8> {
        let name = format!("{} at {at}\n", self.kind);
        let bytes = usize::try_from(BLOCK_BYTES).unwrap();
        name.bytes().cycle().take(bytes).collect()
    }

    /// The plaintext, by the library: no command reads a part in the middle.
    fn open(&self) -> Volume {
        let storage = FileStorage::open(&self.place.path("image"), Access::ReadWrite).unwrap();
        let storage = Arc::new(storage);
        let passphrase = Passphrase::from_bytes(Zeroizing::new(b"secret".to_vec()));
        let luks = Luks::open(Arc::clone(&storage) as Arc<_>).unwrap();
        let unlocked = luks.unlock(&passphrase, &UnlockOptions::default()).unwrap();
        unlocked.volume(storage).unwrap()
    }
}

impl std::fmt::Display for Large {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind)
    }
}
