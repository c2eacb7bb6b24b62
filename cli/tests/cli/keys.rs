//! Where a key comes from, and how many of its bytes count: facts of cryptsetup 2.6, input by input.

use sha2::{Digest, Sha256};

use crate::support::{Place, Run, feed, pattern, plain_place};

const HASHED: &str = "--type plain --cipher aes-cbc-plain64 --key-size 256 --hash sha256";

/// The ciphertext that a key gives: equal ciphertexts, equal keys.
fn with_raw_key(place: &Place, key: &[u8]) -> Vec<u8> {
    place.write("expected-key", key);
    let run = place.run("encrypt raw - --type plain --cipher aes-cbc-plain64 --key-size 256 --key-file expected-key");
    run.expect(0).stdout
}

fn sha256(text: &[u8]) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

#[test]
fn passphrases_of_a_plain_container() {
    let place = plain_place(512);
    let mut zero_padded = b"xxxxxxxx".to_vec();
    zero_padded.resize(32, 0);
    let mut two = b"xx".to_vec();
    two.resize(32, 0);
    let mut twenty = sha256(b"xxx")[..20].to_vec();
    twenty.resize(32, 0);
    let long = pattern(100).iter().map(|byte| byte | 1).collect::<Vec<_>>();
    for (options, input, key) in [
        ("--hash sha256", &b"xxx"[..], sha256(b"xxx")),
        ("--hash sha256", b"xxx\n", sha256(b"xxx")),
        ("--hash sha256", b"xxx\nmore", sha256(b"xxx")),
        ("--hash sha256", b"\n", sha256(b"")),
        ("--hash sha256", b"a\0b\n", sha256(b"a\0b")),
        ("--hash sha256 --key-file -", b"xxx", sha256(b"xxx")),
        ("--hash sha256 --key-file -", b"xxx\n", sha256(b"xxx\n")),
        ("--hash sha256 --key-file - -l 3", b"xxx\n", sha256(b"xxx")),
        ("--hash sha256 -l 4", b"0123456789abcdef", sha256(b"0123")),
        (
            "--hash sha256 --keyfile-offset 2",
            b"abxxx\n",
            sha256(b"xxx"),
        ),
        ("--hash sha256:20", b"xxx", twenty),
        ("--hash plain", b"xxxxxxxx\n", zero_padded),
        ("--hash plain", &long, long[..32].to_vec()),
        ("--hash plain --key-file -", &long, long[..32].to_vec()),
        ("--hash plain:2", b"xxxxxxxx", two),
    ] {
        let arguments =
            format!("encrypt raw - --type plain --cipher aes-cbc-plain64 --key-size 256 {options}");
        let run = place.run_with(&arguments, input).expect(0);
        assert_eq!(
            run.stdout,
            with_raw_key(&place, &key),
            "{options}, {input:?}"
        );
    }
}

#[test]
fn a_key_file_is_the_key_itself() {
    let place = plain_place(512);
    place.write("long", pattern(100));
    let expected = with_raw_key(&place, &pattern(32));
    let plain = "encrypt raw - --type plain --cipher aes-cbc-plain64 --key-size 256";
    assert_eq!(
        place
            .run(&format!("{plain} --key-file long"))
            .expect(0)
            .stdout,
        expected
    );
    let run = place
        .run(&format!("{plain} --key-file long --hash sha512 -l 5"))
        .expect(0);
    assert_eq!(run.stdout, expected);
    assert!(
        run.stderr.contains("--hash is not used")
            && run.stderr.contains("--keyfile-size is not used")
    );
    let run = place
        .run(&format!("{plain} --key-file long --keyfile-offset 8"))
        .expect(0);
    assert_eq!(run.stdout, with_raw_key(&place, &pattern(100)[8..40]));
    let run = place
        .sh(&format!("\"$LUKSMITH\" {plain} --key-fd 7 7<long"))
        .expect(0);
    assert_eq!(run.stdout, expected);
    let endless = place
        .run(&format!("{plain} --key-file /dev/zero"))
        .expect(0);
    assert_eq!(endless.stdout, with_raw_key(&place, &[0; 32]));
}

#[test]
fn the_rest_of_standard_input_stays() {
    let place = plain_place(512);
    let script = format!("{{ \"$LUKSMITH\" encrypt raw box {HASHED}; cat >rest; }}");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &script])
        .current_dir(place.path(""))
        .env("LUKSMITH", env!("CARGO_BIN_EXE_luksmith"));
    feed(command, b"secret\nthe rest\n").expect(0);
    assert_eq!(place.read("rest"), b"the rest\n");
}

