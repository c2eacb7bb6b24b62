//! Rules between objects, requirements, key derivations and ciphers of the metadata.

use super::images::Json;
use super::kit::{Expect, Kit, invalid, member};

pub fn add(kit: &mut Kit) {
    requirements(kit);
    digests(kit);
    tokens(kit);
    costs(kit);
    unusable_first(kit);
    ciphers(kit);
}

pub fn one(kit: &mut Kit, name: &str, what: &str, rule: &str, expect: &Expect, json: &Json) {
    kit.json(
        &format!("luks2-objects/{name}"),
        what,
        rule,
        expect,
        &json.text(),
    );
}

fn requirements(kit: &mut Kit) {
    let list = "config.requirements";
    let mandatory = "config.requirements.mandatory";
    for (name, raw, expect) in [
        ("none", "{\"mandatory\":[]}", Expect::Opens),
        ("unknown", "{\"mandatory\":[\"xyzzy\"]}", Expect::Opens),
        (
            "unknown-two",
            "{\"mandatory\":[\"x\",\"y\"]}",
            Expect::Opens,
        ),
        ("empty-text", "{\"mandatory\":[\"\"]}", Expect::Opens),
        ("opal", "{\"mandatory\":[\"opal\"]}", Expect::Opens),
        (
            "inline-hw-tags",
            "{\"mandatory\":[\"inline-hw-tags\"]}",
            Expect::Opens,
        ),
        (
            "offline-reencrypt",
            "{\"mandatory\":[\"offline-reencrypt\"]}",
            Expect::Opens,
        ),
        ("upper-case", "{\"mandatory\":[\"OPAL\"]}", Expect::Opens),
        ("optional", "{\"optional\":[\"xyzzy\"]}", Expect::Opens),
        ("empty-object", "{}", Expect::Opens),
        ("as-array", "[\"xyzzy\"]", Expect::Opens),
        ("as-empty-array", "[]", Expect::Opens),
        ("text", "\"xyzzy\"", member("NotA", list)),
        ("number", "7", member("NotA", list)),
        ("null", "null", member("NotA", list)),
        ("array-of-numbers", "[7]", member("NotA", list)),
        (
            "mandatory-text",
            "{\"mandatory\":\"xyzzy\"}",
            member("NotA", mandatory),
        ),
        (
            "mandatory-object",
            "{\"mandatory\":{}}",
            member("NotA", mandatory),
        ),
        (
            "mandatory-null",
            "{\"mandatory\":null}",
            member("NotA", mandatory),
        ),
        (
            "mandatory-numbers",
            "{\"mandatory\":[7]}",
            member("NotA", mandatory),
        ),
        (
            "mandatory-nulls",
            "{\"mandatory\":[null]}",
            member("NotA", mandatory),
        ),
        (
            "mandatory-mixed",
            "{\"mandatory\":[\"x\",{}]}",
            member("NotA", mandatory),
        ),
    ] {
        let json = kit.metadata().set(list, raw);
        one(
            kit,
            &format!("requirements-{name}"),
            &format!("{list} is {raw}"),
            "LUKS2 3.5",
            &expect,
            &json,
        );
    }
    for name in [
        "online-reencrypt",
        "online-reencrypt-v2",
        "online-reencrypt-v3",
    ] {
        let json = kit
            .metadata()
            .set(list, &format!("{{\"mandatory\":[\"{name}\"]}}"));
        one(
            kit,
            &format!("requirements-{name}"),
            &format!("the requirement {name}, and no reencryption"),
            "LUKS2 3.2.2, 4.9",
            &invalid("Reencryption"),
            &json,
        );
    }
    let many: Vec<_> = (0..100).map(|id| format!("\"r{id}\"")).collect();
    let json = kit
        .metadata()
        .set(list, &format!("{{\"mandatory\":[{}]}}", many.join(",")));
    one(
        kit,
        "requirements-100",
        "100 requirements that are not known",
        "LUKS2 3.5",
        &Expect::Opens,
        &json,
    );
    let flags = kit.metadata().set("config.flags", "[\"allow-discards\",\"same-cpu-crypt\",\"submit-from-crypt-cpus\",\"no-journal\",\"no-read-workqueue\",\"no-write-workqueue\"]");
    one(
        kit,
        "flags-all",
        "all flags of the specification",
        "LUKS2 3.5",
        &Expect::Opens,
        &flags,
    );
}

