use crate::common::{options, unhex};
use dmcrypt::{CipherSpec, HashAlgorithm, SectorCipher};
use std::{fs, path::Path};
use toml::Value;

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
    read_table("sectors.toml")["case"]
        .as_array()
        .expect("cases")
        .iter()
        .map(read_case)
        .collect()
}

fn read_table(name: &str) -> toml::Table {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors/dm-crypt");
    let table: toml::Table = fs::read_to_string(folder.join(name))
        .expect("the golden data come with the sources")
        .parse()
        .expect("TOML");
    assert_eq!(
        table["plaintext_sha256"].as_str(),
        Some(sha256(&plaintext()).as_str())
    );
    table
}

fn read_case(case: &Value) -> Case {
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
fn d5_sectors_are_those_of_the_kernel_both_ways() {
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

/// The key of a row: the beginning of the digests of `SPEC KEY_BYTES 0`, `SPEC KEY_BYTES 1` and so on.
fn row_key(spec: &str, key_bytes: usize) -> Vec<u8> {
    let digest = |index: usize| {
        HashAlgorithm::Sha256.digest(&[format!("{spec} {key_bytes} {index}").as_bytes()])
    };
    let mut key: Vec<u8> = (0..key_bytes.div_ceil(32))
        .flat_map(|index| digest(index).to_vec())
        .collect();
    key.truncate(key_bytes);
    key
}

/// A row of ciphers.toml: what every cipher, mode and IV makes at some sector size.
struct Row<'a>(&'a [Value]);

impl Row<'_> {
    fn text(&self, column: usize) -> &str {
        self.0[column].as_str().expect("text")
    }

    fn number(&self, column: usize) -> usize {
        let number = self.0[column].as_integer().expect("a number");
        usize::try_from(number).expect("a small number")
    }

    /// The sector cipher, or why there is none.
    fn cipher(&self, sector_size: usize, large: usize) -> Result<Box<dyn SectorCipher>, String> {
        let spec: CipherSpec = self.text(0).parse().map_err(|error| format!("{error}"))?;
        let key = row_key(self.text(0), self.number(1));
        let large = self.0[large].as_bool().expect("yes or no");
        spec.sector_cipher(&key, options(self.number(sector_size), large))
            .map_err(|error| error.to_string())
    }
}

fn rows<'a>(table: &'a toml::Table, name: &str) -> Vec<Row<'a>> {
    let rows = table[name].as_array().expect("rows");
    rows.iter()
        .map(|row| Row(row.as_array().expect("a row")))
        .collect()
}

/// What the kernel has and nobody asks for; it must be refused.
const UNBUILT: [&str; 2] = ["essiv:md4", "cipher_null-cbc-plain64"];

#[test]
fn every_cipher_mode_and_iv_is_the_kernels() {
    let table = read_table("ciphers.toml");
    let (outside, rows): (Vec<_>, Vec<_>) = rows(&table, "taken")
        .into_iter()
        .partition(|row| UNBUILT.iter().any(|end| row.text(0).ends_with(end)));
    assert!(outside.len() == 3 && outside.iter().all(|row| row.cipher(3, 4).is_err()));
    for row in &rows {
        let name = format!("{:?}", row.0);
        let cipher = row
            .cipher(3, 4)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let first: u64 = row.text(2).parse().expect("a number");
        let mut data = plaintext();
        cipher.encrypt(first, &mut data);
        assert_eq!(sha256(&data), row.text(5), "{name}");
        cipher.decrypt(first, &mut data);
        assert!(data == plaintext(), "{name}");
    }
    assert!(rows.len() >= 900, "{} rows", rows.len());
    println!(
        "cases: golden-dm-crypt-ciphers {} passed, 0 failed, {} outside ({UNBUILT:?})",
        rows.len(),
        outside.len()
    );
}

/// What the kernel refuses is refused here.
#[test]
fn what_the_kernel_refuses_is_refused() {
    let table = read_table("ciphers.toml");
    let rows = rows(&table, "refused");
    for row in &rows {
        assert!(
            row.cipher(2, 3).is_err(),
            "{:?} is taken here and not by the kernel",
            row.0
        );
    }
    assert!(rows.len() >= 500, "{} rows", rows.len());
    println!(
        "cases: golden-dm-crypt-refusals {} passed, 0 failed",
        rows.len()
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
