//! `benchmark`: what ciphers and key derivations do on this machine.

use dmcrypt::{HashAlgorithm, SectorSize};
use jobs::benchmark::{AesKernels, BenchmarkOptions, CipherSpeed, Measured, benchmark};
use luks::kdf::Argon2Variant;

use crate::args::{BenchmarkArgs, Pbkdf};
use crate::benchmark::{
    CIPHERS_COLUMN, NOTE, argon2_line, cipher_line, cipher_table, heading, pbkdf2_line,
};
use crate::error::Error;
use crate::output;

/// Measures one thing after the other; a line of text is printed as soon as it is known.
pub fn run(args: &BenchmarkArgs) -> Result<(), Error> {
    let options = options(args)?;
    let say = |line: &str| {
        if args.output.json {
            Ok(())
        } else {
            output::text(&format!("{line}\n"))
        }
    };
    say(NOTE)?;
    let is_alone = args.cipher.is_some();
    let mut is_first = true;
    let done = benchmark(&options, |measured| {
        Ok::<_, Error>(match measured {
            Measured::Pbkdf2(speed) => say(&pbkdf2_line(speed)),
            Measured::Argon2(costs) => say(&argon2_line(costs)),
            Measured::Cipher(speed) if is_first => {
                is_first = false;
                say(&first_cipher(speed, is_alone))
            }
            Measured::Cipher(speed) => say(&cipher_line(speed, CIPHERS_COLUMN)),
            _ => Ok(()),
        }?)
    })?;
    if args.output.json {
        let members = serde_json::to_value(&done).expect("speeds are plain data");
        output::json("benchmark", members)?;
    }
    Ok(())
}

/// What is to be measured.
fn options(args: &BenchmarkArgs) -> Result<BenchmarkOptions, Error> {
    if let Some(bits) = args.key_size.filter(|bits| bits % 8 != 0) {
        return Err(jobs::Error::KeyBits { bits }.into());
    }
    let all = BenchmarkOptions::default();
    let all = BenchmarkOptions {
        sector_size: SectorSize::new(args.sector_size).ok_or(jobs::Error::SectorSize {
            bytes: args.sector_size,
        })?,
        key_bits: args.key_size.unwrap_or(all.key_bits),
        time_ms: args.iter_time.unwrap_or(all.time_ms),
        max_memory_kib: args.pbkdf_memory,
        lanes: args.pbkdf_parallel,
        ..all
    };
    let hash = args.hash.as_deref().map(HashAlgorithm::parse).transpose()?;
    let (hashes, variants, ciphers) = match (&args.cipher, args.pbkdf, hash) {
        (None, None, None) => return Ok(all),
        (Some(cipher), _, _) => (vec![], vec![], vec![(cipher.clone(), all.key_bits)]),
        (None, Some(Pbkdf::Argon2i | Pbkdf::Argon2id), Some(_)) => {
            return Err(Error::Conflict {
                one: "--hash",
                other: "Argon2",
            });
        }
        (None, Some(Pbkdf::Argon2i), None) => (vec![], vec![Argon2Variant::I], vec![]),
        (None, Some(Pbkdf::Argon2id), None) => (vec![], vec![Argon2Variant::Id], vec![]),
        (None, Some(Pbkdf::Pbkdf2) | None, Some(hash)) => (vec![hash], vec![], vec![]),
        (None, Some(Pbkdf::Pbkdf2), None) => (all.hashes.clone(), vec![], vec![]),
    };
    Ok(BenchmarkOptions {
        hashes,
        variants,
        ciphers,
        ..all
    })
}

/// The line of the first cipher and what stands above it: cryptsetup's heading, and before it a line that cryptsetup does
/// not have; like its own it begins with `#`.
fn first_cipher(speed: &CipherSpeed, is_alone: bool) -> String {
    let kernels = AesKernels::here();
    let table = if is_alone {
        cipher_table(speed)
    } else {
        let line = cipher_line(speed, CIPHERS_COLUMN);
        format!("{}\n{line}", heading(CIPHERS_COLUMN))
    };
    format!(
        "# One core, sectors of {} bytes. AES kernels here: {}; {} runs.\n{table}",
        speed.sector_size.bytes(),
        kernels.available.join(", "),
        kernels.used
    )
}
