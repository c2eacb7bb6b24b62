//! Several keys that take turns, `aes:64-...`: the low bits of a sector's number choose the key (loop-AES's idea).

use crate::{
    cipher::{SectorCipher, SectorOptions, assert_whole_sectors},
    units::SectorSize,
};

/// One sector cipher for each of the keys that `keys` holds, made by `build` from it and from the first one.
pub(super) fn build(
    keys: &[u8],
    key_bytes: usize,
    options: SectorOptions,
    build: impl Fn(&[u8], &[u8]) -> Box<dyn SectorCipher>,
) -> Box<dyn SectorCipher> {
    let first = &keys[..key_bytes];
    if keys.len() == key_bytes {
        return build(first, first);
    }
    Box::new(MultiKey {
        ciphers: keys
            .chunks_exact(key_bytes)
            .map(|key| build(key, first))
            .collect(),
        sector_size: options.sector_size,
    })
}

struct MultiKey {
    /// As many as a power of two.
    ciphers: Vec<Box<dyn SectorCipher>>,
    sector_size: SectorSize,
}

impl MultiKey {
    fn apply(
        &self,
        run: impl Fn(&dyn SectorCipher, u64, &mut [u8]),
        first_sector: u64,
        data: &mut [u8],
    ) {
        assert_whole_sectors(data, self.sector_size);
        let mut number = first_sector;
        for sector in data.chunks_mut(self.sector_size.bytes()) {
            let turn = number % self.ciphers.len() as u64;
            let cipher = &self.ciphers[usize::try_from(turn).expect("it is below a length")];
            run(cipher.as_ref(), number, sector);
            number = number.wrapping_add(self.sector_size.units());
        }
    }
}

impl SectorCipher for MultiKey {
    fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.apply(
            |cipher, number, sector| cipher.encrypt(number, sector),
            first_sector,
            data,
        );
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.apply(
            |cipher, number, sector| cipher.decrypt(number, sector),
            first_sector,
            data,
        );
    }

    fn kernel(&self) -> &'static str {
        self.ciphers[0].kernel()
    }
}
