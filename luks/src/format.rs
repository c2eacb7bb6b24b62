//! New containers: where everything goes, what the header says, and a commit that leaves no header or a whole one.

mod check;
mod write;

use std::sync::Arc;

use dmcrypt::{CipherSpec, HashAlgorithm, Passphrase, SectorOptions, SectorSize, VolumeKey};
use serde::{Deserialize, Serialize};
use volume::{Mapping, Segment, SegmentKind};

use crate::defaults::{self, SALT_BYTES};
use crate::error::{Corrupt, Error, InvalidOption};
use crate::kdf::{self, Argon2Variant, Effort, KdfParams};
use crate::luks1;
use crate::luks2::{self, BinaryHeader, NewDigest, NewKeyslot, NewMetadata, Which};
use crate::number::to_usize;
use crate::random::{Random, RandomError, random_volume_key};
use crate::sealing::{self, Sealing};

pub use check::Layout;
pub(crate) use check::{check_hash, check_kdf};
pub(crate) use write::remove_old_headers;

/// Which format to write.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// LUKS1.
    Luks1,
    /// LUKS2.
    Luks2,
}

/// What a new container is to be. The defaults are cryptsetup's for LUKS2 on a machine that nobody measured.
#[derive(Clone, Debug)]
pub struct FormatOptions {
    /// The format.
    pub version: Version,
    /// Cipher of the data, and of the keyslot unless LUKS2 cannot say it there.
    pub cipher: CipherSpec,
    /// Make a container with the null cipher, which encrypts nothing.
    pub null_cipher: bool,
    /// Take a volume key whose two halves are equal, which breaks XTS.
    pub equal_xts_halves: bool,
    /// Bytes of the volume key.
    pub key_bytes: usize,
    /// Hash of the digest and of the anti-forensic splitter; in LUKS1 of PBKDF2 too.
    pub hash: HashAlgorithm,
    /// Sector size of the data; LUKS1 takes 512 only.
    pub sector_size: SectorSize,
    /// Key derivation of the keyslot; LUKS1 takes PBKDF2 with `hash` only.
    pub kdf: KdfParams,
    /// PBKDF2 iterations of the digest.
    pub digest_iterations: u32,
    /// Number of the keyslot.
    pub keyslot: u32,
    /// The header lies in a storage of its own; data then starts at 0 unless said.
    pub detached: bool,
    /// Where data starts, in bytes; a multiple of 4096.
    pub data_offset: Option<u64>,
    /// LUKS2: bytes of one header copy, one of nine sizes.
    pub metadata_bytes: u64,
    /// LUKS2: bytes of the keyslots area, a multiple of 4096.
    pub keyslots_bytes: Option<u64>,
    /// LUKS2: cipher of the keyslot's area and its key size in bytes; the data's unless said.
    pub keyslot_cipher: Option<(CipherSpec, usize)>,
    /// UUID as text; a random one unless said.
    pub uuid: Option<String>,
    /// LUKS2: label.
    pub label: String,
    /// LUKS2: second label.
    pub subsystem: String,
    /// Threads that a key derivation may use, the caller's among them.
    pub threads: usize,
}

impl Default for FormatOptions {
    fn default() -> Self {
        Self {
            version: Version::Luks2,
            cipher: defaults::CIPHER
                .parse()
                .expect("the default cipher is a specification"),
            null_cipher: false,
            equal_xts_halves: false,
            key_bytes: defaults::XTS_KEY_BYTES,
            hash: defaults::HASH,
            sector_size: SectorSize::B512,
            kdf: KdfParams::Argon2 {
                variant: Argon2Variant::Id,
                time: defaults::ARGON2_MIN_TIME,
                memory_kib: defaults::ARGON2_CALIBRATED_MAX_KIB,
                lanes: defaults::ARGON2_MAX_LANES,
            },
            digest_iterations: 100 * defaults::PBKDF2_MIN_ITERATIONS,
            keyslot: 0,
            detached: false,
            data_offset: None,
            metadata_bytes: defaults::LUKS2_METADATA_BYTES,
            keyslots_bytes: None,
            keyslot_cipher: None,
            uuid: None,
            label: String::new(),
            subsystem: String::new(),
            threads: 1,
        }
    }
}

/// A container that exists in memory only: dropped, it leaves the storage without a LUKS header.
///
/// The order is [`Self::write_areas`], then the data through [`Self::mapping`], then [`Self::commit`].
#[must_use = "without commit() there is no container"]
pub struct NewContainer {
    layout: Layout,
    cipher: CipherSpec,
    sector_size: SectorSize,
    key: VolumeKey,
    /// The keyslots' key material as it goes to disk.
    areas: Vec<Placed>,
    header: NewHeader,
    /// Header copies.
    copies: Vec<Placed>,
}

/// Bytes, and where they lie.
pub(crate) type Placed = (u64, Vec<u8>);

