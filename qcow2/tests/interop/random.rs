//! Images that qemu-io made by chance, read here, written here, and read by QEMU again: a few in each run, as many as
//! `LUKSMITH_QCOW2` says ("2000 1": how many, and the seed).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use qcow2::{Image, Layer, Snapshot};
use volume::{MemoryStorage, Storage};

use crate::live::{Choices, change, live, read_all};
use crate::run;

/// Some of what qemu-io does to an image, the words of a command each.
fn commands(choices: &mut Choices, size: u64) -> Vec<String> {
    let count = 1 + choices.below(12);
    (0..count)
        .map(|_| {
            let at = choices.below(size / 512) * 512;
            let bytes = ((1 + choices.below(300)) * 512).min(size - at);
            match choices.below(8) {
                0 => format!("write -z {at} {bytes}"),
                1 => format!("write -zu {at} {bytes}"),
                2 => format!("discard {at} {bytes}"),
                _ => format!("write -P {} {at} {bytes}", choices.below(256)),
            }
        })
        .collect()
}

/// Some clusters of a new image, compressed: QEMU compresses none that is there.
fn compress(folder: &Path, choices: &mut Choices, clusters: u64, bytes: u64) {
    let mut arguments = vec!["-f".to_owned(), "qcow2".to_owned()];
    for at in 0..clusters.min(200) {
        if choices.below(3) != 0 {
            continue;
        }
        arguments.push("-c".to_owned());
        let at = at * bytes;
        arguments.push(format!("write -c -P {} {at} {bytes}", choices.below(256)));
    }
    arguments.push("made".to_owned());
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.len() > 3 {
        run(folder, "qemu-io", &words);
    }
}

struct Random<'a> {
    folder: &'a Path,
    choices: Choices,
    size: u64,
    backing: Option<Vec<u8>>,
    may_have_snapshots: bool,
    snapshots: Vec<String>,
}

