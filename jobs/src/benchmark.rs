//! What ciphers and key derivations do on this machine, measured in memory.

use std::time::Duration;

use dmcrypt::{AesKernel, CipherSpec, HashAlgorithm, SectorOptions, SectorSize};
use luks::kdf::{Argon2Variant, CalibrationTarget};
use luks::{KdfParams, defaults};
use serde::Serialize;

use crate::limits::{self, Stopwatch};

/// The hashes that PBKDF2 is measured with unless said.
pub const HASHES: [HashAlgorithm; 5] = [
    HashAlgorithm::Sha1,
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha512,
    HashAlgorithm::Ripemd160,
    HashAlgorithm::Whirlpool,
];

/// The ciphers that are measured unless said, and the bits of their keys.
pub const CIPHERS: [(&str, u32); 12] = [
    ("aes-cbc", 128),
    ("serpent-cbc", 128),
    ("twofish-cbc", 128),
    ("aes-cbc", 256),
    ("serpent-cbc", 256),
    ("twofish-cbc", 256),
    ("aes-xts", 256),
    ("serpent-xts", 256),
    ("twofish-xts", 256),
    ("aes-xts", 512),
    ("serpent-xts", 512),
    ("twofish-xts", 512),
];

/// How much is encrypted at once: it stays in the cache of a core.
const AREA_KIB: u16 = 128;
/// How long each direction of a cipher is measured.
const ONE_DIRECTION: Duration = Duration::from_millis(200);

/// What is measured. Unless said, all that cryptsetup measures.
#[derive(Clone, Debug)]
pub struct BenchmarkOptions {
    /// The hashes of PBKDF2.
    pub hashes: Vec<HashAlgorithm>,
    /// The variants of Argon2.
    pub variants: Vec<Argon2Variant>,
    /// The ciphers, as [`cipher_spec`] reads them, and the bits of their keys.
    pub ciphers: Vec<(String, u32)>,
    /// Size of a derived key.
    pub key_bits: u32,
    /// Bytes that are encrypted as one.
    pub sector_size: SectorSize,
    /// The time that Argon2 is to take, in milliseconds.
    pub time_ms: u64,
    /// The most memory that it may take; what suits this machine unless said.
    pub max_memory_kib: Option<u32>,
    /// Its lanes; as many as suit this machine unless said.
    pub lanes: Option<u32>,
}

