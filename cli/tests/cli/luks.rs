//! `encrypt` and `decrypt` of LUKS containers.

use crate::support::{Place, cheap_luks_place, pattern};

/// The cheapest key derivation that may be written, so that tests take no time.
const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";

#[test]
fn there_and_back_through_files_and_pipes() {
    let place = cheap_luks_place(3 * 512 * 1024);
    let raw = place.read("raw");
    for (kind, head) in [("luks1", 2 << 20), ("luks2", 16 << 20)] {
        let options = format!("--type {kind} {CHEAP}");
        place
            .run(&format!("encrypt raw box --force {options}"))
            .expect(0);
        assert_eq!(place.read("box").len(), head + raw.len());
        let piped = place
            .run_with(&format!("encrypt - - {options}"), &raw)
            .expect(0)
            .stdout;
        assert_eq!(piped.len(), head + raw.len());
        place.write("piped", &piped);
        for container in ["box", "piped"] {
            place
                .run(&format!("decrypt {container} back --force --key-file pw"))
                .expect(0);
            assert!(place.read("back") == raw, "{kind}, {container}");
            let bytes = place.read(container);
            let out = place
                .run_with("decrypt - - --key-file pw --threads 3", &bytes)
                .expect(0);
            assert!(out.stdout == raw, "{kind}, {container} through pipes");
        }
        place
            .run("decrypt box back --force --key-file pw --size 16")
            .expect(0);
        assert_eq!(place.read("back"), raw[..16 * 512]);
        let out = place
            .run_with("decrypt - - --key-file pw --size 16", &piped)
            .expect(0);
        assert_eq!(out.stdout, raw[..16 * 512]);
    }
}

#[test]
fn the_sector_size_follows_the_payload() {
    let place = Place::new();
    place.write("pw", "pw");
    let sector_size = |arguments: &str, input: Option<&[u8]>| {
        let arguments = format!("{arguments} --force {CHEAP}");
        let run = match input {
            Some(input) => place.run_with(&arguments, input),
            None => place.run(&arguments),
        };
        run.expect(0);
        let report = place.run("inspect box --json").expect(0);
        let report: serde_json::Value = serde_json::from_str(report.text()).expect("JSON");
        report["segments"][0]["sector_size"]
            .as_u64()
            .expect("a number")
    };
    place.write("even", pattern(8192));
    place.write("odd", pattern(8192 + 512));
    assert_eq!(sector_size("encrypt even box", None), 4096);
    assert_eq!(sector_size("encrypt odd box", None), 512);
    assert_eq!(sector_size("encrypt - box", Some(&pattern(8192))), 512);
    assert_eq!(sector_size("encrypt even box --type luks1", None), 512);
    assert_eq!(
        sector_size("encrypt even box --sector-size 1024", None),
        1024
    );
    assert_eq!(
        sector_size("encrypt odd box --sector-size 4096 --pad", None),
        4096
    );
    place
        .run(&format!("encrypt odd box2 --sector-size 4096 {CHEAP}"))
        .expect(1)
        .advises("--pad");
    assert!(!place.path("box2").exists());
}

