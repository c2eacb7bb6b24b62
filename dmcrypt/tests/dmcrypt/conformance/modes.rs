use super::{
    Tally,
    formats::{Record, blobs, files, json, records},
    vectors,
};
use crate::common::{cbc, ecb, unhex};
use std::path::Path;

fn check_ecb(tally: &mut Tally, place: &str, cipher: &str, vector: [&[u8]; 3]) {
    let [key, plaintext, ciphertext] = vector;
    let holds = ecb(cipher, key, true, plaintext) == ciphertext
        && ecb(cipher, key, false, ciphertext) == plaintext;
    tally.check(place, holds);
}

fn check_cbc(tally: &mut Tally, place: &str, cipher: &str, vector: [&[u8]; 4]) {
    let [key, iv, plaintext, ciphertext] = vector;
    let holds = cbc(cipher, key, iv, true, plaintext) == ciphertext
        && cbc(cipher, key, iv, false, ciphertext) == plaintext;
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
            check_ecb(
                &mut tally,
                &record.place,
                "aes",
                [&key, &plaintext, &ciphertext],
            );
        }
    }
    tally.finish(2138);

    let mut tally = Tally::new("botan-aes");
    for record in records(&vectors.join("botan/aes.vec"), "out") {
        let [key, plaintext, ciphertext] = ["key", "in", "out"].map(|name| record.bytes(name));
        check_ecb(
            &mut tally,
            &record.place,
            "aes",
            [&key, &plaintext, &ciphertext],
        );
    }
    tally.finish(1353);

    let mut tally = Tally::new("rustcrypto-aes");
    for name in ["aes128", "aes192", "aes256"] {
        let blobs = blobs(&vectors.join(format!("block-ciphers-blb/{name}.blb")));
        for (vector, index) in blobs.chunks(3).zip(0..) {
            check_ecb(
                &mut tally,
                &format!("{name} {index}"),
                "aes",
                [&vector[0], &vector[1], &vector[2]],
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
                "aes",
                vector.each_ref().map(Vec::as_slice),
            );
        }
    }
    tally.finish(2138);

    let mut tally = Tally::new("botan-cbc");
    for record in records(&vectors.join("botan/cbc.vec"), "out") {
        let (cipher, mode) = record.section.split_once('/').expect("a cipher and a mode");
        let built = match cipher {
            "AES-128" | "AES-192" | "AES-256" => "aes",
            "ARIA-256" => "aria",
            "Blowfish" => "blowfish",
            "TripleDES" => "des3_ede",
            _ => {
                tally.outside("of ciphers that dm-crypt does not have, or padded");
                continue;
            }
        };
        if mode != "CBC/NoPadding" {
            tally.outside("with padding or stealing");
            continue;
        }
        let vector = ["key", "nonce", "in", "out"].map(|name| record.bytes(name));
        check_cbc(
            &mut tally,
            &record.place,
            built,
            vector.each_ref().map(Vec::as_slice),
        );
    }
    tally.finish(17);

    let mut tally = Tally::new("rustcrypto-cbc");
    for name in ["cbc-aes128", "cbc-aes192", "cbc-aes256"] {
        let blobs = blobs(&vectors.join(format!("block-modes-blb/{name}.blb")));
        for (vector, index) in blobs.chunks(4).zip(0..) {
            let vector = [0, 1, 2, 3].map(|part: usize| vector[part].as_slice());
            check_cbc(&mut tally, &format!("{name} {index}"), "aes", vector);
        }
    }
    tally.finish(57);
}

#[test]
fn other_ciphers_ecb() {
    let Some(vectors) = vectors() else { return };

    let mut tally = Tally::new("botan-other-ciphers");
    for (file, cipher) in [
        ("aria", "aria"),
        ("camellia", "camellia"),
        ("cast128", "cast5"),
        ("kuznyechik", "kuznyechik"),
        ("serpent", "serpent"),
        ("sm4", "sm4"),
        ("twofish", "twofish"),
    ] {
        for record in records(&vectors.join(format!("botan/{file}.vec")), "out") {
            let [key, plaintext, ciphertext] = ["key", "in", "out"].map(|name| record.bytes(name));
            check_ecb(
                &mut tally,
                &record.place,
                cipher,
                [&key, &plaintext, &ciphertext],
            );
        }
    }
    tally.finish(1931);

    let mut tally = Tally::new("rustcrypto-other-ciphers");
    for (name, cipher) in [
        ("camellia128", "camellia"),
        ("camellia192", "camellia"),
        ("camellia256", "camellia"),
        ("cast5", "cast5"),
        ("serpent128", "serpent"),
        ("serpent192", "serpent"),
        ("serpent256", "serpent"),
    ] {
        let blobs = blobs(&vectors.join(format!("block-ciphers-blb/{name}.blb")));
        for (vector, index) in blobs.chunks(3).zip(0..) {
            check_ecb(
                &mut tally,
                &format!("{name} {index}"),
                cipher,
                [&vector[0], &vector[1], &vector[2]],
            );
        }
    }
    tally.finish(6102);
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
                "aes",
                [&key, &iv, &plaintext, &ciphertext],
            );
        }
    }
    tally.finish(72);
}
