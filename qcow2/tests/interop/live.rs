//! Images that qemu-img made, written in place here.

mod power;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use dmcrypt::{CipherSpec, SectorCipher, SectorOptions, SectorSize};
use qcow2::{Image, Layer, Live};
use volume::{Fault, FaultOn, MemoryStorage, SimulatedStorage, Storage};

use crate::run;

/// An image, and how it is made in a folder where `raw` has data.
struct Shape {
    name: &'static str,
    /// Shell commands.
    make: &'static str,
    /// What lies below the disk.
    backing: Option<&'static str>,
    snapshot: bool,
}

const IO: &str =
    "io() { qemu-io -f qcow2 \"$@\" made >/dev/null; }; image() { qemu-img \"$@\"; }; ";

const SHAPES: [Shape; 8] = [
    Shape {
        name: "small clusters, snapshot",
        make: "image create -q -f qcow2 -o cluster_size=512 made 96k; io -c 'write -P 1 0 40k'; image snapshot -c one made
               io -c 'write -P 2 10k 3k' -c 'write -z 20k 4k' -c 'discard 30k 2k'",
        backing: None,
        snapshot: true,
    },
    Shape {
        name: "two snapshots",
        make: "image create -q -f qcow2 -o cluster_size=4k made 256k; io -c 'write -P 1 0 200k'; image snapshot -c zero made
               io -c 'write -P 2 100k 13k'; image snapshot -c one made; io -c 'write -P 3 100k 5k' -c 'write -P 4 180k 5k'",
        backing: None,
        snapshot: true,
    },
    Shape {
        name: "refcounts of 64 bits, of which the table is full",
        make: "image create -q -f qcow2 -o cluster_size=512,refcount_bits=64 made 4000k; io -c 'write -P 1 0 1980k'",
        backing: None,
        snapshot: false,
    },
    Shape {
        name: "refcounts of 1 bit",
        make: "image create -q -f qcow2 -o cluster_size=1k,refcount_bits=1 made 100k; io -c 'write -P 1 10k 40k' -c 'write -z 60k 8k'",
        backing: None,
        snapshot: false,
    },
    Shape {
        name: "subclusters",
        make: "image create -q -f qcow2 -o cluster_size=16k,extended_l2=on made 400k
               io -c 'write -P 1 1k 3k' -c 'write -P 2 100k 60k' -c 'write -z 110k 2k'; image snapshot -c one made
               io -c 'write -P 3 102k 1k' -c 'write -P 7 300k 1k'",
        backing: None,
        snapshot: true,
    },
    Shape {
        name: "version 2",
        make: "image create -q -f qcow2 -o compat=0.10,cluster_size=1k made 100k; io -c 'write -P 1 10k 40k'
               image snapshot -c one made; io -c 'write -P 2 20k 5k'",
        backing: None,
        snapshot: true,
    },
    Shape {
        name: "compressed",
        make: "image convert -c -f raw -O qcow2 -o cluster_size=4k raw made; image snapshot -c one made",
        backing: None,
        snapshot: true,
    },
    Shape {
        name: "a backing file",
        make: "image create -q -f qcow2 -o cluster_size=2k -b raw -F raw made 500k; io -c 'write -P 9 7k 5k'",
        backing: Some("raw"),
        snapshot: false,
    },
];

impl Shape {
    fn make(&self, folder: &Path) -> MemoryStorage {
        let raw: Vec<u8> = (0..300_u32 << 10)
            .map(|n| (n / 700).to_le_bytes()[0])
            .collect();
        fs::write(folder.join("raw"), raw).expect("written");
        run(folder, "sh", &["-e", "-c", &[IO, self.make].concat()]);
        MemoryStorage::from_vec(fs::read(folder.join("made")).expect("it was made"))
    }

    fn layer(&self, folder: &Path, cipher: Option<&Arc<dyn SectorCipher>>) -> Layer {
        let backing = self.backing.map(|name| {
            let bytes = fs::read(folder.join(name)).expect("there");
            Arc::new(MemoryStorage::from_vec(bytes)) as Arc<dyn Storage>
        });
        Layer {
            backing,
            cipher: cipher.cloned(),
            ..Layer::default()
        }
    }
}

