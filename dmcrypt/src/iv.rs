//! Initialization vectors: from the number of a sector to the IV of the sector.
//!
//! The names and formulas are dm-crypt's (Linux 6.1). `n` is the IV number: it counts 512-byte units whatever the sector
//! size is, unless `iv_large_sectors` makes it count sectors.

use crate::{
    Error, HashAlgorithm, LockedBytes, SectorOptions,
    ciphers::Cipher,
    kernels::{block::BlockCipher, xor},
};

/// How the IV of a sector is made, of the ways that are built here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Iv {
    /// Zeros for every sector.
    Null,
    /// The low 32 bits of n, little-endian, then zeros.
    Plain,
    /// n as 64 bits, little-endian, then zeros.
    Plain64,
    /// n as 64 bits, big-endian, after zeros.
    Plain64Be,
    /// E(H(key), plain64): the key is the whole key of the volume, with XTS both halves.
    Essiv(HashAlgorithm),
    /// 1 + the number of the cipher block that n starts at, as 64 bits, big-endian, after zeros.
    Benbi,
    /// [`Eboiv`](Self::Eboiv), below a diffuser over the plaintext: BitLocker's.
    Elephant,
    /// loop-AES's: a digest of the plaintext, so that the IV of a sector is known once it is decrypted.
    Lmk,
    /// TrueCrypt's of CBC: a part of the key ^ n, below a whitening of the ciphertext.
    Tcw,
    /// One block of zeros encrypted by the volume's own cipher and mode, with the byte offset as plain64 IV; for CBC that
    /// is E(key, byte offset).
    Eboiv,
}

impl Iv {
    pub(crate) fn parse(iv: &str) -> Result<Self, Error> {
        match iv.split_once(':') {
            Some(("essiv", hash)) => HashAlgorithm::parse_kernel(hash).map(Self::Essiv),
            None if iv == "null" => Ok(Self::Null),
            None if iv == "plain" => Ok(Self::Plain),
            None if iv == "plain64" => Ok(Self::Plain64),
            None if iv == "plain64be" => Ok(Self::Plain64Be),
            None if iv == "benbi" => Ok(Self::Benbi),
            None if iv == "eboiv" => Ok(Self::Eboiv),
            None if iv == "elephant" => Ok(Self::Elephant),
            None if iv == "lmk" => Ok(Self::Lmk),
            None if iv == "tcw" => Ok(Self::Tcw),
            _ => Err(Error::UnsupportedIv { iv: iv.to_owned() }),
        }
    }

    /// Whether the way is defined for sectors of 512 bytes only.
    pub(crate) fn wants_512_bytes(self) -> bool {
        matches!(self, Self::Lmk | Self::Tcw)
    }
}

/// What the kernel's crypto API says about a mode, and dm-crypt makes IVs by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum IvShape {
    /// An IV is a block of the cipher, and sectors are whole blocks.
    Block,
    /// An IV is a block of the cipher, and sectors may be of any length: the mode makes a stream of the cipher.
    BlockOfStream,
    /// An IV is 32 bytes, and a sector is one wide block.
    Wide,
}

impl IvShape {
    /// Bytes in an IV.
    pub(crate) fn bytes(self, cipher: &Cipher) -> usize {
        match self {
            Self::Block | Self::BlockOfStream => cipher.block_bytes,
            Self::Wide => 32,
        }
    }

    /// Bytes that the mode cannot divide: what benbi IVs count.
    pub(crate) fn unit_bytes(self, cipher: &Cipher) -> usize {
        match self {
            Self::Block | Self::Wide => cipher.block_bytes,
            Self::BlockOfStream => 1,
        }
    }
}

/// The parts of a volume's key that one sector cipher is made of.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    /// The key that encrypts its sectors.
    pub(crate) data: &'a [u8],
    /// The first key of the volume, where several take turns; it makes the IVs of all where the cipher makes IVs.
    pub(crate) first: &'a [u8],
    /// What IVs are made of besides ([`Iv::Tcw`]).
    pub(crate) seed: &'a [u8],
}

