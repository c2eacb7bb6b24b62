//! Names of ciphers, modes and hashes in LUKS1's header, and what QEMU's own tests refuse.

use super::images::with;
use super::kit::{Expect, Kit, invalid};
use super::luks1::{LAYOUT_RULE, RULE, one, slot};

pub fn add(kit: &mut Kit) {
    ciphers(kit);
    qemu(kit);
}

fn ciphers(kit: &mut Kit) {
    let rule = "LUKS1 figure 1";
    for (name, text, expect) in [
        ("unknown", "aess", Expect::Locked("Unsupported.Cipher")),
        ("upper-case", "AES", Expect::Locked("Unsupported.Cipher")),
        ("with-mode", "aes-cbc", invalid("Spec")),
        ("other", "camellia", Expect::Locked("NoKeyFits")),
        ("null", "cipher_null", Expect::Locked("NullCipher")),
    ] {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(32, 0);
        one(
            kit,
            &format!("cipher-name-{name}"),
            &format!("cipher-name is {text}"),
            rule,
            &expect,
            8,
            &bytes,
        );
    }
    for (name, text, expect) in [
        ("unknown", "xfs", Expect::Locked("Unsupported.Cipher")),
        (
            "unknown-iv",
            "cbc-plain65",
            Expect::Locked("Unsupported.Cipher"),
        ),
        (
            "separator",
            "cbc:essiv",
            Expect::Locked("Unsupported.Cipher"),
        ),
        ("no-iv", "cbc-", Expect::Locked("Unsupported.Cipher")),
        (
            "essiv-no-hash",
            "cbc-essiv",
            Expect::Locked("Unsupported.Cipher"),
        ),
        (
            "essiv-empty-hash",
            "cbc-essiv:",
            Expect::Locked("Unsupported.Cipher"),
        ),
        (
            "essiv-unknown-hash",
            "cbc-essiv:sha257",
            Expect::Locked("Unsupported.Cipher"),
        ),
        ("plain", "cbc-plain", Expect::Locked("NoKeyFits")),
        ("plain64", "cbc-plain64", Expect::Locked("NoKeyFits")),
        ("ecb", "ecb", Expect::Locked("NoKeyFits")),
        ("ecb-plain64", "ecb-plain64", Expect::Locked("NoKeyFits")),
        (
            "xts-half-key",
            "xts-plain64",
            Expect::Locked("Unsupported.Cipher"),
        ),
    ] {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(32, 0);
        one(
            kit,
            &format!("cipher-mode-{name}"),
            &format!("cipher-mode is {text}"),
            rule,
            &expect,
            40,
            &bytes,
        );
    }
    for (name, text, expect) in [
        ("unknown", "sha2566", Expect::Locked("Unsupported.Cipher")),
        ("upper-case", "SHA256", Expect::Opens),
        ("other", "sha1", Expect::Locked("NoKeyFits")),
        ("md5", "md5", Expect::Locked("Unsupported.Cipher")),
        ("blank", "sha256 ", Expect::Locked("Unsupported.Cipher")),
    ] {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(32, 0);
        one(
            kit,
            &format!("hash-spec-{name}"),
            &format!("hash-spec is {text:?}").replace('"', ""),
            rule,
            &expect,
            72,
            &bytes,
        );
    }
}

