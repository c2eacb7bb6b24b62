use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dmcrypt::{CipherSpec, DerivedKey, HashAlgorithm, SectorOptions, SectorSize};
use luks::{Corrupt, Error, Luks, UnlockOptions, Unsupported};

use crate::common::{conformance, decrypt, open, passphrase, sha256, unlock, unxz, volume_key};

/// File, passphrase (`None`: the key file), volume key, payload bytes, payload hash.
const LUKS1: [(&str, Option<&str>, &str, usize, &str); 8] = [
    (
        "luks1_aes-cbc-essiv-sha256-sha1.img",
        None,
        "582a935a5bc5418a481a08644784206398846696680b8edfa55826b969bb4438",
        6_291_456,
        "15898285e6c9ad576729cc01e5a557ebddfe562ea855bae0a2aba4fb8439eb1a",
    ),
    (
        "luks1_aes-xts-plain64-sha1.img",
        None,
        "8a30e57f29d9d0165e2964e68e12ca17e3b6703b48faee3acc9922388b5b019a",
        6_291_456,
        "f1c9268181840ccff69d719b9c592fc1e97c59d707e14cc12cc7288dca37e751",
    ),
    (
        "luks1_aes-xts-plain64-whirlpool.img",
        None,
        "cf3bf5067c4e756f2635d71bd5c04a7e6f80ca695af189f7ffcb9201a438e3bc",
        6_291_456,
        "7184f40554996bfc78cf81ec870b29debc3fff0554fc136fb41b0c431c9cf953",
    ),
    (
        "luks1_aes-lrw-plain64-sha1.img",
        None,
        "84c7af00bb660d9de851c3c2ff4251b71ed47889cb69bfb49975dbefdb7b1f96",
        6_291_456,
        "59abf46dac455770218a3ac317ae0d4377e3fe3d653989e10b9373c6a495213a",
    ),
    (
        "luks1_serpent-xts-plain64-sha1.img",
        None,
        "9c9c26714ae068c7a2c742d4805075d0a6d9dc0ed6334130f1a4f3e486626d66",
        6_291_456,
        "113a7ec676133cf08f62680d0c6227fce14c985b0938e648c81a842c8813d3f0",
    ),
    (
        "luks1_twofish-xts-plain64-sha256.img",
        None,
        "d43c5544472b137086c0635c3977e1f097855c36f1f10a0b422e008c72f0ccf0",
        6_291_456,
        "2157393bbb35ece27b86543ec134c7608f23b5438cb381458d7e3f18fbf0d9c6",
    ),
    (
        "compatimage.img",
        Some("compatkey"),
        "e1a851c034ed7993b276608a45842b7b",
        9_711_616,
        "7428e8f2436882a07eb32765086f5c899474c08b5576f556b573d2aabdf923e8",
    ),
    (
        "valid_header_file",
        Some(""),
        "bb21158c733229347bd4e681891e213d94c685be6a5b84818afe7a78a6de7a1a",
        0,
        "",
    ),
];

#[test]
fn luks1_images_give_their_keys_and_payloads() {
    let Some(folder) = conformance("luks1 images") else {
        return;
    };
    let folder = folder.join("images/luks1");
    let keyfile = fs::read(folder.join("keyfile1")).unwrap();
    for (file, secret, key, payload, hash) in LUKS1 {
        let (storage, luks) = open(unxz(&folder.join(format!("{file}.xz")))).unwrap();
        let with_key = luks.unlock_with_volume_key(volume_key(key), &UnlockOptions::default());
        assert_eq!(
            with_key
                .unwrap_or_else(|error| panic!("{file}: {error}"))
                .keyslot(),
            None
        );
        if hash.is_empty() {
            continue;
        }
        let secret = secret.map_or(keyfile.as_slice(), str::as_bytes);
        let unlocked = unlock(&luks, secret).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(unlocked.volume_key().ct_eq(&volume_key(key)), "{file}");
        let plaintext = decrypt(&luks, storage.clone(), secret).unwrap();
        assert_eq!(
            (plaintext.len(), sha256(&plaintext).as_str()),
            (payload, hash),
            "{file}"
        );
        assert!(
            matches!(unlock(&luks, b"rUkL4RUryBom"), Err(Error::NoKeyFits { .. })),
            "{file}"
        );
    }
    println!("cases: luks1 images {} passed, 0 failed", LUKS1.len());
}

