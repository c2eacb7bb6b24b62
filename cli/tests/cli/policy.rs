//! `--policy` and `inspect --policy-template`.

use crate::support::{Place, READ, cheap_luks_place, every_verb, golden};

const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A container `box`, a second passphrase, a backup of the header, a policy `none` that no header keeps and `exact`,
/// the one of `box`.
fn place(kind: &str) -> Place {
    let place = cheap_luks_place(8192);
    place.write("new", "new");
    place
        .run(&format!("encrypt raw box --type {kind} {CHEAP}"))
        .expect(0);
    place
        .run("header backup box --header-backup-file backup")
        .expect(0);
    place.write("none", "uuid = []\n");
    let exact = place.run("inspect box --policy-template").expect(0);
    place.write("exact", exact.stdout);
    place
}

/// What else opens a container, without its policy.
const CHANGE: [&str; 18] = [
    "key add box --key-file pw --new-keyfile new -q",
    "key change box --key-file pw --new-keyfile new -q",
    "key remove box --key-file pw -q",
    "key unmangle box --key-file pw -q",
    "header config box --uuid 11111111-2222-3333-4444-555555555555",
    "header convert box --type luks1 -q",
    "header convert box --type luks2 -q",
    "header erase box -q",
    "header seal box --key-file pw",
    "header unseal box",
    "header repair box",
    "header restore box --header-backup-file backup -q",
    "token add box --key-description words",
    "token remove box --token-id 0",
    "token assign box --token-id 0 --key-slot 0",
    "reencrypt box --key-file pw -q",
    "decrypt --in-place box --key-file pw -q",
    "resume box --key-file pw -q",
];
const OTHER: [&str; 10] = [
    "compare box box --key-file pw",
    "clone box back2 --key-file pw --keep-passphrase",
    "key export box --key-file pw --volume-key-file vk -q",
    "glance-props box --key-id 00000000-0000-4000-8000-000000000001",
    "token export box --token-id 0",
    "token import box --json-file exact",
    "token unassign box --token-id 0 --key-slot 0",
    // Refused before the kernel is asked.
    "open box luksmith-policy-test --key-file pw -q",
    "serve box --key-file pw --run true",
    "mount box pw --key-file pw --run true",
];

#[test]
fn a2_each_verb_refuses_what_the_policy_refuses() {
    let mut count = 0;
    for kind in ["luks1", "luks2"] {
        let place = place(kind);
        let (before, names) = (place.read("box"), place.names());
        for verb in READ.iter().chain(&CHANGE).chain(&OTHER) {
            let run = place.run(&format!("{verb} --policy none")).expect(4);
            assert!(
                run.stderr.contains("refused by the policy: UUID"),
                "{verb}: {}",
                run.stderr
            );
            assert_eq!(run.stdout, b"", "{verb}");
            assert!(place.read("box") == before, "{verb}");
            assert_eq!(place.names(), names, "{verb}");
            count += 1;
        }
        let run = place
            .run_with("decrypt - - --key-file pw --policy none", &before)
            .expect(4);
        assert_eq!(run.stdout, b"");
    }
    println!("cases: verbs under a policy {} passed, 0 failed", count + 2);
}

#[test]
fn the_exact_policy_of_a_header_allows_it_until_it_is_changed() {
    for kind in ["luks1", "luks2"] {
        let place = place(kind);
        for verb in READ.iter().chain([&OTHER[0]]) {
            place.run(&format!("{verb} --policy exact")).expect(0);
        }
        // Repairing what is in order, and restoring what is there.
        place.run("header repair box --policy exact").expect(0);
        place
            .run("header restore box --header-backup-file backup -q --policy exact")
            .expect(0);
        place
            .run("key add box --key-file pw --new-keyfile new -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --policy exact")
            .expect(0);
        place
            .run("key test box --key-file pw --policy exact")
            .expect(4)
            .says("number of keyslots 2 is not 1");
        // Without the two lines that every change changes, and for two keyslots.
        place
            .sh("grep -v -e ^fingerprint -e ^epoch exact | sed -e 's/^count = 1$/count = \"1..2\"/' -e 's/^area-offset-bytes.*//' >loose")
            .expect(0);
        place
            .run("key test box --key-file new --policy loose")
            .expect(0);
    }
}