/// The classes of bad headers of QEMU's tests, on the header that it makes.
fn qemu(kit: &mut Kit) {
    let base = kit.base("luks1-qemu").to_vec();
    let field = |at: usize, text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(32, 0);
        with(&base, at, &bytes)
    };
    let blanks = |at: usize| {
        let now = &base[at..at + 32];
        let end = now.iter().position(|byte| *byte == 0).expect("it ends");
        with(&base, at + end, &vec![b' '; 32 - end])
    };
    let number = |at: usize, value: u32| with(&base, at, &value.to_be_bytes());
    let payload = u32::from_be_bytes(base[104..108].try_into().expect("four bytes"));
    let second = u32::from_be_bytes(
        base[slot(1) + 40..slot(1) + 44]
            .try_into()
            .expect("four bytes"),
    );
    let unsupported = || Expect::Locked("Unsupported.Cipher");
    let xts = |bytes: u32| with(&field(40, "xts-plain64"), 108, &bytes.to_be_bytes());
    let cases: [(&str, &str, Expect, Vec<u8>); 23] = [
        (
            "cipher-name-nul-term",
            "cipher-name ends in blanks",
            invalid("StringNotTerminated"),
            blanks(8),
        ),
        (
            "cipher-mode-nul-term",
            "cipher-mode ends in blanks",
            invalid("StringNotTerminated"),
            blanks(40),
        ),
        (
            "hash-spec-nul-term",
            "hash-spec ends in blanks",
            invalid("StringNotTerminated"),
            blanks(72),
        ),
        (
            "cipher-name-empty",
            "cipher-name is empty",
            invalid("Spec"),
            field(8, ""),
        ),
        (
            "cipher-name-unknown",
            "cipher-name is aess",
            unsupported(),
            field(8, "aess"),
        ),
        (
            "cipher-xts-size",
            "a key of 15 bytes for xts",
            unsupported(),
            xts(15),
        ),
        (
            "cipher-cbc-size",
            "a key of 15 bytes for cbc",
            unsupported(),
            number(108, 15),
        ),
        (
            "cipher-mode-empty",
            "cipher-mode is empty",
            invalid("Spec"),
            field(40, ""),
        ),
        (
            "cipher-mode-unknown",
            "cipher-mode is xfs",
            unsupported(),
            field(40, "xfs"),
        ),
        (
            "ivgen-separator",
            "cipher-mode is xts:plain64",
            unsupported(),
            field(40, "xts:plain64"),
        ),
        (
            "ivgen-name-empty",
            "cipher-mode is xts-",
            unsupported(),
            field(40, "xts-"),
        ),
        (
            "ivgen-name-unknown",
            "cipher-mode is xts-plain65",
            unsupported(),
            field(40, "xts-plain65"),
        ),
        (
            "ivgen-hash-empty",
            "cipher-mode is cbc-essiv: without a hash",
            unsupported(),
            field(40, "cbc-essiv:"),
        ),
        (
            "ivgen-hash-unknown",
            "cipher-mode is cbc-essiv:sha257",
            unsupported(),
            field(40, "cbc-essiv:sha257"),
        ),
        (
            "hash-spec-empty",
            "hash-spec is empty",
            invalid("Spec"),
            field(72, ""),
        ),
        (
            "hash-spec-unknown",
            "hash-spec is sha2566",
            unsupported(),
            field(72, "sha2566"),
        ),
        (
            "stripes",
            "keyslot 0 has 3999 stripes",
            invalid("Stripes"),
            number(slot(0) + 44, 3999),
        ),
        (
            "key-overlap-header",
            "keyslot 0 lies in the header",
            invalid("AreaInHeader"),
            number(slot(0) + 40, 1),
        ),
        (
            "key-overlap-key",
            "keyslot 0 lies where keyslot 1 does",
            invalid("AreaOverlap"),
            number(slot(0) + 40, second),
        ),
        (
            "key-overlap-payload",
            "keyslot 0 lies in the payload",
            invalid("AreaInData"),
            number(slot(0) + 40, payload + 42),
        ),
        (
            "payload-overlap-header",
            "the payload lies in the header",
            invalid("AreaInData"),
            number(104, 2),
        ),
        (
            "iterations",
            "the digest has no iterations",
            invalid("DigestIterations"),
            number(164, 0),
        ),
        (
            "key-iterations",
            "keyslot 0 has no iterations",
            invalid("KeyslotIterations"),
            number(slot(0) + 4, 0),
        ),
    ];
    for (class, what, expect, image) in cases {
        kit.add(
            "luks1-qemu",
            &format!("luks1-qemu/{class}"),
            what,
            RULE,
            &expect,
            &image,
        )
        .class = vec![format!("qemu {class}")];
    }
    let image = number(slot(0) + 40, 2);
    kit.add(
        "luks1-qemu",
        "luks1-qemu/key-at-sector-2",
        "keyslot 0 lies right behind the 592 bytes of the header",
        LAYOUT_RULE,
        &Expect::Locked("NoKeyFits"),
        &image,
    );
}
