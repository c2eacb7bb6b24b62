use crate::common::{options, unhex};
use dmcrypt::{CipherSpec, HashAlgorithm, SectorCipher};
use std::{fs, path::Path};

struct Case {
    name: String,
    cipher: Box<dyn SectorCipher>,
    iv_offset: u64,
    head: String,
    at_4096: String,
    sha256: String,
}

/// The plaintext of every case: the 16 bytes at 16 x i are i in 15 decimal digits and a newline.
fn plaintext() -> Vec<u8> {
    (0..512)
        .flat_map(|at| format!("{at:015}\n").into_bytes())
        .collect()
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors/dm-crypt/sectors.toml");
    let table: toml::Table = fs::read_to_string(path)
        .expect("the golden data come with the sources")
        .parse()
        .expect("TOML");
    assert_eq!(
        table["plaintext_sha256"].as_str(),
        Some(sha256(&plaintext()).as_str())
    );
    table["case"]
        .as_array()
        .expect("cases")
        .iter()
        .map(read_case)
        .collect()
}

fn read_case(case: &toml::Value) -> Case {
    let text = |key: &str| case[key].as_str().expect("text").to_owned();
    let sector_size = usize::try_from(case["sector_size"].as_integer().expect("a number"))
        .expect("a sector size");
    let options = options(
        sector_size,
        case["iv_large_sectors"].as_bool().expect("yes or no"),
    );
    let spec: CipherSpec = text("spec").parse().expect("the kernel took it");
    Case {
        name: format!("{case}"),
        cipher: spec
            .sector_cipher(&unhex(&text("key")), options)
            .unwrap_or_else(|error| panic!("{case}: {error}")),
        iv_offset: text("iv_offset").parse().expect("a number"),
        head: text("head"),
        at_4096: text("at_4096"),
        sha256: text("sha256"),
    }
}

fn sha256(data: &[u8]) -> String {
    hex::encode(HashAlgorithm::Sha256.digest(&[data]))
}

#[test]
fn sectors_are_those_of_the_kernel_both_ways() {
    let cases = cases();
    for case in &cases {
        let mut data = plaintext();
        case.cipher.encrypt(case.iv_offset, &mut data);
        assert_eq!(hex::encode(&data[..16]), case.head, "{}", case.name);
        assert_eq!(
            hex::encode(&data[4096..4112]),
            case.at_4096,
            "{}",
            case.name
        );
        assert_eq!(sha256(&data), case.sha256, "{}", case.name);
        case.cipher.decrypt(case.iv_offset, &mut data);
        assert_eq!(data, plaintext(), "{}", case.name);
    }
    assert!(cases.len() >= 80, "{} cases", cases.len());
    println!(
        "cases: golden-dm-crypt {} passed, 0 failed, 0 outside",
        cases.len()
    );
}

/// A sector does not depend on the batch that it comes in.
#[test]
fn sectors_one_by_one_are_those_of_the_batch() {
    for case in cases() {
        let mut batch = plaintext();
        case.cipher.encrypt(case.iv_offset, &mut batch);
        let mut single = plaintext();
        let size = case.cipher.sector_size();
        let mut number = case.iv_offset;
        for sector in single.chunks_mut(size.bytes()) {
            case.cipher.encrypt(number, sector);
            number = number.wrapping_add(size.units());
        }
        assert_eq!(single, batch, "{}", case.name);
        let mut number = case.iv_offset;
        for sector in single.chunks_mut(size.bytes()) {
            case.cipher.decrypt(number, sector);
            number = number.wrapping_add(size.units());
        }
        assert_eq!(single, plaintext(), "{}", case.name);
    }
}
