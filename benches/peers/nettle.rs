//! nettle, which Debian's qemu-img encrypts with.
#![expect(unsafe_code, reason = "functions of C libraries")]

use std::ffi::{CStr, c_void};

use super::dynamic::Library;
use super::{CipherWork, Mode, Pass};

type SetKey = unsafe extern "C" fn(*mut Context, *const u8);
type Blocks = unsafe extern "C" fn(*const c_void, usize, *mut u8, *const u8);
/// The contexts of data and tweak, the function of both; tweak, length, output, input.
type XtsEncrypt = unsafe extern "C" fn(
    *const Context,
    *const Context,
    Blocks,
    *const u8,
    usize,
    *mut u8,
    *const u8,
);
/// The same with a function for each.
type XtsDecrypt = unsafe extern "C" fn(
    *const Context,
    *const Context,
    Blocks,
    Blocks,
    *const u8,
    usize,
    *mut u8,
    *const u8,
);
/// Context, function, size of a block, IV, length, output, input.
type Cbc = unsafe extern "C" fn(*const Context, Blocks, usize, *mut u8, usize, *mut u8, *const u8);

/// Room for `struct aes256_ctx`, the largest: 15 round keys of 16 bytes.
#[repr(align(16))]
struct Context {
    _room: [u8; 256],
}

pub fn cipher(work: CipherWork<'_>) -> Result<Pass, String> {
    let [encrypt, decrypt, encrypt_key, decrypt_key]: [&CStr; 4] = match work.aes_bits() {
        128 => [
            c"nettle_aes128_encrypt",
            c"nettle_aes128_decrypt",
            c"nettle_aes128_set_encrypt_key",
            c"nettle_aes128_set_decrypt_key",
        ],
        192 => [
            c"nettle_aes192_encrypt",
            c"nettle_aes192_decrypt",
            c"nettle_aes192_set_encrypt_key",
            c"nettle_aes192_set_decrypt_key",
        ],
        _ => [
            c"nettle_aes256_encrypt",
            c"nettle_aes256_decrypt",
            c"nettle_aes256_set_encrypt_key",
            c"nettle_aes256_set_decrypt_key",
        ],
    };
    let library = Library::open(c"libnettle.so.8", "libnettle8")?;
    let context = |set_key: &CStr, key: &[u8]| -> Result<Box<Context>, String> {
        let mut context = Box::new(Context { _room: [0; 256] });
        // SAFETY: nettle/aes.h's type; the context is large enough, the key as long as the function's name says.
        unsafe {
            library.function::<SetKey>(set_key)?(&raw mut *context, key.as_ptr());
        }
        Ok(context)
    };
    // SAFETY: nettle/aes.h's types.
    let (encrypt, decrypt) = unsafe {
        (
            library.function::<Blocks>(encrypt)?,
            library.function::<Blocks>(decrypt)?,
        )
    };
    let (set_data_key, data_blocks) = if work.encrypts {
        (encrypt_key, encrypt)
    } else {
        (decrypt_key, decrypt)
    };
    let sector_bytes = work.sector_bytes;
    match work.mode {
        Mode::Xts => {
            let (data_key, tweak_key) = work.key.split_at(work.key.len() / 2);
            let data = context(set_data_key, data_key)?;
            let tweak = context(encrypt_key, tweak_key)?;
            // SAFETY: nettle/xts.h's types.
            let (xts_encrypt, xts_decrypt) = unsafe {
                (
                    library.function::<XtsEncrypt>(c"nettle_xts_encrypt_message")?,
                    library.function::<XtsDecrypt>(c"nettle_xts_decrypt_message")?,
                )
            };
            let encrypts = work.encrypts;
            Ok(Box::new(move |area| {
                let (data, tweak) = (&raw const *data, &raw const *tweak);
                for (index, sector) in area.chunks_exact_mut(sector_bytes).enumerate() {
                    let iv = CipherWork::iv(sector_bytes, index);
                    let (to, bytes, iv) = (sector.as_mut_ptr(), sector.len(), iv.as_ptr());
                    // SAFETY: the contexts belong to the functions; the sector is whole and worked on in place.
                    unsafe {
                        if encrypts {
                            xts_encrypt(data, tweak, encrypt, iv, bytes, to, to);
                        } else {
                            xts_decrypt(data, tweak, decrypt, encrypt, iv, bytes, to, to);
                        }
                    }
                }
            }))
        }
        Mode::Cbc => {
            let data = context(set_data_key, work.key)?;
            let name = if work.encrypts {
                c"nettle_cbc_encrypt"
            } else {
                c"nettle_cbc_decrypt"
            };
            // SAFETY: nettle/cbc.h's type.
            let cbc: Cbc = unsafe { library.function(name)? };
            Ok(Box::new(move |area| {
                for (index, sector) in area.chunks_exact_mut(sector_bytes).enumerate() {
                    let mut iv = CipherWork::iv(sector_bytes, index);
                    // SAFETY: as for XTS.
                    unsafe {
                        cbc(
                            &raw const *data,
                            data_blocks,
                            iv.len(),
                            iv.as_mut_ptr(),
                            sector.len(),
                            sector.as_mut_ptr(),
                            sector.as_ptr(),
                        );
                    }
                }
            }))
        }
    }
}