/// The IVs of a volume.
pub(crate) struct IvGenerator {
    iv: Iv,
    iv_bytes: usize,
    /// 2^this many of what the mode cannot divide are in 512 bytes.
    shift: u32,
    seed: LockedBytes,
    options: SectorOptions,
    /// What encrypts the IVs, for the ways that do.
    encrypt: Option<EncryptIvs>,
}

/// Encrypts each of the IVs given in place.
type EncryptIvs = Box<dyn Fn(&mut [u8]) + Send + Sync>;

impl IvGenerator {
    /// The sizes of the keys, and for ESSIV that of the digest, were checked. `eboiv` makes what eboiv needs, which
    /// depends on the mode.
    pub(crate) fn new(
        iv: Iv,
        cipher: &Cipher,
        shape: IvShape,
        keys: Keys<'_>,
        options: SectorOptions,
        eboiv: impl FnOnce() -> EncryptIvs,
    ) -> Self {
        let encrypt = match iv {
            Iv::Essiv(hash) => Some(block_by_block((cipher.expand)(&hash.digest(&[keys.data])))),
            Iv::Eboiv | Iv::Elephant => Some(eboiv()),
            _ => None,
        };
        Self {
            iv,
            iv_bytes: shape.bytes(cipher),
            shift: 9 - shape.unit_bytes(cipher).ilog2(),
            seed: LockedBytes::copy_of(keys.seed),
            options,
            encrypt,
        }
    }

    /// Writes the IVs of consecutive sectors, as many as fit `ivs`, the first of them at `first_sector` (in 512-byte
    /// units).
    pub(crate) fn fill(&self, first_sector: u64, ivs: &mut [u8]) {
        let step = self.options.sector_size.units();
        let shift = if self.options.iv_large_sectors {
            step.ilog2()
        } else {
            0
        };
        let numbers =
            (0..).map(|index: u64| first_sector.wrapping_add(index.wrapping_mul(step)) >> shift);
        self.write(numbers, ivs);
        if let Some(encrypt) = &self.encrypt {
            encrypt(ivs);
        }
    }

    /// The IVs of these numbers, before encryption.
    fn write(&self, numbers: impl Iterator<Item = u64>, ivs: &mut [u8]) {
        // What nearly every volume has, without a choice for each sector: the fastest ciphers would wait for it.
        if matches!(self.iv, Iv::Plain64 | Iv::Essiv(_)) && self.iv_bytes == 16 {
            for (iv, n) in ivs.as_chunks_mut().0.iter_mut().zip(numbers) {
                *iv = u128::from(n).to_le_bytes();
            }
            return;
        }
        ivs.fill(0);
        for (iv, n) in ivs.chunks_exact_mut(self.iv_bytes).zip(numbers) {
            self.write_one(n, iv);
        }
    }

    /// The IV of number `n` into zeros, before encryption.
    fn write_one(&self, n: u64, iv: &mut [u8]) {
        let last_8_bytes = self.iv_bytes - 8;
        match self.iv {
            // The digest is added once there is plaintext to make it of.
            Iv::Null | Iv::Lmk => {}
            Iv::Plain => iv[..4].copy_from_slice(&n.to_le_bytes()[..4]),
            Iv::Plain64 | Iv::Essiv(_) => iv[..8].copy_from_slice(&n.to_le_bytes()),
            Iv::Plain64Be => iv[last_8_bytes..].copy_from_slice(&n.to_be_bytes()),
            Iv::Benbi => {
                let count = (n << self.shift).wrapping_add(1);
                iv[last_8_bytes..].copy_from_slice(&count.to_be_bytes());
            }
            Iv::Tcw => {
                iv.copy_from_slice(&self.seed[..iv.len()]);
                for eight in iv.chunks_mut(8) {
                    xor(eight, &n.to_le_bytes());
                }
            }
            Iv::Eboiv | Iv::Elephant => {
                let offset_bytes = n.wrapping_mul(self.options.sector_size.bytes() as u64);
                iv[..8].copy_from_slice(&offset_bytes.to_le_bytes());
            }
        }
    }
}

/// Encrypts IVs with the bare cipher.
pub(crate) fn block_by_block(cipher: Box<dyn BlockCipher>) -> EncryptIvs {
    Box::new(move |ivs| cipher.encrypt_blocks(ivs))
}
