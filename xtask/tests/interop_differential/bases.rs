//! Headers that cryptsetup and qemu-img made, from which cases start: the golden data.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A container of the golden data.
pub struct Base {
    pub name: &'static str,
    /// All its bytes, of which those of the data may be cut off.
    pub image: Vec<u8>,
    /// The length of its file.
    pub length: u64,
    /// Bytes of one LUKS2 header copy; none of LUKS1.
    pub copy_bytes: Option<usize>,
    pub passphrase: &'static [u8],
}

const GOLDEN: &[u8] = b"golden";

/// Name, size of a LUKS2 copy in KiB, passphrase. Large copies are few: they take long.
const BASES: &[(&str, Option<usize>, &[u8])] = &[
    ("luks1/xts-256-sha1.img.xz", None, GOLDEN),
    ("luks1/xts-512-sha256.img.xz", None, GOLDEN),
    ("luks1/cbc-essiv-128-ripemd160.img.xz", None, GOLDEN),
    ("luks1/cbc-essiv-256-sha512.img.xz", None, GOLDEN),
    ("luks1/cbc-plain64-192-sha224.img.xz", None, GOLDEN),
    ("luks1/three-keyslots.img.xz", None, GOLDEN),
    ("luks1/detached.hdr.xz", None, GOLDEN),
    ("luks1/qemu-cbc-plain-128-sha384.img.xz", None, GOLDEN),
    ("luks1/qemu-two-keyslots.img.xz", None, GOLDEN),
    ("luks1/qemu-xts-512-sha256.img.xz", None, GOLDEN),
    ("luks2/objects.img.xz", Some(16), GOLDEN),
    ("luks2/objects.img.xz", Some(16), b"preferred"),
    ("luks2/metadata-16k.img.xz", Some(16), GOLDEN),
    ("luks2/metadata-32k.img.xz", Some(32), GOLDEN),
    ("luks2/argon2i-xts-256-sector-1024.img.xz", Some(16), GOLDEN),
    ("luks2/argon2id-xts-512-sector-512.img.xz", Some(16), GOLDEN),
    (
        "luks2/argon2id-cbc-plain64-256-keyslot-cipher.img.xz",
        Some(16),
        GOLDEN,
    ),
    (
        "luks2/pbkdf2-cbc-essiv-128-sector-4096.img.xz",
        Some(16),
        GOLDEN,
    ),
    (
        "luks2/pbkdf2-xts-256-sector-2048.img.xz",
        Some(16),
        b"two\nlines\0",
    ),
    ("luks2/detached-offset.hdr.xz", Some(16), GOLDEN),
    ("luks2/secondary-only.img.xz", Some(16), GOLDEN),
    ("luks2/reencrypt-in-progress.img.xz", Some(16), GOLDEN),
    ("luks2/reencrypt-encrypt.img.xz", Some(16), GOLDEN),
];

/// Key material lies below here in every base.
const KEPT_BYTES: usize = 1 << 20;

pub fn all() -> Vec<Base> {
    BASES.iter().map(|base| read(*base)).collect()
}

/// Those of one format of which all is here, data too.
pub fn whole(is_luks2: bool) -> Vec<Base> {
    let mut bases = all();
    bases.retain(|base| {
        base.copy_bytes.is_some() == is_luks2
            && u64::try_from(base.image.len()).is_ok_and(|length| length == base.length)
    });
    bases
}

fn read((name, copy_kib, passphrase): (&'static str, Option<usize>, &'static [u8])) -> Base {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../test-vectors")
        .join(name);
    assert!(fs::exists(&path).is_ok_and(|is_there| is_there), "{name}");
    let unpacked = Command::new("xz").arg("-dc").arg(&path).output();
    let mut image = unpacked.expect("xz is there").stdout;
    let length = u64::try_from(image.len()).expect("lengths are numbers");
    image.truncate(KEPT_BYTES.max(usize::try_from(length.min(4 << 20)).expect("it is small")));
    Base {
        name,
        image,
        length,
        copy_bytes: copy_kib.map(|kib| kib << 10),
        passphrase,
    }
}
