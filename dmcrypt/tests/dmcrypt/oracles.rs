use crate::common::{cipher, options};
use aes::{
    Aes128, Aes192, Aes256,
    cipher::{
        BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser,
        InnerIvInit, KeyInit, array::Array, consts::U16,
    },
};
use dmcrypt::{AesXts, CipherSpec, SectorCipher};
use proptest::prelude::*;
use xts_mode::Xts128;

/// Whole sectors at any place in memory: how far from an aligned address, how many sectors, which bytes.
fn sectors(sector_size: usize) -> impl Strategy<Value = (usize, Vec<u8>)> {
    (0..64_usize, 1..=140_usize).prop_flat_map(move |(shift, count)| {
        let bytes = shift + count.min(286_720 / sector_size) * sector_size;
        (Just(shift), prop::collection::vec(any::<u8>(), bytes))
    })
}

/// A sector size with sectors of it.
fn sized_sectors() -> impl Strategy<Value = (usize, (usize, Vec<u8>))> {
    prop::sample::select(vec![512, 1024, 2048, 4096])
        .prop_flat_map(|size| (Just(size), sectors(size)))
}

/// IV numbers near where they overflow a field, and anywhere.
fn first_sector() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        (0..300_u64).prop_map(|back| (1 << 32) - back),
        (0..300_u64).prop_map(|back| u64::MAX - back),
        any::<u64>()
    ]
}

fn key(sizes: &[usize]) -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(sizes.to_vec())
        .prop_flat_map(|bytes| prop::collection::vec(any::<u8>(), bytes))
}

trait Aes: BlockCipherDecrypt + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit {}
impl Aes for Aes128 {}
impl Aes for Aes192 {}
impl Aes for Aes256 {}

fn xts_oracle<C: Aes>(
    key: &[u8],
    data: &mut [u8],
    sector_size: usize,
    iv: impl Fn(u64) -> [u8; 16],
) {
    let (data_key, tweak_key) = key.split_at(key.len() / 2);
    let expand = |key| C::new_from_slice(key).expect("a key of AES");
    let xts = Xts128::new(expand(data_key), expand(tweak_key));
    for (sector, index) in data.chunks_mut(sector_size).zip(0..) {
        xts.encrypt_sector(sector, Array(iv(index)));
    }
}

fn cbc_oracle<C: Aes>(
    key: &[u8],
    data: &mut [u8],
    sector_size: usize,
    iv: impl Fn(u64) -> [u8; 16],
) {
    for (sector, index) in data.chunks_mut(sector_size).zip(0..) {
        let expanded = C::new_from_slice(key).expect("a key of AES");
        let mut cbc = cbc::Encryptor::<C>::inner_iv_init(expanded, &Array(iv(index)));
        cbc.encrypt_blocks(Array::slice_as_chunks_mut(sector).0);
    }
}

fn cbc_decrypt_oracle<C: Aes>(key: &[u8], iv: [u8; 16], data: &mut [u8]) {
    let expanded = C::new_from_slice(key).expect("a key of AES");
    let mut cbc = cbc::Decryptor::<C>::inner_iv_init(expanded, &Array(iv));
    cbc.decrypt_blocks(Array::slice_as_chunks_mut(data).0);
}

fn plain64(number: u64) -> [u8; 16] {
    u128::from(number).to_le_bytes()
}

fn build(spec: &str, key: &[u8], sector_size: usize, large: bool) -> Box<dyn SectorCipher> {
    let spec: CipherSpec = spec.parse().expect("a specification");
    spec.sector_cipher(key, options(sector_size, large))
        .expect("it is built")
}

