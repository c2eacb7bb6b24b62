//! `benchmark`: what ciphers and key derivations do on this machine.

use dmcrypt::{AesKernel, HashAlgorithm, SectorSize};
use jobs::benchmark::{Argon2Costs, CIPHERS, CipherSpeed, HASHES, Pbkdf2Speed, cipher_spec};
use jobs::limits;
use luks::defaults;
use luks::kdf::Argon2Variant;
use serde_json::json;

use crate::args::{BenchmarkArgs, Pbkdf};
use crate::benchmark::{
    CIPHERS_COLUMN, NOTE, argon2_line, cipher_line, cipher_table, heading, pbkdf2_line,
};
use crate::error::Error;
use crate::output;

const KEY_BITS: u32 = 256;

/// Measures one thing after the other; a line of text is printed as soon as it is known.
pub fn run(args: &BenchmarkArgs) -> Result<(), Error> {
    let wanted = Wanted::of(args)?;
    let say = |line: &str| {
        if args.output.json {
            Ok(())
        } else {
            output::text(&format!("{line}\n"))
        }
    };
    say(NOTE)?;
    let mut pbkdf2 = Vec::new();
    for &hash in &wanted.hashes {
        let speed = Pbkdf2Speed::measure(hash, wanted.key_bits.unwrap_or(KEY_BITS));
        say(&pbkdf2_line(&speed))?;
        pbkdf2.push(speed);
    }
    let mut argon2 = Vec::new();
    for &variant in &wanted.variants {
        let costs = Argon2Costs::measure(
            variant,
            wanted.key_bits.unwrap_or(KEY_BITS),
            args.iter_time.unwrap_or(defaults::ITER_TIME_MS),
            args.pbkdf_memory
                .unwrap_or_else(limits::calibration_memory_kib),
            args.pbkdf_parallel
                .unwrap_or_else(limits::calibration_lanes),
        );
        say(&argon2_line(&costs))?;
        argon2.push(costs);
    }
    let mut ciphers = Vec::new();
    match &wanted.ciphers {
        Ciphers::None => {}
        Ciphers::All => {
            say(&kernels_line(wanted.sector_size))?;
            say(&heading(CIPHERS_COLUMN))?;
            for (text, bits) in CIPHERS {
                let speed = measure(text, bits, wanted.sector_size)?;
                say(&cipher_line(&speed, CIPHERS_COLUMN))?;
                ciphers.push(speed);
            }
        }
        Ciphers::One(text) => {
            let bits = wanted.key_bits.unwrap_or(KEY_BITS);
            let speed = measure(text, bits, wanted.sector_size)?;
            say(&kernels_line(wanted.sector_size))?;
            say(&cipher_table(&speed))?;
            ciphers.push(speed);
        }
    }
    if args.output.json {
        let aes_kernels = json!({
            "available": AesKernel::here().iter().map(|kernel| kernel.name()).collect::<Vec<_>>(),
            "used": AesKernel::best().name(),
        });
        output::json(
            "benchmark",
            json!({ "aes_kernels": aes_kernels, "pbkdf2": pbkdf2, "argon2": argon2, "ciphers": ciphers }),
        )?;
    }
    Ok(())
}

/// What is to be measured.
struct Wanted {
    hashes: Vec<HashAlgorithm>,
    variants: Vec<Argon2Variant>,
    ciphers: Ciphers,
    sector_size: SectorSize,
    key_bits: Option<u32>,
}

enum Ciphers {
    None,
    One(String),
    All,
}

impl Wanted {
    fn of(args: &BenchmarkArgs) -> Result<Self, Error> {
        if let Some(bits) = args.key_size.filter(|bits| bits % 8 != 0) {
            return Err(jobs::Error::KeyBits { bits }.into());
        }
        let nothing = Self {
            hashes: Vec::new(),
            variants: Vec::new(),
            ciphers: Ciphers::None,
            sector_size: SectorSize::new(args.sector_size).ok_or(jobs::Error::SectorSize {
                bytes: args.sector_size,
            })?,
            key_bits: args.key_size,
        };
        let hash = args.hash.as_deref().map(HashAlgorithm::parse).transpose()?;
        Ok(match (&args.cipher, args.pbkdf, hash) {
            (Some(cipher), _, _) => Self {
                ciphers: Ciphers::One(cipher.clone()),
                ..nothing
            },
            (None, Some(Pbkdf::Argon2i | Pbkdf::Argon2id), Some(_)) => {
                return Err(Error::Conflict {
                    one: "--hash",
                    other: "Argon2",
                });
            }
            (None, Some(Pbkdf::Argon2i), None) => Self {
                variants: vec![Argon2Variant::I],
                ..nothing
            },
            (None, Some(Pbkdf::Argon2id), None) => Self {
                variants: vec![Argon2Variant::Id],
                ..nothing
            },
            (None, Some(Pbkdf::Pbkdf2) | None, Some(hash)) => Self {
                hashes: vec![hash],
                ..nothing
            },
            (None, Some(Pbkdf::Pbkdf2), None) => Self {
                hashes: HASHES.to_vec(),
                ..nothing
            },
            (None, None, None) => Self {
                hashes: HASHES.to_vec(),
                variants: vec![Argon2Variant::I, Argon2Variant::Id],
                ciphers: Ciphers::All,
                ..nothing
            },
        })
    }
}

fn measure(text: &str, bits: u32, sector_size: SectorSize) -> Result<CipherSpeed, Error> {
    Ok(CipherSpeed::measure(cipher_spec(text)?, bits, sector_size)?)
}

/// What cryptsetup has no line for; like its own it begins with `#`.
fn kernels_line(sector_size: SectorSize) -> String {
    let here: Vec<&str> = AesKernel::here()
        .iter()
        .map(|kernel| kernel.name())
        .collect();
    format!(
        "# One core, sectors of {} bytes. AES kernels here: {}; {} runs.",
        sector_size.bytes(),
        here.join(", "),
        AesKernel::best().name()
    )
}