#[test]
fn c1_evil_luks1_headers_are_refused_each_for_its_own_reason() {
    let Some(folder) = conformance("evil luks1 headers") else {
        return;
    };
    let refusal = |name: &str| match open(unxz(
        &folder.join(format!("images/luks1/evil_hdr-{name}.xz")),
    )) {
        Err(Error::Corrupt(corrupt)) => corrupt,
        Err(other) => panic!("{name}: {other}"),
        Ok(_) => panic!("{name} was accepted"),
    };
    assert!(matches!(
        refusal("keyslot_overlap"),
        Corrupt::AreaOverlap { .. }
    ));
    assert!(matches!(
        refusal("luks_hdr_damage"),
        Corrupt::AreaInHeader { keyslot: 2, .. }
    ));
    assert!(matches!(
        refusal("payload_overwrite"),
        Corrupt::AreaInData { keyslot: 3, .. }
    ));
    println!("cases: evil luks1 headers 3 passed, 0 failed");
}

#[test]
fn luks2_images_give_their_payloads() {
    let Some(folder) = conformance("luks2 images") else {
        return;
    };
    let folder = folder.join("images/luks2");
    let image = |name: &str| open(unxz(&folder.join(format!("{name}.xz")))).unwrap();

    let (storage, luks) = image("compatimage2.img");
    for secret in [b"compatkey".as_slice(), b"0123456789abcdef"] {
        let unlocked = unlock(&luks, secret).unwrap();
        assert!(
            unlocked
                .volume_key()
                .ct_eq(&volume_key("d47ee2cdc40f39be9a3e8d72a149cc4d"))
        );
        let plaintext = decrypt(&luks, storage.clone(), secret).unwrap();
        assert_eq!(
            sha256(&plaintext),
            "38ef2d1b8c387efb50680e1d3f234f170d2b7b6c6d9eb856b4f426543a6c4ef2"
        );
    }

    let (storage, luks) = image("luks2_keyslot_unassigned.img");
    let plaintext = decrypt(&luks, storage.clone(), b"compatkey").unwrap();
    assert_eq!(
        sha256(&plaintext),
        "c88849aa899d97a7a825879468622d8fe4c4e7a97807fec4b5eb9841a40f0e7d"
    );
    assert!(
        matches!(unlock(&luks, b"93R4P4pIqAH8"), Err(Error::NoKeyFits { .. })),
        "not tried unasked"
    );
    let options = UnlockOptions {
        keyslot: Some(1),
        ..UnlockOptions::default()
    };
    let unbound = luks.unlock(&passphrase(b"93R4P4pIqAH8"), &options).unwrap();
    let refused = unbound.volume(storage).err().unwrap();
    assert!(
        matches!(
            refused,
            Error::Unsupported(Unsupported::Unbound { keyslot: 1 })
        ),
        "{refused}"
    );

    let (storage, luks) = image("luks2_invalid_cipher.img");
    let unlocked = unlock(&luks, b"93R4P4pIqAH8").unwrap();
    let refused = unlocked.volume(storage).err().unwrap();
    assert!(
        matches!(refused, Error::Unsupported(Unsupported::Cipher { .. })),
        "{refused}"
    );

    for name in ["test_image_16", "test_image_128", "test_image_4096"] {
        let (storage, luks) = image(name);
        let unlocked = unlock(&luks, b"Qx3qn46vq0v").unwrap();
        let key = volume_key("b67647946b62ded9d65983a92cd2c0f4c08923473deb44741da5ba675e8bde82");
        assert!(unlocked.volume_key().ct_eq(&key), "{name}");
        let plaintext = decrypt(&luks, storage, b"Qx3qn46vq0v").unwrap();
        assert_eq!(
            sha256(&plaintext),
            "e187fdce3c4309544505fe845b34166151b52be209572f4936ec590e67ab22f8",
            "{name}"
        );
    }

    let (storage, luks) = image("luks2_header_requirements");
    let refused = unlock(&luks, b"blablabl")
        .unwrap()
        .volume(storage)
        .err()
        .unwrap();
    let expected = vec!["req0".to_owned(), "req1".to_owned()];
    assert!(
        matches!(refused, Error::Unsupported(Unsupported::Requirements(names)) if names == expected)
    );

    let (storage, luks) = image("luks2_header_requirements_free");
    let volume = unlock(&luks, b"blablabl").unwrap().volume(storage).unwrap();
    assert_eq!(volume.len(), 0);
    println!("cases: luks2 images 8 passed, 0 failed");
}

