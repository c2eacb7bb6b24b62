//! `benchmark`: what this machine's ciphers and key derivations do.

use dmcrypt::{HashAlgorithm, SectorSize};
use jobs::benchmark::{Argon2Costs, CIPHERS, CipherSpeed, HASHES, Pbkdf2Speed, cipher_spec};
use jobs::limits;
use luks::defaults;
use luks::kdf::Argon2Variant;

use super::failure::Failure;
use super::session::{Session, say};
use crate::benchmark::{
    CIPHERS_COLUMN, NOTE, argon2_line, cipher_line, cipher_table, heading, pbkdf2_line,
};
use crate::output;

/// Unless `--key-size` says another.
const KEY_BITS: u32 = 256;

pub(super) fn run(session: &Session) -> Result<(), Failure> {
    let given = &session.given;
    say(NOTE)?;
    let bits = given.small("key-size").filter(|bits| *bits != 0);
    let bits = bits.unwrap_or(KEY_BITS);
    if let Some(cipher) = given.string("cipher") {
        return say(cipher_table(&one_cipher(&cipher, bits)?));
    }
    match (given.string("pbkdf").as_deref(), given.string("hash")) {
        (Some("argon2i"), _) => argon2(session, Argon2Variant::I, bits),
        (Some("argon2id"), _) => argon2(session, Argon2Variant::Id, bits),
        (_, Some(hash)) => pbkdf2(&hash, bits),
        (Some(_), None) => pbkdf2(defaults::HASH.name(), bits),
        (None, None) => all(session, bits),
    }
}

fn all(session: &Session, bits: u32) -> Result<(), Failure> {
    for hash in HASHES {
        say(pbkdf2_line(&Pbkdf2Speed::measure(hash, bits)))?;
    }
    argon2(session, Argon2Variant::I, bits)?;
    argon2(session, Argon2Variant::Id, bits)?;
    say(heading(CIPHERS_COLUMN))?;
    for (cipher, bits) in CIPHERS {
        say(cipher_line(&one_cipher(cipher, bits)?, CIPHERS_COLUMN))?;
    }
    Ok(())
}

fn pbkdf2(hash: &str, bits: u32) -> Result<(), Failure> {
    let Ok(algorithm) = HashAlgorithm::parse(hash) else {
        say(format!("PBKDF2-{:<9}     N/A", output::escape(hash)))?;
        return Err(Failure::silent(crate::Exit::Wrong));
    };
    say(pbkdf2_line(&Pbkdf2Speed::measure(algorithm, bits)))
}

fn argon2(session: &Session, variant: Argon2Variant, bits: u32) -> Result<(), Failure> {
    let option = |name| session.given.small(name).filter(|number| *number != 0);
    if option("pbkdf-parallel").is_some_and(|lanes| lanes > defaults::ARGON2_MAX_LANES) {
        let name = match variant {
            Argon2Variant::I => "argon2i",
            Argon2Variant::Id => "argon2id",
        };
        say(format!("{name:<10} N/A"))?;
        return Err(Failure::silent(crate::Exit::Wrong));
    }
    let costs = Argon2Costs::measure(
        variant,
        bits,
        option("iter-time").map_or(defaults::ITER_TIME_MS, u64::from),
        option("pbkdf-memory").map_or_else(limits::calibration_memory_kib, |kib| {
            kib.min(defaults::ARGON2_MAX_MEMORY_KIB)
        }),
        option("pbkdf-parallel").unwrap_or_else(limits::calibration_lanes),
    );
    say(argon2_line(&costs))
}

fn one_cipher(text: &str, bits: u32) -> Result<CipherSpeed, Failure> {
    cipher_spec(text)
        .and_then(|spec| CipherSpeed::measure(spec, bits, SectorSize::B4096))
        .map_err(|_| {
            Failure::wrong(format!(
                "Cipher {} (with {bits} bits key) is not available.",
                output::escape(text)
            ))
        })
}
