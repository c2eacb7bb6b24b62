//! AES-XTS (IEEE 1619, SP 800-38E), by the kernel that suits the machine and the key.

use crate::{
    AesKernel,
    kernels::xts::{Direction, XtsKernel},
};

/// AES-XTS on data units whose tweak is given as bytes: XTS as the standard defines it, without dm-crypt's sectors.
///
/// Volumes use [`CipherSpec::sector_cipher`](crate::CipherSpec::sector_cipher), which runs the same kernel.
pub struct AesXts(Box<dyn XtsKernel>);

impl AesXts {
    /// XTS with `key`, the key of the data followed by the key of the tweaks; `None` unless it has 32, 48 or 64 bytes.
    pub fn new(key: &[u8]) -> Option<Self> {
        Self::with_kernel(AesKernel::best(), key)
    }

    /// The same by other code than the fastest, for tests and measurements.
    pub fn with_kernel(kernel: AesKernel, key: &[u8]) -> Option<Self> {
        let (data_key, tweak_key) = key.split_at(key.len() / 2);
        matches!(key.len(), 32 | 48 | 64).then(|| Self(kernel.expand_xts(data_key, tweak_key)))
    }

    /// Encrypts one data unit in place. `tweak` is the number of the unit, as the standard has it: little-endian.
    ///
    /// # Panics
    /// Unless `unit` is a whole number of 16-byte blocks: dm-crypt never steals ciphertext.
    pub fn encrypt_unit(&self, tweak: [u8; 16], unit: &mut [u8]) {
        self.apply(Direction::Encrypt, tweak, unit);
    }

    /// Decrypts one data unit in place, the opposite of [`encrypt_unit`](Self::encrypt_unit).
    ///
    /// # Panics
    /// Unless `unit` is a whole number of 16-byte blocks.
    pub fn decrypt_unit(&self, tweak: [u8; 16], unit: &mut [u8]) {
        self.apply(Direction::Decrypt, tweak, unit);
    }

    fn apply(&self, direction: Direction, mut tweak: [u8; 16], unit: &mut [u8]) {
        assert!(
            unit.len().is_multiple_of(16),
            "{} bytes are no whole number of 16-byte blocks",
            unit.len()
        );
        if !unit.is_empty() {
            self.0.apply(direction, &mut tweak, unit.len(), unit);
        }
    }
}
