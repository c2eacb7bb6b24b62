//! `key test --explain`: what is said of a passphrase that does not fit.

use crate::support::{Place, Run, golden};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

fn json(run: &Run) -> serde_json::Value {
    serde_json::from_str(run.text()).expect("JSON")
}

/// A container `box` of the passphrase in `pw`.
fn made(passphrase: &[u8]) -> Place {
    let place = Place::new();
    place.write("pw", passphrase);
    place.write("raw", [7; 4096]);
    let line = format!("encrypt raw box --type luks1 {CHEAP} --key-file pw");
    place.run(&line).expect(0);
    place
}

#[test]
fn programs_are_told_the_mistakes_by_name() {
    let place = made(b"Winter-2026");
    place.write("given", "\u{feff}Winter-2026\r\n");
    let run = place
        .run("key test box --explain --json --key-file given")
        .expect(2);
    assert!(run.stderr.contains("opens keyslot 0"), "{}", run.stderr);
    let result = json(&run);
    assert_eq!(result["schema"], "luksmith.key test/1");
    assert_eq!(
        (&result["opens"], &result["keyslot"]),
        (&false.into(), &serde_json::Value::Null)
    );
    let explanation = &result["explanation"];
    assert_eq!(explanation["keyslot"], 0);
    let names = [
        "carriage-return-and-newline-removed",
        "byte-order-mark-removed",
    ];
    assert_eq!(explanation["mistakes"], serde_json::json!(names));
    assert_eq!(explanation["overwritten_keyslots"], serde_json::json!([]));

    place.write("given", "Summer-2026");
    let run = place
        .run("key test box --explain --json --key-file given")
        .expect(2);
    let explanation = &json(&run)["explanation"];
    assert_eq!(explanation["mistakes"], serde_json::json!([]));
    assert_eq!(explanation["keyslot"], serde_json::Value::Null);
    assert_eq!(explanation["guesses_tried"], explanation["guesses"]);
    assert!(
        run.stderr.contains("it is another passphrase"),
        "{}",
        run.stderr
    );
}

/// Where there is an option that takes a key so in the first place, it is named.
#[test]
fn the_option_that_would_have_helped_is_named() {
    for (passphrase, given, option) in [
        (&b"key"[..], &b"6b6579"[..], "--key-encoding hex"),
        (b"key", b"a2V5", "--key-encoding base64"),
        (b"6b6579", b"key", "--key-format openstack"),
        (b"16b6579", b"\x01key", "--key-format openstack-mangled"),
    ] {
        let run = made(passphrase)
            .run_with("key test box --explain", given)
            .expect(2);
        assert!(
            run.stderr.contains(&format!(" ({option}) it opens")),
            "{option}: {}",
            run.stderr
        );
    }
}

/// What was not read of the input may have been the rest of the passphrase.
#[test]
fn the_rest_of_the_input_is_looked_at() {
    let place = made(b"first\nsecond\n");
    place.write("twelve", b"first\nsecond\nmore");
    for (line, input, mistakes) in [
        (
            "",
            &b"first\nsecond\n"[..],
            "with all of its input, of which only a part was read, it",
        ),
        (
            "",
            b"first\nsecond",
            "with all of its input, of which only a part was read, and with a newline at its end it",
        ),
        (
            "--key-file pw --keyfile-size 5",
            b"",
            "with all of its input, of which only a part was read, it",
        ),
        (
            "--key-file pw --keyfile-offset 6",
            b"",
            "with all of its input, of which only a part was read, it",
        ),
    ] {
        let run = place
            .run_with(&format!("key test box --explain {line}"), input)
            .expect(2);
        assert!(run.stderr.contains(mistakes), "{line}: {}", run.stderr);
    }
}

