//! libcryptsetup, loaded when the program runs: the only place here that calls C.
#![expect(unsafe_code, reason = "functions of a C library")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use serde_json::{Map, Value, json};

const FILE: &CStr = c"libcryptsetup.so.12";
/// `CRYPT_ANY_SLOT`
const ANY_SLOT: c_int = -1;
const DEBUG_ALL: c_int = -1;
const DEBUG_NONE: c_int = 0;
/// Largest volume key that is asked for, in bytes.
const MAX_KEY_BYTES: usize = 4096;

/// `struct crypt_device`, of which only the library knows what is in it.
type Device = *mut c_void;
type Log = unsafe extern "C" fn(c_int, *const c_char, *mut c_void);

/// `struct crypt_pbkdf_type`
#[repr(C)]
struct Pbkdf {
    kind: *const c_char,
    hash: *const c_char,
    time_ms: u32,
    iterations: u32,
    memory_kib: u32,
    threads: u32,
    flags: u32,
}

macro_rules! functions {
    ($($name:ident: $type:ty,)*) => {
        /// The functions that are called, by their own names and types.
        pub struct Library {
            $($name: $type,)*
        }

        impl Library {
            /// Loads the library; it stays until the process ends.
            pub fn open() -> Result<Self, String> {
                // SAFETY: the name is a C string; what the library does when it is loaded is sound.
                let handle = unsafe { libc::dlopen(FILE.as_ptr(), libc::RTLD_NOW) };
                if handle.is_null() {
                    return Err(format!("{} is not there (Debian: cryptsetup-bin)", FILE.to_string_lossy()));
                }
                $(
                    let name = CString::new(stringify!($name)).expect("a name has no NUL");
                    // SAFETY: the handle is open, the name a C string.
                    let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
                    if address.is_null() {
                        return Err(format!("{} has no {}", FILE.to_string_lossy(), stringify!($name)));
                    }
                    // SAFETY: the type is that of the library's header; a pointer to a function is as large as any.
                    let $name = unsafe { std::mem::transmute::<*mut c_void, $type>(address) };
                )*
                Ok(Self { $($name,)* })
            }
        }
    };
}

functions! {
    crypt_init: unsafe extern "C" fn(*mut Device, *const c_char) -> c_int,
    crypt_free: unsafe extern "C" fn(Device),
    crypt_load: unsafe extern "C" fn(Device, *const c_char, *mut c_void) -> c_int,
    crypt_set_log_callback: unsafe extern "C" fn(Device, Option<Log>, *mut c_void),
    crypt_set_debug_level: unsafe extern "C" fn(c_int),
    crypt_metadata_locking: unsafe extern "C" fn(Device, c_int) -> c_int,
    crypt_token_external_disable: unsafe extern "C" fn(),
    crypt_get_type: unsafe extern "C" fn(Device) -> *const c_char,
    crypt_get_cipher: unsafe extern "C" fn(Device) -> *const c_char,
    crypt_get_cipher_mode: unsafe extern "C" fn(Device) -> *const c_char,
    crypt_get_uuid: unsafe extern "C" fn(Device) -> *const c_char,
    crypt_get_label: unsafe extern "C" fn(Device) -> *const c_char,
    crypt_get_subsystem: unsafe extern "C" fn(Device) -> *const c_char,
    crypt_get_data_offset: unsafe extern "C" fn(Device) -> u64,
    crypt_get_iv_offset: unsafe extern "C" fn(Device) -> u64,
    crypt_get_sector_size: unsafe extern "C" fn(Device) -> c_int,
    crypt_get_volume_key_size: unsafe extern "C" fn(Device) -> c_int,
    crypt_get_metadata_size: unsafe extern "C" fn(Device, *mut u64, *mut u64) -> c_int,
    crypt_keyslot_max: unsafe extern "C" fn(*const c_char) -> c_int,
    crypt_keyslot_status: unsafe extern "C" fn(Device, c_int) -> c_int,
    crypt_keyslot_get_priority: unsafe extern "C" fn(Device, c_int) -> c_int,
    crypt_keyslot_get_key_size: unsafe extern "C" fn(Device, c_int) -> c_int,
    crypt_keyslot_get_encryption: unsafe extern "C" fn(Device, c_int, *mut usize) -> *const c_char,
    crypt_keyslot_get_pbkdf: unsafe extern "C" fn(Device, c_int, *mut Pbkdf) -> c_int,
    crypt_keyslot_area: unsafe extern "C" fn(Device, c_int, *mut u64, *mut u64) -> c_int,
    crypt_dump_json: unsafe extern "C" fn(Device, *mut *const c_char, u32) -> c_int,
    crypt_volume_key_get: unsafe extern "C" fn(Device, c_int, *mut c_char, *mut usize, *const c_char, usize) -> c_int,
}

