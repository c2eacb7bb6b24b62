use std::{fs, path::Path};

use dmcrypt::{HashAlgorithm, Passphrase, VolumeKey};
use dmcrypt_plain::{Error, KeySource, PassphraseHash, derive_key};
use zeroize::Zeroizing;

fn passphrase(bytes: &[u8]) -> Passphrase {
    Passphrase::from_bytes(Zeroizing::new(bytes.to_vec()))
}

fn hashed(hash: &str, key_bytes: usize, input: &[u8]) -> Result<VolumeKey, Error> {
    let hash: PassphraseHash = hash.parse()?;
    derive_key(
        KeySource::Passphrase(&passphrase(input)),
        Some(&hash),
        key_bytes,
    )
}

/// What reading does before the key is made: a passphrase of standard input ends at a newline and must not be missing, and
/// with the hash `plain` and without a length, `--key-file=-` reads as many bytes as the key has.
fn read(via: &str, hash: Option<&str>, key_bytes: usize, input: &[u8]) -> Option<Vec<u8>> {
    match (via, hash) {
        ("stdin", _) if input.is_empty() => None,
        ("stdin", _) => input
            .split(|&byte| byte == b'\n')
            .next()
            .map(<[u8]>::to_vec),
        ("dash", Some("plain")) => input.get(..key_bytes).map(<[u8]>::to_vec),
        _ => Some(input.to_vec()),
    }
}

/// What cryptsetup reads as a number although it is none.
const LAX: [&str; 4] = ["sha256:+8", "sha256:1x", "sha256: 8", "sha256:8:8"];

#[test]
fn keys_are_those_of_cryptsetup() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors/plain/keys.toml");
    let table: toml::Table = fs::read_to_string(path)
        .expect("the golden data come with the sources")
        .parse()
        .expect("TOML");
    let (mut passed, mut refused, mut lax) = (0, 0, 0);
    for case in table["case"].as_array().expect("cases") {
        let text = |name: &str| case.get(name).and_then(toml::Value::as_str);
        let via = text("via").expect("a way");
        let hash = text("hash");
        let bits = case["key_bits"].as_integer().expect("a number");
        let key_bytes = usize::try_from(bits / 8).expect("a size");
        let input = hex::decode(text("input").expect("an input")).expect("hexadecimal");
        let input = read(via, hash, key_bytes, &input);
        let key = input.map(|input| match (via, hash) {
            ("file", hash) => {
                let hash = hash.map(|hash| hash.parse().expect("cryptsetup took it"));
                derive_key(KeySource::KeyFile(&input), hash.as_ref(), key_bytes)
            }
            (_, hash) => hashed(hash.expect("a hash"), key_bytes, &input),
        });
        match (key, text("key")) {
            (Some(Ok(key)), Some(expected)) => {
                assert_eq!(hex::encode(key.expose()), expected, "{case}");
                passed += 1;
            }
            (None | Some(Err(_)), None) => refused += 1,
            (Some(Err(Error::Hash { .. })), Some(_)) if LAX.contains(&hash.unwrap_or_default()) => {
                lax += 1;
            }
            (key, expected) => {
                panic!("{case}: {:?} instead of {expected:?}", key.map(Result::err));
            }
        }
    }
    println!(
        "cases: golden-plain-keys {} passed, 0 failed, {lax} outside ({lax} numbers that cryptsetup takes although they are none)",
        passed + refused
    );
    assert_eq!((passed, refused, lax), (70, 31, 4));
}

#[test]
fn hashes_parse_strictly() {
    let sha256 = |bytes| PassphraseHash::Hash {
        algorithm: HashAlgorithm::Sha256,
        bytes,
    };
    let parse = |text: &str| text.parse::<PassphraseHash>();
    assert_eq!(parse("sha256").unwrap(), sha256(None));
    assert_eq!(parse("SHA256").unwrap(), sha256(None));
    assert_eq!(parse("sha256:20").unwrap(), sha256(Some(20)));
    assert_eq!(parse("sha256:0").unwrap(), sha256(Some(0)));
    assert_eq!(
        parse("plain").unwrap(),
        PassphraseHash::Plain { bytes: None }
    );
    assert_eq!(
        parse("plain:9").unwrap(),
        PassphraseHash::Plain { bytes: Some(9) }
    );
    for malformed in [
        "",
        ":",
        ":8",
        "sha256:",
        "sha256:x",
        "sha256:-1",
        "sha256:99999999999999999999",
        "plain:",
        "plain: 1",
    ] {
        match parse(malformed) {
            Err(Error::Hash { hash, .. }) => assert_eq!(hash, malformed),
            other => panic!("{malformed:?}: {other:?}"),
        }
    }
    for unknown in ["md4", "wp256", "plainx", "PLAIN"] {
        match parse(unknown) {
            Err(Error::Cipher(dmcrypt::Error::UnsupportedHash { hash })) => {
                assert_eq!(hash, unknown);
            }
            other => panic!("{unknown:?}: {other:?}"),
        }
    }
}

#[test]
fn what_makes_no_key_says_why() {
    let no_hash = derive_key(KeySource::Passphrase(&passphrase(b"xxx")), None, 32).err();
    assert!(matches!(no_hash, Some(Error::NoHash)), "{no_hash:?}");
    let message = |key: Result<VolumeKey, Error>| key.err().expect("no key").to_string();
    assert_eq!(
        message(hashed("sha256:33", 32, b"xxx")),
        "33 bytes are asked of the passphrase's hash, and the key has 32"
    );
    assert_eq!(
        message(hashed("plain:9", 32, b"xxxxxxxx")),
        "the passphrase has 8 bytes, and 9 are to be used"
    );
    assert_eq!(
        message(derive_key(KeySource::KeyFile(b"short"), None, 32)),
        "the key file has 5 bytes, and the key has 32"
    );
}
