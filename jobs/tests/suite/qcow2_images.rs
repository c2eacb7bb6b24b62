//! The reader of qcow2 and LUKS brought together, over images that QEMU made.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dmcrypt::{Passphrase, SectorCipher};
use luks::{Luks, UnlockOptions};
use qcow2::{Image, Layer};
use sha2::{Digest, Sha256};
use volume::{Access, FileStorage, SegmentKind, Storage};
use zeroize::Zeroizing;

/// Each golden image gives the plaintext that qemu-img got, or is refused for the reason that the index gives.
#[test]
fn golden_images_read_as_qemu_reads_them() {
    let Some(folder) = std::env::var_os("LUKSMITH_CONFORMANCE") else {
        println!("LUKSMITH_CONFORMANCE is not set: images that others made are left out");
        return;
    };
    let packed = Path::new(&folder).join("images/qcow2");
    let unpacked = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(&packed).expect("images") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if let Some(name) = name.strip_suffix(".xz") {
            let to = File::create(unpacked.path().join(name)).expect("a file");
            let done = Command::new("xz").arg("-dc").arg(&path).stdout(to).status();
            assert!(done.expect("xz runs").success(), "{name}");
        }
    }
    let index = fs::read_to_string(packed.join("index.toml")).expect("an index");
    let index: toml::Table = index.parse().expect("TOML");
    let images = index["image"].as_array().expect("a list");
    let (mut passed, mut failed) = (0, 0);
    for row in images {
        let said = |key: &str| row.get(key).and_then(toml::Value::as_str);
        let file = said("file").expect("a file");
        let keys: Vec<&str> = ["passphrase", "backing_passphrase"]
            .into_iter()
            .filter_map(said)
            .collect();
        let hash = |snapshot| {
            read(&unpacked.path().join(file), &keys, snapshot).map(|view| sha256(&*view))
        };
        let wanted = match file {
            "aes-legacy.qcow2" => Err("the old AES method"),
            "v3-unknown-incompatible.qcow2" => Err("incompatible bit 63 is unknown"),
            _ if Path::new(file).extension() == Some("qcow2".as_ref()) => {
                Ok(said("plaintext_sha256").expect("a hash"))
            }
            _ => Err("no qcow2 image"),
        };
        let mut is_right = match (hash(None), wanted) {
            (Ok(found), Ok(wanted)) => found == wanted,
            (Err(found), Err(wanted)) => found.contains(wanted),
            _ => false,
        };
        if let Some(before) = said("snapshot_before_sha256") {
            is_right &= hash(Some("before")).as_deref() == Ok(before);
        }
        if is_right {
            passed += 1;
        } else {
            println!("{file}: {:?}, wanted {wanted:?}", hash(None));
            failed += 1;
        }
    }
    println!("cases: golden qcow2 images {passed} passed, {failed} failed");
    assert_eq!((passed, failed), (images.len(), 0));
}

/// QEMU's own images of every cipher, IV and hash: LUKS inside, and what is in a cluster that was rewritten by halves.
#[test]
fn images_with_luks_by_qemu_img_of_today_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let plain: Vec<u8> = (0..200_000_u32)
        .flat_map(u32::to_be_bytes)
        .take(393_216)
        .collect();
    fs::write(at("raw"), &plain).expect("written");
    fs::write(at("pw"), "correct horse").expect("written");
    for options in [
        "encrypt.cipher-alg=aes-128",
        "encrypt.cipher-alg=aes-256,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256",
        "encrypt.cipher-alg=twofish-256,encrypt.ivgen-alg=plain,encrypt.hash-alg=sha512",
        "encrypt.cipher-alg=serpent-256,encrypt.hash-alg=sha1,cluster_size=512",
        "encrypt.cipher-alg=aes-256,cluster_size=2M,compat=0.10",
        "encrypt.cipher-alg=aes-256,cluster_size=16k,extended_l2=on",
    ] {
        let all =
            format!("encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10,{options}");
        let mut made = Command::new("qemu-img");
        made.args([
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            "--object",
            "secret,id=s,file=pw",
            "-o",
            &all,
        ]);
        let made = made
            .args(["raw", "made.qcow2"])
            .current_dir(folder.path())
            .stdout(Stdio::null());
        assert!(made.status().expect("qemu-img runs").success(), "{options}");
        let view = read(&at("made.qcow2"), &["correct horse"], None).expect("opens");
        let mut found = vec![0; plain.len()];
        view.read_at(0, &mut found).expect("reads");
        assert!(found == plain, "{options}");
        let mut odd = [0; 1001];
        view.read_at(70_003, &mut odd)
            .expect("reads at an odd place");
        assert!(odd[..] == plain[70_003..71_004], "{options}");
    }
}

