//! What several modules use.

use dmcrypt::{AesKernel, CipherSpec, Error, SectorCipher, SectorOptions, SectorSize};

pub fn options(sector_size: usize, iv_large_sectors: bool) -> SectorOptions {
    let sector_size = u32::try_from(sector_size)
        .ok()
        .and_then(SectorSize::new)
        .expect("a sector size");
    SectorOptions {
        sector_size,
        iv_large_sectors,
    }
}

pub fn cipher(spec: &str, key: &[u8], sector_size: usize) -> Result<Box<dyn SectorCipher>, Error> {
    spec.parse::<CipherSpec>()?
        .sector_cipher(key, options(sector_size, false))
}

pub fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// What `run` makes with a cipher of each kernel, all of which must agree.
///
/// # Panics
/// Where the cipher is not built, or two kernels differ.
fn by_every_kernel(
    spec: &str,
    key: &[u8],
    sector_size: usize,
    run: impl Fn(&dyn SectorCipher) -> Vec<u8>,
) -> Vec<u8> {
    let parsed: CipherSpec = spec
        .parse()
        .unwrap_or_else(|error| panic!("{spec}: {error}"));
    let mut results = AesKernel::here().into_iter().map(|kernel| {
        let cipher = parsed
            .sector_cipher_by(Some(kernel), key, options(sector_size, false))
            .unwrap_or_else(|error| panic!("{spec}: {error}"));
        (kernel, run(cipher.as_ref()))
    });
    let (_, first) = results.next().expect("a kernel that is always there");
    for (kernel, result) in results {
        assert_eq!(result, first, "{spec} by {kernel:?}");
    }
    first
}

/// Runs ECB of the cipher `name` over `blocks`, padded to a sector for the call.
pub fn ecb(name: &str, key: &[u8], encrypt: bool, blocks: &[u8]) -> Vec<u8> {
    by_every_kernel(&format!("{name}-ecb"), key, 512, |cipher| {
        let mut data = padded(blocks);
        if encrypt {
            cipher.encrypt(0, &mut data);
        } else {
            cipher.decrypt(0, &mut data);
        }
        data.truncate(blocks.len());
        data
    })
}

/// Runs CBC of the cipher `name` with any `iv` over `blocks`. Sector ciphers make their own IVs; with that of zeros, the IV may as well be
/// added to the first block: C[0] = E(P[0] ^ IV).
pub fn cbc(name: &str, key: &[u8], iv: &[u8], encrypt: bool, blocks: &[u8]) -> Vec<u8> {
    let sector_size = if blocks.len() <= 512 { 512 } else { 4096 };
    let add_iv = |data: &mut [u8]| data.iter_mut().zip(iv).for_each(|(byte, iv)| *byte ^= iv);
    by_every_kernel(&format!("{name}-cbc-null"), key, sector_size, |cipher| {
        let mut data = blocks.to_vec();
        data.resize(sector_size, 0);
        if encrypt {
            add_iv(&mut data);
            cipher.encrypt(0, &mut data);
        } else {
            cipher.decrypt(0, &mut data);
            add_iv(&mut data);
        }
        data.truncate(blocks.len());
        data
    })
}

fn padded(blocks: &[u8]) -> Vec<u8> {
    let mut data = blocks.to_vec();
    data.resize(blocks.len().next_multiple_of(512), 0);
    data
}
