//! The xts-mode crate over the aes crate.

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use xts_mode::{Xts128, get_tweak_default};

use super::{CipherWork, FIRST_SECTOR, Pass};

pub fn xts(work: CipherWork<'_>) -> Pass {
    match work.aes_bits() {
        128 => of::<Aes128>(work),
        192 => of::<Aes192>(work),
        _ => of::<Aes256>(work),
    }
}

fn of<C>(work: CipherWork<'_>) -> Pass
where
    C: BlockCipherDecrypt + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + 'static,
{
    let (data_key, tweak_key) = work.key.split_at(work.key.len() / 2);
    let [data, tweak] = [data_key, tweak_key]
        .map(|key| C::new_from_slice(key).expect("half of an XTS key is a key of AES"));
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