fn digests(kit: &mut Kit) {
    let digest = kit.metadata().get("digests.0");
    let second = |keyslots: &str, segments: &str| {
        let mut json = Json::new(&digest);
        json = json.set("keyslots", keyslots).set("segments", segments);
        json.text()
    };
    for (name, what, first, keyslots, segments, expect) in [
        (
            "keyslot-twice",
            "a keyslot is in two digests",
            "[\"0\",\"1\"]",
            "[\"1\"]",
            "[]",
            invalid("KeyslotInManyDigests"),
        ),
        (
            "all-twice",
            "two digests that say the same",
            "[\"0\",\"1\"]",
            "[\"0\",\"1\"]",
            "[\"0\"]",
            invalid("KeyslotInManyDigests"),
        ),
        (
            "unbound",
            "the second keyslot has a digest without a segment",
            "[\"0\"]",
            "[\"1\"]",
            "[]",
            Expect::Opens,
        ),
        (
            "no-keyslot",
            "a second digest without keyslots and segments",
            "[\"0\",\"1\"]",
            "[]",
            "[]",
            Expect::Opens,
        ),
        (
            "segment-twice",
            "the segment is in two digests",
            "[\"0\"]",
            "[\"1\"]",
            "[\"0\"]",
            Expect::Opens,
        ),
        (
            "keyslot-nowhere",
            "the second keyslot is in no digest",
            "[\"0\"]",
            "[]",
            "[]",
            invalid("KeyslotWithoutDigest"),
        ),
    ] {
        let json = kit
            .metadata()
            .set("digests.0.keyslots", first)
            .set("digests.1", &second(keyslots, segments));
        one(
            kit,
            &format!("digest-{name}"),
            what,
            "LUKS2 3.4",
            &expect,
            &json,
        );
    }
    let json = kit
        .metadata()
        .set("keyslots", "{}")
        .set("tokens", "{}")
        .set("digests.0.keyslots", "[]");
    one(
        kit,
        "keyslots-none",
        "no keyslot, and a digest for the volume key",
        "LUKS2 4.4",
        &Expect::Locked("NoUsableKeyslot"),
        &json,
    );
    let json = kit
        .metadata()
        .set("keyslots", "{}")
        .set("tokens", "{}")
        .set("digests", "{}");
    one(
        kit,
        "keyslots-and-digests-none",
        "no keyslot and no digest",
        "LUKS2 4.1",
        &invalid("SegmentWithoutDigest"),
        &json,
    );
    let json = kit
        .metadata()
        .set("keyslots", "{}")
        .set("tokens", "{}")
        .set("digests", "{}")
        .set("segments", "{}");
    one(
        kit,
        "all-empty",
        "no keyslot, digest, segment and token",
        "LUKS2 4.1",
        &Expect::Locked("NoUsableKeyslot"),
        &json,
    );
    let json = kit
        .metadata()
        .set("segments", "{}")
        .set("digests.0.segments", "[]");
    one(
        kit,
        "segments-none",
        "no segment: a header that only keeps keys",
        "LUKS2 4.1",
        &Expect::Locked("NoUsableKeyslot"),
        &json,
    );
}

