//! What Linux's dm-crypt computes, in portable Rust and without I/O: cipher specifications, initialization vectors,
//! sector ciphers, the hashes that go with them, and the types that hold keys.
//!
//! ```
//! use dmcrypt::{CipherSpec, SectorOptions, SectorSize};
//!
//! # fn main() -> Result<(), dmcrypt::Error> {
//! let spec: CipherSpec = "aes-xts-plain64".parse()?;
//! let options = SectorOptions { sector_size: SectorSize::B512, iv_large_sectors: false };
//! let cipher = spec.sector_cipher(&[7; 64], options)?;
//!
//! let mut sectors = [0; 4096];
//! cipher.encrypt(1000, &mut sectors); // eight sectors, the first has the IV number 1000
//! assert_ne!(sectors, [0; 4096]);
//! cipher.decrypt(1000, &mut sectors);
//! assert_eq!(sectors, [0; 4096]);
//! # Ok(())
//! # }
//! ```
//!
//! What a specification may be used for is asked before, and every answer names what is wrong:
//!
//! ```
//! use dmcrypt::{CipherSpec, Error, HashAlgorithm};
//!
//! # fn main() -> Result<(), Error> {
//! let spec: CipherSpec = "capi:xts(aes)-plain64".parse()?;
//! assert_eq!(spec.to_dm_crypt(), "aes-xts-plain64");
//! spec.check_supported()?;
//! let refused = spec.check_key_bytes(40).unwrap_err();
//! assert_eq!(refused.to_string(), "capi:xts(aes)-plain64 takes a key of 32, 48 or 64 bytes, not of 40");
//! // IVs of 32 bits would start again in so much data.
//! assert!("aes-xts-plain".parse::<CipherSpec>()?.excess(4 << 40, 512).is_some());
//! let hash = HashAlgorithm::parse("sha256")?;
//! assert_eq!(hash.digest(&[b"in ", b"pieces"]).len(), 32);
//! # Ok(())
//! # }
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | [`spec`] | `aes-xts-plain64` and every other spelling of a cipher specification |
//! | [`cipher`] | [`SectorCipher`]: a batch of sectors at once, in place |
//! | [`scope`] | how much data one key may encrypt |
//! | [`hash`] | the hashes, by cryptsetup's names |
//! | [`key`] | one type for each role that secret bytes play |
//! | [`units`] | sectors and their sizes |
//! | [`mapped`] | which bytes are mapped, and how: for whoever decrypts them and for dm-crypt's table |
//! | [`aes_xts`] | XTS on data units whose tweak is not a sector number |
//! | [`aes_kernel`] | which code computes AES |
//!
//! ## What is built
//!
//! | part | names | proven by |
//! | --- | --- | --- |
//! | ciphers | aes, anubis, camellia, cast6, seed, serpent, twofish; with 64-bit blocks blowfish, cast5, `des3_ede`, khazad, tea, xtea | a Linux kernel's sectors |
//! | | aria, sm4, kuznyechik | published vectors: no kernel of Debian's user-mode-linux has them |
//! | modes | xts, lrw (128-bit blocks), cbc, ctr, ecb, `xchacha12,...-adiantum`, `xchacha20,...-adiantum` | a Linux kernel's sectors |
//! | | hctr2 | the vectors of its authors |
//! | IVs | null, plain, plain64, plain64be, essiv, benbi, eboiv, elephant, lmk, tcw | a Linux kernel's sectors |
//!
//! Ciphers that look tables up are not constant-time; their files say so. AES, Serpent, TEA and XTEA are, and where the
//! processor has GFNI and AVX-512 also Camellia and SM4.
//!
//! Inside, lowest first: `kernels` are the inner loops, `low` has those of a processor, `expand` makes ciphers of keys, `ciphers` and `modes` hold one table each: a new cipher is one row and one file, and nothing else in the
//! project knows a cipher by name.

pub mod aes_kernel;
pub mod aes_xts;
pub mod cipher;
mod ciphers;
pub mod error;
mod expand;
pub mod hash;
mod iv;
mod kernels;
pub mod key;
mod low;
pub mod mapped;
mod modes;
pub mod scope;
pub mod spec;
pub mod units;

pub use aes_kernel::AesKernel;
pub use aes_xts::AesXts;
pub use cipher::{SectorCipher, SectorOptions};
pub use error::Error;
pub use hash::{HashAlgorithm, HashVisitor, HmacChain, KeyedHmac};
pub use key::{DerivedKey, LockedBytes, Passphrase, VolumeKey, is_lock_refused, wipe_stack};
pub use mapped::Mapped;
pub use spec::CipherSpec;
pub use units::{SECTOR_BYTES, SectorSize};

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
