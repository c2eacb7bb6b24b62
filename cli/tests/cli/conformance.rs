//! What a real kernel's dm-crypt wrote, through the command line, both ways.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};
use shake::Shake128;
use shake::digest::{ExtendableOutput, Update, XofReader};

use crate::support::Place;

/// The folder of the extra conformance run.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("LUKSMITH_CONFORMANCE");
    if folder.is_none() {
        println!("LUKSMITH_CONFORMANCE is not set: the extra conformance run is left out");
    }
    folder.map(PathBuf::from)
}

/// The vectors' plaintext: 8192 bytes, as their description says.
fn plaintext() -> Vec<u8> {
    let mut hasher = Shake128::default();
    hasher.update(b"dm-crypt sector vectors");
    let mut bytes = vec![0; 8192];
    hasher.finalize_xof().read(&mut bytes);
    bytes
}

#[test]
fn dm_crypt_of_linux_6_1() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("vectors/dm-crypt-linux-6.1.json"))
        .expect("the vectors");
    let document: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let vectors = document["vectors"].as_array().expect("a list of vectors");
    let place = Place::new();
    place.write("raw", plaintext());
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().expect("a text");
        let cipher = text("cipher");
        // A null cipher has no key; one of any size does.
        let key = if text("key") == "-" {
            vec![0; 32]
        } else {
            hex::decode(text("key")).expect("a key")
        };
        place.write("key", &key);
        let mut options = format!(
            "--type plain --cipher {cipher} --key-size {} --key-file key --skip {} --sector-size {} --force",
            key.len() * 8,
            vector["iv_offset"],
            vector["sector_size"]
        );
        if vector["iv_large_sectors"] == true {
            options.push_str(" --iv-large-sectors");
        }
        place
            .run(&format!("encrypt raw box {options} --allow-weak-cipher"))
            .expect(0);
        let container = place.read("box");
        assert_eq!(
            hex::encode(&container[..32]),
            text("ciphertext_head"),
            "{cipher}"
        );
        assert_eq!(
            hex::encode(&container[4096..][..32]),
            text("ciphertext_at_4096"),
            "{cipher}"
        );
        assert_eq!(
            hex::encode(Sha256::digest(&container)),
            text("ciphertext_sha256"),
            "{cipher}"
        );
        place
            .run(&format!("decrypt box back {options} --allow-null-cipher"))
            .expect(0);
        assert_eq!(place.read("back"), plaintext(), "{cipher}");
    }
    println!(
        "cases: dm-crypt-linux-6.1 {} passed, 0 failed",
        vectors.len()
    );
    assert_eq!(vectors.len(), 137);
}

#[test]
fn hostile_luks2_headers() {
    let Some(folder) = folder() else { return };
    let crafted = folder.join("images/crafted");
    let crafted = crafted.to_str().expect("a path of text");
    let place = Place::new();
    let cases = [
        ("t_time", "refused as too costly: keyslot 0"),
        ("t_cpus", "needs 1000000 lanes"),
        ("t_null", "null cipher"),
        ("t_ovf", "wraps around"),
        ("t_neg", "keyslots.0.kdf.time"),
    ];
    for (name, says) in cases {
        place
            .sh(&format!(
                "xz -dc '{crafted}/base_first290816.img.xz' >{name} && truncate -s 20M {name} && \
                 xz -dc '{crafted}/{name}.hdr32k.xz' | dd of={name} conv=notrunc status=none"
            ))
            .expect(0);
        let before = place.read(name);
        for verb in ["key test", "decrypt"] {
            let destination = if verb == "decrypt" { "back" } else { "" };
            let start = Instant::now();
            place
                .run_with(&format!("{verb} {name} {destination}"), b"pw\n")
                .expect(4)
                .says(says);
            // At once: the headers ask for hours, or for more memory than there is. (50 ms on an idle machine.)
            assert!(
                start.elapsed() < Duration::from_secs(1),
                "{name}: {:?}",
                start.elapsed()
            );
        }
        assert!(place.read(name) == before, "reading changes nothing");
        assert!(!place.path("back").exists());
    }
    println!(
        "cases: hostile-luks2-headers {} passed, 0 failed",
        cases.len()
    );
}
