//! What ciphers and key derivations do on this machine, measured in memory, and cryptsetup's lines that say it.

use std::fmt;
use std::time::{Duration, Instant};

use dmcrypt::{CipherSpec, HashAlgorithm, SectorOptions, SectorSize};
use luks::KdfParams;
use luks::kdf::{Argon2Variant, CalibrationTarget};

use jobs::limits;

/// The first line.
pub const NOTE: &str = "# Tests are approximate using memory only (no storage IO).";

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

/// Characters of the first column in the table of [`CIPHERS`].
pub const CIPHERS_COLUMN: usize = 15;

/// How much is encrypted at once: it stays in the cache of a core.
const AREA_KIB: u16 = 128;
/// How long each direction of a cipher is measured.
const ONE_DIRECTION: Duration = Duration::from_millis(200);

/// What PBKDF2 does in a second.
#[derive(Clone, Copy, Debug)]
pub struct Pbkdf2Speed {
    /// The hash of the HMAC.
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

impl fmt::Display for Pbkdf2Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            hash,
            key_bits,
            iterations_per_second,
        } = self;
        let hash = hash.name();
        write!(
            f,
            "PBKDF2-{hash:<9} {iterations_per_second:7} iterations per second for {key_bits}-bit key"
        )
    }
}

/// The costs with which Argon2 takes the time that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Argon2Costs {
    /// Which of the variants.
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
        let Self {
            variant,
            time,
            memory_kib,
            lanes,
            ..
        } = *self;
        KdfParams::Argon2 {
            variant,
            time,
            memory_kib,
            lanes,
        }
        .name()
    }
}

impl fmt::Display for Argon2Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key_bits,
            requested_ms,
            time,
            memory_kib,
            lanes,
            ..
        } = self;
        let name = self.name();
        write!(
            f,
            "{name:<10} {time:4} iterations, {memory_kib:5} memory, {lanes} parallel threads (CPUs) \
             for {key_bits}-bit key (requested {requested_ms} ms time)"
        )
    }
}

/// What a sector cipher does in a second, on one core and in its cache.
#[derive(Clone, Debug)]
pub struct CipherSpeed {
    /// The cipher, its mode and IVs.
    pub spec: CipherSpec,
    /// Size of all keys together.
    pub key_bits: u32,
    /// Bytes that are encrypted as one.
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

    /// cryptsetup's line, the first column so wide.
    pub fn line(&self, column: usize) -> String {
        format!(
            "{:>column$}  {:9}b  {:10.1} MiB/s  {:10.1} MiB/s",
            self.name(),
            self.key_bits,
            self.encryption_mib_s,
            self.decryption_mib_s
        )
    }

    /// cryptsetup's heading and line where it is measured alone.
    pub fn table(&self) -> String {
        let column = self.name().len().max("# Algorithm".len());
        format!("{}\n{}", heading(column), self.line(column))
    }

    fn name(&self) -> String {
        format!("{}-{}", self.spec.cipher(), self.spec.mode())
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

/// The line above ciphers whose column is so wide.
pub fn heading(column: usize) -> String {
    let right = column - 1;
    format!(
        "#{:>right$} |       Key |      Encryption |      Decryption",
        "Algorithm"
    )
}

/// The first run only warms up.
fn mib_per_second(area: &mut [u8], work: impl Fn(&mut [u8])) -> f64 {
    work(area);
    let start = Instant::now();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from cryptsetup 2.6.1 under Linux 6.1: `benchmark`, and `benchmark --cipher` of three.
    #[test]
    fn lines_are_cryptsetups() {
        let cipher = |text: &str, key_bits, encryption_mib_s, decryption_mib_s| CipherSpeed {
            spec: cipher_spec(text).unwrap(),
            key_bits,
            sector_size: SectorSize::B512,
            encryption_mib_s,
            decryption_mib_s,
        };
        assert_eq!(
            heading(CIPHERS_COLUMN),
            "#     Algorithm |       Key |      Encryption |      Decryption"
        );
        assert_eq!(
            cipher("serpent-cbc", 128, 31.7, 42.5).line(CIPHERS_COLUMN),
            "    serpent-cbc        128b        31.7 MiB/s        42.5 MiB/s"
        );
        assert_eq!(
            cipher("aes-xts-plain64", 512, 45.8, 106.8).table(),
            "# Algorithm |       Key |      Encryption |      Decryption\n    \
             aes-xts        512b        45.8 MiB/s       106.8 MiB/s"
        );
        assert_eq!(
            cipher("aes", 256, 72.2, 102.6).table(),
            "# Algorithm |       Key |      Encryption |      Decryption\n    \
             aes-cbc        256b        72.2 MiB/s       102.6 MiB/s"
        );
        assert_eq!(
            cipher("xchacha12,aes-adiantum-plain64", 256, 21.8, 164.0).table(),
            "#            Algorithm |       Key |      Encryption |      Decryption\n\
             xchacha12,aes-adiantum        256b        21.8 MiB/s       164.0 MiB/s"
        );
        let pbkdf2 = |hash, iterations_per_second| Pbkdf2Speed {
            hash,
            key_bits: 256,
            iterations_per_second,
        };
        assert_eq!(
            pbkdf2(HashAlgorithm::Sha1, 832_203).to_string(),
            "PBKDF2-sha1       832203 iterations per second for 256-bit key"
        );
        assert_eq!(
            pbkdf2(HashAlgorithm::Ripemd160, 455_902).to_string(),
            "PBKDF2-ripemd160  455902 iterations per second for 256-bit key"
        );
        let argon2 = |variant, memory_kib| Argon2Costs {
            variant,
            key_bits: 256,
            requested_ms: 100,
            time: 4,
            memory_kib,
            lanes: 4,
        };
        assert_eq!(
            argon2(Argon2Variant::I, 65536).to_string(),
            "argon2i       4 iterations, 65536 memory, 4 parallel threads (CPUs) for 256-bit key (requested 100 ms time)"
        );
        assert_eq!(
            argon2(Argon2Variant::Id, 318_135).to_string(),
            "argon2id      4 iterations, 318135 memory, 4 parallel threads (CPUs) for 256-bit key (requested 100 ms time)"
        );
    }

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