/// A seeded choice.
pub struct Choices(pub u64);

impl Choices {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    pub fn data(&mut self, len: u64) -> Vec<u8> {
        let byte = u8::try_from(self.below(255) + 1).expect("a byte");
        (0..len).map(|at| byte ^ at.to_le_bytes()[0] & 3).collect()
    }
}

pub fn read_all(storage: &dyn Storage) -> Vec<u8> {
    let len = storage.len().expect("a length");
    let mut bytes = vec![0; usize::try_from(len).expect("small")];
    storage.read_at(0, &mut bytes).expect("reads");
    bytes
}

/// One write, hole or discard; the model holds what must be read afterwards. What was touched.
pub fn change(
    live: &Live,
    model: &mut [u8],
    choices: &mut Choices,
    most: u64,
) -> std::io::Result<std::ops::Range<usize>> {
    let size = model.len() as u64;
    let at = choices.below(size);
    let len = (choices.below(most) + 1).min(size - at);
    let range = usize::try_from(at).expect("small")..usize::try_from(at + len).expect("small");
    match choices.below(8) {
        0 => {
            live.punch_hole(at, len)?;
            model[range.clone()].fill(0);
        }
        1 => {
            live.discard(at, len)?;
            live.read_at(at, &mut model[range.clone()])?;
        }
        2 => {
            live.write_zeroes(at, len)?;
            model[range.clone()].fill(0);
        }
        _ => {
            let data = choices.data(len);
            live.write_at(at, &data)?;
            model[range.clone()].copy_from_slice(&data);
        }
    }
    Ok(range)
}

pub fn live(storage: Arc<dyn Storage>, layer: Layer) -> Live {
    let image = Image::open(storage).expect("an image");
    image.live(layer).expect("to be written")
}

fn cipher() -> Arc<dyn SectorCipher> {
    let spec: CipherSpec = "aes-xts-plain64".parse().expect("a cipher");
    let options = SectorOptions {
        sector_size: SectorSize::B512,
        iv_large_sectors: false,
    };
    Arc::from(spec.sector_cipher(&[7; 64], options).expect("a cipher"))
}

#[test]
fn what_is_written_in_place_qemu_img_reads_and_finds_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let image = |arguments: &[&str]| run(folder, "qemu-img", arguments);
    for (seed, shape) in (1..).zip(&SHAPES) {
        let storage = Arc::new(shape.make(folder));
        let kept = [
            "convert",
            "-f",
            "qcow2",
            "-O",
            "raw",
            "-l",
            "snapshot.name=one",
            "made",
        ];
        if shape.snapshot {
            image(&[&kept[..], &["before"]].concat());
        }
        let live = live(storage.clone(), shape.layer(folder, None));
        let mut model = read_all(&live);
        let mut choices = Choices(seed);
        for round in 0..200 {
            // Some are longer than what gets a new place at once.
            let most = if round % 50 == 0 { 2 << 20 } else { 9000 };
            let touched = change(&live, &mut model, &mut choices, most).expect("is written");
            let mut found = vec![0; touched.len()];
            live.read_at(touched.start as u64, &mut found)
                .expect("reads");
            assert!(found == model[touched], "{} {round}", shape.name);
            if choices.below(20) == 0 {
                live.sync().expect("syncs");
            }
        }
        live.sync().expect("syncs");
        assert!(read_all(&live) == model, "{}", shape.name);
        fs::write(folder.join("made"), storage.snapshot()).expect("written");
        image(&["check", "-q", "-f", "qcow2", "made"]);
        image(&["convert", "-f", "qcow2", "-O", "raw", "made", "after"]);
        assert!(
            fs::read(folder.join("after")).expect("read") == model,
            "{}",
            shape.name
        );
        if shape.snapshot {
            image(&[&kept[..], &["kept"]].concat());
            assert!(
                fs::read(folder.join("kept")).expect("read")
                    == fs::read(folder.join("before")).expect("read")
            );
        }
        // What is there is the image's own now, and is written where it is.
        let len = storage.len().expect("a length");
        live.write_at(0, &model).expect("is written");
        live.sync().expect("syncs");
        let grown = storage.len().expect("a length");
        live.write_at(0, &model).expect("is written");
        live.sync().expect("syncs");
        assert!(
            len <= grown && grown == storage.len().expect("a length"),
            "{}",
            shape.name
        );
    }
    println!(
        "cases: qcow2 images written in place {} passed, 0 failed",
        SHAPES.len()
    );
}

