//! A new LUKS container, from what is wanted of it.

use std::time::Duration;

use dmcrypt::{CipherSpec, HashAlgorithm, SectorSize};
use luks::kdf::{Argon2Variant, CalibrationTarget};
use luks::{FormatOptions, InvalidOption, KdfLimits, KdfParams, Layout, Version, defaults};

use crate::error::Error;
use crate::limits;
use crate::report::Report;
use crate::watch::Watch;

/// What a new LUKS container is to be. What is not said is as cryptsetup has it.
#[derive(Clone, Debug)]
pub struct LuksOptions {
    /// LUKS2 unless said.
    pub version: Version,
    /// Cipher specification, such as `aes-xts-plain64`.
    pub cipher: Option<String>,
    /// Size of the volume key in bits.
    pub key_bits: Option<u32>,
    /// The hash of the key derivations.
    pub hash: Option<String>,
    /// Bytes that are encrypted as one.
    pub sector_bytes: Option<u32>,
    /// Where the data start, in units of 512 bytes.
    pub offset_sectors: Option<u64>,
    /// They start at the next multiple of so many of these units behind the keyslots, and of 4096 bytes; where the header
    /// is elsewhere, at that itself. None is not said.
    pub align_sectors: Option<u64>,
    /// What it costs to guess the passphrase.
    pub cost: Cost,
    /// The keyslot to use; the first one unless said.
    pub keyslot: Option<u32>,
    /// UUID; a random one unless said.
    pub uuid: Option<String>,
    /// Label (LUKS2).
    pub label: Option<String>,
    /// Second label (LUKS2).
    pub subsystem: Option<String>,
    /// Size of one header copy in bytes (LUKS2).
    pub metadata_bytes: Option<u64>,
    /// Size of the keyslots area in bytes (LUKS2).
    pub keyslots_bytes: Option<u64>,
    /// How the keyslot's area is encrypted (LUKS2); as the data unless said.
    pub keyslot_cipher: Option<KeyslotCipher>,
}

impl Default for LuksOptions {
    fn default() -> Self {
        Self {
            version: Version::Luks2,
            cipher: None,
            key_bits: None,
            hash: None,
            sector_bytes: None,
            offset_sectors: None,
            align_sectors: None,
            cost: Cost::default(),
            keyslot: None,
            uuid: None,
            label: None,
            subsystem: None,
            metadata_bytes: None,
            keyslots_bytes: None,
            keyslot_cipher: None,
        }
    }
}

impl LuksOptions {
    /// `luks1` or `luks2`.
    pub fn kind(&self) -> &'static str {
        kind(self.version)
    }
}

fn kind(version: Version) -> &'static str {
    match version {
        Version::Luks1 => "luks1",
        Version::Luks2 => "luks2",
    }
}

/// How a keyslot's area is encrypted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyslotCipher {
    /// Cipher specification.
    pub cipher: String,
    /// Size of its key in bits.
    pub key_bits: u32,
}

/// What a new keyslot costs to guess. Without iterations that is measured, which takes seconds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// The key derivation: Argon2id unless said, in LUKS1 PBKDF2.
    pub kdf: Option<Kdf>,
    /// Time that unlocking shall take on this machine; two seconds unless said.
    pub time: Option<Duration>,
    /// Most memory of Argon2, in KiB; 1 GiB or half of what there is unless said.
    pub memory_kib: Option<u32>,
    /// Lanes of Argon2; as many as processors, at most four, unless said.
    pub lanes: Option<u32>,
    /// Iterations of PBKDF2 or passes of Argon2: nothing is measured then.
    pub iterations: Option<u32>,
}

/// A key derivation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kdf {
    /// PBKDF2, the only one that LUKS1 has.
    Pbkdf2,
    /// Argon2i.
    Argon2i,
    /// Argon2id.
    Argon2id,
}

impl Cost {
    /// The longest time that can be asked for, in milliseconds.
    pub const MOST_TIME_MS: u64 = 300_000;
    /// What [`Self::memory_kib`] is in an [`Error::Conflict`].
    pub const MEMORY: &str = "memory of Argon2";
    /// What [`Self::lanes`] is in one.
    pub const LANES: &str = "lanes of Argon2";
    /// What [`Kdf::Pbkdf2`] is in one.
    pub const PBKDF2: &str = "PBKDF2";

