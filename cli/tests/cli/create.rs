//! `create` and `measure`: empty containers and their sizes.

use crate::support::{Place, cheap_luks_place, pattern};

const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// Allows a weak cipher, and too much data under one key.
const WEAK: &str = "--allow-weak-cipher";

#[test]
fn sizes_are_as_asked_and_as_measured() {
    let place = cheap_luks_place(0);
    for (options, payload, container) in [
        ("--payload-size 1M", 1_u64 << 20, (16_u64 << 20) + (1 << 20)),
        ("--container-size 17M", 1 << 20, 17 << 20),
        ("--container-size 17825999", 1 << 20, 17 << 20),
        ("--payload-size 512 --type luks1", 512, (2 << 20) + 512),
        (
            "--payload-size 1M --type luks1 --key-size 256",
            1 << 20,
            (2 << 20) + (1 << 20),
        ),
        ("--payload-size 0", 0, 16 << 20),
        ("--container-size 16M", 0, 16 << 20),
        (
            "--payload-size 1M --luks2-metadata-size 4M --luks2-keyslots-size 16M",
            1 << 20,
            (24 << 20) + (1 << 20),
        ),
        ("--payload-size 8K --offset 32776", 8192, 32776 * 512 + 8192),
    ] {
        place
            .run(&format!("create box --force {options} {CHEAP}"))
            .expect(0);
        assert_eq!(place.read("box").len() as u64, container, "{options}");
        let run = place.run(&format!("measure {options} --json")).expect(0);
        let result: serde_json::Value = serde_json::from_str(run.text()).expect("JSON");
        assert_eq!(
            (&result["payload_bytes"], &result["container_bytes"]),
            (&payload.into(), &container.into()),
            "{options}"
        );
        place
            .run("decrypt box back --force --key-file pw")
            .expect(0);
        assert_eq!(place.read("back").len() as u64, payload, "{options}");
    }
}

#[test]
fn a_detached_header_is_a_file_of_its_own() {
    let place = cheap_luks_place(0);
    place
        .run(&format!(
            "create data --header head --payload-size 1M {CHEAP}"
        ))
        .expect(0);
    let run = place.run("measure --payload-size 1M --detached").expect(0);
    assert!(
        run.text().contains("header:    16777216 bytes (16 MiB)\n")
            && run.text().contains("container: 1048576 bytes"),
        "{}",
        run.text()
    );
    assert_eq!(
        (place.read("data").len(), place.read("head").len()),
        (1 << 20, 16 << 20)
    );
    place.run("key test head --key-file pw").expect(0);
}

#[test]
fn plain_containers_are_measured_and_not_created() {
    let place = cheap_luks_place(0);
    let run = place
        .run("measure --type plain --container-size 1M --offset 1")
        .expect(0);
    assert!(
        run.text()
            .contains("payload:   1048064 bytes (1023.5 KiB) at 512"),
        "{}",
        run.text()
    );
    place
        .run(&format!(
            "create box --type plain --payload-size 1M {CHEAP}"
        ))
        .expect(1)
        .says("plain container");
    place
        .run("measure --type plain --payload-size 1M --label x")
        .expect(1)
        .says("--label does not go with");
}

#[test]
fn sizes_that_do_not_fit() {
    let place = cheap_luks_place(0);
    for (arguments, what) in [
        (format!("create box {CHEAP}"), "no size is given"),
        ("measure".to_owned(), "no size is given"),
        (
            format!("create box --payload-size 1000 {CHEAP}"),
            "1000 bytes is no multiple of the sector size 512",
        ),
        (
            format!("create box --payload-size 1024 --sector-size 4096 {CHEAP}"),
            "1024 bytes is no multiple of the sector size 4096",
        ),
        (
            format!("create box --container-size 1M {CHEAP}"),
            "1048576 bytes has no room for its header, which needs 16777216",
        ),
        (
            format!("create - --payload-size 1M {CHEAP}"),
            "create does not go with a pipe",
        ),
        (
            format!("create box --payload-size 1Q {CHEAP}"),
            "invalid value '1Q'",
        ),
        (
            format!("create box --payload-size 16777215T {CHEAP}"),
            "18446742974197923840 bytes at 16777216 ends beyond 2^63",
        ),
        (
            "measure --payload-size 18446744073709551104".to_owned(),
            "18446744073709551104 bytes at 16777216 ends beyond 2^63",
        ),
        (
            "measure --payload-size 1M --type plain --offset 18446744073709551615".to_owned(),
            "ends beyond 2^63",
        ),
    ] {
        place.run(&arguments).expect(1).says(what);
    }
    assert_eq!(place.names(), ["pw", "raw"]);
}

#[test]
fn an_empty_container_takes_no_room() {
    let place = cheap_luks_place(0);
    place
        .run(&format!("create box --payload-size 10G {CHEAP}"))
        .expect(0);
    let run = place.sh("du -k box | cut -f1").expect(0);
    assert!(
        run.text().trim().parse::<u64>().expect("a number") < 20 << 10,
        "{}",
        run.text()
    );
    let run = place
        .run(&format!("create box2 --payload-size 1M {CHEAP} --json"))
        .expect(0);
    assert!(
        run.text().starts_with(
            "{\"schema\":\"luksmith.create/1\",\"dry_run\":false,\"destination\":\"box2\""
        ),
        "{}",
        run.text()
    );
}

#[test]
fn measuring_needs_nothing() {
    let place = Place::new();
    let run = place.run("measure --payload-size 10T").expect(0);
    assert!(
        run.text().contains("container: 10995133054976 bytes")
            || run.text().contains("container: 1099"),
        "{}",
        run.text()
    );
    assert!(place.names().is_empty());
}

/// Amounts of data under one key: advised against, or not without force. Everything is a hole.
#[test]
fn d2_d4_too_much_data_under_one_key_is_warned_of_or_refused() {
    let place = cheap_luks_place(0);
    place.write("key", pattern(64));
    let warning = |line: &str| {
        let run = place.run(line).expect(0);
        run.stderr.lines().next().unwrap_or_default().to_owned()
    };
    let create = |size: &str, options: &str| {
        format!("create box --dry-run --payload-size {size} {CHEAP} {options}")
    };
    assert_eq!(warning(&create("1T", "")), "");
    assert!(warning(&create("1025G", "")).contains("aes-xts-plain64: beyond 1 TiB"));
    let repeats = "its IVs of 32 bits start again in so much data";
    for (size, options, says) in [
        ("257T", "", "XTS may encrypt 256 TiB under one key"),
        ("2049G", "--cipher aes-xts-plain", repeats),
        (
            "2049G",
            "--cipher aes-cbc-plain --key-size 256 --type luks1",
            repeats,
        ),
    ] {
        let line = create(size, options);
        for line in [&line, &format!("{line} --force")] {
            place.run(line).expect(1).says(says).advises(WEAK);
        }
        let warned = place.run(&format!("{line} {WEAK}")).expect(0).stderr;
        assert!(
            warned.contains("warning:") && warned.contains(says),
            "{warned}"
        );
    }

    // The sectors of a plain container have IVs of 512 bytes each, or of their own.
    place.sh("truncate -s 3T sparse").expect(0);
    let line = "encrypt sparse box --dry-run --type plain --cipher aes-xts-plain --key-size 512 --key-file key \
                --sector-size 4096";
    place.run(line).expect(1).says(repeats);
    place.run(&format!("{line} --iv-large-sectors")).expect(0);
    // What there is is read all the same.
    place.run(&line.replace("encrypt", "decrypt")).expect(0);
    assert_eq!(place.names(), ["key", "pw", "raw", "sparse"]);
}
