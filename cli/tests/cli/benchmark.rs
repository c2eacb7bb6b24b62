//! `benchmark`: what is measured when, and how it is told. No speed is expected.

use serde_json::Value;

use crate::support::Place;

/// Costs that are measured soon.
const SMALL: &str = "--iter-time 10 --pbkdf-memory 64 --pbkdf-parallel 1";

#[test]
fn everything_is_measured_and_told_as_text() {
    let run = Place::new().run(&format!("benchmark {SMALL}")).expect(0);
    let lines: Vec<&str> = run.text().lines().collect();
    assert!(lines[0].starts_with("# Tests are approximate"), "{lines:?}");
    let starts: Vec<&str> = lines[1..]
        .iter()
        .map(|line| line.split_whitespace().next().unwrap_or_default())
        .collect();
    assert_eq!(
        starts,
        [
            "PBKDF2-sha1",
            "PBKDF2-sha256",
            "PBKDF2-sha512",
            "PBKDF2-ripemd160",
            "PBKDF2-whirlpool",
            "argon2i",
            "argon2id",
            "#",
            "#",
            "aes-cbc",
            "serpent-cbc",
            "twofish-cbc",
            "aes-cbc",
            "serpent-cbc",
            "twofish-cbc",
            "aes-xts",
            "serpent-xts",
            "twofish-xts",
            "aes-xts",
            "serpent-xts",
            "twofish-xts",
        ]
    );
    assert!(
        lines[8].contains("sectors of 4096 bytes. AES kernels here: portable")
            && lines[8].ends_with(" runs."),
        "{}",
        lines[8]
    );
}

#[test]
fn one_thing_is_measured_where_it_is_named() {
    let place = Place::new();
    for (arguments, pbkdf2, argon2, ciphers) in [
        ("--hash sha512 --key-size 512", 1, 0, 0),
        ("--pbkdf pbkdf2 --hash blake2b-512", 1, 0, 0),
        ("--pbkdf pbkdf2", 5, 0, 0),
        ("--pbkdf argon2i", 0, 1, 0),
        ("--pbkdf argon2id", 0, 1, 0),
        ("-c aes -s 128", 0, 0, 1),
        ("-c serpent-xts-plain64 --sector-size 512", 0, 0, 1),
        ("-c aes:64-cbc-lmk -s 16384 --sector-size 512", 0, 0, 1),
    ] {
        let run = place
            .run(&format!("benchmark --json {SMALL} {arguments}"))
            .expect(0);
        let result: Value = serde_json::from_str(run.text()).expect("JSON");
        assert_eq!(result["schema"], "luksmith.benchmark/1");
        let count = |part: &str| result[part].as_array().expect(part).len();
        assert_eq!(
            (count("pbkdf2"), count("argon2"), count("ciphers")),
            (pbkdf2, argon2, ciphers),
            "{arguments}"
        );
        let kernels = &result["aes_kernels"];
        let available = kernels["available"].as_array().expect("kernels");
        assert_eq!(available[0], "portable");
        assert!(available.contains(&kernels["used"]), "{kernels}");
    }
}

/// No size fits each of them: `--key-size` is for the key derivations then.
#[test]
fn the_table_of_all_ciphers_keeps_its_sizes() {
    let run = Place::new()
        .run(&format!("benchmark --json {SMALL} --key-size 512"))
        .expect(0);
    let result: Value = serde_json::from_str(run.text()).expect("JSON");
    let bits = |part: &str| -> Vec<u64> {
        let list = result[part].as_array().expect(part);
        list.iter()
            .map(|speed| speed["key_bits"].as_u64().expect("a number"))
            .collect()
    };
    assert_eq!(
        (bits("pbkdf2"), bits("argon2")),
        (vec![512; 5], vec![512; 2])
    );
    assert_eq!(
        bits("ciphers"),
        [128, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512, 512]
    );
}

#[test]
fn json_tells_what_was_asked_for() {
    let place = Place::new();
    let json = |arguments: &str| -> Value {
        let run = place.run(&format!("benchmark --json {arguments}"));
        serde_json::from_str(run.expect(0).text()).expect("JSON")
    };
    let cipher = &json("-c aes-xts -s 384 --sector-size 512")["ciphers"][0];
    assert_eq!(
        (
            &cipher["cipher"],
            &cipher["key_bits"],
            &cipher["sector_bytes"]
        ),
        (&"aes-xts-plain64".into(), &384.into(), &512.into())
    );
    for speed in ["encryption_mib_s", "decryption_mib_s"] {
        assert!(
            cipher[speed].as_f64().is_some_and(|mib| mib > 1.0),
            "{cipher}"
        );
    }
    let argon2 =
        &json("--pbkdf argon2i -i 30 --pbkdf-memory 64 --pbkdf-parallel 2 -s 512")["argon2"][0];
    assert_eq!(
        (
            &argon2["kdf"],
            &argon2["key_bits"],
            &argon2["requested_ms"],
            &argon2["memory_kib"],
            &argon2["lanes"]
        ),
        (
            &"argon2i".into(),
            &512.into(),
            &30.into(),
            &64.into(),
            &2.into()
        )
    );
    let pbkdf2 = &json("--hash sha256")["pbkdf2"][0];
    assert_eq!(
        (&pbkdf2["hash"], &pbkdf2["key_bits"]),
        (&"sha256".into(), &256.into())
    );
    assert!(
        pbkdf2["iterations_per_second"]
            .as_u64()
            .is_some_and(|n| n >= 1000)
    );
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is() {
    let place = Place::new();
    for (arguments, says) in [
        ("--hash nohash", "nohash"),
        ("-c nope-xts-plain64", "nope"),
        ("-c aes-xts-plain64 -s 384 --sector-size 500", "500"),
        ("-c aes -s 384", "48"),
        ("-s 12", "12 bits"),
        ("--pbkdf argon2id --hash sha256", "--hash"),
        ("-c aes --hash sha256", "--cipher"),
        ("-s 4000000000", "4000000000"),
        ("--pbkdf-parallel 5", "5"),
    ] {
        let run = place
            .run(&format!("benchmark --json {arguments}"))
            .expect(1);
        assert!(run.stdout.is_empty(), "{arguments}");
        run.says(says);
    }
}
