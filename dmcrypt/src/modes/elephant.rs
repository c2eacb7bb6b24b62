//! BitLocker's Elephant (Ferguson 2006, "AES-CBC + Elephant diffuser"): below CBC, or whatever the mode is, the plaintext
//! of a sector is added a sector key and goes through two diffusers without a key.
//!
//! The sector key is E(K, e) || E(K, e with 0x80 as its last byte), over and over, where e is the byte offset of the sector
//! as a little-endian block. E is AES, whatever the cipher of the data is, and K is the second half of the volume's key.
//! With d the 32-bit words of a sector, little-endian, diffuser A decrypts by d\[i\] += d\[i-2\] ^ (d\[i-5\] <<< 9, 0, 13, 0)
//! and B by d\[i\] += d\[i+2\] ^ (d\[i+5\] <<< 0, 10, 0, 25), for each i in turn, five times and three times over.

use crate::{
    cipher::{SectorCipher, SectorOptions, assert_whole_sectors},
    ciphers::{self, Cipher},
    kernels::{block::BlockCipher, wipe, xor},
    units::SectorSize,
};

/// The cipher of the sector keys.
const SECTOR_KEY_CIPHER: &str = "aes";
const A_CYCLES: usize = 5;
const A_ROTATIONS: [u32; 4] = [9, 0, 13, 0];
const B_CYCLES: usize = 3;
const B_ROTATIONS: [u32; 4] = [0, 10, 0, 25];
const MAX_WORDS: usize = SectorSize::B4096.bytes() / 4;

/// Bytes of the key that are no key of the data: as many as the data's, if AES has such a key.
pub(super) fn extra_bytes(data_key_bytes: usize) -> Option<usize> {
    sector_key_cipher()
        .key_bytes
        .contains(&data_key_bytes)
        .then_some(data_key_bytes)
}

fn sector_key_cipher() -> &'static Cipher {
    ciphers::find(SECTOR_KEY_CIPHER).expect("it is built")
}

/// `inner` makes its IVs itself.
pub(super) fn wrap(
    inner: Box<dyn SectorCipher>,
    key: &[u8],
    options: SectorOptions,
) -> Box<dyn SectorCipher> {
    Box::new(Elephant {
        inner,
        sector_keys: (sector_key_cipher().expand)(key),
        options,
    })
}

struct Elephant {
    inner: Box<dyn SectorCipher>,
    sector_keys: Box<dyn BlockCipher>,
    options: SectorOptions,
}

impl Elephant {
    fn each_sector(&self, first_sector: u64, data: &mut [u8], diffuse: impl Fn(&mut [u8], &[u8])) {
        let size = self.options.sector_size;
        assert_whole_sectors(data, size);
        let mut number = first_sector;
        let mut sector_key = [0; 32];
        for sector in data.chunks_exact_mut(size.bytes()) {
            let counted = if self.options.iv_large_sectors {
                number / size.units()
            } else {
                number
            };
            let offset_bytes = counted.wrapping_mul(size.bytes() as u64);
            sector_key.fill(0);
            sector_key[..8].copy_from_slice(&offset_bytes.to_le_bytes());
            sector_key[16..24].copy_from_slice(&offset_bytes.to_le_bytes());
            sector_key[31] = 0x80;
            self.sector_keys.encrypt_blocks(&mut sector_key);
            diffuse(sector, &sector_key);
            number = number.wrapping_add(size.units());
        }
        wipe(&mut sector_key, 0);
    }
}

impl SectorCipher for Elephant {
    fn sector_size(&self) -> SectorSize {
        self.options.sector_size
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.each_sector(first_sector, data, |sector, sector_key| {
            add_sector_key(sector, sector_key);
            on_words(sector, |words| {
                diffuser_a_encrypt(words);
                diffuser_b_encrypt(words);
            });
        });
        self.inner.encrypt(first_sector, data);
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.inner.decrypt(first_sector, data);
        self.each_sector(first_sector, data, |sector, sector_key| {
            on_words(sector, |words| {
                diffuser_b_decrypt(words);
                diffuser_a_decrypt(words);
            });
            add_sector_key(sector, sector_key);
        });
    }

    fn kernel(&self) -> &'static str {
        self.inner.kernel()
    }
}

fn add_sector_key(sector: &mut [u8], sector_key: &[u8]) {
    for piece in sector.chunks_exact_mut(sector_key.len()) {
        xor(piece, sector_key);
    }
}

fn on_words(sector: &mut [u8], diffuse: impl Fn(&mut [u32])) {
    let mut words = [0; MAX_WORDS];
    let words = &mut words[..sector.len() / 4];
    for (word, bytes) in words.iter_mut().zip(sector.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    diffuse(words);
    for (word, bytes) in words.iter().zip(sector.as_chunks_mut().0) {
        *bytes = word.to_le_bytes();
    }
    wipe(words, 0);
}

/// d\[i-2\] ^ (d\[i-5\] <<< rotation); the number of words is a power of two.
fn before(d: &[u32], i: usize) -> u32 {
    let last = d.len() - 1;
    d[i.wrapping_sub(2) & last] ^ d[i.wrapping_sub(5) & last].rotate_left(A_ROTATIONS[i % 4])
}

/// d\[i+2\] ^ (d\[i+5\] <<< rotation).
fn after(d: &[u32], i: usize) -> u32 {
    let last = d.len() - 1;
    d[(i + 2) & last] ^ d[(i + 5) & last].rotate_left(B_ROTATIONS[i % 4])
}

fn diffuser_a_decrypt(d: &mut [u32]) {
    for _ in 0..A_CYCLES {
        for i in 0..d.len() {
            d[i] = d[i].wrapping_add(before(d, i));
        }
    }
}

fn diffuser_a_encrypt(d: &mut [u32]) {
    for _ in 0..A_CYCLES {
        for i in (0..d.len()).rev() {
            d[i] = d[i].wrapping_sub(before(d, i));
        }
    }
}

fn diffuser_b_decrypt(d: &mut [u32]) {
    for _ in 0..B_CYCLES {
        for i in 0..d.len() {
            d[i] = d[i].wrapping_add(after(d, i));
        }
    }
}

fn diffuser_b_encrypt(d: &mut [u32]) {
    for _ in 0..B_CYCLES {
        for i in (0..d.len()).rev() {
            d[i] = d[i].wrapping_sub(after(d, i));
        }
    }
}