#[test]
fn validation_images_are_judged_as_the_reference_judges_them() {
    let Some(folder) = conformance("luks2 validation images") else {
        return;
    };
    let folder = folder.join("images/luks2-validation");
    let expected = fs::read_to_string(folder.join("EXPECTED.tsv")).unwrap();
    let mut failures = Vec::new();
    let mut kinds = Vec::new();
    let lines: Vec<_> = expected.lines().collect();
    for line in &lines {
        let (file, verdict) = line.split_once('\t').unwrap();
        let bytes = unxz(&folder.join(format!("{file}.xz")));
        match (verdict, open(bytes)) {
            ("F", Err(Error::Corrupt(corrupt))) => kinds.push(corrupt.to_string()),
            ("R" | "T", Ok(_)) => {}
            (_, Ok(_)) => failures.push(format!("{file}: accepted")),
            (_, Err(error)) => failures.push(format!("{file}: {verdict}: {error}")),
        }
    }
    println!(
        "cases: luks2 validation images {} passed, {} failed",
        lines.len() - failures.len(),
        failures.len()
    );
    assert_eq!(lines.len(), 43);
    assert!(failures.is_empty(), "{failures:#?}");
    // Every file has one defect; only those that share a rule may share a message.
    kinds.sort();
    kinds.dedup();
    assert!(kinds.len() >= 25, "{kinds:#?}");
}