/// A policy of the header's own says how long the data are: nothing else would notice what was cut off or added.
#[test]
fn a2_the_length_of_the_data_is_held_to_the_exact_policy() {
    for kind in ["luks1", "luks2"] {
        let place = place(kind);
        let whole = place.read("box");
        let longer = [&whole[..], &[0; 4096]].concat();
        for (bytes, length) in [(&whole[..whole.len() - 4096], 4096), (&longer[..], 12288)] {
            place.write("box", bytes);
            for verb in [
                "decrypt box back --key-file pw",
                "compare box raw --key-file pw",
                "verify box",
                "inspect box",
            ] {
                let run = place.run(&format!("{verb} --policy exact"));
                let says = format!("length of the data {length} is not 8192");
                run.expect(4).says(&says);
            }
            assert!(!place.path("back").exists());
            // What is about the header alone does not ask for its data.
            place
                .run("key test box --key-file pw --policy exact")
                .expect(0);
            place.sh("grep -v ^length exact >loose").expect(0);
            place.run("inspect box --policy loose").expect(0);
        }
        let run = place.run_with("decrypt - - --key-file pw --policy exact", &whole);
        let run = run.expect(4).says("is not known before a stream ends");
        assert_eq!(run.stdout, b"");
    }
}

/// The length of detached data is that of their own file.
#[test]
fn a2_detached_data_have_a_length_too() {
    let place = place("luks2");
    place
        .run(&format!("encrypt raw data --header header {CHEAP}"))
        .expect(0);
    for (length, code) in [("8192", 0), ("\"..8191\"", 4), ("\"8193..\"", 4)] {
        place.write("length", format!("[data]\nlength-bytes = {length}\n"));
        place
            .run("decrypt data --header header back --key-file pw --policy length --force")
            .expect(code);
    }
}

#[test]
fn a2_of_several_policies_each_holds() {
    let place = place("luks2");
    place.write("one", "format = [\"luks2\"]\n");
    place
        .run("inspect box --policy one --policy exact")
        .expect(0);
    for line in [
        "inspect box --policy one --policy none",
        "inspect box --policy none --policy one",
    ] {
        place
            .run(line)
            .expect(4)
            .says("refused by the policy: UUID");
    }
    // Each is read once, so that it may come from a pipe.
    place
        .sh("cat exact | \"$LUKSMITH\" inspect box --policy /dev/stdin --policy one")
        .expect(0);
}

/// CVE-2025-59054: the host swaps the data cipher for one that encrypts nothing.
#[test]
fn a2_the_policy_in_the_box_allows_a_new_container_and_no_other() {
    let place = cheap_luks_place(8192);
    place
        .run(&format!("encrypt raw box {CHEAP} --key-size 512"))
        .expect(0);
    let policy = "--policy builtin:confidential-vm";
    place
        .run(&format!("decrypt box back --key-file pw {policy}"))
        .expect(0);
    assert!(place.read("back") == place.read("raw"));

    // Whatever cryptsetup wrote of other ciphers, sizes and places, with tokens, flags and requirements.
    let mut refused = 0;
    for (path, says) in [
        ("luks1/xts-512-sha256.img.xz", "format \"luks1\""),
        (
            "luks2/pbkdf2-cbc-essiv-128-sector-4096.img.xz",
            "segment 0: cipher \"aes-cbc-essiv:sha256\"",
        ),
        (
            "luks2/argon2id-cbc-plain64-256-keyslot-cipher.img.xz",
            "keyslot 0: cipher",
        ),
        ("luks2/objects.img.xz", "number of tokens"),
        ("luks2/objects.img.xz", "flag \"allow-discards\""),
        ("luks2/objects.img.xz", "is unbound"),
        ("luks2/metadata-64k.img.xz", "size of a header copy"),
        ("luks2/reencrypt-in-progress.img.xz", "requirement"),
        ("luks2/secondary-only.img.xz", "has not two equal copies"),
    ] {
        place.write("img", golden(path));
        place
            .run(&format!("inspect img {policy}"))
            .expect(4)
            .says(says);
        refused += 1;
    }
    println!("cases: policy in the box {refused} passed, 0 failed");
}

