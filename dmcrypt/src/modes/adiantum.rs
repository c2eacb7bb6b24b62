//! Adiantum (Crowley and Biggers 2018): a sector is one wide block, for processors without AES instructions.
//!
//! With the last 16 bytes of a sector as R and the others as L, numbers little-endian modulo 2^128, and T the IV:
//! R += H(T, L); R = E(R); L ^= `XChaCha`(R || 1); R -= H(T, L). H is Poly1305 of the length and T, plus NH and Poly1305
//! of L. Written here and not with the crate of that name, which is bound to one type of block cipher, reads NH through
//! unaligned pointers, and leaves its hash keys in memory.

use super::{IvShape, Mode};
use crate::{
    cipher::{SectorCipher, assert_whole_sectors},
    iv::IvGenerator,
    kernels::block::BlockCipher,
    low::pages::Locked,
    units::SectorSize,
};
use chacha20::{Key, XChaCha12, XChaCha20, XNonce};
use cipher::{KeyInit, KeyIvInit, StreamCipher};
use poly1305::Poly1305;
use zeroize::Zeroizing;

pub(super) const XCHACHA12: Mode = Mode {
    stream: "xchacha12",
    build: |cipher, iv, keys, options| {
        let generator = IvGenerator::new(iv, cipher, IvShape::Wide, keys, options, || {
            unreachable!("{REFUSED}")
        });
        Box::new(Locked::new(Adiantum::<XChaCha12>::new(
            keys.data,
            cipher.expand,
            generator,
            options.sector_size,
        )))
    },
    ..XCHACHA20
};

pub(super) const XCHACHA20: Mode = Mode {
    name: "adiantum",
    stream: "xchacha20",
    key_bytes: |_| KEY_BYTES,
    iv: Some(IvShape::Wide),
    fits: |cipher| cipher.block_bytes == BLOCK_BYTES && cipher.key_bytes.contains(&KEY_BYTES),
    build: |cipher, iv, keys, options| {
        let generator = IvGenerator::new(iv, cipher, IvShape::Wide, keys, options, || {
            unreachable!("{REFUSED}")
        });
        Box::new(Locked::new(Adiantum::<XChaCha20>::new(
            keys.data,
            cipher.expand,
            generator,
            options.sector_size,
        )))
    },
};

const REFUSED: &str = "a wide block is refused eboiv, whose IVs are blocks of the cipher";
const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 16;
const IV_BYTES: usize = 32;
/// NH hashes so much at once, by passes over a key that each start 16 bytes later.
const NH_MESSAGE_BYTES: usize = 1024;
const NH_PASSES: usize = 4;
const NH_KEY_WORDS: usize = (NH_MESSAGE_BYTES + 16 * (NH_PASSES - 1)) / 4;
/// Bytes that NH makes of a message.
const NH_BYTES: usize = 8 * NH_PASSES;
const MAX_MESSAGES: usize = SectorSize::B4096.bytes().div_ceil(NH_MESSAGE_BYTES);

struct Adiantum<S> {
    key: Zeroizing<[u8; KEY_BYTES]>,
    block: Box<dyn BlockCipher>,
    header_hash: Poly1305,
    message_hash: Poly1305,
    nh_key: Zeroizing<[u32; NH_KEY_WORDS]>,
    iv: IvGenerator,
    sector_size: SectorSize,
    stream: std::marker::PhantomData<fn() -> S>,
}