#[test]
fn a_detached_header_both_ways() {
    let place = cheap_luks_place(1 << 20);
    for kind in ["luks1", "luks2"] {
        // Two files that are there cannot be replaced in one step.
        let options = format!("--type {kind} --header head {CHEAP} --force");
        place.sh("rm -f data head").expect(0);
        place.run(&format!("encrypt raw data {options}")).expect(0);
        assert_eq!(place.read("data").len(), 1 << 20);
        place
            .run("decrypt data back --header head --key-file pw --force")
            .expect(0);
        assert_eq!(place.read("back"), place.read("raw"));
        let data = place.read("data");
        let out = place
            .run_with("decrypt - - --header head --key-file pw", &data)
            .expect(0);
        assert_eq!(out.stdout, place.read("raw"));
        let out = place
            .run(&format!("encrypt raw - {options} --offset 32768"))
            .expect(0);
        assert_eq!(out.stdout.len(), (1 << 20) + (16 << 20));
        let out = place
            .run_with("decrypt - - --header head --key-file pw", &out.stdout)
            .expect(0);
        assert_eq!(out.stdout, place.read("raw"));
    }
    // Taken for a container, its own bytes would be the data.
    for kind in ["luks1", "luks2"] {
        // Two files that are there cannot be replaced in one step.
        let options = format!("--type {kind} --header head {CHEAP} --force");
        place.sh("rm -f data head").expect(0);
        place.run(&format!("encrypt raw data {options}")).expect(0);
        for line in [
            "decrypt head none --key-file pw",
            "compare head raw --key-file pw",
        ] {
            place
                .run(line)
                .expect(4)
                .says("head is a detached header")
                .advises("--header head");
        }
        assert!(!place.path("none").exists());
    }
    // One that is as long as the room it leaves is a container without data.
    place.sh("rm data head").expect(0);
    place
        .run(&format!(
            "encrypt raw data --header head --offset 32768 {CHEAP} --force"
        ))
        .expect(0);
    let head = std::fs::File::options()
        .write(true)
        .open(place.path("head"));
    head.unwrap().set_len(16 << 20).unwrap();
    let run = place.run("decrypt head nothing --key-file pw").expect(0);
    let warning = "warning: head ends where its data begin; decrypt DATA --header head";
    assert!(run.stderr.contains(warning), "{}", run.stderr);
    assert_eq!(place.read("nothing"), b"");
    for header in ["box", "./box"] {
        place
            .run(&format!("encrypt raw box --header {header} {CHEAP}"))
            .expect(1)
            .says("--header");
    }
    place
        .run(&format!("encrypt raw box --header raw {CHEAP} --force"))
        .expect(1)
        .says("raw is the source itself");
    place
        .run(&format!("encrypt raw box --header head {CHEAP}"))
        .expect(5)
        .says("head exists");
    assert!(!place.path("box").exists());
}

#[test]
fn the_volume_key_opens_it_and_can_be_given() {
    let place = cheap_luks_place(4096);
    place.write("vk", (0..64).collect::<Vec<u8>>());
    place.write("other", (1..65).collect::<Vec<u8>>());
    place
        .run(&format!("encrypt raw box --volume-key-file vk {CHEAP}"))
        .expect(0);
    place.run("decrypt box back --volume-key-file vk").expect(0);
    assert_eq!(place.read("back"), place.read("raw"));
    place
        .run("decrypt box no --volume-key-file other")
        .expect(2)
        .says("the volume key does not match");
    place
        .run("decrypt box no --volume-key-file pw")
        .expect(1)
        .says("the volume key has 2 bytes");
    place
        .run("decrypt box no --volume-key-file missing")
        .expect(1)
        .says("volume key file missing");
    place
        .run(&format!("encrypt raw no --volume-key-file pw {CHEAP}"))
        .expect(1)
        .says("the volume key has 2 bytes");
    assert!(!place.path("no").exists());
}

#[test]
fn a6_a_wrong_passphrase_is_2_and_leaves_nothing() {
    let place = cheap_luks_place(4096);
    for kind in ["luks1", "luks2"] {
        place
            .run(&format!("encrypt raw box --force --type {kind} {CHEAP}"))
            .expect(0);
        let before = place.names();
        place
            .run_with("decrypt box back", b"wrong\n")
            .expect(2)
            .says("box: no key fits: keyslot 0");
        let run = place.run_with("decrypt box -", b"wrong\n").expect(2);
        assert!(run.stdout.is_empty());
        place.write("empty", "");
        let run = place.run("decrypt box back --key-file empty").expect(2);
        assert!(
            run.stderr.contains("key file empty is empty (0 bytes)"),
            "{}",
            run.stderr
        );
        std::fs::remove_file(place.path("empty")).expect("it is there");
        assert_eq!(place.names(), before);
        place
            .run("decrypt box back --key-slot 1 --key-file pw")
            .expect(1)
            .says("keyslot 1 is not in use");
    }
}