impl Random<'_> {
    fn image(&self, arguments: &[&str]) {
        run(self.folder, "qemu-img", arguments);
    }

    fn made(folder: &Path, seed: u64) -> Random<'_> {
        let mut choices = Choices(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..4 {
            choices.below(2);
        }
        let bits = 9 + choices.below(8);
        let size = (1 + choices.below(1600)) * 512;
        let mut options = vec![format!("cluster_size={}", 1 << bits)];
        let mut may_compress = true;
        let mut may_have_snapshots = true;
        match choices.below(4) {
            0 => options.push("compat=0.10".to_owned()),
            1 if bits >= 14 => {
                options.push("extended_l2=on".to_owned());
                may_compress = false;
            }
            _ => {
                let refcount = choices.below(7);
                options.push(format!("refcount_bits={}", 1 << refcount));
                // With so few users of a cluster.
                may_have_snapshots = refcount > 2;
                may_compress = refcount > 3;
                if choices.below(3) == 0 {
                    options.push("compression_type=zstd".to_owned());
                }
            }
        }
        let options = options.join(",");
        let mut arguments = vec!["create", "-q", "-f", "qcow2", "-o", &options];
        let backing = (choices.below(3) == 0).then(|| choices.data(size.div_ceil(2)));
        if let Some(bytes) = &backing {
            let whole = bytes.len().next_multiple_of(512);
            let mut bytes = bytes.clone();
            bytes.resize(whole, 0);
            fs::write(folder.join("below"), bytes).expect("written");
            arguments.extend(["-b", "below", "-F", "raw"]);
        }
        let text = size.to_string();
        arguments.extend(["made", &text]);
        run(folder, "qemu-img", &arguments);
        if may_compress && choices.below(2) == 0 {
            compress(folder, &mut choices, size >> bits, 1 << bits);
        }
        Random {
            folder,
            choices,
            size,
            backing,
            may_have_snapshots,
            snapshots: Vec::new(),
        }
    }

    fn by_qemu(&mut self) {
        let commands = commands(&mut self.choices, self.size);
        let mut arguments = vec!["-f", "qcow2"];
        for command in &commands {
            arguments.extend(["-c", command]);
        }
        arguments.push("made");
        run(self.folder, "qemu-io", &arguments);
    }

    fn snapshots(&mut self) {
        if !self.may_have_snapshots {
            return;
        }
        match self.choices.below(4) {
            0 => {}
            1 if !self.snapshots.is_empty() => {
                let name = self.snapshots.remove(0);
                self.image(&["snapshot", "-d", &name, "made"]);
            }
            2 if !self.snapshots.is_empty() => {
                self.image(&["snapshot", "-a", &self.snapshots[0], "made"]);
            }
            _ => {
                let name = format!("s{}", self.choices.below(1 << 30));
                self.image(&["snapshot", "-c", &name, "made"]);
                self.snapshots.push(name);
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.folder.join("made")).expect("read")
    }

    fn layer(&self) -> Layer {
        let below = self.folder.join("below");
        let backing = self.backing.as_ref().map(|_| {
            let bytes = fs::read(below).expect("read");
            Arc::new(MemoryStorage::from_vec(bytes)) as Arc<dyn Storage>
        });
        Layer {
            backing,
            ..Layer::default()
        }
    }

    /// QEMU reads the disk, and each snapshot, as we do.
    fn is_read_alike(&self, seed: u64) {
        let image = Image::open(Arc::new(MemoryStorage::from_vec(self.bytes()))).expect("opens");
        let compare = |of: Option<&Snapshot>| {
            let view = image.view(of, self.layer()).expect("a view");
            let ours = read_all(&view);
            let name = of.map(|of| format!("snapshot.name={}", of.name));
            let mut arguments = vec!["convert", "-f", "qcow2", "-O", "raw"];
            arguments.extend(name.iter().flat_map(|name| ["-l", name.as_str()]));
            arguments.extend(["made", "theirs"]);
            self.image(&arguments);
            let theirs = fs::read(self.folder.join("theirs")).expect("read");
            assert!(ours == theirs, "image {seed}, {name:?}");
        };
        compare(None);
        for snapshot in image.snapshots() {
            compare(Some(snapshot));
        }
        let checked = image.check().expect("memory is read");
        assert_eq!(
            (checked.problems, checked.leaked),
            (vec![], 0),
            "image {seed}"
        );
    }

    /// Writes of ours in its place.
    fn by_us(&mut self, seed: u64) {
        let storage = Arc::new(MemoryStorage::from_vec(self.bytes()));
        let live = live(storage.clone(), self.layer());
        let mut model = read_all(&live);
        for _ in 0..=self.choices.below(30) {
            change(&live, &mut model, &mut self.choices, 40_000).expect("is written");
            if self.choices.below(8) == 0 {
                live.sync().expect("syncs");
            }
        }
        live.sync().expect("syncs");
        assert!(read_all(&live) == model, "image {seed}");
        fs::write(self.folder.join("made"), storage.snapshot()).expect("written");
        self.image(&["check", "-q", "-f", "qcow2", "made"]);
    }
}

#[test]
fn random_images_are_read_and_written_as_qemu_does() {
    let told = std::env::var("LUKSMITH_QCOW2").unwrap_or_else(|_| "10 1".to_owned());
    let mut told = told
        .split(' ')
        .map(|number| number.parse().expect("a number"));
    let (count, seed): (u64, u64) = (told.next().expect("how many"), told.next().expect("a seed"));
    let folder = tempfile::tempdir().expect("a folder");
    for seed in seed..seed + count {
        let mut random = Random::made(folder.path(), seed);
        for _ in 0..3 {
            random.by_qemu();
            random.snapshots();
        }
        random.is_read_alike(seed);
        random.by_us(seed);
        random.is_read_alike(seed);
        // What we have made is an image that QEMU goes on with.
        random.snapshots();
        random.by_qemu();
        random.image(&["check", "-q", "-f", "qcow2", "made"]);
        random.is_read_alike(seed);
    }
    println!("cases: qcow2 images made by chance {count} passed, 0 failed");
}
