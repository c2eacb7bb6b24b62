//! A new keyslot in a container that there is, from what is wanted of it.

use dmcrypt::HashAlgorithm;
use luks::{Header, InvalidOption, KeyslotOptions, Version, defaults};

use crate::error::Error;
use crate::limits;
use crate::new_luks::{Cost, KeyslotCipher, keyslot_cipher, keyslot_kdf};
use crate::watch::Watch;

/// What a new keyslot is to be. What is not said is as cryptsetup has it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NewKeyslot {
    /// What it costs to guess the passphrase.
    pub cost: Cost,
    /// The hash of the key derivation and of the splitter; LUKS1 has one for all.
    pub hash: Option<String>,
    /// How its area is encrypted (LUKS2); as the data unless said.
    pub cipher: Option<KeyslotCipher>,
}

impl NewKeyslot {
    /// The same in the library's terms, for the container `image` with this header; its key derivation is measured, which
    /// takes seconds, unless its cost is given.
    pub fn options(
        &self,
        header: &Header,
        image: &str,
        watch: &dyn Watch,
    ) -> Result<KeyslotOptions<'static>, Error> {
        let invalid = |error: InvalidOption| Error::luks(image, error.into());
        let (version, of_header, key_bytes) = match header {
            Header::Luks1(header) => {
                let hash = header
                    .hash()
                    .map_err(|error| Error::luks(image, error.into()))?;
                (Version::Luks1, hash, header.key_bytes as usize)
            }
            Header::Luks2(_) => (Version::Luks2, defaults::HASH, defaults::XTS_KEY_BYTES),
        };
        let hash = match &self.hash {
            Some(name) => {
                HashAlgorithm::parse(name).map_err(|error| invalid(InvalidOption::Cipher(error)))?
            }
            None => of_header,
        };
        let cipher = keyslot_cipher(image, self.cipher.as_ref())?;
        let area_key_bytes = cipher.as_ref().map_or(key_bytes, |(_, bytes)| *bytes);
        Ok(KeyslotOptions {
            kdf: keyslot_kdf(version, hash, area_key_bytes, &self.cost, watch)?,
            hash,
            cipher,
            threads: limits::processors(),
            ..KeyslotOptions::default()
        })
    }
}