#[test]
fn hostile_headers_are_refused_at_once() {
    let Some(folder) = conformance("crafted headers") else {
        return;
    };
    let folder = folder.join("images/crafted");
    let base = unxz(&folder.join("base_first290816.img.xz"));
    let crafted = |name: &str| {
        let mut image = base.clone();
        image.resize(20 << 20, 0);
        let header = unxz(&folder.join(format!("{name}.hdr32k.xz")));
        image[..header.len()].copy_from_slice(&header);
        open(image)
    };
    let (_, sound) = {
        let mut image = base.clone();
        image.resize(20 << 20, 0);
        open(image).unwrap()
    };
    unlock(&sound, b"pw").unwrap();

    let started = Instant::now();
    let refusal = |name: &str| {
        let (_, luks) = crafted(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        unlock(&luks, b"pw").err().unwrap()
    };
    assert!(matches!(refusal("t_time"), Error::TooCostly { .. }));
    assert!(matches!(refusal("t_cpus"), Error::TooCostly { .. }));
    assert!(matches!(refusal("t_null"), Error::NullCipher { .. }));
    assert!(matches!(
        crafted("t_ovf").err(),
        Some(Error::Corrupt(Corrupt::AreaOverflow { .. }))
    ));
    assert!(matches!(
        crafted("t_neg").err(),
        Some(Error::Corrupt(Corrupt::Member { .. }))
    ));
    // A derivation of 2^31 - 1 passes would still be running; this leaves room for unpacking on a busy machine.
    assert!(started.elapsed() < Duration::from_secs(30));

    let (_, null) = crafted("t_null").unwrap();
    let options = UnlockOptions {
        null_cipher: true,
        ..UnlockOptions::default()
    };
    assert!(
        null.unlock(&passphrase(b"pw"), &options).is_ok(),
        "allowed when asked for"
    );
    println!("cases: crafted headers 5 passed, 0 failed");
}

/// Lines with header fields and key material, no header and no digest: the parts are put together by hand here.
#[test]
fn hashcat_lines_give_a_sector_of_zeros() {
    let Some(folder) = conformance("hashcat luks1 lines") else {
        return;
    };
    let folder = folder.join("images/hashcat-luks1");
    let numbers = [
        "29511", "29512", "29513", "29521", "29522", "29523", "29531", "29532", "29533", "29541",
        "29542", "29543",
    ];
    for number in numbers {
        let line = fs::read_to_string(folder.join(format!("m{number}.hash"))).unwrap();
        assert_eq!(hashcat_sector(line.trim()), [0; 512], "m{number}");
    }
    println!(
        "cases: hashcat luks1 lines {} passed, 0 failed",
        numbers.len()
    );
}

/// The line made into a container: its digest is not in the line, so the key is derived with the library's parts.
fn hashcat_sector(line: &str) -> Vec<u8> {
    let fields: Vec<_> = line.split('$').collect();
    let [
        _,
        _,
        _,
        hash,
        cipher,
        mode,
        _bits,
        iterations,
        salt,
        material,
        sector,
    ] = fields[..]
    else {
        panic!("{} fields", fields.len())
    };
    let spec: CipherSpec = format!("{cipher}-{mode}").parse().unwrap();
    let hash = HashAlgorithm::parse(hash).unwrap();
    let material = hex::decode(material).unwrap();
    let key_bytes = material.len() / 4000;
    let params = luks::KdfParams::Pbkdf2 {
        hash,
        iterations: iterations.parse().unwrap(),
    };
    let slot_key = luks::kdf::derive(
        &params,
        b"hashcat",
        &hex::decode(salt).unwrap(),
        key_bytes,
        luks::kdf::Effort::default(),
    )
    .unwrap();
    let options = SectorOptions {
        sector_size: SectorSize::B512,
        iv_large_sectors: false,
    };
    let mut split = DerivedKey::from_bytes(zeroize::Zeroizing::new(material));
    spec.sector_cipher(slot_key.expose(), options)
        .unwrap()
        .decrypt(0, split.expose_mut());
    let key = luks::af::merge(&split, key_bytes, 4000, hash);
    let mut data = hex::decode(sector).unwrap();
    spec.sector_cipher(key.expose(), options)
        .unwrap()
        .decrypt(0, &mut data);
    data
}

/// Reading never writes: not even where a copy of the header is damaged.
#[test]
fn no_image_is_changed_by_reading_it() {
    let Some(folder) = conformance("images unchanged") else {
        return;
    };
    let mut count = 0;
    for part in ["luks1", "luks2", "luks2-validation"] {
        for entry in fs::read_dir(folder.join("images").join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "xz") {
                assert_unchanged(&path);
                count += 1;
            }
        }
    }
    assert!(count >= 59, "{count}");
    println!("cases: images unchanged {count} passed, 0 failed");
}

fn assert_unchanged(path: &Path) {
    let bytes = unxz(path);
    let storage = crate::common::memory(bytes.clone());
    if let Ok(luks) = Luks::open(storage.clone()) {
        for secret in [b"compatkey".as_slice(), b"Qx3qn46vq0v", b"blablabl"] {
            if let Ok(unlocked) = unlock(&luks, secret) {
                let _ = unlocked.volume(storage.clone());
            }
        }
    }
    assert!(
        storage.snapshot() == bytes,
        "{} was changed",
        path.display()
    );
}
