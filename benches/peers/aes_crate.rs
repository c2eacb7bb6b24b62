//! XTS as the aes crate's interface suggests it: the tweaks of a sector, then all of its blocks in one call.

use aes::cipher::consts::U16;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes192, Aes256};

use super::{CipherWork, Pass};

type Block = Array<u8, U16>;

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
    let CipherWork {
        sector_bytes,
        encrypts,
        ..
    } = work;
    let mut tweaks = vec![Block::default(); sector_bytes / 16];
    let mut blocks = vec![Block::default(); sector_bytes / 16];
    Box::new(move |area| {
        for (index, sector) in area.chunks_exact_mut(sector_bytes).enumerate() {
            let mut first = Block::from(CipherWork::iv(sector_bytes, index));
            tweak.encrypt_block(&mut first);
            let mut next = u128::from_le_bytes(first.into());
            for tweak in &mut tweaks {
                *tweak = next.to_le_bytes().into();
                next = (next << 1) ^ ((next >> 127) * 0x87);
            }
            let (plain, _) = Array::slice_as_chunks_mut(sector);
            for ((block, tweak), bytes) in blocks.iter_mut().zip(&tweaks).zip(&*plain) {
                *block = xor(bytes, tweak);
            }
            if encrypts {
                data.encrypt_blocks(&mut blocks);
            } else {
                data.decrypt_blocks(&mut blocks);
            }
            for ((block, tweak), bytes) in blocks.iter().zip(&tweaks).zip(plain) {
                *bytes = xor(block, tweak);
            }
        }
    })
}

fn xor(block: &Block, tweak: &Block) -> Block {
    let [block, tweak] = [block, tweak].map(|block| u128::from_ne_bytes((*block).into()));
    (block ^ tweak).to_ne_bytes().into()
}
