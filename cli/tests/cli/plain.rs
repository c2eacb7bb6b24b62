//! `encrypt` and `decrypt` of plain containers: what the options mean.

use crate::support::{PLAIN, Place, pattern, plain_place};

#[test]
fn there_and_back() {
    let place = plain_place(1 << 20);
    place.run(&format!("encrypt raw box {PLAIN}")).expect(0);
    assert_eq!(place.read("box").len(), 1 << 20);
    assert_ne!(place.read("box"), place.read("raw"));
    place.run(&format!("decrypt box back {PLAIN}")).expect(0);
    assert_eq!(place.read("back"), place.read("raw"));
    assert_eq!(place.names(), ["back", "box", "key", "raw"]);
}

#[test]
fn every_way_through_pipes_gives_the_same() {
    let place = plain_place(3 * 512 * 1024 + 512);
    let raw = place.read("raw");
    let options = format!("{PLAIN} --offset 16 --skip 4294967290");
    place.run(&format!("encrypt raw box {options}")).expect(0);
    let container = place.read("box");
    let head = 16 * 512;
    assert_eq!(container.len(), head + raw.len());

    place
        .run_with(&format!("encrypt - box2 {options}"), &raw)
        .expect(0);
    assert_eq!(place.read("box2"), container);
    let out = place
        .run(&format!("encrypt raw - {options}"))
        .expect(0)
        .stdout;
    assert_eq!(out, container);
    let out = place
        .run_with(&format!("encrypt - - {options} --threads 3"), &raw)
        .expect(0)
        .stdout;
    assert_eq!(out, container);

    place.run(&format!("decrypt box raw2 {options}")).expect(0);
    assert_eq!(place.read("raw2"), raw);
    place
        .run_with(&format!("decrypt - raw3 {options}"), &container)
        .expect(0);
    assert_eq!(place.read("raw3"), raw);
    let out = place
        .run_with(&format!("decrypt - - {options} --threads 3"), &container)
        .expect(0)
        .stdout;
    assert_eq!(out, raw);
}

#[test]
fn size_limits_the_plaintext() {
    let place = plain_place(64 * 512);
    place
        .run(&format!("encrypt raw box {PLAIN} --size 24"))
        .expect(0);
    assert_eq!(place.read("box").len(), 24 * 512);
    place
        .run(&format!("decrypt box back {PLAIN} --size 8"))
        .expect(0);
    assert_eq!(place.read("back"), pattern(8 * 512));
    place
        .run(&format!("decrypt box more {PLAIN} --size 25"))
        .expect(4)
        .says("12288 bytes, where 12800 are needed");
    place
        .run(&format!("encrypt raw more {PLAIN} --size 65"))
        .expect(4)
        .says("32768 bytes, where 33280 are needed");
    place
        .run_with(
            &format!("encrypt - more {PLAIN} --size 65"),
            &pattern(64 * 512),
        )
        .expect(4)
        .says("standard input");
    assert_eq!(place.names(), ["back", "box", "key", "raw"]);
}

#[test]
fn a_source_that_is_no_whole_sector_is_refused_or_padded() {
    let place = plain_place(1000);
    place
        .run(&format!("encrypt raw box {PLAIN}"))
        .expect(1)
        .says("1000 bytes")
        .advises("--pad");
    place
        .run_with(&format!("encrypt - box {PLAIN}"), &pattern(1000))
        .expect(1)
        .says("1000 bytes")
        .advises("--pad");
    assert_eq!(place.names(), ["key", "raw"]);

    place
        .run(&format!("encrypt raw box {PLAIN} --pad"))
        .expect(0);
    place
        .run_with(&format!("encrypt - box2 {PLAIN} --pad"), &pattern(1000))
        .expect(0);
    assert_eq!(place.read("box"), place.read("box2"));
    place.run(&format!("decrypt box back {PLAIN}")).expect(0);
    let mut padded = pattern(1000);
    padded.resize(1024, 0);
    assert_eq!(place.read("back"), padded);

    place.write("sectors", pattern(4608));
    let large = format!("{PLAIN} --sector-size 4096");
    place
        .run(&format!("encrypt sectors big {large}"))
        .expect(1)
        .says("sector size 4096")
        .advises("--pad");
    place
        .run(&format!("encrypt sectors big {large} --pad"))
        .expect(0);
    assert_eq!(place.read("big").len(), 8192);
}

