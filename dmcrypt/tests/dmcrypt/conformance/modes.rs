use super::{
    Tally,
    formats::{Record, blobs, files, json, records},
    vectors,
};
use crate::common::{cbc, ecb, unhex};
use std::path::Path;

fn check_ecb(tally: &mut Tally, place: &str, key: &[u8], plaintext: &[u8], ciphertext: &[u8]) {
    let holds = ecb(key, true, plaintext) == ciphertext && ecb(key, false, ciphertext) == plaintext;
    tally.check(place, holds);
}

fn check_cbc(tally: &mut Tally, place: &str, [key, iv, plaintext, ciphertext]: [&[u8]; 4]) {
    let holds =
        cbc(key, iv, true, plaintext) == ciphertext && cbc(key, iv, false, ciphertext) == plaintext;
    tally.check(place, holds);
}

/// Both sections of a CAVP file; a decryption stands with its ciphertext first.
fn cavp(path: &Path) -> impl Iterator<Item = Record> {
    let of = |last, section| {
        records(path, last)
            .into_iter()
            .filter(move |record| record.section == section)
    };
    of("ciphertext", "ENCRYPT").chain(of("plaintext", "DECRYPT"))
}

#[test]
fn aes_ecb() {
    let Some(vectors) = vectors() else { return };

    let mut tally = Tally::new("nist-aes-ecb");
    for file in files(
        &vectors.join("pyca-cryptography-vectors/ciphers/AES/ECB"),
        "rsp",
    ) {
        for record in cavp(&file) {
            let [key, plaintext, ciphertext] =
                ["key", "plaintext", "ciphertext"].map(|name| record.bytes(name));
            check_ecb(&mut tally, &record.place, &key, &plaintext, &ciphertext);
        }
    }
    tally.finish(2138);

    let mut tally = Tally::new("botan-aes");
    for record in records(&vectors.join("botan/aes.vec"), "out") {
        let [key, plaintext, ciphertext] = ["key", "in", "out"].map(|name| record.bytes(name));
        check_ecb(&mut tally, &record.place, &key, &plaintext, &ciphertext);
    }
    tally.finish(1353);

    let mut tally = Tally::new("rustcrypto-aes");
    for name in ["aes128", "aes192", "aes256"] {
        let blobs = blobs(&vectors.join(format!("block-ciphers-blb/{name}.blb")));
        for (vector, index) in blobs.chunks(3).zip(0..) {
            check_ecb(
                &mut tally,
                &format!("{name} {index}"),
                &vector[0],
                &vector[1],
                &vector[2],
            );
        }
    }
    tally.finish(3468);
}

#[test]
fn aes_cbc() {
    let Some(vectors) = vectors() else { return };

    let mut tally = Tally::new("nist-aes-cbc");
    for file in files(
        &vectors.join("pyca-cryptography-vectors/ciphers/AES/CBC"),
        "rsp",
    ) {
        for record in cavp(&file) {
            let vector = ["key", "iv", "plaintext", "ciphertext"].map(|name| record.bytes(name));
            check_cbc(
                &mut tally,
                &record.place,
                vector.each_ref().map(Vec::as_slice),
            );
        }
    }
    tally.finish(2138);

    let mut tally = Tally::new("botan-cbc");
    for record in records(&vectors.join("botan/cbc.vec"), "out") {
        match record.section.split_once('/') {
            Some((cipher, "CBC/NoPadding")) if cipher.starts_with("AES-") => {
                let vector = ["key", "nonce", "in", "out"].map(|name| record.bytes(name));
                check_cbc(
                    &mut tally,
                    &record.place,
                    vector.each_ref().map(Vec::as_slice),
                );
            }
            Some((cipher, _)) if cipher.starts_with("AES-") => {
                tally.outside("with padding or stealing");
            }
            _ => tally.outside("of ciphers that are not built"),
        }
    }
    tally.finish(14);

    let mut tally = Tally::new("rustcrypto-cbc");
    for name in ["cbc-aes128", "cbc-aes192", "cbc-aes256"] {
        let blobs = blobs(&vectors.join(format!("block-modes-blb/{name}.blb")));
        for (vector, index) in blobs.chunks(4).zip(0..) {
            let vector = [0, 1, 2, 3].map(|part: usize| vector[part].as_slice());
            check_cbc(&mut tally, &format!("{name} {index}"), vector);
        }
    }
    tally.finish(57);
}

/// These pad messages as PKCS #7 does, which is done here; what tests that padding is refused is outside.
#[test]
fn wycheproof_aes_cbc() {
    let Some(vectors) = vectors() else { return };
    let mut tally = Tally::new("wycheproof-cbc");
    let file = json(&vectors.join("wycheproof/aes_cbc_pkcs5_test.json"));
    for group in file["testGroups"].as_array().expect("groups") {
        for test in group["tests"].as_array().expect("tests") {
            if test["result"] != "valid" {
                tally.outside("of padding that must be refused");
                continue;
            }
            let [key, iv, mut plaintext, ciphertext] =
                ["key", "iv", "msg", "ct"].map(|name| unhex(test[name].as_str().expect("text")));
            let padding = 16 - plaintext.len() % 16;
            plaintext.resize(plaintext.len() + padding, padding.to_le_bytes()[0]);
            check_cbc(
                &mut tally,
                &test.to_string(),
                [&key, &iv, &plaintext, &ciphertext],
            );
        }
    }
    tally.finish(72);
}