#[test]
fn an_empty_key_makes_no_container_unless_it_is_allowed() {
    let place = cheap_luks_place(4096);
    place.write("pw", "");
    let allow = "--allow-empty-passphrase";
    for (force, verb) in ["", "--force"].into_iter().flat_map(|force| {
        [
            (force, "encrypt raw"),
            (force, "create --payload-size 4096"),
        ]
    }) {
        place
            .run(&format!("{verb} box {CHEAP} {force}"))
            .expect(1)
            .says("key file pw: the key is empty")
            .advises(allow);
        assert!(!place.path("box").exists());
    }
    place
        .run(&format!("create box --payload-size 4096 {CHEAP} {allow}"))
        .expect(0);
    place.run_with("key test box", b"\n").expect(0);
    place
        .run(&format!("encrypt raw box {CHEAP} --force {allow}"))
        .expect(0);
    place.run_with("decrypt box back", b"\n").expect(0);
}

#[test]
fn options_of_another_type_are_refused() {
    let place = cheap_luks_place(4096);
    let plain = "--type plain --compat 2.7 --key-file pw";
    for (arguments, what) in [
        (
            format!("encrypt raw no {CHEAP} --skip 8"),
            "--skip does not go with a LUKS container",
        ),
        (
            format!("encrypt raw no {CHEAP} --compat 2.6"),
            "--compat does not go with",
        ),
        (
            format!("encrypt raw no {plain} --label x"),
            "--label does not go with a plain container",
        ),
        (
            format!("encrypt raw no {plain} --header h"),
            "--header does not go with a plain container",
        ),
        (
            format!("decrypt raw no {plain} --key-slot 1"),
            "--key-slot does not go with a plain container",
        ),
        (
            "decrypt raw no --cipher aes-xts-plain64".to_owned(),
            "--cipher does not go with a LUKS container",
        ),
        (
            format!("encrypt raw no {CHEAP} --pbkdf-memory 100"),
            "--pbkdf-memory does not go with --pbkdf pbkdf2",
        ),
        (
            format!("encrypt raw no --type luks1 {CHEAP} --label x"),
            "LUKS1 has no way to say label",
        ),
        (
            format!("encrypt raw no --type luks1 {CHEAP} --sector-size 4096"),
            "LUKS1 has no way to say sector size 4096",
        ),
        (
            "encrypt raw no --type luks1 --pbkdf argon2id --key-file pw".to_owned(),
            "LUKS1 has no way to say key derivation",
        ),
        (
            format!("encrypt raw no {CHEAP} --key-slot 32"),
            "keyslot 32 does not exist",
        ),
        (
            format!("encrypt raw no {CHEAP} --offset 7"),
            "data offset 3584 is no multiple of 4096",
        ),
        (
            format!("encrypt raw no {CHEAP} --offset 8"),
            "lies inside the header",
        ),
        (
            format!("encrypt raw no {CHEAP} --luks2-metadata-size 17K"),
            "LUKS2 metadata size 17408 is none of",
        ),
        (
            format!("encrypt raw no {CHEAP} --uuid nonsense"),
            "\"nonsense\" is not a UUID",
        ),
        (
            format!("encrypt raw no {CHEAP} --cipher nonsense-xts-plain64"),
            "cipher \"nonsense\" is not supported",
        ),
        (
            format!("encrypt raw no {CHEAP} --hash md5"),
            "hash \"md5\" is not supported",
        ),
        (format!("encrypt raw no {CHEAP} --key-size 300"), "300 bits"),
        (
            format!("encrypt raw no {CHEAP} --cipher cipher_null-ecb"),
            "null cipher",
        ),
        (
            format!("encrypt raw no {CHEAP} --cipher cast5-cbc-essiv:md5 --key-size 128"),
            "blocks of 64 bits",
        ),
        (
            format!("create no {CHEAP} --payload-size 1M --cipher xtea-cbc-plain --key-size 128"),
            "blocks of 64 bits",
        ),
        (
            "encrypt raw no --type plain --key-file pw --cipher des3_ede-ecb --key-size 192"
                .to_owned(),
            "blocks of 64 bits",
        ),
        (
            "encrypt raw no --key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 999".to_owned(),
            "999 is outside 1000",
        ),
    ] {
        place.run(&arguments).expect(1).says(what);
    }
    assert_eq!(place.names(), ["pw", "raw"]);
}