/// What the copies say.
pub(crate) enum NewHeader {
    Luks1(luks1::Header),
    Luks2(luks2::Header),
}

/// Makes keys and header in memory. `volume_key` is a random one unless given.
///
/// # Errors
///
/// [`Error::InvalidOption`], [`Error::Random`], [`Error::OutOfMemory`], [`Error::Cancelled`].
pub fn prepare(
    options: &FormatOptions,
    passphrase: &Passphrase,
    volume_key: Option<VolumeKey>,
    random: &mut dyn Random,
    cancel: &(dyn Fn() -> bool + Sync),
) -> Result<NewContainer, Error> {
    let effort = Effort {
        threads: options.threads,
        cancel,
    };
    let layout = Layout::new(options)?;
    if options.version == Version::Luks1 && options.cipher.is_null() && !passphrase.is_empty() {
        return Err(InvalidOption::NullPassphrase.into());
    }
    let key = match volume_key {
        Some(key) if key.len() != options.key_bytes => {
            return Err(InvalidOption::VolumeKeySize {
                have: key.len(),
                need: options.key_bytes,
            }
            .into());
        }
        Some(key) => key,
        None => random_volume_key(options.key_bytes, random)?,
    };
    if !options.equal_xts_halves && options.cipher.has_equal_xts_halves(key.expose()) {
        return Err(InvalidOption::EqualXtsHalves.into());
    }

    let mut kdf_salt = [0; SALT_BYTES];
    let mut digest_salt = [0; SALT_BYTES];
    random.fill(&mut kdf_salt)?;
    random.fill(&mut digest_salt)?;
    let (area_cipher, area_key_bytes) = area_cipher(options);
    let sealing = Sealing {
        keyslot: options.keyslot,
        kdf: &options.kdf,
        salt: &kdf_salt,
        cipher: &area_cipher,
        cipher_key_bytes: area_key_bytes,
        af_hash: options.hash,
    };
    let area = sealing.seal(&key, passphrase, random, effort)?.area;
    let digest_bytes = match options.version {
        Version::Luks1 => luks1::Header::DIGEST_BYTES,
        Version::Luks2 => options.hash.digest_bytes(),
    };
    let cost = KdfParams::Pbkdf2 {
        hash: options.hash,
        iterations: options.digest_iterations,
    };
    let digest = kdf::derive(&cost, key.expose(), &digest_salt, digest_bytes, effort)
        .map_err(Error::kdf(options.keyslot))?;

    let header = match options.version {
        Version::Luks1 => {
            let uuid = uuid(options, random)?;
            let salts = [kdf_salt, digest_salt];
            NewHeader::Luks1(luks1_header(options, &layout, salts, digest.expose(), uuid))
        }
        Version::Luks2 => {
            let metadata =
                luks2_metadata(options, &layout, [&kdf_salt, &digest_salt], digest.expose())?;
            NewHeader::Luks2(luks2::Header {
                binary: BinaryHeader {
                    header_bytes: options.metadata_bytes,
                    epoch: 1,
                    label: options.label.clone(),
                    uuid: uuid(options, random)?,
                    subsystem: options.subsystem.clone(),
                },
                metadata,
            })
        }
    };
    Ok(NewContainer {
        cipher: options.cipher.clone(),
        sector_size: options.sector_size,
        key,
        areas: vec![(layout.area_offset, area)],
        copies: header.copies(random)?,
        header,
        layout,
    })
}

impl NewContainer {
    /// Where everything goes.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The volume key.
    pub fn volume_key(&self) -> &VolumeKey {
        &self.key
    }

    /// What the header says so far.
    pub(crate) fn header(&self) -> &NewHeader {
        &self.header
    }

    /// Takes another header of the same sizes in place of its own, and key material that it speaks of.
    pub(crate) fn change(
        &mut self,
        header: NewHeader,
        area: Option<Placed>,
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        self.copies = header.copies(random)?;
        self.header = header;
        self.areas.extend(area);
        Ok(())
    }

    /// The data segment for `payload_bytes` bytes of plaintext, whole sectors. A stream whose end is not known asks
    /// for more than it will write.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] when that is no whole number of sectors or ends beyond 2^64.
    pub fn mapping(&self, payload_bytes: u64) -> Result<Mapping, Error> {
        let offset = self.layout.data_offset;
        let options = SectorOptions {
            sector_size: self.sector_size,
            iv_large_sectors: false,
        };
        let cipher = self
            .cipher
            .sector_cipher(self.key.expose(), options)
            .map_err(InvalidOption::from)?;
        let segment = Segment {
            length: payload_bytes,
            storage_offset: offset,
            elsewhere: None,
            kind: SegmentKind::Crypt {
                cipher: Arc::from(cipher),
                first_iv_sector: 0,
            },
        };
        Mapping::new(vec![segment]).map_err(|error| {
            InvalidOption::Payload {
                payload: payload_bytes,
                offset,
                problem: error.to_string(),
            }
            .into()
        })
    }
}

