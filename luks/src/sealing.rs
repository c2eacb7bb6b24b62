//! A key made into a keyslot's area: derive, split, encrypt.

use dmcrypt::{CipherSpec, DerivedKey, HashAlgorithm, LockedBytes, Passphrase, VolumeKey};

use crate::defaults::{self, STRIPES};
use crate::error::{Error, InvalidOption};
use crate::kdf::{self, Effort, KdfParams};
use crate::number::to_usize;
use crate::random::Random;
use crate::{af, area};

/// How a keyslot's area is made.
pub(crate) struct Sealing<'a> {
    /// For messages.
    pub(crate) keyslot: u32,
    pub(crate) kdf: &'a KdfParams,
    pub(crate) salt: &'a [u8],
    pub(crate) cipher: &'a CipherSpec,
    pub(crate) cipher_key_bytes: usize,
    pub(crate) af_hash: HashAlgorithm,
}

/// Key material as it goes to disk, and the key that it was encrypted with, which opens it without another derivation.
pub(crate) struct Sealed {
    pub(crate) area: Vec<u8>,
    pub(crate) derived: DerivedKey,
}

impl Sealing<'_> {
    /// The area for `key`, whole sectors.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for a cipher that is not built, [`Error::OutOfMemory`], [`Error::Random`],
    /// [`Error::Cancelled`].
    pub(crate) fn seal(
        &self,
        key: &VolumeKey,
        passphrase: &Passphrase,
        random: &mut dyn Random,
        effort: Effort<'_>,
    ) -> Result<Sealed, Error> {
        let derived = kdf::derive(
            self.kdf,
            passphrase.expose(),
            self.salt,
            self.cipher_key_bytes,
            effort,
        )
        .map_err(Error::kdf(self.keyslot))?;
        let material = af::split(key, STRIPES, self.af_hash, random)?;
        let length = area::material_bytes(key.len(), STRIPES).expect("key sizes are checked");
        let mut sectors = LockedBytes::zeroed(to_usize(length));
        sectors[..material.len()].copy_from_slice(&material);
        area::encrypt(self.cipher, &derived, &mut sectors).map_err(InvalidOption::from)?;
        Ok(Sealed {
            area: sectors.to_vec(),
            derived,
        })
    }

    /// The key that an area holds; the inverse of [`Self::seal`]. Whether it is the right one only a digest tells.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for a cipher that is not built.
    pub(crate) fn open(
        &self,
        derived: &DerivedKey,
        mut area: DerivedKey,
        key_bytes: usize,
    ) -> Result<VolumeKey, Error> {
        area::decrypt(self.cipher, derived, &mut area).map_err(InvalidOption::from)?;
        Ok(af::merge(&area, key_bytes, STRIPES, self.af_hash))
    }
}

/// The cipher of a LUKS2 keyslot and its key bytes where nobody says otherwise: the data's, as cryptsetup chooses; the
/// kernel crypto API's spelling is not for keyslots, and a null cipher would give the key away.
pub(crate) fn luks2_area_cipher(data: &CipherSpec, key_bytes: usize) -> (CipherSpec, usize) {
    if data.is_null() || data.to_string().starts_with("capi:") {
        default_area_cipher()
    } else {
        (data.clone(), key_bytes)
    }
}

/// Refuses a cipher that no new keyslot may have; with the size of its key in bytes.
pub(crate) fn check_area_cipher(
    (cipher, key_bytes): &(CipherSpec, usize),
) -> Result<(), InvalidOption> {
    cipher.check_supported()?;
    cipher.check_key_bytes(*key_bytes)?;
    if cipher.is_null() {
        return Err(InvalidOption::NullCipher);
    }
    Ok(())
}

/// The cipher of a LUKS2 keyslot where the data's is not for it.
pub(crate) fn default_area_cipher() -> (CipherSpec, usize) {
    let cipher = defaults::CIPHER
        .parse()
        .expect("the default cipher is a specification");
    (cipher, defaults::XTS_KEY_BYTES)
}
