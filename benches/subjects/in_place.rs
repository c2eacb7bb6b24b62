//! Sector ciphers over an area in place: what several subjects measure.

use std::cell::RefCell;

use dmcrypt::{AesKernel, CipherSpec, SectorCipher, SectorOptions, SectorSize};

use crate::harness::{Chart, Contest, Effort, Work};
use crate::peers::FIRST_SECTOR;
use crate::test_bytes;

/// Ciphers side by side, each specification with the bytes of its key.
pub fn in_place(
    effort: &Effort,
    title: String,
    area_bytes: usize,
    sector_size: SectorSize,
    encrypts: bool,
    specs: &[(impl AsRef<str>, usize)],
) -> Chart {
    let area = RefCell::new(test_bytes(area_bytes));
    let mut contest = Contest::new(title, Work::Bytes(area_bytes as u64)).probed();
    for (spec, key_bytes) in specs {
        let spec = spec.as_ref();
        let cipher = cipher_by(None, spec, &test_bytes(*key_bytes), sector_size);
        let area = &area;
        contest.add(spec, move || {
            let mut area = area.borrow_mut();
            if encrypts {
                cipher.encrypt(FIRST_SECTOR, &mut area);
            } else {
                cipher.decrypt(FIRST_SECTOR, &mut area);
            }
        });
    }
    contest.run(effort)
}

/// For a title.
pub fn direction(encrypts: bool) -> &'static str {
    if encrypts { "encryption" } else { "decryption" }
}

/// The cipher of that specification, AES by that kernel or by the one that runs anyway.
pub fn cipher_by(
    kernel: Option<AesKernel>,
    spec: &str,
    key: &[u8],
    sector_size: SectorSize,
) -> Box<dyn SectorCipher> {
    let options = SectorOptions {
        sector_size,
        iv_large_sectors: false,
    };
    spec.parse::<CipherSpec>()
        .and_then(|spec| spec.sector_cipher_by(kernel, key, options))
        .expect("a specification that is built")
}

/// A volume's cipher, AES-256-XTS, by that kernel or by the one that runs anyway.
pub fn aes_xts(kernel: Option<AesKernel>, sector_size: SectorSize) -> Box<dyn SectorCipher> {
    cipher_by(kernel, "aes-xts-plain64", &test_bytes(64), sector_size)
}

/// The same by the portable kernel, to check the others.
pub fn model_aes_xts(sector_size: SectorSize) -> Box<dyn SectorCipher> {
    let portable = AesKernel::here().into_iter().next();
    aes_xts(portable, sector_size)
}