#[test]
fn a_container_that_ends_within_a_sector_is_read_up_to_it() {
    let place = plain_place(8192);
    let options = format!("{PLAIN} --sector-size 4096");
    place.run(&format!("encrypt raw box {options}")).expect(0);
    let mut container = place.read("box");
    container.extend([7; 700]);
    place.write("box", &container);
    let run = place.run(&format!("decrypt box back {options}")).expect(0);
    assert!(
        run.stderr
            .contains("the last 700 bytes are no whole sector of 4096 bytes"),
        "{}",
        run.stderr
    );
    assert_eq!(place.read("back"), pattern(8192));
    let run = place
        .run_with(&format!("decrypt - - {options}"), &container)
        .expect(0);
    assert!(run.stderr.contains("the last 700 bytes"), "{}", run.stderr);
    assert_eq!(run.stdout, pattern(8192));
}

#[test]
fn e8_holes_stay_holes_on_the_way_out_and_where_asked_on_the_way_in() {
    let place = Place::new();
    place.write("key", pattern(64));
    // Data, a hole of 8 MiB, data.
    place
        .sh("printf start >raw && truncate -s 8M raw && printf end >>raw && truncate -s 16M raw")
        .expect(0);
    let allocated = |name| {
        let run = place.sh(&format!("du -k {name} | cut -f1")).expect(0);
        run.text().trim().parse::<u64>().expect("a number of KiB")
    };
    place.run(&format!("encrypt raw full {PLAIN}")).expect(0);
    assert!(allocated("full") >= 16 << 10);
    place.run(&format!("decrypt full back {PLAIN}")).expect(0);
    assert_eq!(place.read("back"), place.read("raw"));
    assert!(allocated("back") < 1 << 10);

    place
        .run(&format!("encrypt raw thin {PLAIN} --holes keep"))
        .expect(0);
    assert!(allocated("thin") < 1 << 10);
    assert_eq!(place.read("thin").len(), 16 << 20);
    place.run(&format!("decrypt thin noise {PLAIN}")).expect(0);
    assert_eq!(place.read("noise")[..5], *b"start");
    assert_eq!(place.read("noise")[8 << 20..][..3], *b"end");
}

#[test]
fn what_is_missing_is_named() {
    let place = plain_place(512);
    for (options, what) in [
        (
            "--key-size 256 --hash sha256",
            "the cipher of a plain container is not given",
        ),
        (
            "--cipher aes-xts-plain64 --hash sha256",
            "the key size of a plain container is not given",
        ),
        (
            "--cipher aes-xts-plain64 --key-size 256",
            "the hash of the passphrase of a plain container is not given",
        ),
    ] {
        for verb in ["encrypt", "decrypt"] {
            place
                .run_with(&format!("{verb} raw box --type plain {options}"), b"pw\n")
                .expect(1)
                .says(what)
                .advises("--compat 2.6");
        }
    }
    place
        .run("encrypt raw box --type plain --cipher aes-xts-plain64 --key-size 256 --key-file key")
        .expect(0);
}

#[test]
fn compat_stands_for_the_defaults_of_its_age() {
    let place = plain_place(512);
    for (compat, options) in [
        (
            "2.6",
            "--cipher aes-cbc-essiv:sha256 --key-size 256 --hash ripemd160",
        ),
        (
            "2.7",
            "--cipher aes-xts-plain64 --key-size 256 --hash sha256",
        ),
    ] {
        let by_age = place.run_with(
            &format!("encrypt raw - --type plain --compat {compat} --key-file -"),
            b"pw",
        );
        place.write("pw", "pw");
        let said = place
            .sh(&format!(
                "\"$LUKSMITH\" encrypt raw - --type plain {options} --key-file - <pw"
            ))
            .expect(0);
        assert_eq!(by_age.expect(0).stdout, said.stdout, "{compat}");
    }
    let both = "encrypt raw - --type plain --compat 2.6 --cipher aes-xts-plain64 --key-size 512 --key-file key";
    let said = place.run(&format!("encrypt raw - {PLAIN}")).expect(0);
    assert_eq!(
        place.run(both).expect(0).stdout,
        said.stdout,
        "what is said counts"
    );
}

#[test]
fn options_that_cannot_be_are_refused() {
    let place = plain_place(4096);
    for (options, what) in [
        ("--cipher aes-xts --key-size 512", "aes-xts"),
        (
            "--cipher paes-xts-plain64 --key-size 512",
            "cipher \"paes\" is not supported",
        ),
        (
            "--cipher nonsense-xts-plain64 --key-size 512",
            "cipher \"nonsense\" is not supported",
        ),
        ("--cipher aes-xts-plain64 --key-size 300", "300 bits"),
        ("--cipher aes-xts-plain64 --key-size 0", "0 bits"),
        ("--cipher aes-xts-plain64 --key-size 128", "16"),
        (
            "--cipher aes-xts-plain64 --key-size 512 --sector-size 1000",
            "sector size 1000",
        ),
        (
            "--cipher aes-xts-plain64 --key-size 512 --sector-size 4096 --skip 3",
            "3",
        ),
        (
            "--cipher aes-xts-plain64 --key-size 512 --offset 18446744073709551615",
            "18446744073709551615",
        ),
    ] {
        for verb in ["encrypt", "decrypt"] {
            place
                .run(&format!(
                    "{verb} raw box --type plain --key-file key {options}"
                ))
                .expect(1)
                .says(what);
        }
    }
    assert_eq!(place.names(), ["key", "raw"]);
}