    /// Iterations of a new digest of a volume key: few where nothing is measured.
    pub fn digest_iterations(&self, hash: HashAlgorithm) -> u32 {
        match self.iterations {
            Some(_) => defaults::PBKDF2_MIN_ITERATIONS,
            None => limits::calibrated_digest(hash),
        }
    }

    fn is_measured(&self) -> Option<Duration> {
        let usual = Duration::from_millis(defaults::ITER_TIME_MS);
        self.iterations
            .is_none()
            .then(|| self.time.unwrap_or(usual))
    }
}

/// A container to be made, checked; nothing is measured yet.
pub struct NewLuks {
    options: FormatOptions,
    /// The time that its key derivation is to take, where that is measured.
    measured: Option<Duration>,
}

impl NewLuks {
    /// Understands the options. `sector_size` is used unless one is given; `name` is the container's.
    pub fn new(
        name: &str,
        wanted: &LuksOptions,
        detached: bool,
        sector_size: SectorSize,
    ) -> Result<Self, Error> {
        let version = wanted.version;
        let invalid = |error: InvalidOption| Error::luks(name, error.into());
        let cipher: CipherSpec = match &wanted.cipher {
            Some(text) => text
                .parse()
                .map_err(|error| invalid(InvalidOption::Cipher(error)))?,
            None => FormatOptions::default().cipher,
        };
        let key_bytes = match wanted.key_bits {
            Some(bits) if bits % 8 != 0 => return Err(Error::KeyBits { bits }),
            Some(bits) => bits as usize / 8,
            // Twice the size for the two keys of XTS.
            None if cipher.check_key_bytes(defaults::XTS_KEY_BYTES).is_ok() => {
                defaults::XTS_KEY_BYTES
            }
            None => defaults::KEY_BYTES,
        };
        let hash = match &wanted.hash {
            Some(name) => {
                HashAlgorithm::parse(name).map_err(|error| invalid(InvalidOption::Cipher(error)))?
            }
            None => defaults::HASH,
        };
        let sector_size = match wanted.sector_bytes {
            Some(bytes) => SectorSize::new(bytes).ok_or(Error::SectorSize { bytes })?,
            None => sector_size,
        };
        let too_large = |sectors| invalid(InvalidOption::DataOffsetTooLarge(sectors));
        let mut options = FormatOptions {
            version,
            cipher,
            // Who makes a container was asked for --allow-weak-cipher.
            null_cipher: true,
            equal_xts_halves: false,
            key_bytes,
            hash,
            sector_size,
            kdf: forced_kdf(version, hash, &wanted.cost)?,
            digest_iterations: defaults::PBKDF2_MIN_ITERATIONS,
            keyslot: wanted.keyslot.unwrap_or(0),
            detached,
            data_offset: match wanted.offset_sectors {
                Some(sectors) => {
                    let bytes = sectors.checked_mul(dmcrypt::SECTOR_BYTES);
                    Some(bytes.ok_or(too_large(sectors))?)
                }
                None => None,
            },
            metadata_bytes: wanted
                .metadata_bytes
                .unwrap_or(defaults::LUKS2_METADATA_BYTES),
            keyslots_bytes: wanted.keyslots_bytes,
            keyslot_cipher: keyslot_cipher(name, wanted.keyslot_cipher.as_ref())?,
            uuid: wanted.uuid.clone(),
            label: wanted.label.clone().unwrap_or_default(),
            subsystem: wanted.subsystem.clone().unwrap_or_default(),
            threads: limits::processors(),
        };
        if version == Version::Luks1
            && (wanted.metadata_bytes.is_some() || options.keyslots_bytes.is_some())
        {
            return Err(invalid(InvalidOption::Luks1Cannot {
                what: "sizes of header copies and of the keyslots area".into(),
            }));
        }
        let layout = Layout::new(&options).map_err(invalid)?;
        if let Some(sectors) = wanted.align_sectors.filter(|sectors| *sectors != 0) {
            let start = if detached {
                sectors.checked_mul(dmcrypt::SECTOR_BYTES)
            } else {
                aligned(layout.keyslots_offset + layout.keyslots_bytes, sectors)
            };
            options.data_offset = Some(start.ok_or(too_large(sectors))?);
            Layout::new(&options).map_err(invalid)?;
        }
        Ok(Self {
            options,
            measured: wanted.cost.is_measured(),
        })
    }

