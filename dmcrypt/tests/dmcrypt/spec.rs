use crate::common::{cipher, options};
use dmcrypt::{CipherSpec, Error};
use proptest::prelude::*;

fn parse(spec: &str) -> CipherSpec {
    spec.parse()
        .unwrap_or_else(|error| panic!("{spec}: {error}"))
}

struct Spelling {
    typed: &'static str,
    printed: &'static str,
    dm_crypt: &'static str,
    capi: Option<&'static str>,
    luks1: Option<(&'static str, &'static str)>,
}

/// What was typed; what it prints as; dm-crypt's form; the crypto API's; the fields of LUKS1.
#[rustfmt::skip]
const SPELLINGS: &[Spelling] = &[
    spelling("aes-xts-plain64", "aes-xts-plain64", "aes-xts-plain64", Some("capi:xts(aes)-plain64"), Some(("aes", "xts-plain64"))),
    spelling("aes-cbc-essiv:sha256", "aes-cbc-essiv:sha256", "aes-cbc-essiv:sha256", Some("capi:cbc(aes)-essiv:sha256"), Some(("aes", "cbc-essiv:sha256"))),
    spelling("aes", "aes-cbc-plain", "aes-cbc-plain", Some("capi:cbc(aes)-plain"), Some(("aes", "cbc-plain"))),
    spelling("aes-plain", "aes-cbc-plain", "aes-cbc-plain", Some("capi:cbc(aes)-plain"), Some(("aes", "cbc-plain"))),
    spelling("aes:1", "aes-cbc-plain", "aes-cbc-plain", Some("capi:cbc(aes)-plain"), Some(("aes", "cbc-plain"))),
    spelling("aes-cbc-plain64:ignored", "aes-cbc-plain64", "aes-cbc-plain64", Some("capi:cbc(aes)-plain64"), Some(("aes", "cbc-plain64"))),
    spelling("aes-ecb", "aes-ecb", "aes-ecb", Some("capi:ecb(aes)"), Some(("aes", "ecb"))),
    spelling("aes-ecb-", "aes-ecb", "aes-ecb", Some("capi:ecb(aes)"), Some(("aes", "ecb"))),
    spelling("aes-ecb-plain64", "aes-ecb", "aes-ecb", Some("capi:ecb(aes)"), Some(("aes", "ecb"))),
    spelling("null", "cipher_null-ecb", "cipher_null-ecb", Some("capi:ecb(cipher_null)"), Some(("cipher_null", "ecb"))),
    spelling("cipher_null", "cipher_null-ecb", "cipher_null-ecb", Some("capi:ecb(cipher_null)"), Some(("cipher_null", "ecb"))),
    spelling("capi:xts(aes)-plain64", "capi:xts(aes)-plain64", "aes-xts-plain64", Some("capi:xts(aes)-plain64"), Some(("aes", "xts-plain64"))),
    spelling("capi:cbc(aes)-essiv:sha256", "capi:cbc(aes)-essiv:sha256", "aes-cbc-essiv:sha256", Some("capi:cbc(aes)-essiv:sha256"), Some(("aes", "cbc-essiv:sha256"))),
    spelling("capi:ecb(aes)", "capi:ecb(aes)", "aes-ecb", Some("capi:ecb(aes)"), Some(("aes", "ecb"))),
    spelling("capi:adiantum(xchacha12,aes)-plain64", "capi:adiantum(xchacha12,aes)-plain64", "xchacha12,aes-adiantum-plain64", Some("capi:adiantum(xchacha12,aes)-plain64"), Some(("xchacha12,aes", "adiantum-plain64"))),
    spelling("xchacha12,aes-adiantum-plain64", "xchacha12,aes-adiantum-plain64", "xchacha12,aes-adiantum-plain64", Some("capi:adiantum(xchacha12,aes)-plain64"), Some(("xchacha12,aes", "adiantum-plain64"))),
    spelling("aes:64-cbc-lmk", "aes:64-cbc-lmk", "aes:64-cbc-lmk", Some("capi:cbc(aes)-lmk"), None),
    spelling("capi:cbc(aes)-lmk", "capi:cbc(aes)-lmk", "aes:64-cbc-lmk", Some("capi:cbc(aes)-lmk"), None),
    spelling("aes:2-cbc-plain", "aes:2-cbc-plain", "aes:2-cbc-plain", None, None),
    // Only the crypto API's form can say these.
    spelling("capi:xts(ecb(aes-generic))-plain64", "capi:xts(ecb(aes-generic))-plain64", "capi:xts(ecb(aes-generic))-plain64", Some("capi:xts(ecb(aes-generic))-plain64"), None),
    spelling("capi:ecb(aes-generic)-plain64", "capi:ecb(aes-generic)-null", "capi:ecb(aes-generic)-null", Some("capi:ecb(aes-generic)-null"), None),
    spelling("capi:xts-aes-aesni-plain64", "capi:xts-aes-aesni-plain64", "capi:xts-aes-aesni-plain64", Some("capi:xts-aes-aesni-plain64"), None),
    spelling("capi:cbc(aes)", "capi:cbc(aes)", "capi:cbc(aes)", Some("capi:cbc(aes)"), None),
];

