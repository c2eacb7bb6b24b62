//! Other implementations of the same things.
//!
//! Crates are always here. C is here with the feature `peers`: aws-lc and ring are built by cargo, OpenSSL, libgcrypt,
//! nettle and libargon2 are loaded when the program runs. What is not there is a row that says so.

mod aes_crate;
mod aes_keys;
#[cfg(feature = "peers")]
mod aws_lc;
mod dynamic;
mod evp;
mod libargon2;
mod libgcrypt;
mod nettle;
mod openssl;
#[cfg(feature = "peers")]
mod ring;
pub mod tools;
mod xts_mode_crate;

use dmcrypt::HashAlgorithm;

/// Sectors that lie in an area, encrypted or decrypted in place.
pub type Pass = Box<dyn FnMut(&mut [u8])>;

/// AES with dm-crypt's plain64 IVs from [`FIRST_SECTOR`] on.
#[derive(Clone, Copy, Debug)]
pub struct CipherWork<'a> {
    /// The mode.
    pub mode: Mode,
    /// The key, of XTS both keys.
    pub key: &'a [u8],
    /// Bytes that are encrypted as one.
    pub sector_bytes: usize,
    /// Encryption, or else decryption.
    pub encrypts: bool,
}

/// Modes that others have too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// XTS.
    Xts,
    /// CBC.
    Cbc,
}

impl Mode {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xts => "XTS",
            Self::Cbc => "CBC",
        }
    }
}

/// Number of the first sector, in units of 512 bytes.
pub const FIRST_SECTOR: u64 = 7;

impl CipherWork<'_> {
    /// The IV of the sector that is `index` sectors into the area.
    pub fn iv(sector_bytes: usize, index: usize) -> [u8; 16] {
        let sector = FIRST_SECTOR + (index * (sector_bytes / 512)) as u64;
        let mut iv = [0; 16];
        iv[..8].copy_from_slice(&sector.to_le_bytes());
        iv
    }

    /// Bits of the key of the block cipher: 128, 192 or 256.
    pub fn aes_bits(&self) -> usize {
        match self.mode {
            Mode::Xts => self.key.len() * 4,
            Mode::Cbc => self.key.len() * 8,
        }
    }

    fn lacks(&self, name: &str) -> String {
        format!("{name} has no AES-{}-{}", self.aes_bits(), self.mode.name())
    }
}

/// PBKDF2.
#[derive(Clone, Copy, Debug)]
pub struct Pbkdf2Work {
    /// Of the HMAC.
    pub hash: Pbkdf2Hash,
    /// How often.
    pub iterations: u32,
    /// Bytes to derive.
    pub key_bytes: usize,
}

/// The hashes that all have.
#[derive(Clone, Copy, Debug)]
pub enum Pbkdf2Hash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Pbkdf2Hash {
    /// Ours of that name.
    pub fn algorithm(self) -> HashAlgorithm {
        match self {
            Self::Sha1 => HashAlgorithm::Sha1,
            Self::Sha256 => HashAlgorithm::Sha256,
            Self::Sha512 => HashAlgorithm::Sha512,
        }
    }
}

/// Argon2id.
#[derive(Clone, Copy, Debug)]
pub struct Argon2Work {
    /// Passes.
    pub time: u32,
    /// Memory.
    pub memory_kib: u32,
    /// Lanes, each a thread.
    pub lanes: u32,
    /// Bytes to derive.
    pub key_bytes: usize,
}

/// What every key derivation starts from.
pub const PASSPHRASE: &[u8] = b"a passphrase of some length";
/// The same for salts.
pub const SALT: [u8; 32] = [0x5a; 32];

/// Fills a key.
pub type Derivation = Box<dyn FnMut(&mut [u8])>;

/// A peer, or why it is not there.
pub type Peer<T> = (&'static str, Result<T, String>);

/// Those that encrypt.
pub fn ciphers(work: CipherWork<'_>, with_c: bool) -> Vec<Peer<Pass>> {
    let mut peers = Vec::new();
    if work.mode == Mode::Xts {
        peers.push((
            "aes crate, 4 KiB at once",
            Ok(aes_keys::pass_by::<aes_crate::AesCrate>(work)),
        ));
        peers.push((
            "xts-mode crate",
            Ok(aes_keys::pass_by::<xts_mode_crate::XtsModeCrate>(work)),
        ));
    }
    if with_c {
        peers.push(("libgcrypt", loaded(|| libgcrypt::cipher(work))));
        peers.push(("OpenSSL EVP", loaded(|| openssl::cipher(work))));
        #[cfg(feature = "peers")]
        peers.push(("aws-lc EVP", aws_lc::cipher(work)));
        #[cfg(not(feature = "peers"))]
        peers.push(("aws-lc EVP", Err(WITHOUT.to_owned())));
        peers.push(("nettle", loaded(|| nettle::cipher(work))));
    }
    peers
}

/// Those that have PBKDF2.
pub fn pbkdf2(work: Pbkdf2Work, with_c: bool) -> Vec<Peer<Derivation>> {
    let mut peers = vec![("pbkdf2 crate", Ok(pbkdf2_crate(work)))];
    if with_c {
        peers.push(("OpenSSL", loaded(|| openssl::pbkdf2(work))));
        peers.push(("libgcrypt", loaded(|| libgcrypt::pbkdf2(work))));
        #[cfg(feature = "peers")]
        peers.extend([
            ("aws-lc", Ok(aws_lc::pbkdf2(work))),
            ("ring", ring::pbkdf2(work)),
        ]);
        #[cfg(not(feature = "peers"))]
        peers.extend(["aws-lc", "ring"].map(|name| (name, Err(WITHOUT.to_owned()))));
    }
    peers
}

/// Those that have Argon2.
pub fn argon2(work: Argon2Work, with_c: bool) -> Vec<Peer<Derivation>> {
    if with_c {
        vec![("libargon2", loaded(|| libargon2::argon2id(work)))]
    } else {
        Vec::new()
    }
}

const WITHOUT: &str = "built without the feature `peers`";

/// Libraries that are loaded at run time take part with the same feature as those that are built.
fn loaded<T>(load: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    if cfg!(feature = "peers") {
        load()
    } else {
        Err(WITHOUT.to_owned())
    }
}

fn pbkdf2_crate(work: Pbkdf2Work) -> Derivation {
    let derive: fn(&[u8], &[u8], u32, &mut [u8]) = match work.hash {
        Pbkdf2Hash::Sha1 => pbkdf2::pbkdf2_hmac::<sha1::Sha1>,
        Pbkdf2Hash::Sha256 => pbkdf2::pbkdf2_hmac::<sha2::Sha256>,
        Pbkdf2Hash::Sha512 => pbkdf2::pbkdf2_hmac::<sha2::Sha512>,
    };
    Box::new(move |key| {
        derive(PASSPHRASE, &SALT, work.iterations, key);
    })
}
