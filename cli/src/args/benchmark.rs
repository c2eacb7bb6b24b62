//! `benchmark`.

use clap::Args;

use super::luks::Pbkdf;
use super::number;
use super::work::OutputArgs;

/// `benchmark`.
#[derive(Args, Debug)]
#[command(after_long_help = JSON)]
pub struct BenchmarkArgs {
    /// Only this cipher, as in cryptsetup: aes-xts-plain64; CBC and plain64 where mode and IVs are not said
    #[arg(long, short = 'c', value_name = "SPEC", conflicts_with_all = ["hash", "pbkdf"])]
    pub cipher: Option<String>,
    /// Size of the key, in bits [default: 256]; the table of all ciphers keeps sizes of its own
    #[arg(long, short = 's', value_name = "BITS", value_parser = clap::value_parser!(u32).range(8..=1 << 16))]
    pub key_size: Option<u32>,
    /// Bytes that are encrypted as one: 512, 1024, 2048 or 4096
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    pub sector_size: u32,
    /// Only PBKDF2, with this hash
    #[arg(long, value_name = "HASH")]
    pub hash: Option<String>,
    /// Only this key derivation
    #[arg(long, value_enum, value_name = "KDF")]
    pub pbkdf: Option<Pbkdf>,
    /// Time that Argon2's costs are measured for, in milliseconds [default: 2000]
    #[arg(long, short = 'i', value_name = "MS", value_parser = number::iter_time())]
    pub iter_time: Option<u64>,
    /// Most memory of Argon2, in KiB [default: 1 GiB or half of what there is]
    #[arg(long, value_name = "KIB", value_parser = number::kdf_memory())]
    pub pbkdf_memory: Option<u32>,
    /// Lanes of Argon2 [default: one per processor, 4 at most]
    #[arg(long, value_name = "N", value_parser = number::kdf_lanes())]
    pub pbkdf_parallel: Option<u32>,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Lines that fit a terminal as they are.
const JSON: &str = "\
JSON, one line; a part that was not measured is an empty list:
  schema       \"luksmith.benchmark/1\"
  aes_kernels  available: names of the code for AES that this processor can
               run, the fastest last; used: the one that runs
  pbkdf2       for each hash: hash, key_bits, iterations_per_second
  argon2       for each variant: kdf (argon2i, argon2id), key_bits,
               requested_ms, time (passes), memory_kib, lanes
  ciphers      for each cipher: cipher (as dm-crypt names it), key_bits,
               sector_bytes, encryption_mib_s and decryption_mib_s (MiB a
               second, on one core and in its cache)";
