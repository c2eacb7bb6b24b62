//! LRW (IEEE P1619 draft of 2005; Liskov, Rivest and Wagner 2002): C\[i\] = E(K1, P\[i\] ^ T\[i\]) ^ T\[i\] with
//! T\[i\] = K2 * (IV + i) in GF(2^128), where the IV is a big-endian number and bytes are big-endian polynomials.
//! It was the default of cryptsetup 1.0; the draft gave it up for XTS.

use super::{IvShape, Mode};
use crate::{
    cipher::{SectorCipher, assert_whole_sectors},
    iv::IvGenerator,
    kernels::{block::BlockCipher, wipe, xor},
    low::pages::Locked,
    units::SectorSize,
};
use zeroize::Zeroizing;

pub(super) const LRW: Mode = Mode {
    name: "lrw",
    stream: "",
    key_bytes: |cipher_key_bytes| cipher_key_bytes + BLOCK_BYTES,
    iv: Some(IvShape::Block),
    fits: |cipher| cipher.block_bytes == BLOCK_BYTES,
    build: |cipher, iv, keys, options| {
        let expand = |key: &[u8]| {
            let (data_key, tweak_key) = key.split_at(key.len() - BLOCK_BYTES);
            let tweak_key = tweak_key.try_into().expect("it was split off as a block");
            (
                (cipher.expand)(data_key),
                Multiples::new(u128::from_be_bytes(tweak_key)),
            )
        };
        let (block_cipher, multiples) = expand(keys.data);
        Box::new(Lrw {
            cipher: block_cipher,
            multiples,
            iv: IvGenerator::new(iv, cipher, IvShape::Block, keys, options, || {
                let (block_cipher, multiples) = expand(keys.first);
                Box::new(move |ivs| {
                    for iv in ivs.chunks_exact_mut(BLOCK_BYTES) {
                        let index = u128::from_be_bytes((&*iv).try_into().expect("a block"));
                        let tweak = multiples.of(index).to_be_bytes();
                        iv.copy_from_slice(&tweak);
                        block_cipher.encrypt_blocks(iv);
                        xor(iv, &tweak);
                    }
                })
            }),
            sector_size: options.sector_size,
        })
    },
};

const BLOCK_BYTES: usize = 16;

struct Lrw {
    cipher: Box<dyn BlockCipher>,
    multiples: Multiples,
    iv: IvGenerator,
    sector_size: SectorSize,
}

impl Lrw {
    fn apply(&self, run: impl Fn(&mut [u8]), first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, self.sector_size);
        let mut tweaks = [0; SectorSize::B4096.bytes()];
        let tweaks = &mut tweaks[..self.sector_size.bytes()];
        let mut iv = [0; BLOCK_BYTES];
        let mut number = first_sector;
        for sector in data.chunks_mut(self.sector_size.bytes()) {
            self.iv.fill(number, &mut iv);
            self.multiples.fill(u128::from_be_bytes(iv), tweaks);
            xor(sector, tweaks);
            run(sector);
            xor(sector, tweaks);
            number = number.wrapping_add(self.sector_size.units());
        }
        wipe(tweaks, 0);
    }
}

impl SectorCipher for Lrw {
    fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.apply(
            |sector| self.cipher.encrypt_blocks(sector),
            first_sector,
            data,
        );
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.apply(
            |sector| self.cipher.decrypt_blocks(sector),
            first_sector,
            data,
        );
    }

    fn kernel(&self) -> &'static str {
        self.cipher.kernel()
    }
}

/// K2 * x^j for each j: every tweak is a sum of some of them.
struct Multiples(Locked<[u128; 128]>);

impl Multiples {
    fn new(key: u128) -> Self {
        let mut multiples = Zeroizing::new([key; 128]);
        for j in 1..128 {
            let last = multiples[j - 1];
            // x^128 + x^7 + x^2 + x + 1, without a branch on the secret.
            multiples[j] = (last << 1) ^ (0x87 & 0_u128.wrapping_sub(last >> 127));
        }
        Self(Locked::new(*multiples))
    }

    /// K2 * index.
    fn of(&self, index: u128) -> u128 {
        (0..128).fold(0, |sum, j| {
            sum ^ (self.0[j] & 0_u128.wrapping_sub((index >> j) & 1))
        })
    }

    /// K2 * first, K2 * (first + 1), ... The bits in which neighbours differ are the lowest ones, up to the first that is
    /// not carried: few on average.
    fn fill(&self, first: u128, tweaks: &mut [u8]) {
        let mut index = first;
        let mut tweak = self.of(first);
        for block in tweaks.chunks_exact_mut(BLOCK_BYTES) {
            block.copy_from_slice(&tweak.to_be_bytes());
            let next = index.wrapping_add(1);
            for j in 0..(index ^ next).count_ones() as usize {
                tweak ^= self.0[j];
            }
            index = next;
        }
    }
}