/// The number in the IV of each sector.
fn number(first: u64, index: u64, sector_size: usize, large: bool) -> u64 {
    let step = sector_size as u64 / 512;
    let sector = first.wrapping_add(index * step);
    if large { sector / step } else { sector }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn batched_xts_is_xts_mode(
        key in key(&[32, 48, 64]),
        (sector_size, (shift, mut memory)) in sized_sectors(),
        first in first_sector(),
        large in any::<bool>(),
    ) {
        let cipher = build("aes-xts-plain64", &key, sector_size, large);
        let before = memory.clone();
        let mut expected = memory.clone();
        let iv = |index| plain64(number(first, index, sector_size, large));
        match key.len() {
            32 => xts_oracle::<Aes128>(&key, &mut expected[shift..], sector_size, iv),
            48 => xts_oracle::<Aes192>(&key, &mut expected[shift..], sector_size, iv),
            _ => xts_oracle::<Aes256>(&key, &mut expected[shift..], sector_size, iv),
        }
        cipher.encrypt(first, &mut memory[shift..]);
        prop_assert!(memory == expected);
        cipher.decrypt(first, &mut memory[shift..]);
        prop_assert!(memory == before);
    }

    #[test]
    fn cbc_is_the_cbc_crate(
        key in key(&[16, 24, 32]),
        (sector_size, (shift, mut memory)) in sized_sectors(),
        first in first_sector(),
        large in any::<bool>(),
    ) {
        let cipher = build("aes-cbc-plain64", &key, sector_size, large);
        let before = memory.clone();
        let mut expected = memory.clone();
        let iv = |index| plain64(number(first, index, sector_size, large));
        match key.len() {
            16 => cbc_oracle::<Aes128>(&key, &mut expected[shift..], sector_size, iv),
            24 => cbc_oracle::<Aes192>(&key, &mut expected[shift..], sector_size, iv),
            _ => cbc_oracle::<Aes256>(&key, &mut expected[shift..], sector_size, iv),
        }
        cipher.encrypt(first, &mut memory[shift..]);
        prop_assert!(memory == expected);
        cipher.decrypt(first, &mut memory[shift..]);
        prop_assert!(memory == before);
    }

    #[test]
    fn cbc_decrypts_as_the_cbc_crate(
        key in key(&[32]),
        mut data in prop::collection::vec(any::<u8>(), 4096),
        sector in any::<u64>(),
    ) {
        let mut expected = data.clone();
        cbc_decrypt_oracle::<Aes256>(&key, plain64(sector), &mut expected);
        cipher("aes-cbc-plain64", &key, 4096).expect("it is built").decrypt(sector, &mut data);
        prop_assert!(data == expected);
    }

    /// Data units of any number of blocks, longer than a batch too.
    #[test]
    fn xts_units_of_any_length_are_xts_mode(
        key in key(&[32, 48, 64]),
        blocks in prop_oneof![1..80_usize, 250..260_usize, 500..1100_usize],
        tweak in any::<[u8; 16]>(),
        seed in any::<u8>(),
    ) {
        let xts = AesXts::new(&key).expect("a key of AES-XTS");
        let before: Vec<u8> = (0..blocks * 16).map(|at| at.to_le_bytes()[0] ^ seed).collect();
        let mut expected = before.clone();
        match key.len() {
            32 => xts_oracle::<Aes128>(&key, &mut expected, blocks * 16, |_| tweak),
            48 => xts_oracle::<Aes192>(&key, &mut expected, blocks * 16, |_| tweak),
            _ => xts_oracle::<Aes256>(&key, &mut expected, blocks * 16, |_| tweak),
        }
        let mut unit = before.clone();
        xts.encrypt_unit(tweak, &mut unit);
        prop_assert!(unit == expected);
        xts.decrypt_unit(tweak, &mut unit);
        prop_assert!(unit == before);
    }

    /// Every specification that is built decrypts what it encrypts, and a sector depends on nothing but its number.
    #[test]
    fn every_iv_round_trips_and_ignores_the_batch(
        mode in prop::sample::select(vec!["xts", "cbc"]),
        iv in prop::sample::select(vec!["null", "plain", "plain64", "plain64be", "essiv:sha256", "benbi", "eboiv"]),
        key_bytes in prop::sample::select(vec![16_usize, 24, 32]),
        seed in any::<u8>(),
        first in first_sector(),
        (sector_size, (_, data)) in sized_sectors(),
        large in any::<bool>(),
    ) {
        let spec = format!("aes-{mode}-{iv}");
        let key_bytes = if mode == "xts" { key_bytes * 2 } else { key_bytes };
        let key: Vec<u8> = (0..key_bytes).map(|at| at.to_le_bytes()[0].wrapping_mul(29) ^ seed).collect();
        let cipher = build(&spec, &key, sector_size, large);
        let data = &data[data.len() % sector_size..];
        let mut batch = data.to_vec();
        cipher.encrypt(first, &mut batch);
        let last = batch.len() - sector_size;
        let mut single = data[last..].to_vec();
        cipher.encrypt(first.wrapping_add(last as u64 / 512), &mut single);
        prop_assert!(single == batch[last..]);
        cipher.decrypt(first, &mut batch);
        prop_assert!(batch == data);
    }
}

#[test]
#[should_panic(expected = "1000 bytes are no whole number of sectors of 512 bytes")]
fn a_partial_sector_panics() {
    cipher("aes-xts-plain64", &[1; 32], 512)
        .expect("it is built")
        .encrypt(0, &mut [0; 1000]);
}

#[test]
fn no_sectors_are_nothing_to_do() {
    for spec in ["aes-xts-plain64", "aes-cbc-essiv:sha256", "aes-ecb", "null"] {
        let cipher = cipher(spec, &[1; 32], 512).expect("it is built");
        cipher.encrypt(0, &mut []);
        cipher.decrypt(0, &mut []);
    }
}