fn tokens(kit: &mut Kit) {
    let rule = "LUKS2 3.6";
    for (name, what, raw, expect) in [
        (
            "keyring-no-description",
            "a luks2-keyring token without key_description",
            "{\"type\":\"luks2-keyring\",\"keyslots\":[\"0\"]}",
            member("Missing", "tokens.0.key_description"),
        ),
        (
            "keyring-description-number",
            "a luks2-keyring token whose key_description is a number",
            "{\"type\":\"luks2-keyring\",\"keyslots\":[\"0\"],\"key_description\":7}",
            member("NotA", "tokens.0.key_description"),
        ),
        (
            "reserved",
            "a token whose type has the reserved prefix and is not known",
            "{\"type\":\"luks2-xyzzy\",\"keyslots\":[\"0\"]}",
            Expect::Opens,
        ),
        (
            "foreign",
            "a token as systemd writes it",
            "{\"type\":\"systemd-tpm2\",\"keyslots\":[\"1\"],\"tpm2-blob\":\"AAAA\",\"tpm2-pcrs\":[7],\"tpm2-pin\":false,\"tpm2_srk\":null}",
            Expect::Opens,
        ),
        (
            "no-type",
            "a token without type",
            "{\"keyslots\":[\"0\"]}",
            member("Missing", "tokens.0.type"),
        ),
        (
            "no-keyslots",
            "a token without keyslots",
            "{\"type\":\"x\"}",
            member("Missing", "tokens.0.keyslots"),
        ),
        (
            "all-keyslots",
            "a token for both keyslots",
            "{\"type\":\"x\",\"keyslots\":[\"0\",\"1\"]}",
            Expect::Opens,
        ),
        (
            "missing-keyslot",
            "a token for a keyslot that is not there",
            "{\"type\":\"x\",\"keyslots\":[\"0\",\"8\"]}",
            invalid("DanglingReference"),
        ),
    ] {
        let json = kit.metadata().set("tokens.0", raw);
        one(kit, &format!("token-{name}"), what, rule, &expect, &json);
    }
}

/// Loading costs nothing; unlocking must be refused, or the passphrase is not the right one.
fn costs(kit: &mut Kit) {
    let rule = "LUKS2 3.2.5";
    let salt = kit.metadata().get("keyslots.0.kdf.salt");
    for (name, what, raw, expect) in [
        (
            "time",
            "Argon2 with 2^31 - 1 passes",
            "\"type\":\"argon2id\",\"time\":2147483647,\"memory\":32,\"cpus\":1",
            Expect::Locked("TooCostly"),
        ),
        (
            "memory",
            "Argon2 with 2 TiB of memory",
            "\"type\":\"argon2id\",\"time\":4,\"memory\":2147483647,\"cpus\":1",
            Expect::Locked("TooCostly"),
        ),
        (
            "pbkdf2",
            "PBKDF2 with 2^32 - 1 iterations",
            "\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":4294967295",
            Expect::Locked("TooCostly"),
        ),
        (
            "argon2i",
            "Argon2i instead of Argon2id",
            "\"type\":\"argon2i\",\"time\":4,\"memory\":32,\"cpus\":1",
            Expect::Locked("NoKeyFits"),
        ),
        (
            "argon2d",
            "a key derivation that is not known",
            "\"type\":\"argon2d\",\"time\":4,\"memory\":32,\"cpus\":1",
            Expect::Locked("NoKeyFits"),
        ),
        (
            "one-iteration",
            "PBKDF2 with one iteration",
            "\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1",
            Expect::Locked("NoKeyFits"),
        ),
        (
            "pbkdf2-leftover",
            "PBKDF2 with Argon2's costs left over",
            "\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000,\"time\":4,\"memory\":32,\"cpus\":1",
            Expect::Locked("NoKeyFits"),
        ),
        (
            "argon2-leftover",
            "Argon2 with PBKDF2's costs left over",
            "\"type\":\"argon2id\",\"time\":4,\"memory\":32,\"cpus\":1,\"hash\":\"sha256\",\"iterations\":1000",
            Expect::Opens,
        ),
        (
            "argon2-leftover-hash",
            "Argon2 with a hash left over",
            "\"type\":\"argon2id\",\"time\":4,\"memory\":32,\"cpus\":1,\"hash\":\"sha256\"",
            Expect::Opens,
        ),
        (
            "argon2-leftover-bad",
            "Argon2 with iterations left over that are no number",
            "\"type\":\"argon2id\",\"time\":4,\"memory\":32,\"cpus\":1,\"iterations\":null",
            Expect::Opens,
        ),
    ] {
        let json = kit
            .metadata()
            .set("keyslots.0.kdf", &format!("{{{raw},\"salt\":{salt}}}"));
        one(kit, &format!("kdf-{name}"), what, rule, &expect, &json);
    }
    let json = kit.metadata().set("digests.0.iterations", "4294967295");
    one(
        kit,
        "digest-costs",
        "a digest with 2^32 - 1 iterations",
        "LUKS2 3.4",
        &Expect::Locked("TooCostly"),
        &json,
    );
    let leftover = kit
        .metadata()
        .set("keyslots.1.kdf.time", "4")
        .set("keyslots.1.kdf.memory", "32")
        .set("keyslots.1.kdf.cpus", "1");
    one(
        kit,
        "kdf-second-leftover",
        "the second keyslot's PBKDF2 with Argon2's costs left over",
        rule,
        &Expect::Opens,
        &leftover,
    );
}

