//! HCTR2 (Crowley, Huckleberry and Biggers 2021): a sector is one wide block, for processors with AES instructions.
//!
//! With the first 16 bytes of a sector as M and the others as N, T the IV, h = E(0), L = E(1) and numbers little-endian:
//! MM = M ^ H(T, N); UU = E(MM); S = MM ^ UU ^ L; V = N ^ XCTR(S); U = UU ^ H(T, V), and the ciphertext is U || V. H is
//! POLYVAL (RFC 8452) with the key h over the block 2 * bits of T + 2, T, and the message, which is whole blocks here. XCTR's
//! block i, counted from 1, is E(S ^ i).

use super::{IvShape, Mode};
use crate::{
    cipher::{SectorCipher, assert_whole_sectors},
    iv::IvGenerator,
    kernels::{block::BlockCipher, wipe, xor},
    low::pages::Locked,
    units::SectorSize,
};
use polyval::{Polyval, universal_hash::UniversalHash};

pub(super) const HCTR2: Mode = Mode {
    name: "hctr2",
    stream: "",
    key_bytes: |cipher_key_bytes| cipher_key_bytes,
    iv: Some(IvShape::Wide),
    fits: |cipher| cipher.block_bytes == BLOCK_BYTES,
    build: |cipher, iv, keys, options| {
        Box::new(Locked::new(Hctr2 {
            wide: WideBlock::new((cipher.expand)(keys.data)),
            iv: IvGenerator::new(iv, cipher, IvShape::Wide, keys, options, || {
                unreachable!("a wide block is refused eboiv, whose IVs are blocks of the cipher")
            }),
            sector_size: options.sector_size,
        }))
    },
};

const BLOCK_BYTES: usize = 16;
const IV_BYTES: usize = 32;

struct Hctr2 {
    wide: WideBlock,
    iv: IvGenerator,
    sector_size: SectorSize,
}

impl Hctr2 {
    fn each_sector(&self, first_sector: u64, data: &mut [u8], crypt: impl Fn(&[u8], &mut [u8])) {
        assert_whole_sectors(data, self.sector_size);
        let mut iv = [0; IV_BYTES];
        let mut number = first_sector;
        for sector in data.chunks_exact_mut(self.sector_size.bytes()) {
            self.iv.fill(number, &mut iv);
            crypt(&iv, sector);
            number = number.wrapping_add(self.sector_size.units());
        }
    }
}

impl SectorCipher for Hctr2 {
    fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.each_sector(first_sector, data, |iv, sector| {
            self.wide
                .crypt(iv, sector, |cipher, block| cipher.encrypt_blocks(block));
        });
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.each_sector(first_sector, data, |iv, sector| {
            self.wide
                .crypt(iv, sector, |cipher, block| cipher.decrypt_blocks(block));
        });
    }

    fn kernel(&self) -> &'static str {
        "hctr2 (polyval and block cipher crates)"
    }
}

/// The wide block cipher, for tweaks and messages of whole blocks.
struct WideBlock {
    cipher: Box<dyn BlockCipher>,
    hash: Polyval,
    l: [u8; BLOCK_BYTES],
}

impl WideBlock {
    fn new(cipher: Box<dyn BlockCipher>) -> Self {
        let mut derived = [0; 2 * BLOCK_BYTES];
        derived[BLOCK_BYTES] = 1;
        cipher.encrypt_blocks(&mut derived);
        let (key, l) = derived.as_chunks().0.split_at(1);
        let wide = Self {
            cipher,
            hash: Polyval::new(&key[0].into()),
            l: l[0],
        };
        wipe(&mut derived, 0);
        wide
    }

    /// Both directions differ in which one of the cipher `through` is: MM = D(UU) is the same way back.
    fn crypt(&self, tweak: &[u8], data: &mut [u8], through: impl Fn(&dyn BlockCipher, &mut [u8])) {
        let (first, rest) = data
            .split_first_chunk_mut::<BLOCK_BYTES>()
            .expect("a sector is longer than a block");
        xor(first, &self.hash(tweak, rest));
        let mut counter = *first;
        through(self.cipher.as_ref(), first);
        xor(&mut counter, &*first);
        xor(&mut counter, &self.l);
        self.add_stream(u128::from_le_bytes(counter), rest);
        xor(first, &self.hash(tweak, rest));
    }

    fn hash(&self, tweak: &[u8], message: &[u8]) -> [u8; BLOCK_BYTES] {
        let mut hash = self.hash.clone();
        let header = 2 * 8 * tweak.len() as u128 + 2;
        hash.update_padded(&header.to_le_bytes());
        hash.update_padded(tweak);
        hash.update_padded(message);
        hash.finalize().into()
    }