/// What an answer has beside the verdict and the fields.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// The library's own account of what it does.
    pub is_explained: bool,
    /// A LUKS2 header's JSON.
    pub has_json: bool,
}

impl Library {
    /// Loads the header of a file and tries a passphrase.
    pub fn load(&self, path: &CStr, wanted: Wanted, passphrase: Option<&[u8]>) -> Value {
        let mut messages: Vec<String> = Vec::new();
        let mut device = ptr::null_mut();
        // SAFETY: every pointer below is valid while its call lasts; the device is freed last, and once; `messages`
        // outlives it. The library is used by one thread.
        unsafe {
            // What is said of no device would go to standard output, among the answers.
            let collected: *mut c_void = (&raw mut messages).cast();
            (self.crypt_set_log_callback)(ptr::null_mut(), Some(collect), collected);
            // Nobody else has this file: locks would only cost time.
            (self.crypt_metadata_locking)(ptr::null_mut(), 0);
            (self.crypt_token_external_disable)();
            (self.crypt_set_debug_level)(if wanted.is_explained {
                DEBUG_ALL
            } else {
                DEBUG_NONE
            });
            let code = (self.crypt_init)(&raw mut device, path.as_ptr());
            if code < 0 {
                (self.crypt_set_log_callback)(ptr::null_mut(), None, ptr::null_mut());
                return json!({ "code": code, "messages": ["crypt_init"] });
            }
            (self.crypt_set_log_callback)(device, Some(collect), collected);
            let code = (self.crypt_load)(device, ptr::null(), ptr::null_mut());
            let mut answer = json!({ "code": code });
            if code >= 0 {
                let members = answer.as_object_mut().expect("it is made as one");
                members.insert("fields".into(), self.fields(device, wanted).into());
                if let Some(passphrase) = passphrase {
                    members.insert("unlocked".into(), self.unlock(device, passphrase));
                }
            }
            (self.crypt_free)(device);
            (self.crypt_set_log_callback)(ptr::null_mut(), None, ptr::null_mut());
            answer["messages"] = messages.into();
            answer
        }
    }