const fn spelling(
    typed: &'static str,
    printed: &'static str,
    dm_crypt: &'static str,
    capi: Option<&'static str>,
    luks1: Option<(&'static str, &'static str)>,
) -> Spelling {
    Spelling {
        typed,
        printed,
        dm_crypt,
        capi,
        luks1,
    }
}

/// The kernel (Linux 6.1) and cryptsetup (2.6) take every one of these but `capi:xts-aes-aesni-plain64`, whose driver not
/// every machine has.
#[test]
fn spellings_print_in_every_form() {
    for &Spelling {
        typed,
        printed,
        dm_crypt,
        capi,
        luks1,
    } in SPELLINGS
    {
        let spec = parse(typed);
        assert_eq!(spec.to_string(), printed, "{typed}");
        assert_eq!(spec.to_dm_crypt(), dm_crypt, "{typed}");
        assert_eq!(spec.to_capi().as_deref(), capi, "{typed}");
        let fields = spec.luks1_fields();
        let fields = fields
            .as_ref()
            .map(|(name, mode)| (name.as_str(), mode.as_str()));
        assert_eq!(fields, luks1, "{typed}");
        assert_eq!(
            parse(printed),
            spec,
            "{typed}: what it prints means the same"
        );
        if let Some((name, mode)) = luks1 {
            let read = CipherSpec::from_luks1(name, mode).expect("the fields of a header");
            assert_eq!(read.to_dm_crypt(), dm_crypt, "{typed}");
        }
    }
}

#[test]
fn parts_are_told_apart() {
    let spec = parse("aes:64-cbc-lmk");
    assert_eq!(
        (spec.cipher(), spec.mode(), spec.iv(), spec.key_count()),
        ("aes", "cbc", Some("lmk"), 64)
    );
    let spec = parse("aes-cbc-essiv:sha256");
    assert_eq!(
        (spec.cipher(), spec.mode(), spec.iv(), spec.key_count()),
        ("aes", "cbc", Some("essiv:sha256"), 1)
    );
    assert_eq!(parse("aes-ecb").iv(), None);
}

/// The kernel refuses every one of these, or takes it for something else than it says.
#[test]
fn malformed_text_is_an_error_of_its_own() {
    for spec in [
        "",
        "-",
        "aes-",
        "aes-cbc",
        "aes-xts",
        "aes-plain64",
        "aes--plain64",
        "aes-cbc-",
        "aes-plain-",
        "-cbc-plain",
        "aes:-cbc-plain",
        "aes:0-cbc-plain",
        "aes:3-cbc-plain",
        "aes:x-cbc-plain",
        "aes:1x-cbc-plain",
        "aes:+1-cbc-plain",
        "aes-cbc-essiv",
        "aes-cbc-essiv:",
        "capi:",
        "capi:-plain64",
        "capi:xts(aes",
        "capi:xts(aes-plain64",
        "capi:xts)aes(-plain64",
        "capi:xts(aes)(ctr)-plain64",
        "capi:xts(ecb(aes)-plain64",
        "capi:(aes)-plain64",
        "capi:xts()-plain64",
        "capi:xts(aes)-",
        "capi:xts(aes)x-plain64",
        "capi:cbc(aes)-essiv",
        "xts(aes)-plain64",
        "aes xts-plain64",
        "aes-xts-plain 64",
        "aes-xts-plain64\n",
        "aes-xts-pl\u{e4}in64",
        "aes\0-xts-plain64",
    ] {
        match spec.parse::<CipherSpec>() {
            Err(Error::Spec { spec: named, .. }) => assert_eq!(named, spec),
            other => panic!("{spec:?}: {other:?}"),
        }
    }
}