    /// The options as far as they are known without measuring.
    pub fn options(&self) -> &FormatOptions {
        &self.options
    }

    /// The same in a header of LUKS2, apart from its data that start at `data_offset`, which says nothing that LUKS1 could
    /// not.
    pub(crate) fn raised(self, data_offset: u64) -> Self {
        let options = FormatOptions {
            version: Version::Luks2,
            keyslot_cipher: Some((self.options.cipher.clone(), self.options.key_bytes)),
            detached: true,
            data_offset: Some(data_offset),
            ..self.options
        };
        Self { options, ..self }
    }

    /// Measures what the key derivation may cost, which takes seconds, and gives the options whole.
    pub fn measured(self, watch: &dyn Watch) -> FormatOptions {
        let mut options = self.options;
        if let Some(wanted) = self.measured {
            let key_bytes = options.keyslot_cipher.as_ref();
            let key_bytes = key_bytes.map_or(options.key_bytes, |(_, bytes)| *bytes);
            options.kdf = measured_kdf(&options.kdf, key_bytes, wanted, watch);
            options.digest_iterations = limits::calibrated_digest(options.hash);
        }
        options
    }
}

/// The first byte from `end` on that is a multiple of so many units of 512 bytes and of what data can start at.
fn aligned(end: u64, sectors: u64) -> Option<u64> {
    let step = sectors.checked_mul(dmcrypt::SECTOR_BYTES)?;
    let mut start = end.checked_next_multiple_of(step)?;
    while !start.is_multiple_of(defaults::AREA_ALIGNMENT) {
        start = start.checked_add(step)?;
    }
    Some(start)
}

/// What is said of a container that is made so in `destination`.
pub fn report(made: &FormatOptions, layout: &Layout, destination: String) -> Report {
    Report {
        dry_run: false,
        source: None,
        destination,
        header: None,
        kind: kind(made.version),
        cipher: made.cipher.to_string(),
        key_bits: made.key_bytes as u64 * 8,
        sector_size: made.sector_size.bytes() as u64,
        sector_size_reason: None,
        format: None,
        payload_offset: layout.data_offset,
        payload_bytes: None,
        container_bytes: None,
        keyslot: Some(made.keyslot),
        lost: None,
    }
}

/// The cipher of a new keyslot's area in the container `name` and the size of its key in bytes, where they are given.
pub fn keyslot_cipher(
    name: &str,
    wanted: Option<&KeyslotCipher>,
) -> Result<Option<(CipherSpec, usize)>, Error> {
    let Some(KeyslotCipher { cipher, key_bits }) = wanted else {
        return Ok(None);
    };
    if !key_bits.is_multiple_of(8) {
        return Err(Error::KeyBits { bits: *key_bits });
    }
    let spec = cipher
        .parse()
        .map_err(|error| Error::luks(name, InvalidOption::Cipher(error).into()))?;
    Ok(Some((spec, *key_bits as usize / 8)))
}

/// The key derivation of a new keyslot in a container that there is; it is measured, which takes seconds, unless its
/// cost is given.
pub fn keyslot_kdf(
    version: Version,
    hash: HashAlgorithm,
    key_bytes: usize,
    cost: &Cost,
    watch: &dyn Watch,
) -> Result<KdfParams, Error> {
    let kdf = forced_kdf(version, hash, cost)?;
    Ok(match cost.is_measured() {
        None => kdf,
        Some(wanted) => measured_kdf(&kdf, key_bytes, wanted, watch),
    })
}

fn measured_kdf(
    kdf: &KdfParams,
    key_bytes: usize,
    wanted: Duration,
    watch: &dyn Watch,
) -> KdfParams {
    let target = match *kdf {
        KdfParams::Pbkdf2 { hash, .. } => CalibrationTarget::Pbkdf2 { hash },
        KdfParams::Argon2 {
            variant,
            memory_kib,
            lanes,
            ..
        } => CalibrationTarget::Argon2 {
            variant,
            max_memory_kib: memory_kib,
            lanes,
        },
    };
    let (kdf, undisturbed) = limits::calibrated_kdf(target, key_bytes, wanted);
    if let Some(undisturbed) = undisturbed {
        watch.machine_is_busy(&busy(&kdf, wanted, undisturbed));
    }
    kdf
}