    /// All that the library says of a header that it has loaded.
    ///
    /// # Safety
    /// `device` was loaded.
    unsafe fn fields(&self, device: Device, wanted: Wanted) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut add = |name: &str, value: Value| {
            fields.insert(name.into(), value);
        };
        // SAFETY: the device is loaded, and each text is copied before the next call.
        unsafe {
            let kind = (self.crypt_get_type)(device);
            add("type", text(kind));
            let is_luks2 = CStr::from_ptr(kind) == c"LUKS2";
            add("cipher", text((self.crypt_get_cipher)(device)));
            add("mode", text((self.crypt_get_cipher_mode)(device)));
            add("uuid", text((self.crypt_get_uuid)(device)));
            add("label", text((self.crypt_get_label)(device)));
            add("subsystem", text((self.crypt_get_subsystem)(device)));
            add(
                "data offset in sectors",
                (self.crypt_get_data_offset)(device).into(),
            );
            add("iv offset", (self.crypt_get_iv_offset)(device).into());
            add("sector size", (self.crypt_get_sector_size)(device).into());
            add("key size", (self.crypt_get_volume_key_size)(device).into());
            // Of LUKS1 it says where the last area in use ends, which is no field.
            let (mut metadata, mut keyslots) = (0, 0);
            if (self.crypt_get_metadata_size)(device, &raw mut metadata, &raw mut keyslots) == 0
                && is_luks2
            {
                add("metadata size", metadata.into());
                add("keyslots size", keyslots.into());
            }
            for slot in 0..(self.crypt_keyslot_max)(kind) {
                let status = (self.crypt_keyslot_status)(device, slot);
                if status <= INACTIVE {
                    continue;
                }
                add(&format!("keyslot {slot}"), self.keyslot(device, slot));
            }
            let mut json = ptr::null();
            if wanted.has_json && is_luks2 && (self.crypt_dump_json)(device, &raw mut json, 0) == 0
            {
                add("json", text(json));
            }
        }
        fields
    }

    /// # Safety
    /// `device` was loaded.
    unsafe fn keyslot(&self, device: Device, slot: c_int) -> Value {
        let (mut offset, mut length, mut area_key_bytes) = (0, 0, 0);
        let mut pbkdf = Pbkdf {
            kind: ptr::null(),
            hash: ptr::null(),
            time_ms: 0,
            iterations: 0,
            memory_kib: 0,
            threads: 0,
            flags: 0,
        };
        // SAFETY: the device is loaded, the structures are those of the library's header, and each text is copied
        // before the next call.
        unsafe {
            let mut keyslot = json!({
                "status": (self.crypt_keyslot_status)(device, slot),
                "priority": (self.crypt_keyslot_get_priority)(device, slot),
                "key size": (self.crypt_keyslot_get_key_size)(device, slot),
            });
            let cipher = (self.crypt_keyslot_get_encryption)(device, slot, &raw mut area_key_bytes);
            if !cipher.is_null() {
                keyslot["cipher"] = text(cipher);
                keyslot["cipher key size"] = area_key_bytes.into();
            }
            if (self.crypt_keyslot_area)(device, slot, &raw mut offset, &raw mut length) == 0 {
                keyslot["area"] = json!([offset, length]);
            }
            if (self.crypt_keyslot_get_pbkdf)(device, slot, &raw mut pbkdf) == 0 {
                keyslot["kdf"] = json!([
                    text(pbkdf.kind),
                    text(pbkdf.hash),
                    pbkdf.iterations,
                    pbkdf.memory_kib,
                    pbkdf.threads,
                ]);
            }
            keyslot
        }
    }

    /// The keyslot that a passphrase opens with the volume key in it, or the error's code.
    ///
    /// # Safety
    /// `device` was loaded.
    unsafe fn unlock(&self, device: Device, passphrase: &[u8]) -> Value {
        let mut key = vec![0_u8; MAX_KEY_BYTES];
        let mut size = key.len();
        // SAFETY: both buffers are as long as is said.
        let slot = unsafe {
            (self.crypt_volume_key_get)(
                device,
                ANY_SLOT,
                key.as_mut_ptr().cast(),
                &raw mut size,
                passphrase.as_ptr().cast(),
                passphrase.len(),
            )
        };
        if slot < 0 {
            return json!({ "code": slot });
        }
        key.truncate(size);
        json!({ "keyslot": slot, "key": key })
    }
}

/// `CRYPT_SLOT_INACTIVE`; `CRYPT_SLOT_INVALID` lies below it.
const INACTIVE: c_int = 1;

/// # Safety
/// `to` is the list that was given with this function.
unsafe extern "C" fn collect(_level: c_int, message: *const c_char, to: *mut c_void) {
    // SAFETY: the caller's promise, and the library's that a message is a C string.
    let (messages, message) = unsafe { (&mut *to.cast::<Vec<String>>(), CStr::from_ptr(message)) };
    messages.push(message.to_string_lossy().trim_end().to_owned());
}

/// A text that is copied, or null. What is no UTF-8 stays apart from what is.
///
/// # Safety
/// `text` is null or a C string.
unsafe fn text(text: *const c_char) -> Value {
    if text.is_null() {
        return Value::Null;
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    match text.to_str() {
        Ok(text) => text.into(),
        Err(_) => json!({ "bytes": text.to_bytes() }),
    }
}
