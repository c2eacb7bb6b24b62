//! From the options to a new LUKS container.

use std::time::Duration;

use dmcrypt::{CipherSpec, HashAlgorithm, SectorSize};
use luks::kdf::{Argon2Variant, CalibrationTarget};
use luks::{FormatOptions, InvalidOption, KdfLimits, KdfParams, Version, defaults};

use crate::args::number::ITER_TIME_MS;
use crate::args::{ContainerArgs, CostArgs, FormatArgs, KeyslotCipherArgs, Pbkdf};
use crate::error::Error;
use crate::output;
use jobs::limits;

/// A container to be made, checked; nothing is measured yet.
pub struct NewLuks {
    options: FormatOptions,
    cost: Cost,
}

/// How the key derivation gets its cost.
enum Cost {
    /// As given.
    Forced,
    /// Measured, to take so long.
    Measured(Duration),
}

impl NewLuks {
    /// Understands the options. `sector_size` is used unless one is given; `name` is the container's.
    pub fn new(
        name: &str,
        version: Version,
        container: &ContainerArgs,
        format: &FormatArgs,
        detached: bool,
        sector_size: SectorSize,
    ) -> Result<Self, Error> {
        let invalid = |error: InvalidOption| Error::luks(name, error.into());
        let cipher: CipherSpec = match &container.cipher {
            Some(text) => text
                .parse()
                .map_err(|error| invalid(InvalidOption::Cipher(error)))?,
            None => FormatOptions::default().cipher,
        };
        let key_bytes = match container.key_size {
            Some(bits) if bits % 8 != 0 => return Err(Error::KeyBits { bits }),
            Some(bits) => bits as usize / 8,
            // Twice the size for the two keys of XTS.
            None if cipher.check_key_bytes(defaults::XTS_KEY_BYTES).is_ok() => {
                defaults::XTS_KEY_BYTES
            }
            None => defaults::KEY_BYTES,
        };
        let hash = match &container.hash {
            Some(name) => {
                HashAlgorithm::parse(name).map_err(|error| invalid(InvalidOption::Cipher(error)))?
            }
            None => defaults::HASH,
        };
        let sector_size = match container.sector_size {
            Some(bytes) => SectorSize::new(bytes).ok_or(Error::SectorSize { bytes })?,
            None => sector_size,
        };
        let options = FormatOptions {
            version,
            cipher,
            // Who makes a container was asked for --allow-weak-cipher.
            null_cipher: true,
            key_bytes,
            hash,
            sector_size,
            kdf: forced_kdf(version, hash, &format.cost)?,
            digest_iterations: defaults::PBKDF2_MIN_ITERATIONS,
            keyslot: format.key_slot.unwrap_or(0),
            detached,
            data_offset: match container.offset {
                Some(sectors) => {
                    let bytes = sectors.checked_mul(dmcrypt::SECTOR_BYTES);
                    Some(bytes.ok_or(invalid(InvalidOption::DataOffsetTooLarge(sectors)))?)
                }
                None => None,
            },
            metadata_bytes: format
                .luks2_metadata_size
                .unwrap_or(defaults::LUKS2_METADATA_BYTES),
            keyslots_bytes: format.luks2_keyslots_size,
            keyslot_cipher: keyslot_cipher(name, &format.keyslot_cipher)?,
            uuid: format.uuid.clone(),
            label: format.label.clone().unwrap_or_default(),
            subsystem: format.subsystem.clone().unwrap_or_default(),
            threads: limits::processors(),
        };
        if version == Version::Luks1
            && (format.luks2_metadata_size.is_some() || options.keyslots_bytes.is_some())
        {
            return Err(invalid(InvalidOption::Luks1Cannot {
                what: "--luks2-metadata-size or --luks2-keyslots-size".into(),
            }));
        }
        luks::Layout::new(&options).map_err(invalid)?;
        Ok(Self {
            options,
            cost: Cost::of(&format.cost),
        })
    }

    /// The options as far as they are known without measuring.
    pub fn options(&self) -> &FormatOptions {
        &self.options
    }

    /// Measures what the key derivation may cost, which takes seconds, and gives the options whole.
    pub fn measured(self) -> FormatOptions {
        let mut options = self.options;
        if let Cost::Measured(wanted) = self.cost {
            let key_bytes = options.keyslot_cipher.as_ref();
            let key_bytes = key_bytes.map_or(options.key_bytes, |(_, bytes)| *bytes);
            options.kdf = measured_kdf(&options.kdf, key_bytes, wanted);
            options.digest_iterations = limits::calibrated_digest(options.hash);
        }
        options
    }
}

impl Cost {
    fn of(args: &CostArgs) -> Self {
        match args.pbkdf_force_iterations {
            Some(_) => Self::Forced,
            None => Self::Measured(Duration::from_millis(
                args.iter_time.unwrap_or(defaults::ITER_TIME_MS),
            )),
        }
    }
}

