use luks::policy::Bounds;
use luks::{Luks, Policy, Version};
use serde_json::json;

use crate::common::{open, sha256, test_vectors, unxz};
use crate::tampering::{COPY, HEADER, LUKS2, header, json_of, with_json};

/// What is said, and the rule that says it.
type Rule = (&'static str, Box<dyn Fn(&mut Policy)>);

#[test]
fn each_rule_is_refused_by_name() {
    let (_, luks2) = open(header(LUKS2[2])).unwrap();
    let (_, luks1) = open(header("luks1/three-keyslots.img.xz")).unwrap();
    let none = || Some(Vec::new());
    let low = Some(Bounds {
        min: None,
        max: Some(0),
    });
    let high = Some(Bounds {
        min: Some(u64::MAX),
        max: None,
    });
    let rules: Vec<Rule> = vec![
        ("format", Box::new(move |p| p.format = Some(Vec::new()))),
        (
            "fingerprint",
            Box::new(move |p| p.fingerprint = Some(Vec::new())),
        ),
        ("UUID", Box::new(move |p| p.uuid = none())),
        (
            "number of segments",
            Box::new(move |p| p.data.segments = low),
        ),
        ("type \"crypt\"", Box::new(move |p| p.data.types = none())),
        (
            "segment 0: offset",
            Box::new(move |p| p.data.offset_bytes = high),
        ),
        ("size \"dynamic\"", Box::new(move |p| p.data.sizes = none())),
        (
            "segment 0: cipher",
            Box::new(move |p| p.data.ciphers = none()),
        ),
        (
            "segment 0: sector size",
            Box::new(move |p| p.data.sector_bytes = Some(vec![1])),
        ),
        (
            "segment 0: IV tweak",
            Box::new(move |p| p.data.iv_tweak = high),
        ),
        (
            "number of keyslots",
            Box::new(move |p| p.keyslots.count = low),
        ),
        (
            "keyslot 0: type",
            Box::new(move |p| p.keyslots.types = none()),
        ),
        (
            "keyslot 0: priority",
            Box::new(move |p| p.keyslots.priorities = none()),
        ),
        (
            "keyslot 0: key size",
            Box::new(move |p| p.keyslots.key_bits = Some(vec![8])),
        ),
        (
            "keyslot 0: cipher",
            Box::new(move |p| p.keyslots.ciphers = none()),
        ),
        (
            "keyslot 0: cipher's key size",
            Box::new(move |p| p.keyslots.cipher_key_bits = Some(Vec::new())),
        ),
        (
            "keyslot 0: splitter hash",
            Box::new(move |p| p.keyslots.splitter_hashes = none()),
        ),
        (
            "keyslot 0: area offset",
            Box::new(move |p| p.keyslots.area_offset_bytes = low),
        ),
        (
            "keyslot 0: area size",
            Box::new(move |p| p.keyslots.area_bytes = high),
        ),
        ("key derivation", Box::new(move |p| p.kdf.types = none())),
        (
            "keyslot 0: salt size",
            Box::new(move |p| p.kdf.salt_bytes = low),
        ),
        (
            "PBKDF2 hash",
            Box::new(move |p| p.kdf.pbkdf2_hashes = none()),
        ),
        (
            "PBKDF2 iterations",
            Box::new(move |p| p.kdf.pbkdf2_iterations = high),
        ),
        (
            "number of digests",
            Box::new(move |p| p.digests.count = low),
        ),
        (
            "digest 0: type",
            Box::new(move |p| p.digests.types = none()),
        ),
        (
            "digest 0: hash",
            Box::new(move |p| p.digests.hashes = none()),
        ),
        (
            "digest 0: iterations",
            Box::new(move |p| p.digests.iterations = high),
        ),
        (
            "digest 0: salt size",
            Box::new(move |p| p.digests.salt_bytes = high),
        ),
        (
            "digest 0: size",
            Box::new(move |p| p.digests.digest_bytes = low),
        ),
    ];
    let only_luks2: Vec<Rule> = vec![
        ("label", Box::new(move |p| p.label = none())),
        ("subsystem", Box::new(move |p| p.subsystem = none())),
        ("epoch", Box::new(move |p| p.epoch = high)),
        (
            "size of a header copy",
            Box::new(move |p| p.header_bytes = low),
        ),
        (
            "size of the keyslots area",
            Box::new(move |p| p.keyslots_area_bytes = low),
        ),
        ("flag", Box::new(move |p| p.flags = none())),
        (
            "is unbound",
            Box::new(move |p| p.keyslots.unbound = Some(false)),
        ),
        ("number of tokens", Box::new(move |p| p.tokens.count = low)),
        (
            "type \"luks2-keyring\"",
            Box::new(move |p| p.tokens.types = none()),
        ),
    ];
    let refuses = |luks: &Luks, (says, rule): &Rule| {
        let mut policy = Policy::default();
        rule(&mut policy);
        let error = policy.check(luks).expect_err(says).to_string();
        assert!(error.starts_with("refused by the policy: "), "{error}");
        assert!(error.contains(says), "{says:?} is not in {error:?}");
    };
    for rule in &rules {
        refuses(&luks1, rule);
        refuses(&luks2, rule);
    }
    for rule in &only_luks2 {
        refuses(&luks2, rule);
    }
    let (_, argon2) = open(header(LUKS2[1])).unwrap();
    let argon2_rules: Vec<Rule> = vec![
        ("Argon2 time", Box::new(move |p| p.kdf.argon2_time = high)),
        (
            "Argon2 memory",
            Box::new(move |p| p.kdf.argon2_memory_kib = high),
        ),
        ("Argon2 lanes", Box::new(move |p| p.kdf.argon2_lanes = low)),
    ];
    for rule in &argon2_rules {
        refuses(&argon2, rule);
    }
    for luks in [&luks1, &luks2, &argon2] {
        Policy::default().check(luks).unwrap();
        let exact = Policy::exact(luks).unwrap();
        exact.check(luks).unwrap();
        // As text and back it is the same policy.
        let again: Policy = toml::from_str(&toml::to_string(&exact).unwrap()).unwrap();
        assert_eq!(again, exact);
    }
    let count = 2 * rules.len() + only_luks2.len() + argon2_rules.len();
    println!("cases: policy rules by name {count} passed, 0 failed");
}

#[test]
fn what_is_allowed_instead_is_listed() {
    let (_, luks) = open(header(LUKS2[0])).unwrap();
    let refused = |types: &[&str]| {
        let mut policy = Policy::default();
        policy.kdf.types = Some(types.iter().map(|&name| name.to_owned()).collect());
        policy.check(&luks).unwrap_err().to_string()
    };
    let says = "refused by the policy: keyslot 0: key derivation \"pbkdf2\" is";
    for (types, rest) in [
        (&[][..], "not allowed, nor is any other"),
        (&["argon2i"], "none of \"argon2i\""),
        (&["argon2i", "a\"b"], "none of \"argon2i\", \"a\\\"b\""),
    ] {
        assert_eq!(refused(types), format!("{says} {rest}"));
    }

    let only = |formats| Policy {
        format: Some(formats),
        ..Policy::default()
    };
    let luks1 = only(vec![Version::Luks1]);
    assert_eq!(
        luks1.check(&luks).unwrap_err().to_string(),
        "refused by the policy: format \"luks2\" is none of \"luks1\""
    );
    let either = only(vec![Version::Luks1, Version::Luks2]);
    assert!(either.check(&luks).is_ok());
}

#[test]
fn rules_for_a_reencryption_integrity_and_members_nobody_knows() {
    let path = "luks2/reencrypt-in-progress.img.xz";
    let (_, luks) = open(header(path)).unwrap();
    let mut policy = Policy {
        requirements: Some(Vec::new()),
        ..Policy::default()
    };
    policy.data.flags = Some(Vec::new());
    let error = policy.check(&luks).unwrap_err().to_string();
    assert!(error.contains("requirement \"online-reencrypt"), "{error}");
    assert!(error.contains("flag \"backup-"), "{error}");

    let image = header(LUKS2[0]);
    let mut json = json_of(&image, 0);
    json["segments"]["0"]["integrity"] =
        json!({"type": "hmac(sha256)", "journal_encryption": "none", "journal_integrity": "none"});
    json["config"]["surprise"] = json!({});
    let (_, luks) = open(with_json(&image, &[0, COPY], &json).unwrap()).unwrap();
    let mut policy = Policy {
        known_members: true,
        ..Policy::default()
    };
    policy.data.integrity = Some(false);
    let error = policy.check(&luks).unwrap_err().to_string();
    assert!(
        error.contains("unknown member \"config.surprise\""),
        "{error}"
    );
    assert!(error.contains("segment 0 has integrity tags"), "{error}");

    let mut json = json_of(&image, 0);
    json["segments"]["0"]["type"] = "later".into();
    json["segments"]["0"]["size"] = "4096".into();
    let (_, luks) = open(with_json(&image, &[0, COPY], &json).unwrap()).unwrap();
    let mut policy = Policy::default();
    policy.data.types = Some(vec!["crypt".into()]);
    policy.data.sizes = Some(vec!["dynamic".into()]);
    let error = policy.check(&luks).unwrap_err().to_string();
    assert!(
        error.contains("segment 0: type \"later\" is none of \"crypt\""),
        "{error}"
    );
    assert!(
        error.contains("segment 0: size \"4096\" is none of \"dynamic\""),
        "{error}"
    );
}

#[test]
fn c2_a_policy_can_ask_for_two_equal_copies() {
    let mut image = header(LUKS2[0]);
    image[COPY + 5000] ^= 1;
    let (_, luks) = open(image).unwrap();
    assert_eq!(luks.fingerprint(), None);
    assert_eq!(
        Policy::exact(&luks),
        None,
        "nobody knows which bytes are meant"
    );
    let policy = Policy {
        equal_copies: true,
        ..Policy::default()
    };
    let error = policy.check(&luks).unwrap_err().to_string();
    assert!(error.contains("has not two equal copies"), "{error}");
    let policy = Policy {
        fingerprint: Some(vec!["00".repeat(32).parse().unwrap()]),
        ..Policy::default()
    };
    let error = policy.check(&luks).unwrap_err().to_string();
    assert!(
        error.contains("has no fingerprint: a copy is not used"),
        "{error}"
    );
}

/// What `head -c BYTES | sha256sum` says.
#[test]
fn the_fingerprint_is_the_hash_of_the_first_bytes() {
    for (path, bytes) in [
        (LUKS2[0], HEADER),
        (LUKS2[2], HEADER),
        ("luks2/metadata-4096k.img.xz", 8 << 20),
        ("luks1/three-keyslots.img.xz", 592),
    ] {
        let image = unxz(&test_vectors().join(path));
        let expected = sha256(&image[..bytes]);
        let fingerprint = open(image).unwrap().1.fingerprint().unwrap();
        assert_eq!(fingerprint.to_string(), expected, "{path}");
        assert_eq!(expected.parse(), Ok(fingerprint));
    }
    assert!("00".parse::<luks::Fingerprint>().is_err());
    assert!("g".repeat(64).parse::<luks::Fingerprint>().is_err());
}