#[test]
fn weak_ciphers_are_warned_of_when_a_container_is_made() {
    let place = plain_place(512);
    for (cipher, bits, weak) in [
        ("aes-xts-plain64", 512, false),
        ("aes-cbc-essiv:sha256", 256, false),
        ("aes-cbc-plain64", 256, true),
        ("aes-cbc-plain", 256, true),
        ("aes-ecb", 256, true),
    ] {
        let options = format!("--type plain --cipher {cipher} --key-size {bits} --key-file key");
        let run = place
            .run(&format!("encrypt raw box --force {options}"))
            .expect(0);
        assert_eq!(
            run.stderr.contains("warning"),
            weak,
            "{cipher}: {}",
            run.stderr
        );
        let run = place
            .run(&format!("decrypt box back -q --force {options}"))
            .expect(0);
        assert_eq!(run.stderr, "", "{cipher}");
    }
}

#[test]
fn the_null_cipher_is_refused_unless_it_is_allowed() {
    let place = plain_place(512);
    let options = "--type plain --cipher cipher_null-ecb --key-size 256 --key-file key";
    for force in ["", "--force"] {
        place
            .run(&format!("encrypt raw box {options} {force}"))
            .expect(1)
            .says("null cipher")
            .advises("--allow-weak-cipher");
    }
    place
        .run(&format!("encrypt raw box {options} --allow-weak-cipher"))
        .expect(0);
    place
        .run(&format!("decrypt box back {options}"))
        .expect(1)
        .says("null cipher")
        .advises("--allow-unencrypted");
    place
        .run(&format!("decrypt box back {options} --allow-null-cipher"))
        .expect(0);
    assert_eq!(place.read("back"), place.read("raw"));
}

#[test]
fn a_dry_run_writes_nothing_and_asks_nothing() {
    let place = plain_place(4096);
    let options =
        "--type plain --cipher aes-xts-plain64 --key-size 512 --hash sha256 --offset 8 --dry-run";
    let run = place.run(&format!("encrypt raw box {options}")).expect(0);
    assert!(
        run.text()
            .contains("payload: 4096 bytes (4 KiB) at 4096\n  container: 8192 bytes (8 KiB)"),
        "{}",
        run.text()
    );
    let run = place
        .run(&format!("decrypt raw back {options} --size 0"))
        .expect(0);
    assert!(
        run.text().contains("payload: 0 bytes at 4096"),
        "{}",
        run.text()
    );
    assert_eq!(place.names(), ["key", "raw"]);
}

#[test]
fn results_as_json() {
    let place = plain_place(4096);
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let run = place
        .run(&format!("encrypt raw box {PLAIN} --json --offset 8"))
        .expect(0);
    assert_eq!(
        parse(run.text()),
        serde_json::json!({
            "schema": "luksmith.encrypt/1", "dry_run": false, "source": "raw", "destination": "box", "type": "plain",
            "cipher": "aes-xts-plain64", "key_bits": 512, "sector_size": 512,
            "sector_size_reason": "the default of plain containers", "payload_offset": 4096,
            "payload_bytes": 4096, "container_bytes": 8192,
        })
    );
    let run = place
        .run(&format!("decrypt box back {PLAIN} --json --offset 8"))
        .expect(0);
    let result = parse(run.text());
    assert_eq!(result["schema"], "luksmith.decrypt/1");
    assert_eq!(result["payload_bytes"], 4096);
    place
        .run(&format!("decrypt box - {PLAIN} --json"))
        .expect(1)
        .says("--json does not go with");
}

#[test]
fn an_empty_image_is_an_empty_container() {
    let place = plain_place(0);
    place
        .run(&format!("encrypt raw box --allow-empty {PLAIN}"))
        .expect(0);
    assert_eq!(place.read("box"), b"");
    place.run(&format!("decrypt box back {PLAIN}")).expect(0);
    assert_eq!(place.read("back"), b"");
    assert_eq!(
        place
            .run_with(&format!("encrypt - - --allow-empty {PLAIN}"), b"")
            .expect(0)
            .stdout,
        b""
    );
}