/// IVs count sectors of the file: what moves is encrypted anew.
#[test]
fn what_moves_is_encrypted_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let cipher = cipher();
    for (seed, shape) in (1..).zip(SHAPES.iter().filter(|shape| shape.name != "compressed")) {
        let storage = Arc::new(shape.make(folder));
        // What qemu-io wrote is noise in an encrypted disk, and none of it may change by itself.
        let live = live(storage.clone(), shape.layer(folder, Some(&cipher)));
        let mut model = read_all(&live);
        let mut choices = Choices(seed);
        for _ in 0..100 {
            change(&live, &mut model, &mut choices, 5000).expect("is written");
        }
        live.sync().expect("syncs");
        let image = Image::open(storage).expect("an image");
        let view = image
            .view(None, shape.layer(folder, Some(&cipher)))
            .expect("a view");
        assert!(read_all(&view) == model, "{}", shape.name);
        let checked = image.check().expect("memory is read");
        assert_eq!(
            (checked.problems, checked.leaked),
            (vec![], 0),
            "{}",
            shape.name
        );
    }
}

#[test]
fn a_disk_that_is_full_now_and_then_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for (seed, shape) in (1..).zip(&SHAPES) {
        let storage = Arc::new(SimulatedStorage::from_vec(shape.make(folder).snapshot()));
        let live = live(storage.clone(), shape.layer(folder, None));
        let mut model = read_all(&live);
        let mut choices = Choices(seed);
        let mut failed = 0;
        for _ in 0..100 {
            if choices.below(3) == 0 {
                storage.fail(Fault {
                    on: FaultOn::Write,
                    after: choices.below(6),
                    forever: false,
                    os_error: 28,
                });
            }
            if change(&live, &mut model, &mut choices, 3000).is_err() {
                failed += 1;
                // Some of it may be there.
                model = read_all(&live);
            }
            if choices.below(4) == 0 && live.sync().is_err() {
                failed += 1;
            }
            assert!(read_all(&live) == model, "{}", shape.name);
        }
        while live.sync().is_err() {}
        assert!(failed > 5, "{failed}");
        let image = Image::open(storage).expect("an image");
        let view = image.view(None, shape.layer(folder, None)).expect("a view");
        assert!(read_all(&view) == model, "{}", shape.name);
        let checked = image.check().expect("memory is read");
        assert_eq!(checked.problems, vec![], "{}", shape.name);
    }
}

#[test]
fn what_is_not_sound_is_only_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = SHAPES[0].make(folder.path()).snapshot();
    let cases: [(usize, &[u8], &str); 5] = [
        (79, &[1], "marked dirty"),
        (79, &[2], "marked corrupt"),
        (95, &[1], "bitmaps"),
        (95, &[4], "autoclear"),
        // The L1 table leads to the refcount table.
        (0, &[], "used"),
    ];
    for (at, patch, wanted) in cases {
        let mut bytes = bytes.clone();
        bytes[at..at + patch.len()].copy_from_slice(patch);
        if patch.is_empty() {
            let l1 = u64::from_be_bytes(bytes[40..48].try_into().expect("eight"));
            let l1 = usize::try_from(l1).expect("small");
            bytes[l1 + 8..l1 + 16].copy_from_slice(&(1 << 63 | 512_u64).to_be_bytes());
        }
        let image = Image::open(Arc::new(MemoryStorage::from_vec(bytes))).expect("opens");
        let refused = image
            .live(Layer::default())
            .err()
            .expect("it is refused")
            .to_string();
        let is_right = refused.contains(wanted)
            || patch.is_empty() && refused.starts_with("it can only be read");
        assert!(is_right, "{refused}");
        image.view(None, Layer::default()).expect("it is read");
    }
}
