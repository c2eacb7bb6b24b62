//! cryptsetup's lines that say what ciphers and key derivations do on this machine.

use jobs::benchmark::{Argon2Costs, CipherSpeed, Pbkdf2Speed};

/// The first line.
pub const NOTE: &str = "# Tests are approximate using memory only (no storage IO).";

/// Characters of the first column in the table of [`jobs::benchmark::CIPHERS`].
pub const CIPHERS_COLUMN: usize = 15;

/// The line of a hash.
pub fn pbkdf2_line(speed: &Pbkdf2Speed) -> String {
    let Pbkdf2Speed {
        hash,
        key_bits,
        iterations_per_second,
    } = speed;
    let hash = hash.name();
    format!(
        "PBKDF2-{hash:<9} {iterations_per_second:7} iterations per second for {key_bits}-bit key"
    )
}

/// The line of a variant of Argon2.
pub fn argon2_line(costs: &Argon2Costs) -> String {
    let Argon2Costs {
        key_bits,
        requested_ms,
        time,
        memory_kib,
        lanes,
        ..
    } = costs;
    let name = costs.name();
    format!(
        "{name:<10} {time:4} iterations, {memory_kib:5} memory, {lanes} parallel threads (CPUs) \
         for {key_bits}-bit key (requested {requested_ms} ms time)"
    )
}

/// The line of a cipher, the first column so wide.
pub fn cipher_line(speed: &CipherSpeed, column: usize) -> String {
    format!(
        "{:>column$}  {:9}b  {:10.1} MiB/s  {:10.1} MiB/s",
        cipher_name(speed),
        speed.key_bits,
        speed.encryption_mib_s,
        speed.decryption_mib_s
    )
}

/// Heading and line of a cipher that is measured alone.
pub fn cipher_table(speed: &CipherSpeed) -> String {
    let column = cipher_name(speed).len().max("# Algorithm".len());
    format!("{}\n{}", heading(column), cipher_line(speed, column))
}

/// The line above ciphers whose column is so wide.
pub fn heading(column: usize) -> String {
    let right = column - 1;
    format!(
        "#{:>right$} |       Key |      Encryption |      Decryption",
        "Algorithm"
    )
}

fn cipher_name(speed: &CipherSpeed) -> String {
    format!("{}-{}", speed.spec.cipher(), speed.spec.mode())
}

#[cfg(test)]
mod tests {
    use dmcrypt::{HashAlgorithm, SectorSize};
    use jobs::benchmark::cipher_spec;
    use luks::kdf::Argon2Variant;

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
            cipher_line(&cipher("serpent-cbc", 128, 31.7, 42.5), CIPHERS_COLUMN),
            "    serpent-cbc        128b        31.7 MiB/s        42.5 MiB/s"
        );
        assert_eq!(
            cipher_table(&cipher("aes-xts-plain64", 512, 45.8, 106.8)),
            "# Algorithm |       Key |      Encryption |      Decryption\n    \
             aes-xts        512b        45.8 MiB/s       106.8 MiB/s"
        );
        assert_eq!(
            cipher_table(&cipher("aes", 256, 72.2, 102.6)),
            "# Algorithm |       Key |      Encryption |      Decryption\n    \
             aes-cbc        256b        72.2 MiB/s       102.6 MiB/s"
        );
        assert_eq!(
            cipher_table(&cipher("xchacha12,aes-adiantum-plain64", 256, 21.8, 164.0)),
            "#            Algorithm |       Key |      Encryption |      Decryption\n\
             xchacha12,aes-adiantum        256b        21.8 MiB/s       164.0 MiB/s"
        );
        let pbkdf2 = |hash, iterations_per_second| Pbkdf2Speed {
            hash,
            key_bits: 256,
            iterations_per_second,
        };
        assert_eq!(
            pbkdf2_line(&pbkdf2(HashAlgorithm::Sha1, 832_203)),
            "PBKDF2-sha1       832203 iterations per second for 256-bit key"
        );
        assert_eq!(
            pbkdf2_line(&pbkdf2(HashAlgorithm::Ripemd160, 455_902)),
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
            argon2_line(&argon2(Argon2Variant::I, 65536)),
            "argon2i       4 iterations, 65536 memory, 4 parallel threads (CPUs) for 256-bit key (requested 100 ms time)"
        );
        assert_eq!(
            argon2_line(&argon2(Argon2Variant::Id, 318_135)),
            "argon2id      4 iterations, 318135 memory, 4 parallel threads (CPUs) for 256-bit key (requested 100 ms time)"
        );
    }
}