impl<S: KeyIvInit<KeySize = cipher::consts::U32, IvSize = cipher::consts::U24> + StreamCipher>
    Adiantum<S>
{
    /// All keys are the stream of the volume's key at the nonce 1: the block cipher's, those of both Poly1305, and NH's.
    fn new(
        key: &[u8],
        expand: fn(&[u8]) -> Box<dyn BlockCipher>,
        iv: IvGenerator,
        sector_size: SectorSize,
    ) -> Self {
        let key = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(key).expect("its length was checked"));
        let mut nonce = XNonce::default();
        nonce[0] = 1;
        let mut stream = S::new(&Key::from(*key), &nonce);
        let mut block_key = Zeroizing::new([0; KEY_BYTES]);
        stream.apply_keystream(block_key.as_mut_slice());
        let mut hash = || {
            // The second half, which Poly1305 as a MAC adds in the end, is 0.
            let mut key = Zeroizing::new([0; 32]);
            stream.apply_keystream(&mut key[..16]);
            Poly1305::new(&(*key).into())
        };
        let header_hash = hash();
        let message_hash = hash();
        let mut nh_bytes = Zeroizing::new([0; 4 * NH_KEY_WORDS]);
        stream.apply_keystream(nh_bytes.as_mut_slice());
        let mut nh_key = Zeroizing::new([0; NH_KEY_WORDS]);
        for (word, bytes) in nh_key.iter_mut().zip(nh_bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self {
            key,
            block: expand(block_key.as_slice()),
            header_hash,
            message_hash,
            nh_key,
            iv,
            sector_size,
            stream: std::marker::PhantomData,
        }
    }

    fn each_sector(
        &self,
        first_sector: u64,
        data: &mut [u8],
        crypt: impl Fn(&[u8; IV_BYTES], &mut [u8], &mut [u8; BLOCK_BYTES]),
    ) {
        assert_whole_sectors(data, self.sector_size);
        let mut iv = [0; IV_BYTES];
        let mut number = first_sector;
        for sector in data.chunks_exact_mut(self.sector_size.bytes()) {
            self.iv.fill(number, &mut iv);
            let (left, right) = sector
                .split_last_chunk_mut()
                .expect("a sector is longer than a block");
            crypt(&iv, left, right);
            number = number.wrapping_add(self.sector_size.units());
        }
    }

    fn add_stream(&self, left: &mut [u8], right: &[u8; BLOCK_BYTES]) {
        let mut nonce = XNonce::default();
        nonce[..BLOCK_BYTES].copy_from_slice(right);
        nonce[BLOCK_BYTES] = 1;
        S::new(&Key::from(*self.key), &nonce).apply_keystream(left);
    }

    /// H(T, L).
    fn hash(&self, iv: &[u8; IV_BYTES], left: &[u8]) -> u128 {
        let mut header = [0; 16 + IV_BYTES];
        header[..8].copy_from_slice(&(8 * left.len() as u64).to_le_bytes());
        header[16..].copy_from_slice(iv);
        let mut digests = [0; MAX_MESSAGES * NH_BYTES];
        let messages = left.chunks(NH_MESSAGE_BYTES);
        let digests = &mut digests[..messages.len() * NH_BYTES];
        for (digest, message) in digests.chunks_exact_mut(NH_BYTES).zip(messages) {
            self.nh(message, digest);
        }
        let header = self.header_hash.clone().compute_unpadded(&header);
        let message = self.message_hash.clone().compute_unpadded(digests);
        u128::from_le_bytes(header.0).wrapping_add(u128::from_le_bytes(message.0))
    }

    /// The sum of (m\[0\] + k\[0\]) * (m\[2\] + k\[2\]) + (m\[1\] + k\[1\]) * (m\[3\] + k\[3\]) over each four words, for each pass.
    fn nh(&self, message: &[u8], digest: &mut [u8]) {
        let mut sums = [0_u64; NH_PASSES];
        for (index, sixteen) in message.as_chunks::<16>().0.iter().enumerate() {
            let m: [u32; 4] =
                core::array::from_fn(|word| u32::from_le_bytes(sixteen.as_chunks().0[word]));
            for (pass, sum) in sums.iter_mut().enumerate() {
                let k = &self.nh_key[4 * (index + pass)..4 * (index + pass) + 4];
                let [a, b, c, d] =
                    [0, 1, 2, 3].map(|word: usize| u64::from(m[word].wrapping_add(k[word])));
                *sum = sum.wrapping_add(a * c).wrapping_add(b * d);
            }
        }
        for (bytes, sum) in digest.as_chunks_mut().0.iter_mut().zip(sums) {
            *bytes = sum.to_le_bytes();
        }
    }
}

fn add(right: &mut [u8; BLOCK_BYTES], number: u128) {
    *right = u128::from_le_bytes(*right)
        .wrapping_add(number)
        .to_le_bytes();
}

impl<S: KeyIvInit<KeySize = cipher::consts::U32, IvSize = cipher::consts::U24> + StreamCipher>
    SectorCipher for Adiantum<S>
{
    fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.each_sector(first_sector, data, |iv, left, right| {
            add(right, self.hash(iv, left));
            self.block.encrypt_blocks(right);
            self.add_stream(left, right);
            add(right, self.hash(iv, left).wrapping_neg());
        });
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.each_sector(first_sector, data, |iv, left, right| {
            add(right, self.hash(iv, left));
            self.add_stream(left, right);
            self.block.decrypt_blocks(right);
            add(right, self.hash(iv, left).wrapping_neg());
        });
    }

    fn kernel(&self) -> &'static str {
        "adiantum (chacha20, poly1305 and block cipher crates)"
    }
}