#[test]
fn the_time_for_guesses_is_bounded_and_said() {
    let place = made(b"right");
    place.write("given", "wrong");
    let run = place
        .run("key test box --explain --explain-time 0 --key-file given")
        .expect(2);
    let says = "none of the first 0 of ";
    assert!(
        run.stderr.contains(says) && run.stderr.contains("--explain-time"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains(" guesses at what was meant take about "),
        "{}",
        run.stderr
    );
    // Without the option, no guess is made.
    let run = place.run("key test box --key-file given").expect(2);
    assert!(!run.stderr.contains("guess"), "{}", run.stderr);
    place
        .run("key test box --explain-time 5 --key-file given")
        .expect(1);
}

/// Keyslot 0 has text in its key material: nothing opens it, and that is said; keyslot 1 is tried on.
#[test]
fn an_overwritten_keyslot_is_named() {
    let place = made(b"zero");
    let mut image = place.read("box");
    let text = b"somebody else's words in place of key material ".repeat(11);
    image[4096 + 1024..][..512].copy_from_slice(&text[..512]);
    place.write("box", &image);
    let run = place.run("key test box --explain --key-file pw").expect(4);
    let says = "box: the key material of keyslot 0 is overwritten: 1 of its";
    run.says(says)
        .says("the first at 5120")
        .advises("header restore");
    let run = place
        .run("key test box --explain --json --key-file pw")
        .expect(4);
    let overwritten = &json(&run)["explanation"]["overwritten_keyslots"];
    assert_eq!(
        (&overwritten[0]["keyslot"], &overwritten[0]["first_byte"]),
        (&0.into(), &5120.into())
    );

    let place = made(b"zero");
    place.write("one", "One");
    let add = format!("key add box --key-file pw --new-keyfile one {CHEAP}");
    place.run(&add).expect(0);
    let mut image = place.read("box");
    image[4096 + 1024..][..512].copy_from_slice(&text[..512]);
    place.write("box", &image);
    place.write("given", "oNE\n");
    let run = place
        .run("key test box --explain --key-file given")
        .expect(2);
    assert!(
        run.stderr
            .contains("warning: box: the key material of keyslot 0 is overwritten")
    );
    assert!(run.stderr.contains("opens keyslot 1"), "{}", run.stderr);
}

/// A header that still says `whirlpool`, made with the wrong one.
#[test]
fn the_whirlpool_of_old_libgcrypt_is_recognised() {
    let place = Place::new();
    let mut image = golden("cases/21-whirlpool-gcryptbug/disk.img.xz");
    assert_eq!(&image[72..72 + 20], b"whirlpool_gcryptbug\0");
    image[72..72 + 32].fill(0);
    image[72..72 + 9].copy_from_slice(b"whirlpool");
    place.write("box", image);
    place.write("pw", "correct horse");
    place.run("key test box --key-file pw").expect(2);
    let run = place.run("key test box --explain --key-file pw").expect(2);
    let says = "with Whirlpool as libgcrypt computed it before 1.6.0 it opens keyslot 0";
    assert!(run.stderr.contains(says), "{}", run.stderr);
    place.write("pw", "correct horse\n");
    let run = place
        .run("key test box --explain --json --key-file pw")
        .expect(2);
    let mistakes = &json(&run)["explanation"]["mistakes"];
    assert_eq!(
        *mistakes,
        serde_json::json!(["whirlpool-gcryptbug", "newline-removed"])
    );
}

#[test]
fn nothing_new_is_made_with_the_wrong_whirlpool() {
    let place = made(b"right");
    let wrong = "--hash whirlpool_gcryptbug";
    for line in [
        format!("encrypt raw new --type luks1 {CHEAP} --key-file pw {wrong}"),
        format!("encrypt raw new {CHEAP} --key-file pw {wrong}"),
    ] {
        place
            .run(&line)
            .expect(1)
            .says("hash whirlpool_gcryptbug is wrong");
    }
    place
        .run(&format!("encrypt raw two {CHEAP} --key-file pw"))
        .expect(0);
    place.write("new", "new");
    let line = format!("key add two --key-file pw --new-keyfile new {CHEAP} {wrong}");
    place
        .run(&line)
        .expect(1)
        .says("hash whirlpool_gcryptbug is wrong");
    assert_eq!(place.names(), ["box", "new", "pw", "raw", "two"]);
}
