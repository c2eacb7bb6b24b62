use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dmcrypt::{HashAlgorithm, Passphrase, VolumeKey};
use luks::{Luks, UnlockOptions, Unlocked};
use volume::{MemoryStorage, Storage, Volume};
use zeroize::Zeroizing;

/// The folder of the extra conformance run, or `None` after saying that there is none.
pub fn conformance(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LUKSMITH_CONFORMANCE").map(PathBuf::from);
    if folder.is_none() {
        println!("cases: {what} 0 passed, 0 failed, LUKSMITH_CONFORMANCE is not set");
    }
    folder
}

/// The project's own golden data.
pub fn test_vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors")
}

/// An `.xz` file's contents.
pub fn unxz(path: &Path) -> Vec<u8> {
    let output = Command::new("xz")
        .arg("-dc")
        .arg(path)
        .output()
        .expect("xz runs (apt-get install xz-utils)");
    assert!(
        output.status.success(),
        "{}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

pub fn passphrase(text: &[u8]) -> Passphrase {
    Passphrase::from_bytes(Zeroizing::new(text.to_vec()))
}

pub fn volume_key(hex_digits: &str) -> VolumeKey {
    VolumeKey::from_bytes(Zeroizing::new(hex::decode(hex_digits).unwrap()))
}

pub fn memory(bytes: Vec<u8>) -> Arc<MemoryStorage> {
    Arc::new(MemoryStorage::from_vec(bytes))
}

pub fn open(bytes: Vec<u8>) -> Result<(Arc<MemoryStorage>, Luks), luks::Error> {
    let storage = memory(bytes);
    let luks = Luks::open(storage.clone())?;
    Ok((storage, luks))
}

pub fn unlock(luks: &Luks, secret: &[u8]) -> Result<Unlocked, luks::Error> {
    luks.unlock(&passphrase(secret), &UnlockOptions::default())
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(HashAlgorithm::Sha256.digest(&[bytes]))
}

/// The whole plaintext.
pub fn plaintext(volume: &Volume) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(volume.len()).unwrap()];
    volume.read_at(0, &mut bytes).unwrap();
    bytes
}

pub fn decrypt(
    luks: &Luks,
    storage: Arc<dyn Storage>,
    secret: &[u8],
) -> Result<Vec<u8>, luks::Error> {
    Ok(plaintext(&unlock(luks, secret)?.volume(storage)?))
}
