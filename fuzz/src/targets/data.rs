//! Sectors, volumes and key material.

use std::sync::Arc;

use arbitrary::Unstructured;
use dmcrypt::{
    AesKernel, CipherSpec, DerivedKey, HashAlgorithm, SectorOptions, SectorSize, VolumeKey,
};
use dmcrypt_plain::PlainOptions;
use luks::af;
use volume::MemoryStorage;
use zeroize::Zeroizing;

use super::support::Repeated;

/// Key material gives its key back, and another key when any of its bytes has changed. The last few bytes of a key that is
/// no whole number of digests are hashed to as few, which may be the same by chance: such keys are left out.
///
/// # Panics
/// When it does otherwise.
pub fn af_merge(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let Ok((key_bytes, stripes, hash, at, change)) = split_of(&mut input) else {
        return false;
    };
    let key = VolumeKey::from_bytes(Zeroizing::new(
        (0..=u8::MAX)
            .take(key_bytes)
            .map(|index| input.arbitrary().unwrap_or(index))
            .collect(),
    ));
    let material = af::split(&key, stripes, hash, &mut Repeated(9)).expect("it always has bytes");
    let merged = |bytes: &[u8]| {
        let material = DerivedKey::from_bytes(Zeroizing::new(bytes.to_vec()));
        af::merge(&material, key_bytes, stripes, hash)
    };
    assert!(merged(&material).ct_eq(&key));
    if (1..8).contains(&(key_bytes % hash.digest_bytes())) {
        return true;
    }
    let mut changed = material.to_vec();
    let at = at % changed.len();
    changed[at] ^= change.max(1);
    assert!(!merged(&changed).ct_eq(&key), "byte {at} does not matter");
    true
}

fn split_of(
    input: &mut Unstructured<'_>,
) -> arbitrary::Result<(usize, u32, HashAlgorithm, usize, u8)> {
    Ok((
        input.int_in_range(8..=64)?,
        input.int_in_range(1..=40)?,
        *input.choose(HashAlgorithm::ALL)?,
        input.arbitrary()?,
        input.arbitrary()?,
    ))
}

/// Every code for AES gives the same bytes as the portable one, in any place, and takes them back.
///
/// # Panics
/// When it does not.
pub fn sector_kernels(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let Ok((spec, key_bytes, sector_size, first, sectors, at)) = sectors_of(&mut input) else {
        return false;
    };
    let spec: CipherSpec = spec.parse().expect("a specification");
    let key: Vec<u8> = (0..=u8::MAX)
        .take(key_bytes)
        .map(|i| input.arbitrary().unwrap_or(i))
        .collect();
    let options = SectorOptions {
        sector_size,
        iv_large_sectors: false,
    };
    let len = sectors * sector_size.bytes();
    // What the input has, over and over.
    let seen = input.bytes(input.len()).unwrap_or_default();
    let plain: Vec<u8> = seen
        .iter()
        .chain(&[7, 1])
        .copied()
        .cycle()
        .take(len)
        .collect();
    let mut expected: Option<Vec<u8>> = None;
    for kernel in AesKernel::here() {
        let cipher = spec
            .sector_cipher_by(Some(kernel), &key, options)
            .expect("the key fits");
        let mut buffer = vec![0xee; at + len + 32];
        buffer[at..at + len].copy_from_slice(&plain);
        cipher.encrypt(first, &mut buffer[at..at + len]);
        let expected = expected.get_or_insert_with(|| buffer.clone());
        assert!(buffer == *expected, "{kernel:?} encrypts otherwise");
        cipher.decrypt(first, &mut buffer[at..at + len]);
        assert!(
            buffer[at..at + len] == *plain,
            "{kernel:?} does not decrypt it"
        );
        let around = buffer[..at].iter().chain(&buffer[at + len..]);
        assert!(
            around.copied().all(|byte| byte == 0xee),
            "{kernel:?} wrote outside"
        );
    }
    true
}