impl Default for BenchmarkOptions {
    fn default() -> Self {
        let ciphers = CIPHERS.iter();
        Self {
            hashes: HASHES.to_vec(),
            variants: vec![Argon2Variant::I, Argon2Variant::Id],
            ciphers: ciphers
                .map(|(text, bits)| ((*text).to_owned(), *bits))
                .collect(),
            key_bits: 256,
            sector_size: SectorSize::B512,
            time_ms: defaults::ITER_TIME_MS,
            max_memory_kib: None,
            lanes: None,
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Benchmark {
    /// The inner loops of AES.
    pub aes_kernels: AesKernels,
    /// PBKDF2.
    pub pbkdf2: Vec<Pbkdf2Speed>,
    /// Argon2.
    pub argon2: Vec<Argon2Costs>,
    /// Ciphers.
    pub ciphers: Vec<CipherSpeed>,
}

/// The inner loops of AES, by name.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AesKernels {
    /// Those that this processor has.
    pub available: Vec<&'static str>,
    /// The one that runs.
    pub used: &'static str,
}

impl AesKernels {
    /// Those of this processor.
    pub fn here() -> Self {
        let all = AesKernel::here();
        Self {
            available: all.iter().map(|kernel| kernel.name()).collect(),
            used: AesKernel::best().name(),
        }
    }
}

/// One of the things that are measured.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Measured<'a> {
    /// PBKDF2 with one hash.
    Pbkdf2(&'a Pbkdf2Speed),
    /// One variant of Argon2.
    Argon2(&'a Argon2Costs),
    /// One cipher.
    Cipher(&'a CipherSpeed),
}

/// Measures one thing after the other; `told` hears of each as soon as it is known.
///
/// # Errors
///
/// A cipher that there is not, or that does not take the key; what `told` says.
pub fn benchmark<E: From<dmcrypt::Error>>(
    options: &BenchmarkOptions,
    mut told: impl FnMut(Measured<'_>) -> Result<(), E>,
) -> Result<Benchmark, E> {
    let mut done = Benchmark {
        aes_kernels: AesKernels::here(),
        pbkdf2: Vec::new(),
        argon2: Vec::new(),
        ciphers: Vec::new(),
    };
    for &hash in &options.hashes {
        let speed = Pbkdf2Speed::measure(hash, options.key_bits);
        told(Measured::Pbkdf2(&speed))?;
        done.pbkdf2.push(speed);
    }
    for &variant in &options.variants {
        let memory = options.max_memory_kib;
        let costs = Argon2Costs::measure(
            variant,
            options.key_bits,
            options.time_ms,
            memory.unwrap_or_else(limits::calibration_memory_kib),
            options.lanes.unwrap_or_else(limits::calibration_lanes),
        );
        told(Measured::Argon2(&costs))?;
        done.argon2.push(costs);
    }
    for (text, bits) in &options.ciphers {
        let speed = CipherSpeed::measure(cipher_spec(text)?, *bits, options.sector_size)?;
        told(Measured::Cipher(&speed))?;
        done.ciphers.push(speed);
    }
    Ok(done)
}

/// What PBKDF2 does in a second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pbkdf2Speed {
    /// The hash of the HMAC.
    #[serde(serialize_with = "members::hash_name")]
    pub hash: HashAlgorithm,
    /// Size of the derived key.
    pub key_bits: u32,
    /// Never below 1000.
    pub iterations_per_second: u32,
}

impl Pbkdf2Speed {
    /// Measures it, which takes about a tenth of a second.
    pub fn measure(hash: HashAlgorithm, key_bits: u32) -> Self {
        let target = CalibrationTarget::Pbkdf2 { hash };
        let second = Duration::from_secs(1);
        match limits::calibrated_kdf(target, key_bits as usize / 8, second).0 {
            KdfParams::Pbkdf2 { hash, iterations } => Self {
                hash,
                key_bits,
                iterations_per_second: iterations,
            },
            KdfParams::Argon2 { .. } => unreachable!("PBKDF2 was asked for"),
        }
    }
}

/// The costs with which Argon2 takes the time that was asked for.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Argon2Costs {
    /// Which of the variants.
    #[serde(rename = "kdf", serialize_with = "members::variant_name")]
    pub variant: Argon2Variant,
    /// Size of the derived key.
    pub key_bits: u32,
    /// The time that was asked for, in milliseconds.
    pub requested_ms: u64,
    /// Passes.
    pub time: u32,
    /// Memory.
    pub memory_kib: u32,
    /// Lanes, each a thread.
    pub lanes: u32,
}

impl Argon2Costs {
    /// Measures them, within this memory, which takes a few times what was asked for.
    pub fn measure(
        variant: Argon2Variant,
        key_bits: u32,
        requested_ms: u64,
        max_memory_kib: u32,
        lanes: u32,
    ) -> Self {
        let target = CalibrationTarget::Argon2 {
            variant,
            max_memory_kib,
            lanes,
        };
        let requested = Duration::from_millis(requested_ms);
        match limits::calibrated_kdf(target, key_bits as usize / 8, requested).0 {
            KdfParams::Argon2 {
                variant,
                time,
                memory_kib,
                lanes,
            } => Self {
                variant,
                key_bits,
                requested_ms,
                time,
                memory_kib,
                lanes,
            },
            KdfParams::Pbkdf2 { .. } => unreachable!("Argon2 was asked for"),
        }
    }

    /// LUKS2's name of the variant.
    pub fn name(&self) -> &'static str {
        name(self.variant)
    }
}

/// What a sector cipher does in a second, on one core and in its cache.
#[derive(Clone, Debug, Serialize)]
pub struct CipherSpeed {
    /// The cipher, its mode and IVs.
    #[serde(rename = "cipher", serialize_with = "members::cipher_name")]
    pub spec: CipherSpec,
    /// Size of all keys together.
    pub key_bits: u32,
    /// Bytes that are encrypted as one.
    #[serde(rename = "sector_bytes", serialize_with = "members::bytes")]
    pub sector_size: SectorSize,
    /// MiB a second.
    pub encryption_mib_s: f64,
    /// MiB a second.
    pub decryption_mib_s: f64,
}

impl CipherSpeed {
    /// Measures it, which takes about half a second.
    ///
    /// # Errors
    /// Those of [`CipherSpec::sector_cipher`]: a cipher that is not built, or does not take the key.
    pub fn measure(
        spec: CipherSpec,
        key_bits: u32,
        sector_size: SectorSize,
    ) -> Result<Self, dmcrypt::Error> {
        let key_bytes = key_bits as usize / 8;
        spec.check_key_bytes(key_bytes)?;
        // Not secret, but no two parts of it are the same, which some ciphers refuse.
        let key: Vec<u8> = (0..=u8::MAX)
            .cycle()
            .zip(0_usize..)
            .map(|(byte, at)| byte.wrapping_mul(37) ^ at.to_le_bytes()[1])
            .take(key_bytes)
            .collect();
        let options = SectorOptions {
            sector_size,
            iv_large_sectors: false,
        };
        let cipher = spec.sector_cipher(&key, options)?;
        let mut area = vec![0; usize::from(AREA_KIB) * 1024];
        Ok(Self {
            spec,
            key_bits,
            sector_size,
            encryption_mib_s: mib_per_second(&mut area, |area| cipher.encrypt(0, area)),
            decryption_mib_s: mib_per_second(&mut area, |area| cipher.decrypt(0, area)),
        })
    }
}

/// The cipher that cryptsetup's `benchmark` takes a text for: `NAME[-MODE[-IV]]`, CBC and plain64 unless said.
///
/// # Errors
/// [`dmcrypt::Error::Spec`].
pub fn cipher_spec(text: &str) -> Result<CipherSpec, dmcrypt::Error> {
    if text.starts_with("capi:") {
        return text.parse();
    }
    match text.split('-').collect::<Vec<_>>()[..] {
        [name] => format!("{name}-cbc-plain64").parse(),
        [name, mode] if mode != "ecb" => format!("{name}-{mode}-plain64").parse(),
        _ => text.parse(),
    }
}

/// The first run only warms up.
fn mib_per_second(area: &mut [u8], work: impl Fn(&mut [u8])) -> f64 {
    work(area);
    let start = Stopwatch::start();
    let mut mib = 0.0;
    loop {
        work(area);
        mib += f64::from(AREA_KIB) / 1024.0;
        let took = start.elapsed();
        if took >= ONE_DIRECTION {
            return mib / took.as_secs_f64();
        }
    }
}

fn name(variant: Argon2Variant) -> &'static str {
    KdfParams::Argon2 {
        variant,
        time: 1,
        memory_kib: 1,
        lanes: 1,
    }
    .name()
}

/// How serde writes what is no plain number.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls them so")]
mod members {
    use dmcrypt::{CipherSpec, HashAlgorithm, SectorSize};
    use luks::kdf::Argon2Variant;
    use serde::{Serialize, Serializer};