    fn add_stream(&self, start: u128, data: &mut [u8]) {
        let mut stream = [0; SectorSize::B512.bytes()];
        let mut index = 0;
        for piece in data.chunks_mut(stream.len()) {
            let stream = &mut stream[..piece.len()];
            for block in stream.as_chunks_mut().0 {
                index += 1;
                *block = (start ^ index).to_le_bytes();
            }
            self.cipher.encrypt_blocks(stream);
            xor(piece, stream);
        }
        wipe(&mut stream, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::WideBlock;
    use crate::ciphers;

    /// The authors' vectors (github.com/google/hctr2, `test_vectors/ours`), AES-256: 16 bytes without a tweak, 48 bytes
    /// without one, 512 bytes with one of 16.
    #[test]
    fn vectors_of_the_authors() {
        for [key, tweak, plaintext, ciphertext] in VECTORS {
            let [key, tweak, plaintext, ciphertext] =
                [key, tweak, plaintext, ciphertext].map(|text| hex::decode(text).unwrap());
            let aes = ciphers::find("aes").expect("it is built");
            let wide = WideBlock::new((aes.expand)(&key));
            let mut data = plaintext.clone();
            wide.crypt(&tweak, &mut data, |cipher, block| {
                cipher.encrypt_blocks(block);
            });
            assert_eq!(hex::encode(&data), hex::encode(ciphertext));
            wide.crypt(&tweak, &mut data, |cipher, block| {
                cipher.decrypt_blocks(block);
            });
            assert_eq!(data, plaintext);
        }
    }

    /// Key, tweak, plaintext, ciphertext.
    const VECTORS: [[&str; 4]; 3] = [
        [
            "7fc7152ae1f5fda4176769aec92bba82a314e7cfadfd8540da7b7d24bdf17d07",
            "",
            "9be382c65ac19fad4659b80bacc857a0",
            "596a76ff906fbe9b792767778fed2361",
        ],
        [
            "e2a20e853c6ed64a9855de22a9abed13d3c9dd75e0d495f92dddf22b3851047e",
            "",
            "19b89858929409d5521f8e7e9920424f6cd4d2adfebfae1ae73b551e7cf3d15502d4fa02fd12f71e73415c8c3112fdc5",
            "b4df5db4b89bb2af144d7be1bbf816f61e63f67137ba61bef87c6628624f3424a40ad97b7a93ea37707ddc1429f3a8c7",
        ],
        [
            "a6018f52d10126fa563efd0031eedc68eba31d3b41b09a8cfb8cfab1040124c2",
            "b01ef1b8cfef41369c7e126a8ef634bf",
            "c1eb241b4a3eb425927c97f9a04d83f46c6d823726aa69e7a509bd9265fc0aa0606e0ce2f517651505dc5841f7feb51ead7d7a503cd57a751cc219c1e0902e2284e96d082744bd2abb101e1a4d33dc1eb90343b9694d36b350a0fc6f2d982ac0761cd774a4c1bc259daea85cbde5dc8efd9e836bb19f92b6255c6146f1e8b95b6cd90c8f82a2af7df73a1c48302d838ff362b65d163396482555c847168e70c074ba6e66834bb7f912c894db2f9239aff3ebd678b24a54ee916853a1d7643192095a5ed5155c2b2e096f3cae5f5fc018a46f717a80c4d742304836be424e122c892054e5afa70ef745c3265e94ee3c25299e27e62be807e9f3211f8d881f28179f94209ee3b0c94438b3b4e84964d64ddfc6d4ecf335c0f683c42ae08d920a40077ddf979e64713653a63ef71adf00949df35c59981ddfea10e2158f240b1b27981aaa1d39aad4480c298f9359a9ee74bbcfe60959a526cf207875eb1445d7848a4ea4ba6da72754e6b4b49bcf719c867aad5cb2530ab5d8e57758de7e746b89c468c9bf008c68e26ca7e206b3b39dc92f9bb24b4bdac85f19249fc3e06af5a7ad3ac3dc8b1f91f057e1cea1acf39c487a23b59d71c323cfb2dc3cfd1fe36eabf4cfbaddc2d933705fd49581a4a8eeeba959a46cfaa4c97805e5ab4ad91a27ec93a29bc5b1032fe64f473ec7a75c1b7f415d043332f4e3b3f30a682367a98e67",
            "3cb1e114b9b929cb325464ce07ff939575833daa324489361c7c6edff62473cb324f70d1c051045793b4701d8dff0e55727b0d5bbec3f38c8bef49fd03249f1e562cdd9b95819d2cc31e0c64d42ee4a244766b9f2ccffe566bac871ba96210b75711b158befaee4824f32d61df8840591c9a26530c8236b51699f23f340d10c80428874d052937398e0b4f40500033942fdbfc78bb23ba342fea01063d0c622146365d0f92049c93110e874c0ad5cef622e236c0c718d37d7356e4a2e7f0a74193a9f37f6d127030b34ef9b004d7e73519075c8b6e1c73d134d25e3378c1ee8c63c8c8f346c8c0b5e8db0b6af8a567c071ef39922b6eed763343059e6ac55b6deb85bfadf52d7ab67b6fd69f4186abb9efe6cb7cbc7cead23002de88f1ce6531dbb74429756fd65c0dd681c2c361bb5940cdef960651093990dc5b832ad0e0227eaefca038022c683e2b7a134d6ee4bb05ea93f4bbf17eef08bff0679def5f15e80f57304394ac1a3a936d00d93916c3169bc0bb87ca7cb2fe79e02cbe5489c42138048a430b3daa663ec39291d23e688255f0f938672b94b3dc5215ffc066a03bb69b288f5c0b0dc332dcaec2dd329bd777e87b49d40a32ee43bd3bd3fd04eb1fd837824facee5656df1288147582c7bcd8b58c1af68ad4d3bd04a0fc55042e383f69862a1709fa765296257875a6e28bdcdf0565888bb8374f57a9e8e1e22e",
        ],
    ];
}
