//! XTS (IEEE 1619, SP 800-38E) over sectors.

use super::{IvShape, Mode};
use crate::{
    cipher::{SectorCipher, assert_whole_sectors},
    iv::IvGenerator,
    kernels::{
        wipe,
        xts::{BLOCK_BYTES, Direction, XtsKernel},
    },
    units::SectorSize,
};

pub(super) const XTS: Mode = Mode {
    name: "xts",
    stream: "",
    key_bytes: |cipher_key_bytes| 2 * cipher_key_bytes,
    iv: Some(IvShape::Block),
    fits: |cipher| cipher.expand_xts.is_some(),
    build: |cipher, iv, keys, options| {
        let expand = cipher
            .expand_xts
            .expect("a mode is built only for a cipher that it fits");
        let halves = |key: &[u8]| {
            let (data_key, tweak_key) = key.split_at(key.len() / 2);
            expand(data_key, tweak_key)
        };
        Box::new(Xts {
            kernel: halves(keys.data),
            iv: IvGenerator::new(iv, cipher, IvShape::Block, keys, options, || {
                // The volume's own cipher and mode is XTS here: the IV is a block of zeros encrypted as a unit of its own.
                let kernel = halves(keys.first);
                Box::new(move |ivs| {
                    let mut blocks = vec![0; ivs.len()];
                    kernel.apply(Direction::Encrypt, ivs, BLOCK_BYTES, &mut blocks);
                    ivs.copy_from_slice(&blocks);
                })
            }),
            sector_size: options.sector_size,
        })
    },
};

/// The IVs of so many sectors are encrypted at once: enough for the pauses between batches not to matter.
const BATCH_SECTORS: usize = 256;
const FEW_SECTORS: usize = 16;

struct Xts {
    kernel: Box<dyn XtsKernel>,
    iv: IvGenerator,
    sector_size: SectorSize,
}

impl Xts {
    #[track_caller]
    fn apply(&self, direction: Direction, first_sector: u64, data: &mut [u8]) {
        assert_whole_sectors(data, self.sector_size);
        // A short request need not wait until the room for many IVs is cleared.
        if data.len() <= FEW_SECTORS * self.sector_size.bytes() {
            let mut ivs = [[0; BLOCK_BYTES]; FEW_SECTORS];
            self.apply_with(ivs.as_flattened_mut(), direction, first_sector, data);
        } else {
            let mut ivs = [[0; BLOCK_BYTES]; BATCH_SECTORS];
            self.apply_with(ivs.as_flattened_mut(), direction, first_sector, data);
        }
    }

    /// As many sectors at a time as there is room for their IVs.
    fn apply_with(&self, ivs: &mut [u8], direction: Direction, first_sector: u64, data: &mut [u8]) {
        let sector_bytes = self.sector_size.bytes();
        let mut sector = first_sector;
        for batch in data.chunks_mut(ivs.len() / BLOCK_BYTES * sector_bytes) {
            let count = batch.len() / sector_bytes;
            let ivs = &mut ivs[..count * BLOCK_BYTES];
            self.iv.fill(sector, ivs);
            self.kernel.apply(direction, ivs, sector_bytes, batch);
            sector = sector.wrapping_add(self.sector_size.units() * count as u64);
        }
        wipe(ivs, 0);
    }
}

impl SectorCipher for Xts {
    fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    fn encrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.apply(Direction::Encrypt, first_sector, data);
    }

    fn decrypt(&self, first_sector: u64, data: &mut [u8]) {
        self.apply(Direction::Decrypt, first_sector, data);
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name()
    }
}