#[test]
fn key_files_that_cannot_be_used() {
    let place = plain_place(512);
    place.write("empty", "");
    place.write("short", pattern(31));
    place.write("big", vec![b'x'; (8 << 20) + 1]);
    let raw = "--type plain --cipher aes-cbc-plain64 --key-size 256";
    for (options, what) in [
        (
            format!("{raw} --key-file missing"),
            "cannot read key file missing: No such file",
        ),
        (
            format!("{raw} --key-file ."),
            "cannot read key file .: Is a directory",
        ),
        (
            format!("{raw} --key-file empty"),
            "key file empty: 0 bytes where 32 are needed",
        ),
        (
            format!("{raw} --key-file short"),
            "key file short: 31 bytes where 32 are needed",
        ),
        (
            format!("{raw} --key-file /dev/null"),
            "key file /dev/null: 0 bytes where 32 are needed",
        ),
        (
            format!("{raw} --key-file short --keyfile-offset 32"),
            "offset 32 is beyond its 31 bytes",
        ),
        (format!("{raw} --key-fd 99"), "descriptor 99 is not open"),
        (
            format!("{raw} --key-file key --key-encoding hex"),
            "not hexadecimal digits",
        ),
    ] {
        place
            .run(&format!("encrypt raw box {options}"))
            .expect(1)
            .says(what);
    }
    for (options, input, what) in [
        ("--key-file -", &b""[..], "standard input: nothing to read"),
        ("", b"", "standard input: nothing to read"),
        (
            "-l 4",
            b"abc\n",
            "standard input: 3 bytes where 4 are needed",
        ),
        (
            "--key-file - -l 5",
            b"abc\n",
            "standard input: 4 bytes where 5 are needed",
        ),
        (
            "--keyfile-offset 9",
            b"abc\n",
            "offset 9 is beyond its 4 bytes",
        ),
        (
            "--key-file -",
            &vec![b'x'; (8 << 20) + 1],
            "more than 8388608 bytes",
        ),
        ("", &vec![b'x'; (8 << 20) + 1], "more than 8388608 bytes"),
    ] {
        place
            .run_with(&format!("encrypt raw box {HASHED} {options}"), input)
            .expect(1)
            .says(what);
    }
    place
        .run_with(
            &format!("encrypt raw box {HASHED} --key-file -"),
            &vec![b'x'; 8 << 20],
        )
        .expect(0);
    place
        .run_with(
            &format!("encrypt raw box2 {HASHED} -l 20"),
            &vec![b'x'; (8 << 20) + 1],
        )
        .expect(0);
}

#[test]
fn standard_input_is_image_or_key_but_not_both() {
    let place = plain_place(512);
    let says = |run: Run| {
        run.expect(1)
            .says("standard input is the image")
            .advises("--key-file FILE or --key-fd N")
    };
    says(place.run_with(&format!("encrypt - box {HASHED} --key-file -"), b"x"));
    says(place.run_with(&format!("decrypt - box {HASHED} --key-fd 0"), b"x"));
    // Without a terminal nobody can be asked.
    let line = format!("setsid -w \"$LUKSMITH\" encrypt - box {HASHED} <raw");
    place
        .sh(&line)
        .expect(1)
        .says("no terminal to ask for the passphrase")
        .advises("--key-file FILE");
}

#[test]
fn spellings_of_a_key() {
    let place = plain_place(512);
    let expected = with_raw_key(&place, &pattern(32));
    let plain = "encrypt raw - --type plain --cipher aes-cbc-plain64 --key-size 256";
    let hex = hex::encode(pattern(32));
    place.write("hex", format!("{hex}\n"));
    assert_eq!(
        place
            .run(&format!("{plain} --key-file hex --key-encoding hex"))
            .expect(0)
            .stdout,
        expected
    );
    place.sh("head -c 32 key | base64 >base64").expect(0);
    assert_eq!(
        place
            .run(&format!("{plain} --key-file base64 --key-encoding base64"))
            .expect(0)
            .stdout,
        expected
    );

    let digits = with_raw_key(&place, &sha256(b"0725230b"));
    let mangled = with_raw_key(&place, &sha256(b"72523b"));
    for (format, key) in [("openstack", digits), ("openstack-mangled", mangled)] {
        let run = place.run_with(
            &format!("encrypt raw - {HASHED} --key-file - --key-format {format}"),
            b"\x07\x25\x23\x0b",
        );
        assert_eq!(run.expect(0).stdout, key, "{format}");
    }
}