/// What is said of a key derivation that became cheap because others kept the machine busy.
fn busy(kdf: &KdfParams, wanted: Duration, undisturbed: Duration) -> String {
    format!(
        "this machine is busy: the key derivation became {}, which takes {:.2} s of it alone where {:.2} s were wanted",
        kdf_name(kdf),
        undisturbed.as_secs_f64(),
        wanted.as_secs_f64()
    )
}

/// The key derivation with the costs that are given, and where none is with the least (PBKDF2's iterations, Argon2's
/// passes) or the most (memory, lanes), which measuring replaces.
fn forced_kdf(version: Version, hash: HashAlgorithm, cost: &Cost) -> Result<KdfParams, Error> {
    let kdf = given_kdf(version, hash, cost)?;
    if cost.iterations.is_some() {
        check_cost(&kdf)?;
    }
    Ok(kdf)
}

/// Refuses what would take longer than the longest time that can be asked for, on a machine of usual speed: no machine
/// is fast enough that a number with some digits too many would mean something.
fn check_cost(kdf: &KdfParams) -> Result<(), Error> {
    let most = Duration::from_millis(Cost::MOST_TIME_MS);
    let usual = KdfLimits::default();
    if usual.estimate(kdf, defaults::XTS_KEY_BYTES, limits::ONE_SLOT) <= most {
        return Ok(());
    }
    Err(Error::KdfTooCostly {
        kdf: kdf_name(kdf),
        minutes: most.as_secs() / 60,
    })
}

/// A key derivation with its costs, for people.
pub(crate) fn kdf_name(kdf: &KdfParams) -> String {
    match kdf {
        KdfParams::Pbkdf2 { iterations, .. } => format!("pbkdf2 with {iterations} iterations"),
        KdfParams::Argon2 {
            time, memory_kib, ..
        } => format!("{} with {time} passes over {memory_kib} KiB", kdf.name()),
    }
}

fn given_kdf(version: Version, hash: HashAlgorithm, cost: &Cost) -> Result<KdfParams, Error> {
    let kind = cost.kdf.unwrap_or(match version {
        Version::Luks1 => Kdf::Pbkdf2,
        Version::Luks2 => Kdf::Argon2id,
    });
    let variant = match kind {
        Kdf::Pbkdf2 if cost.memory_kib.is_some() => {
            return Err(Error::Conflict {
                one: Cost::MEMORY,
                other: Cost::PBKDF2,
            });
        }
        Kdf::Pbkdf2 if cost.lanes.is_some() => {
            return Err(Error::Conflict {
                one: Cost::LANES,
                other: Cost::PBKDF2,
            });
        }
        Kdf::Pbkdf2 => {
            let iterations = cost.iterations.unwrap_or(defaults::PBKDF2_MIN_ITERATIONS);
            return Ok(KdfParams::Pbkdf2 { hash, iterations });
        }
        Kdf::Argon2i => Argon2Variant::I,
        Kdf::Argon2id => Argon2Variant::Id,
    };
    Ok(KdfParams::Argon2 {
        variant,
        time: cost.iterations.unwrap_or(defaults::ARGON2_MIN_TIME),
        memory_kib: cost
            .memory_kib
            .unwrap_or_else(limits::calibration_memory_kib),
        lanes: cost.lanes.unwrap_or_else(limits::calibration_lanes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_start_at_a_multiple_of_what_is_asked_for() {
        for (end, sectors, start) in [
            (16 << 20, 8192, Some(16 << 20)),
            ((16 << 20) + 1, 8192, Some(20 << 20)),
            // Multiples of 7 units of 512 bytes, of which each eighth is one of 4096 bytes.
            (1 << 20, 7, Some(1_060_864)),
            (1 << 20, 1, Some(1 << 20)),
            (1 << 20, u64::MAX, None),
            (u64::MAX - 4096, 8192, None),
        ] {
            assert_eq!(aligned(end, sectors), start, "{end} {sectors}");
        }
    }

    #[test]
    fn what_became_of_the_costs_and_what_was_wanted_is_named() {
        let kdf = KdfParams::Argon2 {
            variant: Argon2Variant::Id,
            time: 4,
            memory_kib: 65536,
            lanes: 4,
        };
        let said = busy(&kdf, Duration::from_secs(2), Duration::from_millis(180));
        for part in ["argon2id with 4 passes over 65536 KiB", "0.18 s", "2.00 s"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