#[test]
fn d3_a_risky_cipher_is_made_with_a_warning_where_it_is_allowed() {
    let place = cheap_luks_place(8192);
    let options = format!("{CHEAP} --cipher cast5-cbc-essiv:md5 --key-size 128");
    let run = place
        .run(&format!("encrypt raw box {options} --allow-weak-cipher"))
        .expect(0);
    assert!(
        run.stderr.contains("warning:") && run.stderr.contains("blocks of 64 bits"),
        "{}",
        run.stderr
    );
    place.run("decrypt box back --key-file pw").expect(0);
    assert!(place.read("back") == place.read("raw"));
}

#[test]
fn what_is_asked_for_is_in_the_header() {
    let place = cheap_luks_place(8192);
    let uuid = "12345678-9abc-def0-1234-56789abcdef0";
    let options = format!(
        "--cipher aes-cbc-essiv:sha256 --key-size 128 --hash sha512 --sector-size 2048 --label name --subsystem sub \
         --uuid {uuid} --luks2-metadata-size 64K --luks2-keyslots-size 1M --key-slot 5 --offset 8192"
    );
    place
        .run(&format!("encrypt raw box {CHEAP} {options}"))
        .expect(0);
    let report = place.run("inspect box --json").expect(0);
    let report: serde_json::Value = serde_json::from_str(report.text()).expect("JSON");
    for (pointer, value) in [
        ("/type", serde_json::json!("luks2")),
        ("/uuid", uuid.into()),
        ("/label", "name".into()),
        ("/subsystem", "sub".into()),
        ("/header_bytes", 65536.into()),
        ("/keyslots_bytes", (1 << 20).into()),
        ("/segments/0/cipher", "aes-cbc-essiv:sha256".into()),
        ("/segments/0/sector_size", 2048.into()),
        ("/segments/0/offset", (4 << 20).into()),
        ("/keyslots/0/id", 5.into()),
        ("/keyslots/0/key_bits", 128.into()),
        ("/keyslots/0/kdf/hash", "sha512".into()),
        ("/keyslots/0/kdf/iterations", 1000.into()),
    ] {
        assert_eq!(report.pointer(pointer), Some(&value), "{pointer}");
    }
    place.run("decrypt box back --key-file pw").expect(0);
    assert_eq!(place.read("back"), place.read("raw"));
}

#[test]
fn argon2_within_the_memory_that_is_given() {
    let place = cheap_luks_place(4096);
    let options = "--key-file pw --iter-time 1 --pbkdf-memory 1024 --pbkdf-parallel 1";
    place.run(&format!("encrypt raw box {options}")).expect(0);
    let report = place.run("inspect box --json").expect(0);
    let report: serde_json::Value = serde_json::from_str(report.text()).expect("JSON");
    let kdf = &report["keyslots"][0]["kdf"];
    assert_eq!(
        (&kdf["type"], &kdf["memory_kib"], &kdf["lanes"]),
        (&"argon2id".into(), &1024.into(), &1.into())
    );
    place.run("decrypt box back --key-file pw").expect(0);
    place
        .run("decrypt box no --key-file pw --max-kdf-memory 1023")
        .expect(4)
        .says("needs 1024 KiB of memory")
        .advises("--max-kdf-memory");
}

