//! The reader of qcow2 and LUKS brought together, over images that QEMU made.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dmcrypt::LockedBytes;
use jobs::qcow::{Opened, Qcow2};
use jobs::unlock::Unlock;
use jobs::{Asked, Place, SecretError, Secrets};
use volume::Storage;

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
fn read(
    path: &Path,
    keys: &[&'static str],
    snapshot: Option<&str>,
) -> Result<Arc<dyn Storage>, String> {
    let how = Qcow2 {
        snapshot: snapshot.map(str::to_owned),
        follow: true,
    };
    let place = Place::from(path.to_owned());
    let opened = Opened::open(&place, &how, &[], false, &()).map_err(|error| error.to_string())?;
    let disk = opened.unlock(&Keys(keys.to_vec()), &Unlock::default(), &());
    Ok(disk.map_err(|error| error.to_string())?.storage)
}

/// A key for each layer.
struct Keys(Vec<&'static str>);

impl Secrets for Keys {
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        let key = self.0.get(asked.below).copied().unwrap_or_default();
        Ok(LockedBytes::copy_of(key.as_bytes()))
    }
}
