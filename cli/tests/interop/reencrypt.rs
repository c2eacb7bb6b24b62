use crate::common::{Place, check_all, pattern};

const DATA_BYTES: usize = 1 << 20;

/// Options of `cryptsetup reencrypt --encrypt`. Without device-mapper it makes LUKS2 only.
fn cases() -> Vec<String> {
    let mut cases = Vec::new();
    for kdf in [
        "--pbkdf pbkdf2 --pbkdf-force-iterations 1000",
        "--pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 1024 --pbkdf-parallel 4",
    ] {
        for cipher in [
            "aes-xts-plain64 --key-size 512",
            "aes-xts-plain64 --key-size 256",
            "aes-cbc-essiv:sha256 --key-size 128",
        ] {
            for sector_bytes in [512, 1024, 2048, 4096] {
                cases.push(format!(
                    "{kdf} --cipher {cipher} --sector-size {sector_bytes}"
                ));
            }
        }
    }
    cases
}

#[test]
fn what_it_encrypts_is_decrypted() {
    check_all("what cryptsetup reencrypt encrypts", &cases(), |options| {
        let place = Place::new();
        place.write("key", "secret");
        // The last 32 MiB are room for the header, and for moving the data; what they hold is lost.
        let mut image = pattern(DATA_BYTES);
        image.resize(DATA_BYTES + (32 << 20), 0);
        place.write("theirs", &image);
        place.sh(&format!(
            "cryptsetup reencrypt --batch-mode --encrypt --reduce-device-size 32M --type luks2 {options} \
             --key-file key theirs"
        ));
        let before = place.read("theirs");
        place.sh("luksmith decrypt theirs back --key-file key");
        assert!(place.read("back")[..DATA_BYTES] == image[..DATA_BYTES]);
        assert!(place.read("theirs") == before, "reading changes nothing");
    });
}