/// The environment holds in both faces, and what is typed comes before it.
#[test]
fn limits_of_key_derivations_come_from_the_environment() {
    let place = cheap_luks_place(4096);
    place
        .run("encrypt raw argon --key-file pw --iter-time 1 --pbkdf-memory 1024 --pbkdf-parallel 1")
        .expect(0);
    place
        .run("encrypt raw pbkdf2 --key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 4000000")
        .expect(0);
    let face =
        |image: &str| format!("\"$LUKSMITH\" cryptsetup open --test-passphrase -d pw {image}");
    let verb = |image: &str| format!("\"$LUKSMITH\" key test -d pw {image}");
    for (variable, image, refuses, allows, says, option) in [
        (
            "LUKSMITH_MAX_KDF_MEMORY",
            "argon",
            "1023",
            "1024",
            "needs 1024 KiB of memory, the limit is 1023 KiB",
            "--max-kdf-memory 1024",
        ),
        (
            "LUKSMITH_MAX_KDF_TIME",
            "pbkdf2",
            "1",
            "1099511627776",
            "times the time allowed for one keyslot",
            "--max-kdf-time 1099511627776",
        ),
    ] {
        for line in [face(image), verb(image)] {
            place.sh(&format!("{variable}={allows} {line}")).expect(0);
            place.sh(&format!("{variable}= {line}")).expect(0);
            let refused = place.sh(&format!("{variable}={refuses} {line}")).expect(4);
            assert!(refused.stderr.contains(says), "{line}: {}", refused.stderr);
        }
        let told = place.sh(&format!("{variable}={refuses} {}", face(image)));
        assert!(
            told.stderr.contains(&format!("{variable}=")),
            "{}",
            told.stderr
        );
        place
            .sh(&format!("{variable}={refuses} {} {option}", verb(image)))
            .expect(0);
        for nonsense in [
            "0",
            "x",
            "-1",
            "1.5",
            "1e3",
            "1K",
            "99999999999999999999",
            "' 5'",
        ] {
            for line in [
                face(image),
                verb(image),
                format!("\"$LUKSMITH\" inspect {image}"),
            ] {
                let run = place.sh(&format!("{variable}={nonsense} {line}")).expect(1);
                assert!(run.stderr.contains(variable), "{line}: {}", run.stderr);
            }
        }
    }
}

#[test]
fn a_dry_run_of_a_container_writes_nothing() {
    let place = cheap_luks_place(8192);
    let run = place.run("encrypt raw box --dry-run").expect(0);
    assert!(
        run.text().contains(
            "payload: 8192 bytes (8 KiB) at 16777216\n  container: 16785408 bytes (16.0 MiB)"
        ),
        "{}",
        run.text()
    );
    assert_eq!(place.names(), ["pw", "raw"]);
    place.run(&format!("encrypt raw box {CHEAP}")).expect(0);
    let run = place.run("decrypt box back --dry-run --json").expect(0);
    assert!(run.text().contains("\"type\":\"luks2\""), "{}", run.text());
    assert_eq!(place.names(), ["box", "pw", "raw"]);
}

#[test]
fn a_payload_that_ends_within_a_sector_is_read_up_to_it() {
    let place = cheap_luks_place(8192);
    place.run(&format!("encrypt raw box {CHEAP}")).expect(0);
    let mut container = place.read("box");
    container.extend([1; 1000]);
    place.write("box", &container);
    let run = place.run("decrypt box back --key-file pw").expect(0);
    assert!(
        run.stderr
            .contains("the last 1000 bytes are no whole sector of 4096 bytes"),
        "{}",
        run.stderr
    );
    assert_eq!(place.read("back"), pattern(8192));
    let run = place
        .run_with("decrypt - - --key-file pw", &container)
        .expect(0);
    assert!(run.stderr.contains("the last 1000 bytes"), "{}", run.stderr);
    assert_eq!(run.stdout, pattern(8192));
}
