//! The interface to ciphers that OpenSSL and aws-lc share.
//!
//! The IV is set for each sector, as every user of it must.
#![expect(unsafe_code, reason = "functions of C libraries")]

use std::ffi::{c_int, c_void};
use std::ptr;

use super::{CipherWork, Pass};

/// `EVP_CIPHER_CTX_new`.
pub type New = unsafe extern "C" fn() -> *mut c_void;
/// `EVP_CipherInit_ex`: context, cipher, engine, key, IV, direction.
pub type Init = unsafe extern "C" fn(
    *mut c_void,
    *const c_void,
    *mut c_void,
    *const u8,
    *const u8,
    c_int,
) -> c_int;
/// `EVP_CIPHER_CTX_set_padding`.
pub type SetPadding = unsafe extern "C" fn(*mut c_void, c_int) -> c_int;
/// `EVP_CipherUpdate`: context, output, its length, input, its length.
pub type Update = unsafe extern "C" fn(*mut c_void, *mut u8, *mut c_int, *const u8, c_int) -> c_int;
/// `EVP_aes_256_xts` and the like.
pub type Cipher = unsafe extern "C" fn() -> *const c_void;

/// The functions of one library.
#[derive(Clone, Copy)]
pub struct Evp {
    pub new: New,
    pub init: Init,
    pub set_padding: SetPadding,
    pub update: Update,
}

impl Evp {
    /// # Safety
    /// `cipher` is a function of the same library, for a key of the work's size.
    pub unsafe fn pass(self, cipher: Cipher, work: CipherWork<'_>) -> Pass {
        let direction = c_int::from(work.encrypts);
        let sector_bytes = work.sector_bytes;
        // SAFETY: the functions are used as their manual says: a new context, initialised with a key that is as long
        // as the cipher's. The context lives as long as the process.
        let context = unsafe {
            let context = (self.new)();
            assert!(!context.is_null(), "out of memory");
            let done = (self.init)(
                context,
                cipher(),
                ptr::null_mut(),
                work.key.as_ptr(),
                ptr::null(),
                direction,
            );
            assert_eq!(done, 1, "the key is set");
            (self.set_padding)(context, 0);
            context
        };
        let length = c_int::try_from(sector_bytes).expect("sectors are small");
        Box::new(move |area| {
            for (index, sector) in area.chunks_exact_mut(sector_bytes).enumerate() {
                let iv = CipherWork::iv(sector_bytes, index);
                let mut written = 0;
                // SAFETY: the context is initialised; input and output are the same whole sector.
                let done = unsafe {
                    (self.init)(
                        context,
                        ptr::null(),
                        ptr::null_mut(),
                        ptr::null(),
                        iv.as_ptr(),
                        -1,
                    ) + (self.update)(
                        context,
                        sector.as_mut_ptr(),
                        &raw mut written,
                        sector.as_ptr(),
                        length,
                    )
                };
                assert_eq!((done, written), (2, length));
            }
        })
    }
}
