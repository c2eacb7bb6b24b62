//! What is weak or wrong, in plain words.

use dmcrypt::{CipherSpec, HashAlgorithm, SECTOR_BYTES};
use luks::luks2::{KeyslotKind, SegmentKind};
use luks::{Header, Luks};

use super::report::{Kdf, Keyslot, Report};

/// Copies that disagree, keyslots that are cheap to guess or too costly to try, ciphers that show too much.
pub(super) fn of(report: &Report, luks: &Luks) -> Vec<String> {
    let mut warnings: Vec<_> = luks.warnings().iter().map(ToString::to_string).collect();
    warnings.extend(
        luks::verify::unsupported(luks.header())
            .iter()
            .map(|unsupported| format!("{unsupported}: nothing opens it")),
    );
    let end = report.image_bytes;
    for slot in &report.keyslots {
        let area_end = slot.area_offset.saturating_add(slot.area_bytes);
        if area_end > end {
            warnings.push(format!(
                "keyslot {}: its area ends at {area_end}, beyond the end of the image at {end}: nothing opens it",
                slot.id
            ));
        }
    }
    let areas_end = report.keyslots_offset.saturating_add(report.keyslots_bytes);
    if areas_end > end {
        warnings.push(format!(
            "the keyslots end at {areas_end}, beyond the end of the image at {end}: it is cut off"
        ));
    }
    for slot in &report.keyslots {
        if let Some(refused) = slot.guess.as_ref().and_then(|guess| guess.refused.as_ref()) {
            warnings.push(format!(
                "keyslot {} will not be tried: it {refused}",
                slot.id
            ));
        }
        warnings.extend(weak_kdf(slot));
    }
    if let Err(error @ luks::Error::Linear { .. }) = luks.check_encrypted() {
        warnings.push(format!(
            "{error}, whoever wrote the header chose what is read"
        ));
    }
    for (object, spec) in ciphers(luks.header()) {
        warnings.extend(weak_cipher(&object, &spec, report));
    }
    if let Header::Luks1(header) = luks.header() {
        if header.hash().is_ok_and(|hash| hash == HashAlgorithm::Sha1) {
            warnings.push(
                "the key derivation uses sha1: quicker to guess at than its successors, and given up for everything new"
                    .into(),
            );
        }
        for (id, slot) in header.keyslots.iter().enumerate() {
            if !slot.active && slot.keeps_parameters() {
                warnings.push(format!(
                    "keyslot {id} is not in use, but its salt and iterations are still there: unless its area was \
                     wiped, its passphrase still gives the key (`luksmith verify` looks)"
                ));
            }
        }
    }
    warnings
}

/// The least that OWASP's Password Storage Cheat Sheet of 2023 asks for: iterations by hash for PBKDF2; for Argon2 7 MiB
/// in 5 passes, or more memory in fewer.
fn weak_kdf(slot: &Keyslot) -> Option<String> {
    let kdf = slot.kdf.as_ref()?;
    let cheap = match (kdf.hash, kdf.memory_kib) {
        (Some(hash), _) => {
            let least = least_iterations(hash);
            (kdf.iterations < least).then(|| {
                format!(
                    "{}-{hash} with {} iterations is weak: {least} are the least that OWASP asks for",
                    kdf.kind, kdf.iterations
                )
            })
        }
        (None, Some(memory)) => (u64::from(memory) * u64::from(kdf.iterations)
            < LEAST_ARGON2_KIB * LEAST_ARGON2_PASSES)
            .then(|| argon2_text(kdf, memory)),
        (None, None) => None,
    };
    cheap.map(|cheap| {
        format!(
            "keyslot {}: {cheap}; guesses at its passphrase are cheap",
            slot.id
        )
    })
}

const LEAST_ARGON2_KIB: u64 = 7168;
const LEAST_ARGON2_PASSES: u64 = 5;

fn argon2_text(kdf: &Kdf, memory_kib: u32) -> String {
    format!(
        "{} of {memory_kib} KiB x {} is weak: {LEAST_ARGON2_KIB} KiB x {LEAST_ARGON2_PASSES} is the least that OWASP \
         asks for",
        kdf.kind, kdf.iterations
    )
}

fn least_iterations(hash: &str) -> u32 {
    match HashAlgorithm::parse(hash) {
        Ok(HashAlgorithm::Sha1 | HashAlgorithm::Ripemd160) => 1_300_000,
        Ok(HashAlgorithm::Sha384 | HashAlgorithm::Sha512 | HashAlgorithm::Whirlpool) => 210_000,
        // What is asked for SHA-256 serves for hashes that nobody names.
        Ok(_) | Err(_) => 600_000,
    }
}

/// Every cipher that is known, and what it is for.
fn ciphers(header: &Header) -> Vec<(String, CipherSpec)> {
    match header {
        Header::Luks1(header) => {
            let cipher = header.cipher().ok();
            cipher
                .map(|cipher| ("data and keyslots".to_owned(), cipher))
                .into_iter()
                .collect()
        }
        Header::Luks2(header) => {
            let metadata = &header.metadata;
            let segments = metadata
                .data_segments()
                .filter_map(|segment| match &segment.kind {
                    SegmentKind::Crypt(crypt) => {
                        let spec = crypt.spec.as_ref().ok()?;
                        Some((format!("segment {}", segment.id), spec.clone()))
                    }
                    SegmentKind::Linear | SegmentKind::Other { .. } => None,
                });
            let keyslots = metadata
                .keyslots
                .iter()
                .filter_map(|slot| match &slot.kind {
                    KeyslotKind::Luks2(passphrase) => {
                        let spec = passphrase.cipher.spec.as_ref().ok()?;
                        Some((format!("the area of keyslot {}", slot.id), spec.clone()))
                    }
                    KeyslotKind::Reencrypt(_) | KeyslotKind::Other { .. } => None,
                });
            segments.chain(keyslots).collect()
        }
    }
}

fn weak_cipher(object: &str, spec: &CipherSpec, report: &Report) -> Option<String> {
    if spec.is_null() {
        return Some(format!(
            "{object}: the null cipher {spec}: nothing there is encrypted"
        ));
    }
    if let Some(weakness) = spec.weakness() {
        return Some(format!("{object}: {spec}: {weakness}"));
    }
    let data_bytes = report
        .data_start()
        .map_or(0, |start| report.image_bytes - start);
    let excess = spec.excess(data_bytes, SECTOR_BYTES)?;
    Some(format!("{object}: {spec}: {}", excess.reason()))
}
