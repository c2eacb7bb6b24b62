//! The table of chaining modes. A new mode is a row here and a file in `modes/`.

mod adiantum;
mod cbc;
mod ctr;
mod ecb;
mod elephant;
mod hctr2;
mod lmk;
mod lrw;
mod multi_key;
mod tcw;
mod xts;

use crate::{
    cipher::{SectorCipher, SectorOptions, assert_whole_sectors},
    ciphers::Cipher,
    iv::{Iv, IvShape, Keys},
    units::SectorSize,
};

/// A chaining mode that is built here.
pub(crate) struct Mode {
    /// dm-crypt's name.
    pub(crate) name: &'static str,
    /// The stream cipher that a specification names before the block cipher, as in `xchacha12,aes`; usually none.
    pub(crate) stream: &'static str,
    /// The size of one key of the mode, from the size of a key of the cipher, both in bytes.
    pub(crate) key_bytes: fn(cipher_key_bytes: usize) -> usize,
    /// What the IV of a sector looks like, `None` where there is none.
    pub(crate) iv: Option<IvShape>,
    /// Whether the mode works with the cipher.
    pub(crate) fits: fn(&Cipher) -> bool,
    /// The sector cipher, from keys whose sizes were checked.
    pub(crate) build: fn(&Cipher, Iv, Keys<'_>, SectorOptions) -> Box<dyn SectorCipher>,
}

const BUILT: &[Mode] = &[
    adiantum::XCHACHA12,
    adiantum::XCHACHA20,
    cbc::CBC,
    ctr::CTR,
    ecb::ECB,
    hctr2::HCTR2,
    lrw::LRW,
    xts::XTS,
];

/// The mode that dm-crypt calls `name`, with the stream cipher `stream` or an empty text, if it is built here and works
/// with `cipher`.
pub(crate) fn find(name: &str, stream: &str, cipher: &Cipher) -> Option<&'static Mode> {
    BUILT
        .iter()
        .find(|mode| mode.name == name && mode.stream == stream && (mode.fits)(cipher))
}

/// How a volume's key is divided: into so many keys of the mode, and a rest that the IVs take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeyLayout {
    pub(crate) keys: usize,
    pub(crate) mode_key_bytes: usize,
    pub(crate) extra_bytes: usize,
}

impl KeyLayout {
    /// Every way to divide a key.
    pub(crate) fn all(cipher: &Cipher, mode: &Mode, iv: Iv, keys: usize) -> Vec<Self> {
        let mut layouts = Vec::new();
        for &size in cipher.key_bytes {
            let mode_key_bytes = (mode.key_bytes)(size);
            let mut add = |extra_bytes| {
                layouts.push(Self {
                    keys,
                    mode_key_bytes,
                    extra_bytes,
                });
            };
            match (iv, mode.iv) {
                (Iv::Elephant, _) => elephant::extra_bytes(keys.saturating_mul(mode_key_bytes))
                    .into_iter()
                    .for_each(add),
                (Iv::Lmk, _) => lmk::extra_bytes(keys, mode_key_bytes)
                    .into_iter()
                    .for_each(add),
                (Iv::Tcw, Some(shape)) => add(tcw::extra_bytes(shape.bytes(cipher))),
                _ => add(0),
            }
        }
        layouts.sort_by_key(Self::bytes);
        layouts
    }

    /// Bytes of the volume's key.
    pub(crate) fn bytes(&self) -> usize {
        self.keys
            .saturating_mul(self.mode_key_bytes)
            .saturating_add(self.extra_bytes)
    }
}

/// The sector cipher of a volume, from the whole key, as `layout` divides it.
pub(crate) fn build(
    cipher: &Cipher,
    mode: &Mode,
    iv: Iv,
    layout: KeyLayout,
    key: &[u8],
    options: SectorOptions,
) -> Box<dyn SectorCipher> {
    let (data, extra) = key.split_at(layout.keys * layout.mode_key_bytes);
    let inner = multi_key::build(data, layout.mode_key_bytes, options, |data, first| {
        let keys = Keys {
            data,
            first,
            seed: extra,
        };
        (mode.build)(cipher, iv, keys, options)
    });
    match (iv, mode.iv) {
        (Iv::Elephant, _) => elephant::wrap(inner, extra, options),
        (Iv::Lmk, _) => lmk::wrap(inner, cipher.block_bytes, extra),
        (Iv::Tcw, Some(shape)) => tcw::wrap(inner, &extra[shape.bytes(cipher)..]),
        _ => inner,
    }
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
