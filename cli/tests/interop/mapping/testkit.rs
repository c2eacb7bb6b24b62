//! Every header of the testkit, opened as a mapping by the library, in one kernel: this program starts itself there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dmcrypt::LockedBytes;
use jobs::mapping::{close, open};
use jobs::{Asked, SecretError, Secrets};
use luks::{Luks, UnlockOptions};
use volume::{MemoryStorage, Storage};

use crate::common::Place;
use crate::testkit::{case::Case, index, kit};

/// Where the program runs in the guest: the folder of its images.
const IN_GUEST: &str = "LUKSMITH_TESTKIT_IN_GUEST";
const NAME: &str = "mapping::testkit::headers_of_the_testkit_are_mapped_as_volumes_are";

#[test]
fn headers_of_the_testkit_are_mapped_as_volumes_are() {
    if let Some(folder) = std::env::var_os(IN_GUEST) {
        play(Path::new(&folder));
        return;
    }
    let place = Place::new();
    let program = std::env::current_exe().unwrap();
    let kit = kit();
    for base in fs::read_dir(kit.join("bases")).unwrap() {
        let path = base.unwrap().path();
        let mut unpack = Command::new("xz");
        let image = place.succeed(unpack.arg("-dc").arg(&path));
        place.write(path.file_stem().unwrap(), image);
    }
    let script = format!(
        "export {IN_GUEST}='{}'\n'{}' --exact {NAME} --nocapture >'{}' 2>&1\n",
        place.path("").display(),
        program.display(),
        place.path("said").display(),
    );
    let ended = place.kernel_of("script", &format!("{script}exit 0\n"), &[], 1800);
    assert_eq!(ended, "");
    let said = String::from_utf8(place.read("said")).unwrap();
    let (_, counted) = said
        .split_once("cases: ")
        .unwrap_or_else(|| panic!("{said}"));
    println!("cases: {}", counted.lines().next().unwrap_or_default());
    assert!(said.contains("test result: ok. 1 passed"), "{said}");
}

struct Passphrase(String);

impl Secrets for Passphrase {
    fn passphrase(&self, _: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        Ok(LockedBytes::copy_of(self.0.as_bytes()))
    }
}

fn play(folder: &Path) {
    let index = index();
    let passphrase = Passphrase(index["passphrase"].as_str().unwrap().to_owned());
    let mut bases = BTreeMap::new();
    let (mut failures, mut counts) = (Vec::new(), BTreeMap::new());
    for entry in index["case"].as_array().unwrap() {
        let text = |name: &str| entry.get(name).and_then(toml::Value::as_str);
        let file = text("file").unwrap();
        let case = Case::parse(&fs::read_to_string(kit().join(file)).unwrap()).unwrap();
        let base = bases
            .entry(case.base.clone())
            .or_insert_with(|| fs::read(folder.join(format!("{}.img", case.base))).unwrap());
        let image = case.image(base);
        match mapped(&image, &passphrase, text("luksmith").unwrap()) {
            Ok(how) => *counts.entry(how).or_insert(0) += 1,
            Err(problem) => failures.push(format!("{file}: {problem}")),
        }
        if let Some(left) = left() {
            failures.push(format!("{file}: {left} is left"));
        }
    }
    let passed: i32 = counts.values().sum();
    println!(
        "cases: testkit as mappings {passed} passed, {} failed ({counts:?})",
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(passed >= 2000, "{passed}");
}

/// What became of it, which is to be what its index says.
fn mapped(image: &[u8], passphrase: &Passphrase, expected: &str) -> Result<&'static str, String> {
    let path = PathBuf::from("/dev/shm/image");
    fs::write(&path, image).unwrap();
    let options = open::OpenOptions::default();
    let name = "testkit".as_ref();
    let opened = open::open(
        &jobs::Place::Path(path.clone()),
        name,
        &options,
        passphrase,
        &(),
    );
    let is_same = fs::read(&path).unwrap() == image;
    if !is_same {
        return Err("its image is changed".to_owned());
    }
    match (opened, expected) {
        (Err(_), "refuses" | "loads") => Ok("refused"),
        (Err(error), _) => {
            cannot_be_mapped(image, passphrase).ok_or_else(|| format!("refused: {error}"))
        }
        (Ok(opened), _) => {
            let through = fs::read(&opened.path);
            let closed = close::close(name, &close::CloseOptions::default(), &());
            closed.map_err(|error| format!("not closed: {error}"))?;
            if expected != "opens" {
                return Err(format!("mapped, and it {expected}"));
            }
            let volume = plaintext(image, passphrase)?;
            if through.map_err(|error| error.to_string())? == volume {
                Ok("read as a volume is")
            } else {
                Err("the mapping has another plaintext than the volume".to_owned())
            }
        }
    }
}

fn plaintext(image: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, String> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::from_vec(image.to_vec()));
    let luks = Luks::open(Arc::clone(&storage)).unwrap();
    let passphrase = dmcrypt::Passphrase::from_bytes(passphrase.0.clone().into_bytes().into());
    let unlocked = luks.unlock(&passphrase, &UnlockOptions::default()).unwrap();
    let volume = unlocked
        .volume(storage)
        .map_err(|error| error.to_string())?;
    let mut plaintext = vec![0; usize::try_from(volume.len()).unwrap()];
    volume.read_at(0, &mut plaintext).unwrap();
    Ok(plaintext)
}

/// Why a container that a keyslot opens is none that could be mapped, if it is none.
fn cannot_be_mapped(image: &[u8], passphrase: &Passphrase) -> Option<&'static str> {
    let luks = Luks::open(Arc::new(MemoryStorage::from_vec(image.to_vec()))).unwrap();
    match luks.mapped(image.len() as u64) {
        Err(_) => return Some("no one line of a table"),
        Ok(mapped) if mapped.length_bytes == 0 => return Some("without data"),
        Ok(_) if luks.header().data_offset() == Some(0) => return Some("a detached header"),
        Ok(_) => {}
    }
    plaintext(image, passphrase)
        .is_err()
        .then_some("no volume either")
}

/// A mapping, a loop device or a key that should not be there.
fn left() -> Option<String> {
    let of_folder = |folder: &str, is_it: &dyn Fn(&Path) -> bool| {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .find(|path| is_it(path))
    };
    let is_mapping = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"dm-"))
    };
    let is_used_loop = |path: &Path| path.join("loop/backing_file").exists();
    let is_node = |path: &Path| !path.ends_with("control");
    let device = of_folder("/sys/block", &is_mapping)
        .or_else(|| of_folder("/sys/block", &is_used_loop))
        .or_else(|| of_folder("/dev/mapper", &is_node));
    let keys = fs::read_to_string("/proc/keys").unwrap();
    let is_usable = |line: &&str| {
        // The kernel sweeps away later what it has made unusable.
        let flags = line.split_whitespace().nth(1).unwrap_or_default();
        line.contains("logon") && !flags.ends_with('i')
    };
    device
        .map(|path| path.display().to_string())
        .or(keys.lines().find(is_usable).map(str::to_owned))
}
