//! The table of chaining modes. A new mode is a row here and a file in `modes/`.

mod cbc;
mod ecb;
mod xts;

use crate::{
    cipher::{SectorCipher, SectorOptions, assert_whole_sectors},
    ciphers::Cipher,
    iv::Iv,
    units::SectorSize,
};

/// A chaining mode that is built here.
pub(crate) struct Mode {
    /// dm-crypt's name.
    pub(crate) name: &'static str,
    /// How many keys of the cipher make up the key of a volume.
    pub(crate) keys: usize,
    /// Whether a sector has an IV.
    pub(crate) has_iv: bool,
    /// Whether the mode works with the cipher.
    pub(crate) fits: fn(&Cipher) -> bool,
    /// The sector cipher, from a key whose size was checked.
    pub(crate) build: fn(&Cipher, Iv, key: &[u8], SectorOptions) -> Box<dyn SectorCipher>,
}

const BUILT: &[Mode] = &[cbc::CBC, ecb::ECB, xts::XTS];

/// The mode that dm-crypt calls `name`, if it is built here and works with `cipher`.
pub(crate) fn find(name: &str, cipher: &Cipher) -> Option<&'static Mode> {
    BUILT
        .iter()
        .find(|mode| mode.name == name && (mode.fits)(cipher))
}

/// The sector cipher of `cipher_null`: plaintext and ciphertext are the same.
pub(crate) fn identity(options: SectorOptions) -> Box<dyn SectorCipher> {
    Box::new(Identity(options.sector_size))
}

struct Identity(SectorSize);

impl SectorCipher for Identity {
    fn sector_size(&self) -> SectorSize {
        self.0
    }

    fn encrypt(&self, _first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, self.0);
    }

    fn decrypt(&self, _first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, self.0);
    }

    fn kernel(&self) -> &'static str {
        "none (null cipher)"
    }
}
