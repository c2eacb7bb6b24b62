use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use dmcrypt::HashAlgorithm;
use luks::KdfParams;
use luks::kdf::{Argon2Variant, Effort, KdfError, derive};
use serde_json::Value;

use crate::common::conformance;

fn pbkdf2(
    hash: HashAlgorithm,
    iterations: u32,
    secret: &[u8],
    salt: &[u8],
    bytes: usize,
) -> Vec<u8> {
    let params = KdfParams::Pbkdf2 { hash, iterations };
    derive(&params, secret, salt, bytes, Effort::default())
        .unwrap()
        .expose()
        .to_vec()
}

/// RFC 6070 but for its 16777216 rounds, RFC 7914 section 11; OpenSSL on the inputs of RFC 6070 for SHA-512.
#[test]
fn pbkdf2_gives_what_the_rfcs_say() {
    let (short, long) = (
        ("password", "salt"),
        (
            "passwordPASSWORDpassword",
            "saltSALTsaltSALTsaltSALTsaltSALTsalt",
        ),
    );
    #[rustfmt::skip]
    let cases = [
        ("sha1", short, 1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
        ("sha1", short, 2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
        ("sha1", short, 4096, "4b007901b765489abead49d926f721d065a429c1"),
        ("sha1", long, 4096, "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"),
        ("sha1", ("pass\0word", "sa\0lt"), 4096, "56fa6aa75548099dcc37d7f03425e0c3"),
        ("sha256", ("passwd", "salt"), 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"),
        ("sha256", ("Password", "NaCl"), 80_000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"),
        ("sha512", short, 1, "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce"),
        ("sha512", short, 2, "e1d9c16aa681708a45f5c7c4e215ceb66e011a2e9f0040713f18aefdb866d53cf76cab2868a39b9f7840edce4fef5a82be67335c77a6068e04112754f27ccf4e"),
        ("sha512", long, 4096, "8c0511f4c6e597c6ac6315d8f0362e225f3c501495ba23b868c005174dc4ee71115b59f9e60cd9532fa33e0f75aefe30225c583a186cd82bd4daea9724a3d3b8"),
    ];
    let count = cases.len();
    for (hash, (secret, salt), iterations, expected) in cases {
        let derived = pbkdf2(
            HashAlgorithm::parse(hash).unwrap(),
            iterations,
            secret.as_bytes(),
            salt.as_bytes(),
            expected.len() / 2,
        );
        assert_eq!(hex::encode(derived), expected, "{hash} {iterations}");
    }
    println!("cases: pbkdf2 of the RFCs {count} passed, 0 failed");
}

/// RFC 9106 has secret and associated data in its examples, which LUKS does not use; this is the reference's tool:
/// `printf password | argon2 pycasalt -id -t 4 -k 50 -p 4 -l 8`.
#[test]
fn argon2_gives_what_the_reference_tool_says() {
    let derived = |variant, time, memory_kib, lanes, bytes| {
        let params = KdfParams::Argon2 {
            variant,
            time,
            memory_kib,
            lanes,
        };
        hex::encode(
            derive(&params, b"password", b"pycasalt", bytes, Effort::default())
                .unwrap()
                .expose(),
        )
    };
    assert_eq!(derived(Argon2Variant::Id, 4, 50, 4, 8), "e469b777841e543f");
}

/// Every thread ends, whoever is asked and whenever; without that the test runs for hours.
#[test]
fn cancelling_stops_derivations() {
    let pbkdf2 = |hash| KdfParams::Pbkdf2 {
        hash,
        iterations: u32::MAX,
    };
    let argon2 = |memory_kib| KdfParams::Argon2 {
        variant: Argon2Variant::Id,
        time: u32::MAX,
        memory_kib,
        lanes: 3,
    };
    for (params, bytes, threads) in [
        (pbkdf2(HashAlgorithm::Sha256), 32, 1),
        (pbkdf2(HashAlgorithm::Sha256), 64, 1),
        (pbkdf2(HashAlgorithm::Sha256), 64, 2),
        (pbkdf2(HashAlgorithm::Sha1), 64, 3),
        (pbkdf2(HashAlgorithm::Streebog512), 64, 2),
        (argon2(24), 64, 1),
        (argon2(3000), 64, 2),
        (argon2(30_000), 64, 4),
    ] {
        for looks in [0, 1, 20] {
            let asked = AtomicU32::new(0);
            let effort = Effort {
                threads,
                cancel: &|| asked.fetch_add(1, Ordering::Relaxed) == looks,
            };
            let error = derive(&params, b"x", b"saltsalt", bytes, effort).err();
            assert_eq!(
                error,
                Some(KdfError::Cancelled),
                "{params:?} {threads} {looks}"
            );
        }
    }
}

/// What RFC 9106 3.1 does not define, each at its border, and more memory than any machine has.
#[test]
fn argon2_says_what_it_does_not_take() {
    let salt = [0; 16];
    let with = |time, memory_kib, lanes, salt_bytes, bytes| {
        let params = KdfParams::Argon2 {
            variant: Argon2Variant::Id,
            time,
            memory_kib,
            lanes,
        };
        let outcome = derive(&params, b"x", &salt[..salt_bytes], bytes, Effort::default());
        outcome
            .err()
            .map_or("taken".into(), |error| error.to_string())
    };
    let problem = |text: &str| format!("key derivation parameters are out of range: {text}");
    assert_eq!(with(1, 16, 2, 8, 4), "taken");
    assert_eq!(with(0, 16, 2, 8, 4), problem("0 Argon2 passes"));
    assert_eq!(with(1, 16, 0, 8, 4), problem("0 Argon2 lanes"));
    assert_eq!(
        with(1, 15, 2, 8, 4),
        problem("15 KiB of Argon2 memory for 2 lanes")
    );
    assert_eq!(
        with(1, u32::MAX, 1 << 24, 8, 4),
        problem("16777216 Argon2 lanes")
    );
    assert_eq!(with(1, 16, 2, 7, 4), problem("an Argon2 salt of 7 bytes"));
    assert_eq!(with(1, 16, 2, 8, 3), problem("an Argon2 key of 3 bytes"));
}

#[test]
fn pbkdf2_vectors() {
    let Some(folder) = conformance("pbkdf2 vectors") else {
        return;
    };
    let vectors = folder.join("vectors");
    let mut passed = 0;
    for hash in ["sha1", "sha224", "sha256", "sha384", "sha512"] {
        let file = vectors.join(format!("wycheproof/pbkdf2_hmac{hash}_test.json"));
        let json: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let hash = HashAlgorithm::parse(hash).unwrap();
        for group in json["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                let bytes = |name: &str| hex::decode(test[name].as_str().unwrap()).unwrap();
                let iterations = u32::try_from(test["iterationCount"].as_u64().unwrap()).unwrap();
                let derived = pbkdf2(
                    hash,
                    iterations,
                    &bytes("password"),
                    &bytes("salt"),
                    bytes("dk").len(),
                );
                assert_eq!(derived, bytes("dk"), "{} {}", hash.name(), test["tcId"]);
                passed += 1;
            }
        }
    }
    assert_eq!(passed, 298);
    for block in blocks(
        &fs::read_to_string(vectors.join("pyca-cryptography-vectors/KDF/rfc-6070-PBKDF2-SHA1.txt"))
            .unwrap(),
    ) {
        let Some(password) = block.get("PASSWORD") else {
            continue;
        };
        let text = |text: &str| text.replace("\\0", "\0").into_bytes();
        let number = |name: &str| block[name].parse::<u32>().unwrap();
        let iterations = number("ITERATIONS");
        let derived = pbkdf2(
            HashAlgorithm::Sha1,
            iterations,
            &text(password),
            &text(&block["SALT"]),
            number("LENGTH") as usize,
        );
        assert_eq!(hex::encode(derived), block["DERIVED_KEY"]);
        passed += 1;
    }
    assert!(passed >= 303, "{passed}");

    let mut outside = 0;
    let mut hash = None;
    for part in fs::read_to_string(vectors.join("botan/pbkdf2.vec"))
        .unwrap()
        .split("\n[")
    {
        let (name, body) = part.trim_start_matches('[').split_once(']').unwrap();
        if let Some(name) = name
            .strip_prefix("PBKDF2(HMAC(")
            .and_then(|rest| rest.strip_suffix("))"))
        {
            hash = HashAlgorithm::parse(&name.replace('-', "")).ok();
        } else {
            hash = hash.filter(|_| false);
        }
        for block in blocks(body) {
            let Some(output) = block.get("Output") else {
                continue;
            };
            let Some(hash) = hash else {
                outside += 1;
                continue;
            };
            let iterations = block["Iterations"].parse().unwrap();
            let secret = block["Passphrase"].as_bytes();
            let salt = hex::decode(&block["Salt"]).unwrap();
            assert_eq!(
                hex::encode_upper(pbkdf2(hash, iterations, secret, &salt, output.len() / 2)),
                *output
            );
            passed += 1;
        }
    }
    println!("cases: pbkdf2 vectors {passed} passed, 0 failed, {outside} outside (CMAC)");
}

#[test]
fn argon2_vectors() {
    let Some(folder) = conformance("argon2 vectors") else {
        return;
    };
    let vectors = folder.join("vectors");
    let mut passed = 0;
    let mut outside = 0;
    for (file, variant) in [
        ("argon2i", Argon2Variant::I),
        ("argon2id", Argon2Variant::Id),
    ] {
        let text =
            fs::read_to_string(vectors.join(format!("pyca-cryptography-vectors/KDF/{file}.txt")))
                .unwrap();
        for block in blocks(&text) {
            let Some(output) = block.get("output") else {
                continue;
            };
            // LUKS gives Argon2 neither a secret nor associated data.
            if block.contains_key("secret") || block.contains_key("ad") {
                outside += 1;
                continue;
            }
            let number = |name: &str| block[name].parse::<u32>().unwrap();
            let bytes =
                |name: &str| hex::decode(block.get(name).map_or("", String::as_str)).unwrap();
            let params = KdfParams::Argon2 {
                variant,
                time: number("iter"),
                memory_kib: number("memcost"),
                lanes: number("lanes"),
            };
            let derived = derive(
                &params,
                &bytes("pass"),
                &bytes("salt"),
                output.len() / 2,
                Effort::default(),
            )
            .unwrap();
            assert_eq!(
                hex::encode(derived.expose()),
                output.to_ascii_lowercase(),
                "{file}: {params:?}"
            );
            passed += 1;
        }
    }
    let botan = fs::read_to_string(vectors.join("botan/argon2.vec")).unwrap();
    for block in blocks(botan.split("[Generate]").nth(1).unwrap()) {
        let Some(hash) = block.get("Passhash") else {
            continue;
        };
        let variant = match block["Mode"].as_str() {
            "1" => Argon2Variant::I,
            "2" => Argon2Variant::Id,
            // Argon2d has no place in LUKS.
            _ => {
                outside += 1;
                continue;
            }
        };
        let number = |name: &str| block[name].parse::<u32>().unwrap();
        let params = KdfParams::Argon2 {
            variant,
            time: number("T"),
            memory_kib: number("M"),
            lanes: number("P"),
        };
        let length = number("OutLen") as usize;
        let salt = hex::decode(&block["Salt"]).unwrap();
        let derived = derive(
            &params,
            block["Password"].as_bytes(),
            &salt,
            length,
            Effort::default(),
        )
        .unwrap();
        assert_eq!(
            base64_of(derived.expose()),
            hash.rsplit('$').next().unwrap(),
            "{params:?}"
        );
        passed += 1;
    }
    assert!(passed >= 10, "{passed}");
    println!(
        "cases: argon2 vectors {passed} passed, 0 failed, {outside} outside (secret or associated data, Argon2d)"
    );
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
}

/// Blocks of `NAME = VALUE` lines, an empty line or a repeated name between them.
fn blocks(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut blocks = vec![BTreeMap::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            blocks.push(BTreeMap::new());
        } else if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#'))
        {
            let last = blocks.last_mut().expect("starts with one");
            last.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    blocks
}
