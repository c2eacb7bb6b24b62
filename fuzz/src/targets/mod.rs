//! What each fuzz target does with its input, without libFuzzer: the tests of the main workspace include this folder and
//! run every seed and past failure through it.

mod arguments;
mod data;
mod edits;
mod headers;
mod keys;
mod nbd;
mod qcow2;
mod resume;
mod support;
mod tables;

pub use self::arguments::arguments;
pub use self::data::{af_merge, plain_volume, sector_kernels};
pub use self::edits::header_edits;
pub use self::headers::{image, keyslot, luks1_header, luks2_header, luks2_json};
pub use self::keys::key_files;
pub use self::nbd::{nbd_options, nbd_session};
pub use self::qcow2::{qcow2_image, qcow2_writes};
pub use self::resume::reencrypt_resume;
pub use self::tables::table_line;

use dmcrypt::{CipherSpec, SectorOptions, SectorSize};

/// A cipher specification is parsed or refused; what was parsed prints as itself, in each of its spellings, and where it
/// is supported a sector comes back from its cipher.
///
/// # Panics
/// When one of these does not hold.
pub fn cipher_spec(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(spec) = text.parse::<CipherSpec>() else {
        return false;
    };
    let parse = |text: &str| {
        text.parse::<CipherSpec>()
            .expect("what was printed is parsed")
    };
    assert_eq!(parse(&spec.to_string()), spec);
    assert_eq!(parse(&spec.to_dm_crypt()).to_dm_crypt(), spec.to_dm_crypt());
    if let Some(capi) = spec.to_capi() {
        assert_eq!(parse(&capi).to_capi(), Some(capi));
    }
    if let Some((cipher, mode)) = spec.luks1_fields() {
        let again = CipherSpec::from_luks1(&cipher, &mode).expect("fields that were made are read");
        assert_eq!(again.to_dm_crypt(), spec.to_dm_crypt());
    }

    let options = SectorOptions {
        sector_size: SectorSize::B512,
        iv_large_sectors: false,
    };
    for key_bytes in [0, 16, 24, 32, 48, 64] {
        let key: Vec<u8> = (0..key_bytes).collect();
        let fits = spec.check_key_bytes(key.len()).is_ok();
        assert!(!fits || spec.check_supported().is_ok());
        let cipher = spec.sector_cipher(&key, options);
        assert_eq!(cipher.is_ok(), fits);
        if let Ok(cipher) = cipher {
            let mut sector = [0x5a; 512];
            cipher.encrypt(7, &mut sector);
            cipher.decrypt(7, &mut sector);
            assert_eq!(sector, [0x5a; 512]);
        }
    }
    true
}
