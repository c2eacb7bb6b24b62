use super::{
    Tally,
    formats::{files, json, records},
    vectors,
};
use crate::common::unhex;
use dmcrypt::{AesKernel, AesXts};

fn check(
    tally: &mut Tally,
    place: &str,
    key: &[u8],
    tweak: &[u8],
    plaintext: &[u8],
    ciphertext: &[u8],
) {
    if !plaintext.len().is_multiple_of(16) {
        return tally.outside("not whole blocks: dm-crypt never steals ciphertext");
    }
    let mut number = [0; 16];
    number[..tweak.len()].copy_from_slice(tweak);
    let holds = AesKernel::here().into_iter().all(|kernel| {
        let xts = AesXts::with_kernel(kernel, key)
            .unwrap_or_else(|| panic!("{place}: a key of {} bytes", key.len()));
        let mut unit = plaintext.to_vec();
        xts.encrypt_unit(number, &mut unit);
        let encrypts = unit == ciphertext;
        ciphertext.clone_into(&mut unit);
        xts.decrypt_unit(number, &mut unit);
        encrypts && unit == plaintext
    });
    tally.check(place, holds);
}

/// The number of a data unit comes as a number or as the bytes of the tweak; a decryption stands with its ciphertext first.
#[test]
fn nist() {
    let Some(vectors) = vectors() else { return };
    let mut tally = Tally::new("nist-xts");
    let folder = vectors.join("pyca-cryptography-vectors/ciphers/AES/XTS");
    for place in ["tweak-dataunitseqno", "tweak-128hexstr"] {
        for file in files(&folder.join(place), "rsp") {
            let encryptions = records(&file, "ct");
            let decryptions = records(&file, "pt");
            let whole = encryptions
                .into_iter()
                .filter(|record| record.section == "ENCRYPT");
            for record in whole.chain(
                decryptions
                    .into_iter()
                    .filter(|record| record.section == "DECRYPT"),
            ) {
                let bits: usize = record.field("dataunitlen").parse().expect("a number");
                if !bits.is_multiple_of(8) {
                    tally.outside("not whole bytes");
                    continue;
                }
                let tweak = match record.fields.get("dataunitseqnumber") {
                    Some(number) => number
                        .parse::<u128>()
                        .expect("a number")
                        .to_le_bytes()
                        .to_vec(),
                    None => record.bytes("i"),
                };
                let [key, plaintext, ciphertext] =
                    ["key", "pt", "ct"].map(|name| record.bytes(name));
                check(
                    &mut tally,
                    &record.place,
                    &key,
                    &tweak,
                    &plaintext,
                    &ciphertext,
                );
            }
        }
    }
    tally.finish(2400);
}

#[test]
fn wycheproof() {
    let Some(vectors) = vectors() else { return };
    let mut tally = Tally::new("wycheproof-xts");
    let file = json(&vectors.join("wycheproof/aes_xts_test.json"));
    for group in file["testGroups"].as_array().expect("groups") {
        for test in group["tests"].as_array().expect("tests") {
            assert_eq!(test["result"], "valid", "{test}");
            let [key, iv, plaintext, ciphertext] =
                ["key", "iv", "msg", "ct"].map(|name| unhex(test[name].as_str().expect("text")));
            check(
                &mut tally,
                &test.to_string(),
                &key,
                &iv,
                &plaintext,
                &ciphertext,
            );
        }
    }
    tally.finish(63);
}

#[test]
fn botan() {
    let Some(vectors) = vectors() else { return };
    let mut tally = Tally::new("botan-xts");
    for record in records(&vectors.join("botan/xts.vec"), "out") {
        if !record.section.starts_with("AES-") {
            tally.outside("of other ciphers, with tweaks that are no sector numbers");
            continue;
        }
        let [key, tweak, plaintext, ciphertext] =
            ["key", "nonce", "in", "out"].map(|name| record.bytes(name));
        check(
            &mut tally,
            &record.place,
            &key,
            &tweak,
            &plaintext,
            &ciphertext,
        );
    }
    tally.finish(28);
}
