use std::fs::File;

use crate::common::{Place, check_all, pattern};
use crate::luks_cases::{Case, data_cases};

/// Several sectors of every size, and more than IVs of one byte can count.
const RAW_BYTES: usize = 256 << 10;

/// cryptsetup decrypts files without a kernel where they are LUKS2; it makes LUKS2 of a LUKS1 header by itself.
#[test]
fn cryptsetup_decrypts_what_we_encrypt() {
    let cases = cases();
    check_all("luks data, ours by cryptsetup", &cases, |case| {
        let place = case.place();
        place.write("raw", pattern(RAW_BYTES));
        place.sh(&format!(
            "luksmith encrypt raw image {}",
            case.format_arguments()
        ));
        if case.version == 1 {
            convert(&place, case, 2);
        }
        // A header that lies in the container is moved out of it first.
        let header = if case.is_detached {
            case.header_arguments()
        } else {
            "--header taken-out"
        };
        place.sh(&format!(
            "cryptsetup reencrypt --decrypt --force-offline-reencrypt --batch-mode image {header} {}",
            case.key_arguments()
        ));
        assert!(place.read("image")[..RAW_BYTES] == pattern(RAW_BYTES));
    });
}

/// The same without a kernel: cryptsetup encrypts as LUKS2, and makes LUKS1 of the header by itself.
#[test]
fn we_decrypt_what_cryptsetup_encrypts() {
    let cases = cases();
    check_all("luks data, cryptsetup's by us", &cases, |case| {
        let place = case.place();
        place.write("image", pattern(RAW_BYTES));
        let room = if case.is_detached {
            ""
        } else {
            room(&place, case)
        };
        let format = case
            .format_arguments()
            .replace("--type luks1", "--type luks2");
        place.sh(&format!(
            "cryptsetup reencrypt --encrypt --batch-mode image {room} {format}"
        ));
        if case.version == 1 {
            convert(&place, case, 1);
        }
        let before = place.read("image");
        place.sh(&format!(
            "luksmith decrypt image back --type luks{} {} {}",
            case.version,
            case.header_arguments(),
            case.key_arguments()
        ));
        assert!(place.read("back")[..RAW_BYTES] == pattern(RAW_BYTES));
        assert!(place.read("image") == before, "reading changes nothing");
    });
}

/// Adds space for a header and for moving the data: at least twice the offset.
fn room(place: &Place, case: &Case) -> &'static str {
    let image = File::options().write(true).open(place.path("image"));
    let image = image.unwrap();
    image.set_len(RAW_BYTES as u64 + (64 << 20)).unwrap();
    match case.option("--offset") {
        Some("65536") => "--reduce-device-size 64M",
        _ => "--reduce-device-size 32M",
    }
}

fn cases() -> Vec<Case> {
    let mut cases = data_cases();
    // Before such data it looks for a header.
    cases.retain(|case| !(case.is_detached && case.option("--offset").is_some()));
    cases
}

fn convert(place: &Place, case: &Case, version: u32) {
    let header = case.header_of("image");
    place.sh(&format!(
        "cryptsetup convert --batch-mode --type luks{version} {header}"
    ));
}
