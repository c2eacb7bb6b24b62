//! libgcrypt, which cryptsetup and QEMU can be built with.
#![expect(unsafe_code, reason = "functions of C libraries")]

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr;

use super::dynamic::Library;
use super::{CipherWork, Derivation, Mode, PASSPHRASE, Pass, Pbkdf2Hash, Pbkdf2Work, SALT};

type Open = unsafe extern "C" fn(*mut *mut c_void, c_int, c_int, c_uint) -> c_uint;
type Set = unsafe extern "C" fn(*mut c_void, *const u8, usize) -> c_uint;
type Crypt = unsafe extern "C" fn(*mut c_void, *mut u8, usize, *const u8, usize) -> c_uint;
type Derive = unsafe extern "C" fn(
    *const u8,
    usize,
    c_int,
    c_int,
    *const u8,
    usize,
    c_ulong,
    usize,
    *mut u8,
) -> c_uint;

/// Numbers of gcrypt.h.
const MODE_CBC: c_int = 3;
const MODE_XTS: c_int = 13;
const KDF_PBKDF2: c_int = 34;

fn library() -> Result<Library, String> {
    let library = Library::open(c"libgcrypt.so.20", "libgcrypt20")?;
    // SAFETY: gcrypt.h's type; the call that has to come first, and that accepts any version for a null pointer.
    unsafe {
        let check: unsafe extern "C" fn(*const c_char) -> *const c_char =
            library.function(c"gcry_check_version")?;
        check(ptr::null());
    }
    Ok(library)
}

pub fn cipher(work: CipherWork<'_>) -> Result<Pass, String> {
    let algorithm = match work.aes_bits() {
        128 => 7,
        192 => 8,
        _ => 9,
    };
    let mode = match work.mode {
        Mode::Xts => MODE_XTS,
        Mode::Cbc => MODE_CBC,
    };
    let library = library()?;
    let mut handle = ptr::null_mut();
    // SAFETY: the types are gcrypt.h's; the handle is opened and given a key before anything else.
    let (set_iv, crypt) = unsafe {
        let open: Open = library.function(c"gcry_cipher_open")?;
        let set_key: Set = library.function(c"gcry_cipher_setkey")?;
        if open(&raw mut handle, algorithm, mode, 0) != 0
            || set_key(handle, work.key.as_ptr(), work.key.len()) != 0
        {
            return Err(work.lacks("libgcrypt"));
        }
        let crypt = if work.encrypts {
            c"gcry_cipher_encrypt"
        } else {
            c"gcry_cipher_decrypt"
        };
        (
            library.function::<Set>(c"gcry_cipher_setiv")?,
            library.function::<Crypt>(crypt)?,
        )
    };
    let sector_bytes = work.sector_bytes;
    Ok(Box::new(move |area| {
        for (index, sector) in area.chunks_exact_mut(sector_bytes).enumerate() {
            let iv = CipherWork::iv(sector_bytes, index);
            // SAFETY: the handle has a key; without an input the sector is worked on in place.
            let failed = unsafe {
                set_iv(handle, iv.as_ptr(), iv.len())
                    | crypt(handle, sector.as_mut_ptr(), sector.len(), ptr::null(), 0)
            };
            assert_eq!(failed, 0);
        }
    }))
}

pub fn pbkdf2(work: Pbkdf2Work) -> Result<Derivation, String> {
    let digest = match work.hash {
        Pbkdf2Hash::Sha1 => 2,
        Pbkdf2Hash::Sha256 => 8,
        Pbkdf2Hash::Sha512 => 10,
    };
    // SAFETY: gcrypt.h's type.
    let derive: Derive = unsafe { library()?.function(c"gcry_kdf_derive")? };
    Ok(Box::new(move |key| {
        // SAFETY: pointers and lengths belong together.
        let failed = unsafe {
            derive(
                PASSPHRASE.as_ptr(),
                PASSPHRASE.len(),
                KDF_PBKDF2,
                digest,
                SALT.as_ptr(),
                SALT.len(),
                c_ulong::from(work.iterations),
                key.len(),
                key.as_mut_ptr(),
            )
        };
        assert_eq!(failed, 0);
    }))
}