fn check(spec: &str) -> Result<(), Error> {
    let spec = parse(spec);
    let checked = spec.check_supported();
    if let Err(error) = &checked {
        assert_eq!(spec.check_key_bytes(32).as_ref(), Err(error));
        assert_eq!(
            spec.sector_cipher(&[0; 32], options(512, false))
                .err()
                .as_ref(),
            Some(error)
        );
    }
    checked
}

#[test]
fn what_is_not_built_is_unsupported_by_name() {
    let cipher = |name: &str| {
        Err(Error::UnsupportedCipher {
            cipher: name.to_owned(),
        })
    };
    let mode = |cipher: &str, mode: &str| {
        Err(Error::UnsupportedMode {
            cipher: cipher.to_owned(),
            mode: mode.to_owned(),
        })
    };
    let iv = |name: &str| {
        Err(Error::UnsupportedIv {
            iv: name.to_owned(),
        })
    };
    let hash = |name: &str| {
        Err(Error::UnsupportedHash {
            hash: name.to_owned(),
        })
    };

    assert_eq!(check("nosuchcipher-xts-plain64"), cipher("nosuchcipher"));
    assert_eq!(check("AES-xts-plain64"), cipher("AES"));
    assert_eq!(check("aes-adiantum-plain64"), mode("aes", "adiantum"));
    assert_eq!(
        check("chacha20,aes-adiantum-plain64"),
        mode("chacha20,aes", "adiantum")
    );
    assert_eq!(
        check("xchacha12,aes-xts-plain64"),
        mode("xchacha12,aes", "xts")
    );
    assert_eq!(
        check("capi:xts(ecb(aes-generic))-plain64"),
        cipher("ecb(aes-generic)")
    );
    assert_eq!(check("capi:xts-aes-aesni-plain64"), cipher("xts-aes-aesni"));
    assert_eq!(check("capi:gcm(aes)-random"), mode("aes", "gcm"));
    assert_eq!(check("cast5-xts-plain64"), mode("cast5", "xts"));
    assert_eq!(check("cast5-lrw-benbi"), mode("cast5", "lrw"));
    assert_eq!(check("aes-XTS-plain64"), mode("aes", "XTS"));
    assert_eq!(check("cipher_null-xts-plain64"), mode("cipher_null", "xts"));
    assert_eq!(check("cipher_null-cbc-plain64"), mode("cipher_null", "cbc"));
    assert_eq!(check("aes-cbc-random"), iv("random"));
    assert_eq!(check("aes-xts-plain64-foo"), iv("plain64-foo"));
    assert_eq!(check("aes-xts-PLAIN64"), iv("PLAIN64"));
    assert_eq!(check("capi:cbc(aes)"), iv("none"));
    assert_eq!(check("aes-cbc-essiv:md4"), hash("md4"));
    assert_eq!(check("aes-cbc-essiv:ripemd160"), hash("ripemd160"));
    assert_eq!(check("aes-cbc-essiv:sha256:x"), hash("sha256:x"));
    for built in [
        "aes",
        "aes-ecb",
        "aes-xts-plain64",
        "aes-cbc-essiv:SHA256",
        "capi:xts(aes)-plain64",
        "null",
        "aes-cbc-lmk",
        "aes:2-cbc-plain",
        "blowfish-ctr-benbi",
        "capi:lrw(serpent)-tcw",
        "twofish-xts-elephant",
        "xchacha12,aes-adiantum-plain64",
        "xchacha20,serpent-adiantum-benbi",
    ] {
        assert_eq!(check(built), Ok(()), "{built}");
    }
}