/// The cipher of a new keyslot's area in the container `name` and the size of its key in bytes, where they are given.
pub fn keyslot_cipher(
    name: &str,
    args: &KeyslotCipherArgs,
) -> Result<Option<(CipherSpec, usize)>, Error> {
    match (&args.keyslot_cipher, args.keyslot_key_size) {
        (Some(_), Some(bits)) if !bits.is_multiple_of(8) => Err(Error::KeyBits { bits }),
        (Some(text), Some(bits)) => {
            let spec = text
                .parse()
                .map_err(|error| Error::luks(name, InvalidOption::Cipher(error).into()))?;
            Ok(Some((spec, bits as usize / 8)))
        }
        _ => Ok(None),
    }
}

/// The key derivation of a new keyslot in a container that there is; it is measured, which takes seconds, unless its
/// cost is given.
pub fn keyslot_kdf(
    version: Version,
    hash: HashAlgorithm,
    key_bytes: usize,
    args: &CostArgs,
) -> Result<KdfParams, Error> {
    let kdf = forced_kdf(version, hash, args)?;
    Ok(match Cost::of(args) {
        Cost::Forced => kdf,
        Cost::Measured(wanted) => measured_kdf(&kdf, key_bytes, wanted),
    })
}

fn measured_kdf(kdf: &KdfParams, key_bytes: usize, wanted: Duration) -> KdfParams {
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
        output::warn(busy(&kdf, wanted, undisturbed));
    }
    kdf
}

/// What is said of a key derivation that became cheap because others kept the machine busy.
fn busy(kdf: &KdfParams, wanted: Duration, undisturbed: Duration) -> String {
    format!(
        "this machine is busy: the key derivation became {}, which takes {:.2} s of it alone where {:.2} s were wanted; \
         --pbkdf-force-iterations says what it is to be",
        kdf_name(kdf),
        undisturbed.as_secs_f64(),
        wanted.as_secs_f64()
    )
}

/// The key derivation with the costs that are given, and where none is with the least (PBKDF2's iterations, Argon2's
/// passes) or the most (memory, lanes), which measuring replaces.
fn forced_kdf(version: Version, hash: HashAlgorithm, args: &CostArgs) -> Result<KdfParams, Error> {
    let kdf = given_kdf(version, hash, args)?;
    if args.pbkdf_force_iterations.is_some() {
        check_cost(&kdf)?;
    }
    Ok(kdf)
}

/// Refuses what would take longer than the longest time that can be asked for, on a machine of usual speed: no machine
/// is fast enough that a number with some digits too many would mean something.
fn check_cost(kdf: &KdfParams) -> Result<(), Error> {
    let most = Duration::from_millis(*ITER_TIME_MS.end());
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
fn kdf_name(kdf: &KdfParams) -> String {
    match kdf {
        KdfParams::Pbkdf2 { iterations, .. } => format!("pbkdf2 with {iterations} iterations"),
        KdfParams::Argon2 {
            time, memory_kib, ..
        } => format!("{} with {time} passes over {memory_kib} KiB", kdf.name()),
    }
}

fn given_kdf(version: Version, hash: HashAlgorithm, args: &CostArgs) -> Result<KdfParams, Error> {
    let kind = args.pbkdf.unwrap_or(match version {
        Version::Luks1 => Pbkdf::Pbkdf2,
        Version::Luks2 => Pbkdf::Argon2id,
    });
    let variant = match kind {
        Pbkdf::Pbkdf2 if args.pbkdf_memory.is_some() => {
            return Err(Error::Conflict {
                one: "--pbkdf-memory",
                other: "--pbkdf pbkdf2",
            });
        }
        Pbkdf::Pbkdf2 if args.pbkdf_parallel.is_some() => {
            return Err(Error::Conflict {
                one: "--pbkdf-parallel",
                other: "--pbkdf pbkdf2",
            });
        }
        Pbkdf::Pbkdf2 => {
            let iterations = args
                .pbkdf_force_iterations
                .unwrap_or(defaults::PBKDF2_MIN_ITERATIONS);
            return Ok(KdfParams::Pbkdf2 { hash, iterations });
        }
        Pbkdf::Argon2i => Argon2Variant::I,
        Pbkdf::Argon2id => Argon2Variant::Id,
    };
    Ok(KdfParams::Argon2 {
        variant,
        time: args
            .pbkdf_force_iterations
            .unwrap_or(defaults::ARGON2_MIN_TIME),
        memory_kib: args
            .pbkdf_memory
            .unwrap_or_else(limits::calibration_memory_kib),
        lanes: args
            .pbkdf_parallel
            .unwrap_or_else(limits::calibration_lanes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
