//! The one source of random bytes, handed in with the options, so that tests can replay it and make it fail.

use dmcrypt::VolumeKey;

/// Where keys, salts and filler come from.
pub trait Random {
    /// Fills `buf`, or fails: a short or weak answer is never returned.
    ///
    /// # Errors
    ///
    /// When the source has no bytes to give; the caller stops and writes nothing further.
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RandomError>;
}

/// The random source failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the random source failed (operating system error {0})")]
pub struct RandomError(pub i32);

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(buf).map_err(|error| RandomError(error.raw_os_error().unwrap_or(0)))
    }
}

/// A key of so many random bytes.
///
/// # Errors
///
/// Those of the source.
pub fn random_volume_key(bytes: usize, random: &mut dyn Random) -> Result<VolumeKey, RandomError> {
    let mut key = VolumeKey::zeroed(bytes);
    random.fill(key.expose_mut())?;
    Ok(key)
}