#[test]
fn there_is_no_exact_policy_while_a_copy_is_not_used() {
    let place = place("luks2");
    let mut bytes = place.read("box");
    // A byte of it comes back as it was, which the other copy and the checksum tell.
    bytes[5000] ^= 1;
    place.write("box", &bytes);
    place.run("header repair box --policy exact").expect(0);
    place.run("inspect box --policy exact").expect(0);
    bytes[..16384].fill(0);
    place.write("box", &bytes);
    place
        .run("inspect box --policy-template")
        .expect(4)
        .says("box is not sound: the primary header is not used");
    // A repair is held to the policy of what it makes; it makes a new salt, and the same rules hold.
    place
        .run("header repair box --policy exact")
        .expect(4)
        .says("fingerprint");
    assert!(place.read("box") == bytes);
    place.sh("grep -v ^fingerprint exact >loose").expect(0);
    place.run("header repair box --policy loose").expect(0);
    place.run("inspect box --policy loose").expect(0);
}

#[test]
fn a_policy_that_cannot_be_read_is_no_policy() {
    let place = place("luks2");
    for (text, says) in [
        (
            "cipher = []",
            "policy wrong, line 1: unknown field `cipher`",
        ),
        ("format = [\"luks3\"]", "unknown variant `luks3`"),
        (
            "\n[kdf]\nargon2-time = \"9..4\"",
            "policy wrong, line 3: \"9..4\" is not a number or a range",
        ),
        ("fingerprint = [\"00\"]", "not a fingerprint"),
        ("[data", "line 1"),
    ] {
        place.write("wrong", text);
        place
            .run("key test box --key-file pw --policy wrong")
            .expect(1)
            .says(says)
            .advises("--policy-template");
    }
    place
        .run("inspect box --policy nothing")
        .expect(1)
        .says("cannot read policy nothing");
    place
        .run("inspect box --policy builtin:nothing")
        .expect(1)
        .says("no policy nothing comes with luksmith")
        .advises("builtin:confidential-vm");
    place
        .run("decrypt box back --type plain --cipher aes-xts-plain64 --key-size 512 --key-file pw --policy exact --allow-any-source")
        .expect(1)
        .says("--policy does not go with a plain container");
    place
        .run("compare raw raw --policy exact")
        .expect(64)
        .says("--policy does not go with two raw images");
}

/// Whatever takes an image takes a policy for it, but for the verbs that make one.
#[test]
fn every_verb_that_opens_a_container_is_in_the_tables() {
    let no_container = [
        "encrypt",
        "create",
        "measure",
        "probe",
        "benchmark",
        "cryptsetup",
        "completions",
        "man",
        "close",
        "status",
        "mapping suspend",
        "umount",
    ];
    let tables: Vec<_> = READ.iter().chain(&CHANGE).chain(&OTHER).collect();
    for (verb, help) in every_verb() {
        let takes = help.contains("--policy <FILE>");
        // A mapping has a header: those are held to policies where there is a kernel that maps.
        let is_of_a_mapping = verb.starts_with("mapping ");
        let is_in_a_table = is_of_a_mapping || tables.iter().any(|line| line.starts_with(&verb));
        assert_eq!(takes, !no_container.contains(&verb.as_str()), "{verb}");
        assert_eq!(takes, is_in_a_table && verb != "mapping suspend", "{verb}");
    }
}