    pub(super) fn hash_name<S: Serializer>(
        hash: &HashAlgorithm,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(hash.name())
    }

    pub(super) fn variant_name<S: Serializer>(
        variant: &Argon2Variant,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(super::name(*variant))
    }

    pub(super) fn cipher_name<S: Serializer>(
        spec: &CipherSpec,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&spec.to_dm_crypt())
    }

    pub(super) fn bytes<S: Serializer>(
        size: &SectorSize,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        size.bytes().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_of_a_cipher_is_cryptsetups() {
        for (text, spec) in [
            ("aes", "aes-cbc-plain64"),
            ("aes-xts", "aes-xts-plain64"),
            ("aes-ecb", "aes-ecb"),
            ("aes-cbc-essiv:sha256", "aes-cbc-essiv:sha256"),
            ("capi:xts(aes)-plain64", "aes-xts-plain64"),
        ] {
            assert_eq!(cipher_spec(text).unwrap().to_dm_crypt(), spec);
        }
        assert!(cipher_spec("").is_err());
    }

    #[test]
    fn a_cipher_is_measured_and_a_wrong_key_refused() {
        let measure =
            |text, bits| CipherSpeed::measure(cipher_spec(text).unwrap(), bits, SectorSize::B4096);
        let speed = measure("aes-xts", 512).unwrap();
        assert!(speed.encryption_mib_s > 1.0 && speed.decryption_mib_s > 1.0);
        assert!(measure("aes-xts", 1 << 31).is_err());
        assert!(measure("aes-nomode", 256).is_err());
    }
}