/// The keyslot that is tried first cannot be used, and the passphrase is that of the second.
fn unusable_first(kit: &mut Kit) {
    let second = kit.metadata().get("keyslots.0");
    for (name, what, path, raw) in [
        (
            "cipher",
            "its cipher is not known",
            "area.encryption",
            "\"xyzzy-cbc-plain\"",
        ),
        (
            "key-size",
            "its cipher takes no key of that size",
            "area.key_size",
            "15",
        ),
        (
            "hash",
            "the hash of its splitter is not known",
            "af.hash",
            "\"xyzzy\"",
        ),
        (
            "kdf",
            "its key derivation is not known",
            "kdf.type",
            "\"xyzzy\"",
        ),
        (
            "kdf-hash",
            "the hash of its key derivation is not known",
            "kdf.hash",
            "\"xyzzy\"",
        ),
        (
            "costs",
            "it asks for 2^32 - 1 iterations",
            "kdf.iterations",
            "4294967295",
        ),
        ("type", "its type is not known", "type", "\"xyzzy\""),
        ("key", "it is for another passphrase", "priority", "2"),
    ] {
        let json = kit
            .metadata()
            .remove("keyslots.0")
            .set("keyslots.2", &second)
            .set("digests.0.keyslots", "[\"1\",\"2\"]")
            .set(&format!("keyslots.1.{path}"), raw);
        let what = format!(
            "of the keyslot that is tried first {what}; the passphrase is the second one's"
        );
        one(
            kit,
            &format!("first-keyslot-{name}"),
            &what,
            "LUKS2 4.3",
            &Expect::Opens,
            &json,
        );
    }
}

fn ciphers(kit: &mut Kit) {
    for (name, cipher, expect) in [
        ("null", "cipher_null-ecb", Expect::Locked("NullCipher")),
        ("null-short", "null", Expect::Locked("NullCipher")),
        ("unknown", "xyzzy-cbc-plain", Expect::Opens),
        ("mode-unknown", "aes-xyzzy-plain64", Expect::Opens),
        ("iv-unknown", "aes-cbc-xyzzy", Expect::Opens),
        ("capi", "capi:cbc(aes)-essiv:sha256", Expect::Opens),
        ("aead", "aegis128-random", Expect::Opens),
        ("dashes", "aes---", Expect::Opens),
        ("long", &"x".repeat(1000), Expect::Opens),
        ("newline", "aes-cbc\\n-plain", Expect::Opens),
    ] {
        let json = kit
            .metadata()
            .set("segments.0.encryption", &format!("\"{cipher}\""));
        let what = if cipher.len() > 100 {
            "of 1000 letters"
        } else {
            cipher
        };
        one(
            kit,
            &format!("cipher-{name}"),
            &format!("the data's cipher is {what}"),
            "LUKS2 3.3.2",
            &expect,
            &json,
        );
    }
    for (name, cipher) in [
        ("null", "cipher_null-ecb"),
        ("other", "aes-cbc-plain64"),
        ("size", "aes-xts-plain64"),
        ("capi", "capi:xts(aes)-plain64"),
    ] {
        let json = kit
            .metadata()
            .set("keyslots.0.area.encryption", &format!("\"{cipher}\""));
        let expect = if name == "null" {
            Expect::Locked("NullCipher")
        } else {
            Expect::Locked("NoKeyFits")
        };
        one(
            kit,
            &format!("area-cipher-{name}"),
            &format!("the first keyslot's cipher is {cipher}"),
            "LUKS2 3.2.3",
            &expect,
            &json,
        );
    }
    let json = kit.metadata().set(
        "keyslots.0.area.encryption",
        "\"capi:cbc(aes)-essiv:sha256\"",
    );
    one(
        kit,
        "area-cipher-capi-same",
        "the first keyslot's cipher in the kernel's spelling",
        "LUKS2 3.2.3",
        &Expect::Opens,
        &json,
    );
}
