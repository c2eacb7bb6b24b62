//! Libraries that are loaded when the program runs, so that it builds and runs without them.
#![expect(unsafe_code, reason = "functions of C libraries")]

use std::ffi::{CStr, c_void};

/// A library; it stays loaded until the process ends.
pub struct Library {
    handle: *mut c_void,
    name: String,
}

impl Library {
    /// Loads `file`, which Debian has in `package`.
    pub fn open(file: &CStr, package: &str) -> Result<Self, String> {
        // SAFETY: the name is a C string; what these libraries do when they are loaded is sound.
        let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let name = file.to_string_lossy().into_owned();
        if handle.is_null() {
            return Err(format!("{name} is not there (Debian: {package})"));
        }
        Ok(Self { handle, name })
    }

    /// A function of it.
    ///
    /// # Safety
    /// `F` is a function pointer of the type that the library's header gives `name`.
    pub unsafe fn function<F: Copy>(&self, name: &CStr) -> Result<F, String> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the handle is open, the name a C string.
        let address = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        if address.is_null() {
            return Err(format!("{} has no {}", self.name, name.to_string_lossy()));
        }
        // SAFETY: a pointer to a function is as large as any, and the caller vouches for its type.
        Ok(unsafe { std::mem::transmute_copy(&address) })
    }
}