type Sectors = (&'static str, usize, SectorSize, u64, usize, usize);

fn sectors_of(input: &mut Unstructured<'_>) -> arbitrary::Result<Sectors> {
    let (spec, keys) = *input.choose(&[
        ("aes-xts-plain64", [32, 48, 64]),
        ("aes-cbc-essiv:sha256", [16, 24, 32]),
        ("aes-cbc-plain64", [16, 24, 32]),
        ("aes-ecb", [16, 24, 32]),
    ])?;
    // As many as the codes take at once and some more, but of the largest.
    let (sector_size, most) = *input.choose(&[
        (SectorSize::B512, 40),
        (SectorSize::B1024, 20),
        (SectorSize::B4096, 5),
    ])?;
    Ok((
        spec,
        *input.choose(&keys)?,
        sector_size,
        input.arbitrary()?,
        input.int_in_range(1..=most)?,
        input.int_in_range(0..=31)?,
    ))
}

/// Reads and writes of a volume at any byte are those of a file, encrypted as its sectors are one by one, and touch nothing
/// outside the volume.
///
/// # Panics
/// When they are not, or do.
pub fn plain_volume(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let Ok(options) = plain_of(&mut input) else {
        return false;
    };
    let container: Vec<u8> = (0..=u8::MAX).cycle().take(CONTAINER_BYTES).collect();
    let storage = Arc::new(MemoryStorage::from_vec(container.clone()));
    let key = VolumeKey::from_bytes(Zeroizing::new(
        (0..=u8::MAX).take(options.key_bytes).collect(),
    ));
    let Ok(volume) = dmcrypt_plain::open(storage.clone(), &key, &options) else {
        return false;
    };
    let read = |volume: &volume::Volume| {
        let mut all =
            vec![0; usize::try_from(volume.len()).expect("it is as small as the container")];
        volume.read_at(0, &mut all).expect("it is all there");
        all
    };
    let mut model = read(&volume);
    for _ in 0..MOST_STEPS {
        let Ok((start, len, byte)) = input.arbitrary::<(u16, u16, Option<u8>)>() else {
            break;
        };
        if model.is_empty() || input.is_empty() {
            break;
        }
        let start = usize::from(start) % model.len();
        let end = (start + usize::from(len) % MOST_BYTES).min(model.len());
        let at = u64::try_from(start).expect("it is small");
        if let Some(byte) = byte {
            model[start..end].fill(byte);
            volume
                .write_at(at, &model[start..end])
                .expect("it is within");
        } else {
            let mut part = vec![0; end - start];
            volume.read_at(at, &mut part).expect("it is within");
            assert_eq!(part, model[start..end]);
        }
    }
    assert!(read(&volume) == model);
    let reopened = dmcrypt_plain::open(storage.clone(), &key, &options).expect("it opened before");
    assert!(read(&reopened) == model);
    let start = usize::try_from(options.offset_sectors * 512).expect("it is small");
    let after = storage.snapshot();
    assert!(after[..start] == container[..start] && after.len() == container.len());
    let end = start + model.len();
    assert!(after[end..] == container[end..]);
    let past = volume.write_at(volume.len(), b"x");
    assert!(past.is_err(), "written behind the end");

    // The same by one sector after the other, without a volume.
    let sectors = SectorOptions {
        sector_size: options.sector_size,
        iv_large_sectors: options.iv_large_sectors,
    };
    let cipher = options
        .cipher
        .sector_cipher(key.expose(), sectors)
        .expect("it opened before");
    let numbers = (options.skip_sectors..).step_by(sectors.sector_size.bytes() / 512);
    for (number, sector) in numbers.zip(model.chunks_exact_mut(sectors.sector_size.bytes())) {
        cipher.encrypt(number, sector);
    }
    assert!(after[start..end] == model, "encrypted otherwise");
    true
}

/// Four of the largest sectors, and the most that lies before them.
const CONTAINER_BYTES: usize = (16 << 10) + 9 * 512;
const MOST_STEPS: usize = 16;
/// More than two of the largest sectors.
const MOST_BYTES: usize = 9000;

fn plain_of(input: &mut Unstructured<'_>) -> arbitrary::Result<PlainOptions> {
    let (cipher, key_bytes) = *input.choose(&[
        ("aes-xts-plain64", 64),
        ("aes-xts-plain64", 32),
        ("aes-cbc-essiv:sha256", 32),
        ("serpent-xts-plain", 64),
    ])?;
    Ok(PlainOptions {
        cipher: cipher.parse().expect("a specification"),
        key_bytes,
        offset_sectors: input.int_in_range(0..=9)?,
        skip_sectors: input.arbitrary::<u32>()?.into(),
        size_sectors: if input.arbitrary()? {
            Some(input.int_in_range(0..=32)?)
        } else {
            None
        },
        sector_size: *input.choose(&[SectorSize::B512, SectorSize::B2048, SectorSize::B4096])?,
        iv_large_sectors: input.arbitrary()?,
    })
}