/// The plaintext of the image at `path` and of what it refers to; a key for each layer that has one.
fn read(path: &Path, keys: &[&str], snapshot: Option<&str>) -> Result<Arc<dyn Storage>, String> {
    let storage = FileStorage::open(path, Access::Read).map_err(|error| error.to_string())?;
    let image = Image::open(Arc::new(storage)).map_err(|error| error.to_string())?;
    let mut keys = keys.iter();
    let window = image.luks_header().map_err(|error| error.to_string())?;
    let cipher = window.map(|window| cipher(Arc::new(window), keys.next().expect("a key")));
    let header = image.header();
    let beside = |name: &str| path.with_file_name(name);
    let open = |name: &str| -> Result<Arc<dyn Storage>, String> {
        qcow2::image::check_name("the file", name).map_err(|error| error.to_string())?;
        let storage = FileStorage::open(&beside(name), Access::Read);
        Ok(Arc::new(storage.map_err(|error| error.to_string())?))
    };
    let backing = match (&header.backing_file, header.backing_format.as_deref()) {
        (None, _) => None,
        (Some(name), Some("raw")) => Some(open(name)?),
        (Some(name), Some("qcow2")) => Some(read(&beside(name), keys.as_slice(), None)?),
        (Some(name), other) => return Err(format!("{name}: {other:?}")),
    };
    let data = header.data_file.as_deref().map(open).transpose()?;
    let snapshot = snapshot.map(|name| image.snapshot(name)).transpose();
    let snapshot = snapshot.map_err(|error| error.to_string())?;
    let layer = Layer {
        cipher,
        data,
        backing,
    };
    let view = image
        .view(snapshot, layer)
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(view))
}

fn cipher(header: Arc<dyn Storage>, key: &str) -> Arc<dyn SectorCipher> {
    let luks = Luks::open(header).expect("a LUKS header");
    let key = Passphrase::from_bytes(Zeroizing::new(key.as_bytes().to_vec()));
    let unlocked = luks
        .unlock(&key, &UnlockOptions::default())
        .expect("unlocks");
    let mapping = unlocked.mapping(1 << 40).expect("a mapping");
    let segment = mapping.segments().next().expect("a segment");
    match &segment.kind {
        SegmentKind::Crypt { cipher, .. } => Arc::clone(cipher),
        _ => panic!("not encrypted"),
    }
}

/// What is told to be a hole is not read: it must be one.
fn sha256(view: &dyn Storage) -> String {
    let len = view.len().expect("a length");
    let mut bytes = vec![0; usize::try_from(len).expect("small")];
    let mut at = 0;
    while let Some(data) = view.data_extent(at).expect("extents") {
        let place =
            usize::try_from(data.start).expect("small")..usize::try_from(data.end).expect("small");
        view.read_at(data.start, &mut bytes[place]).expect("reads");
        at = data.end;
    }
    let mut whole = vec![0; bytes.len()];
    view.read_at(0, &mut whole).expect("reads");
    assert!(whole == bytes, "a hole has data");
    hex::encode(Sha256::digest(&bytes))
}
