use super::{Tally, formats::json, vectors};
use crate::common::{options, unhex};
use dmcrypt::{CipherSpec, HashAlgorithm};
use shake::{
    Shake128,
    digest::{ExtendableOutput, Update, XofReader},
};

/// Every cipher, mode and IV that the kernel has.
#[test]
fn dm_crypt() {
    let Some(vectors) = vectors() else { return };
    let mut tally = Tally::new("dm-crypt-linux");
    let mut shake = Shake128::default();
    shake.update(b"dm-crypt sector vectors");
    let mut plaintext = vec![0; 8192];
    shake.finalize_xof().read(&mut plaintext);

    let file = json(&vectors.join("dm-crypt-linux-6.1.json"));
    for case in file["vectors"].as_array().expect("vectors") {
        let text = |name: &str| case[name].as_str().expect("text");
        let number = |name: &str| case[name].as_u64().expect("a number");
        let spec: CipherSpec = text("cipher").parse().expect("the kernel took it");
        // A null cipher has no key: the table says "-".
        let key = if spec.is_null() {
            Vec::new()
        } else {
            unhex(text("key"))
        };
        let sector_size = usize::try_from(number("sector_size")).expect("a sector size");
        let large = case["iv_large_sectors"].as_bool().expect("yes or no");
        let cipher = match spec.sector_cipher(&key, options(sector_size, large)) {
            Ok(cipher) => cipher,
            Err(error) => {
                tally.check(&format!("{case}: {error}"), false);
                continue;
            }
        };
        let mut data = plaintext.clone();
        cipher.encrypt(number("iv_offset"), &mut data);
        let encrypts = hex::encode(&data[..32]) == text("ciphertext_head")
            && hex::encode(&data[4096..4128]) == text("ciphertext_at_4096")
            && hex::encode(HashAlgorithm::Sha256.digest(&[&data])) == text("ciphertext_sha256");
        cipher.decrypt(number("iv_offset"), &mut data);
        tally.check(&case.to_string(), encrypts && data == plaintext);
    }
    tally.finish(137);
}