/// What a container of these options says, with zeros where salts and digest will be: no key has been made yet.
pub(crate) fn blank(options: &FormatOptions) -> Result<luks2::Metadata, Error> {
    let layout = Layout::new(options)?;
    let salt = [0; SALT_BYTES];
    let digest = vec![0; options.hash.digest_bytes()];
    Ok(luks2_metadata(options, &layout, [&salt; 2], &digest)?)
}

fn luks2_metadata(
    options: &FormatOptions,
    layout: &Layout,
    [kdf_salt, digest_salt]: [&[u8]; 2],
    digest: &[u8],
) -> Result<luks2::Metadata, Corrupt> {
    let (area_cipher, area_key_bytes) = area_cipher(options);
    let new = NewMetadata {
        header_bytes: options.metadata_bytes,
        keyslots_bytes: layout.keyslots_bytes,
        keyslot: NewKeyslot {
            key_bytes: options.key_bytes,
            area_offset: layout.area_offset,
            area_bytes: layout.area_bytes,
            area_cipher: &area_cipher.to_string(),
            area_key_bytes,
            hash: options.hash.name(),
            kdf: &options.kdf,
            kdf_salt,
        },
        digest: NewDigest {
            keyslot: options.keyslot,
            segment: Some(0),
            hash: options.hash.name(),
            iterations: options.digest_iterations,
            salt: digest_salt,
            digest,
        },
        data_offset: layout.data_offset,
        cipher: &options.cipher.to_string(),
        sector_size: u32::try_from(options.sector_size.bytes()).expect("at most 4096"),
    };
    new.build()
}

fn area_cipher(options: &FormatOptions) -> (CipherSpec, usize) {
    if let Some(cipher) = &options.keyslot_cipher {
        return cipher.clone();
    }
    match options.version {
        Version::Luks2 => sealing::luks2_area_cipher(&options.cipher, options.key_bytes),
        Version::Luks1 => (options.cipher.clone(), options.key_bytes),
    }
}

fn luks1_header(
    options: &FormatOptions,
    layout: &Layout,
    [kdf_salt, mk_digest_salt]: [[u8; SALT_BYTES]; 2],
    digest: &[u8],
    uuid: String,
) -> luks1::Header {
    let (cipher_name, cipher_mode) = options
        .cipher
        .luks1_fields()
        .expect("checked with the layout");
    let mut keyslots = layout.luks1_keyslots();
    let slot = &mut keyslots[to_usize(options.keyslot)];
    slot.active = true;
    slot.salt = kdf_salt;
    slot.iterations = match options.kdf {
        KdfParams::Pbkdf2 { iterations, .. } => iterations,
        KdfParams::Argon2 { .. } => unreachable!("checked with the layout"),
    };
    luks1::Header {
        cipher_name,
        cipher_mode,
        hash_spec: options.hash.name().into(),
        payload_offset_sectors: u32::try_from(layout.data_offset / dmcrypt::SECTOR_BYTES)
            .expect("checked with the layout"),
        key_bytes: u32::try_from(options.key_bytes).expect("a key size that the cipher takes"),
        mk_digest: digest.try_into().expect("derived to this length"),
        mk_digest_salt,
        mk_digest_iterations: options.digest_iterations,
        uuid,
        keyslots,
    }
}

impl NewHeader {
    fn copies(&self, random: &mut dyn Random) -> Result<Vec<Placed>, Error> {
        match self {
            Self::Luks1(header) => {
                // The whole first block: nothing of what was there before stays behind the header.
                let mut block = header.to_bytes();
                block.resize(BinaryHeader::BYTES, 0);
                Ok(vec![(0, block)])
            }
            Self::Luks2(header) => luks2_copies(header, random),
        }
    }
}

/// "The salt is generated by an RNG and is different for every header" copy (LUKS2 specification 2.1).
fn luks2_copies(header: &luks2::Header, random: &mut dyn Random) -> Result<Vec<Placed>, Error> {
    let mut copies = Vec::with_capacity(2);
    for (which, at) in [
        (Which::Primary, 0),
        (Which::Secondary, header.binary.header_bytes),
    ] {
        let mut salt = [0; 64];
        random.fill(&mut salt)?;
        copies.push((at, header.to_bytes(which, salt)?));
    }
    Ok(copies)
}

/// The one that was asked for, or a random one (RFC 9562 5.4).
fn uuid(options: &FormatOptions, random: &mut dyn Random) -> Result<String, RandomError> {
    let uuid = if let Some(text) = &options.uuid {
        // Whatever its spelling: the field holds the usual one.
        uuid::Uuid::parse_str(text).expect("checked with the layout")
    } else {
        let mut bytes = [0; 16];
        random.fill(&mut bytes)?;
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    };
    Ok(uuid.to_string())
}
