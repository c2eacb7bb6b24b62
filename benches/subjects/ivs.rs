//! IVs: the same cipher and mode with IVs that cost nothing and with each of the others. Decryption, which does not
//! wait for the block before, shows most of their cost.

use dmcrypt::SectorSize;

use super::in_place::{direction, in_place};
use crate::harness::{Chart, Effort};
use crate::machine::on_one_core;

const AREA_BYTES: usize = 64 * 1024;

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    for size in [SectorSize::B512, SectorSize::B4096] {
        for encrypts in [false, true] {
            let cbc = [
                ("aes-cbc-null", 32),
                ("aes-cbc-plain64", 32),
                ("aes-cbc-plain64be", 32),
                ("aes-cbc-benbi", 32),
                ("aes-cbc-essiv:sha256", 32),
                ("aes-cbc-eboiv", 32),
                ("aes-cbc-elephant", 64),
            ];
            each(on_one_core(|| {
                chart(effort, "AES-256-CBC", &cbc, size, encrypts)
            }));
        }
        let xts = [
            ("aes-xts-null", 64),
            ("aes-xts-plain", 64),
            ("aes-xts-plain64", 64),
            ("aes-xts-essiv:sha256", 64),
            ("aes-xts-eboiv", 64),
        ];
        each(on_one_core(|| {
            chart(effort, "AES-256-XTS", &xts, size, false)
        }));
    }
    // These two go with sectors of 512 bytes only.
    let old = [
        ("aes-cbc-null", 32),
        ("aes-cbc-tcw", 64),
        ("aes:64-cbc-lmk", 65 * 32),
    ];
    each(on_one_core(|| {
        chart(
            effort,
            "TrueCrypt and loop-AES",
            &old,
            SectorSize::B512,
            false,
        )
    }));
}

fn chart(
    effort: &Effort,
    what: &str,
    specs: &[(&str, usize)],
    sector_size: SectorSize,
    encrypts: bool,
) -> Chart {
    in_place(
        effort,
        format!(
            "{what}, sectors of {} bytes, {}",
            sector_size.bytes(),
            direction(encrypts)
        ),
        AREA_BYTES,
        sector_size,
        encrypts,
        specs,
    )
}
