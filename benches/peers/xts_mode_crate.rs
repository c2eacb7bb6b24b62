//! The xts-mode crate over the aes crate.

use xts_mode::{Xts128, get_tweak_default};

use super::aes_keys::{Aes, Xts};
use super::{CipherWork, FIRST_SECTOR, Pass};

pub struct XtsModeCrate;

impl Xts for XtsModeCrate {
    fn pass<C: Aes>(data: C, tweak: C, work: CipherWork<'_>) -> Pass {
        let xts = Xts128::new(data, tweak);
        let CipherWork {
            sector_bytes,
            encrypts,
            ..
        } = work;
        let tweak_of = move |index| {
            get_tweak_default(u128::from(FIRST_SECTOR) + index * (sector_bytes / 512) as u128)
        };
        Box::new(move |area| {
            if encrypts {
                xts.encrypt_area(area, sector_bytes, 0, tweak_of);
            } else {
                xts.decrypt_area(area, sector_bytes, 0, tweak_of);
            }
        })
    }
}