/// As in the kernel; each is built with another mode.
#[test]
fn ivs_that_do_not_go_with_a_mode_are_refused() {
    for (spec, says) in [
        ("aes:64-ctr-lmk", "lmk IVs go with CBC only"),
        ("aes:64-xts-lmk", "lmk IVs go with CBC only"),
        ("aes:64-lrw-lmk", "lmk IVs go with CBC only"),
        ("aes-hctr2-essiv:sha256", "the mode's IV is longer"),
        ("aes-hctr2-tcw", "the mode's IV is longer"),
        ("xchacha12,aes-adiantum-eboiv", "the mode's IV is none"),
        ("xchacha12,aes-adiantum-elephant", "the mode's IV is none"),
    ] {
        let error = check(spec).unwrap_err();
        assert!(matches!(&error, Error::Misfit { spec: named, .. } if named == spec));
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// As in the kernel, the digest of ESSIV's hash must be a key of the cipher.
#[test]
fn an_essiv_hash_must_make_a_key() {
    for (hash, bytes) in [
        ("sha1", 20),
        ("sha224", 28),
        ("sha512", 64),
        ("sha3-512", 64),
        ("wp384", 48),
    ] {
        for mode in ["cbc", "xts"] {
            let spec = format!("aes-{mode}-essiv:{hash}");
            assert_eq!(
                check(&spec),
                Err(Error::IvHash {
                    spec,
                    hash,
                    bytes,
                    cipher: "aes",
                    expected: "16, 24 or 32".to_owned()
                })
            );
        }
    }
}

#[test]
fn key_sizes_follow_cipher_and_mode() {
    for bytes in 0..=80 {
        assert_eq!(
            parse("aes-xts-plain64").check_key_bytes(bytes).is_ok(),
            [32, 48, 64].contains(&bytes)
        );
        assert_eq!(
            parse("aes-cbc-plain").check_key_bytes(bytes).is_ok(),
            [16, 24, 32].contains(&bytes)
        );
        assert_eq!(parse("null").check_key_bytes(bytes), Ok(()));
        assert_eq!(
            dmcrypt::AesXts::new(&vec![0; bytes]).is_some(),
            [32, 48, 64].contains(&bytes)
        );
    }
    for (spec, bytes) in [
        ("aes-xts-plain64", "32, 48 or 64"),
        ("sm4-cbc-plain64", "16"),
        ("cast6-cbc-plain64", "16, 20, 24, 28 or 32"),
        ("serpent-cbc-plain64", "16 to 32"),
    ] {
        assert_eq!(
            parse(spec).check_key_bytes(12).unwrap_err().to_string(),
            format!("{spec} takes a key of {bytes} bytes, not of 12")
        );
    }
    assert_eq!(
        cipher("aes-xts-plain64", &[0; 16], 512)
            .err()
            .map(|error| error.to_string()),
        Some("aes-xts-plain64 takes a key of 32, 48 or 64 bytes, not of 16".to_owned())
    );
}

#[test]
fn the_null_cipher_changes_nothing() {
    let spec = parse("null");
    assert!(spec.is_null());
    assert!(!parse("aes").is_null());
    for key in [&[][..], &[1; 32]] {
        let cipher = spec
            .sector_cipher(key, options(4096, false))
            .expect("it is built");
        let mut data = [7; 8192];
        cipher.encrypt(1, &mut data);
        cipher.decrypt(1, &mut data);
        assert_eq!(data, [7; 8192]);
    }
}

#[test]
fn weak_specifications_say_why() {
    for weak in [
        "aes-ecb",
        "aes",
        "aes-cbc-plain64",
        "aes-cbc-plain64be",
        "aes-cbc-null",
        "aes-cbc-benbi",
        "null",
    ] {
        assert!(parse(weak).weakness().is_some(), "{weak}");
    }
    for sound in [
        "aes-xts-plain64",
        "aes-xts-plain",
        "aes-cbc-essiv:sha256",
        "aes-cbc-eboiv",
    ] {
        assert_eq!(parse(sound).weakness(), None, "{sound}");
    }
}

#[test]
fn short_blocks_and_null_ciphers_are_a_risk_to_create() {
    for risky in [
        "null",
        "cast5-cbc-essiv:md5",
        "des3_ede-ecb",
        "xtea-ctr-plain64",
    ] {
        assert!(parse(risky).creation_risk().is_some(), "{risky}");
    }
    for sound in [
        "aes-xts-plain64",
        "seed-cbc-plain64",
        "nonsense-cbc-plain64",
    ] {
        assert_eq!(parse(sound).creation_risk(), None, "{sound}");
    }
}

#[test]
fn d2_equal_halves_are_seen_with_xts_only() {
    let xts = parse("aes-xts-plain64");
    assert!(xts.has_equal_xts_halves(&[5; 64]));
    let mut key = [5; 64];
    key[63] = 6;
    assert!(!xts.has_equal_xts_halves(&key));
    assert!(!parse("aes-cbc-plain64").has_equal_xts_halves(&[5; 32]));
    // The kernel opens such a volume, and so must we.
    assert!(xts.sector_cipher(&[5; 64], options(512, false)).is_ok());
}

#[test]
fn luks1_fields_read_as_cryptsetup_and_qemu_write_them() {
    let read = |name, mode| CipherSpec::from_luks1(name, mode).map(|spec| spec.to_string());
    assert_eq!(read("aes", "xts-plain64"), Ok("aes-xts-plain64".to_owned()));
    assert_eq!(
        read("aes", "cbc-essiv:sha256"),
        Ok("aes-cbc-essiv:sha256".to_owned())
    );
    assert_eq!(read("aes", "ecb"), Ok("aes-ecb".to_owned()));
    assert_eq!(read("aes", "ecb-plain64"), Ok("aes-ecb".to_owned()));
    assert_eq!(read("aes", "plain"), Ok("aes-cbc-plain".to_owned()));
    assert_eq!(
        read("capi:xts(aes)", "plain64"),
        Ok("capi:xts(aes)-plain64".to_owned())
    );
    assert_eq!(read("cipher_null", "ecb"), Ok("cipher_null-ecb".to_owned()));
    for (name, mode) in [
        ("aes", ""),
        ("", "xts-plain64"),
        ("aes-xts", "plain64"),
        ("aes", "xts"),
    ] {
        assert!(
            matches!(read(name, mode), Err(Error::Spec { .. })),
            "{name:?} {mode:?}"
        );
    }
}

/// Each field has 32 bytes, and a NUL ends it.
#[test]
fn luks1_fields_have_room_for_31_bytes() {
    let name = "x".repeat(31);
    let mode = format!("xts-{}", "y".repeat(27));
    let fields = |cipher: &str, mode: &str| parse(&format!("{cipher}-{mode}")).luks1_fields();
    assert_eq!(
        fields(&name, &mode),
        Some((name.clone(), mode.clone())),
        "both are full"
    );
    assert_eq!(fields(&(name.clone() + "x"), &mode), None);
    assert_eq!(fields(&name, &(mode + "y")), None);
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in any::<String>()) {
        if let Ok(spec) = text.parse::<CipherSpec>() {
            prop_assert_eq!(&spec.to_string().parse::<CipherSpec>().unwrap(), &spec);
        }
    }

    /// What parses prints to something that parses to the same, in both families.
    #[test]
    fn parsing_and_printing_agree(
        text in "(capi:)?([a-z]{0,3}|ecb|essiv)(\\(?[a-z,()-]{0,6}\\)?)(:[0-9]{1,2})?(-[a-z]{0,4}){0,3}(-(essiv|lmk|plain64)(:[a-z0-9-]{0,4})?)?",
    ) {
        if let Ok(spec) = text.parse::<CipherSpec>() {
            let printed = spec.to_string();
            prop_assert_eq!(&printed.parse::<CipherSpec>().unwrap(), &spec, "{} {}", text, printed);
            let dm_crypt = spec.to_dm_crypt();
            prop_assert_eq!(dm_crypt.parse::<CipherSpec>().unwrap().to_dm_crypt(), dm_crypt.as_str(), "{}", text);
            if let Some(capi) = spec.to_capi() {
                let reparsed: CipherSpec = capi.parse().unwrap();
                prop_assert_eq!(reparsed.to_capi().unwrap(), capi, "{}", text);
                prop_assert_eq!(reparsed.to_dm_crypt(), dm_crypt.as_str(), "{}", text);
            }
            if let Some((name, mode)) = spec.luks1_fields() {
                prop_assert_eq!(CipherSpec::from_luks1(&name, &mode).unwrap().to_dm_crypt(), dm_crypt.as_str(), "{}", text);
            }
        }
    }
}
