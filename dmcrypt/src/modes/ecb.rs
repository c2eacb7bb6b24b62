//! ECB (SP 800-38A, 6.1): each block on its own, no IV.

use super::Mode;
use crate::{
    cipher::{SectorCipher, assert_whole_sectors},
    kernels::block::BlockCipher,
    units::SectorSize,
};

pub(super) const ECB: Mode = Mode {
    name: "ecb",
    stream: "",
    key_bytes: |cipher_key_bytes| cipher_key_bytes,
    iv: None,
    fits: |_| true,
    build: |cipher, _, keys, options| {
        Box::new(Ecb {
            cipher: (cipher.expand)(keys.data),
            sector_size: options.sector_size,
        })
    },
};

struct Ecb {
    cipher: Box<dyn BlockCipher>,
    sector_size: SectorSize,
}

impl SectorCipher for Ecb {
    fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    fn encrypt(&self, _first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, self.sector_size);
        self.cipher.encrypt_blocks(data);
    }

    fn decrypt(&self, _first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, self.sector_size);
        self.cipher.decrypt_blocks(data);
    }

    fn kernel(&self) -> &'static str {
        self.cipher.kernel()
    }
}
