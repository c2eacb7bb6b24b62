//! What cryptsetup's users expect when they say nothing (values of cryptsetup 2.7's build options).

use dmcrypt::HashAlgorithm;

/// Cipher of data and keyslots.
pub const CIPHER: &str = "aes-xts-plain64";
/// Volume key size in bytes where the mode takes one key.
pub const KEY_BYTES: usize = 32;
/// Volume key size in bytes for XTS, which takes two keys.
pub const XTS_KEY_BYTES: usize = 64;
/// Hash of PBKDF2, the digest and the anti-forensic splitter.
pub const HASH: HashAlgorithm = HashAlgorithm::Sha256;
/// Anti-forensic stripes; the only value that LUKS1 (by custom) and LUKS2 (by specification) use.
pub const STRIPES: u32 = 4000;
/// Time that deriving a keyslot's key should take, in milliseconds.
pub const ITER_TIME_MS: u64 = 2000;
/// Time that checking the digest should take, in milliseconds.
pub const DIGEST_TIME_MS: u64 = 125;
/// Fewest PBKDF2 iterations that are ever written (NIST SP 800-132).
pub const PBKDF2_MIN_ITERATIONS: u32 = 1000;
/// Fewest Argon2 passes that are ever written.
pub const ARGON2_MIN_TIME: u32 = 4;
/// Least Argon2 memory that can be asked for, in KiB.
pub const ARGON2_MIN_MEMORY_KIB: u32 = 32;
/// Most Argon2 memory that can be asked for, in KiB.
pub const ARGON2_MAX_MEMORY_KIB: u32 = 4 * 1024 * 1024;
/// Least Argon2 memory that calibration settles on, in KiB.
pub const ARGON2_CALIBRATED_MIN_KIB: u32 = 64 * 1024;
/// Most Argon2 memory that calibration settles on, in KiB.
pub const ARGON2_CALIBRATED_MAX_KIB: u32 = 1024 * 1024;
/// Most Argon2 lanes that are written.
pub const ARGON2_MAX_LANES: u32 = 4;
/// Size of one LUKS2 header copy (binary header and JSON area), in bytes.
pub const LUKS2_METADATA_BYTES: u64 = 16 * 1024;
/// Where the data of a LUKS2 container starts unless said, in bytes.
pub const LUKS2_DATA_OFFSET: u64 = 16 * 1024 * 1024;
/// Largest LUKS2 keyslots area, in bytes.
pub const LUKS2_MAX_KEYSLOTS_BYTES: u64 = 128 * 1024 * 1024;
/// Alignment of the data offset, in bytes.
pub const DATA_ALIGNMENT: u64 = 1024 * 1024;
/// Alignment of keyslot areas, in bytes.
pub const AREA_ALIGNMENT: u64 = 4096;
/// Length of the salts that are written, in bytes.
pub const SALT_BYTES: usize = 32;
/// Most keyslots, digests, segments or tokens that a LUKS2 header may hold.
pub const LUKS2_MAX_OBJECTS: usize = 32;
