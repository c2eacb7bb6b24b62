//! Containers whose data nothing encrypts, and those that a reencryption has left half way.

use serde_json::json;

use crate::crafted::Crafted;
use crate::support::{Place, golden};

/// A container in which whoever wrote the header has put plaintext of his own.
fn linear() -> Place {
    let mut crafted = Crafted::new("luks2/pbkdf2-cbc-essiv-128-sector-4096.img.xz");
    let offset = crafted.json["segments"]["0"]["offset"].clone();
    crafted.json["segments"]["0"] = json!({"type": "linear", "offset": offset, "size": "dynamic"});
    let place = Place::new();
    place.write("box", crafted.bytes());
    place.write("pw", "golden");
    place
}

#[test]
fn a_linear_segment_is_refused_unless_allowed_and_always_named() {
    let place = linear();
    for verb in ["decrypt box back", "key test box", "compare box box"] {
        place
            .run(&format!("{verb} --key-file pw"))
            .expect(4)
            .says("segment 0 is linear: nothing there is encrypted")
            .advises("--allow-unencrypted");
    }
    assert_eq!(place.names(), ["box", "pw"]);
    for (name, option) in [
        ("one", "--allow-unencrypted"),
        ("two", "--allow-null-cipher"),
    ] {
        place
            .run(&format!("decrypt box {name} --key-file pw {option}"))
            .expect(0);
        let image = place.read("box");
        assert!(image.ends_with(&place.read(name)), "as it lies there");
    }
    let said = place.run("inspect box").expect(0);
    assert!(
        said.text().contains("warning     segment 0 is linear"),
        "{}",
        said.text()
    );
    let said = place.run("verify box").expect(0);
    for text in ["segment 0 is linear", "not all of its data is encrypted"] {
        assert!(said.text().contains(text), "{}", said.text());
    }
}

#[test]
fn cryptsetups_command_line_names_it_and_goes_on() {
    let place = linear();
    let run = place
        .run("cryptsetup open --test-passphrase --key-file pw box")
        .expect(0);
    assert!(
        run.stderr
            .contains("WARNING: segment 0 is linear: nothing there is encrypted."),
        "{}",
        run.stderr
    );
}

#[test]
fn an_encryption_half_way_is_told_and_nothing_of_it_changed() {
    let place = Place::new();
    let image = golden("luks2/reencrypt-in-progress.img.xz");
    place.write("box", &image);
    place.write("pw", "golden");
    place.write("new", "new");
    place.write("token", r#"{"type":"x","keyslots":[]}"#);
    // Plaintext that is still to be encrypted is no linear segment of somebody else.
    place.run("key test box --key-file pw").expect(0);
    let said = place.run("inspect box").expect(0);
    assert!(!said.text().contains("unbound"), "{}", said.text());
    place
        .run("header backup box --header-backup-file backup")
        .expect(0);
    for verb in [
        "key add box --key-file pw --new-keyfile new -q",
        "key change box --key-file pw --new-keyfile new -q",
        "key remove box --key-file pw -q",
        "header erase box -q",
        "header restore box --header-backup-file backup -q --force",
        "header config box --label x",
        "header convert box --type luks1 -q",
        "token import box --json-file token",
        "token add box --key-description x",
    ] {
        place
            .run(verb)
            .expect(4)
            .says("a reencryption is in progress (requirement online-reencrypt-v2)");
        assert!(place.read("box") == image, "{verb}");
    }
    for verb in [
        "luksAddKey -q --key-file pw box new",
        "luksChangeKey -q --key-file pw box new",
        "luksRemoveKey -q box pw",
        "luksKillSlot -q box 0",
        "luksErase -q box",
        "luksHeaderRestore -q box --header-backup-file backup",
    ] {
        let run = place.run(&format!("cryptsetup {verb}")).expect(1);
        assert!(
            run.stderr
                .contains("Operation incompatible with device marked for LUKS2 reencryption."),
            "{verb}: {}",
            run.stderr
        );
        assert!(place.read("box") == image, "{verb}");
    }
}

/// Asked for by name, a container that encrypts nothing is made and opened; somebody who put it in place of another one
/// is not believed: whoever types the passphrase of that one is refused.
#[test]
fn cryptsetups_command_line_makes_and_opens_null_ciphers_with_a_warning() {
    const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    const WARNING: &str = "encrypts nothing";
    let place = Place::new();
    place.write("pw", "secret");
    place.write("empty", "");
    for (kind, key) in [("luks1", ""), ("luks2", "--key-file pw")] {
        place.write("box", vec![0; 20 << 20]);
        let run = |words: &str| place.run_with(&format!("cryptsetup {words}"), b"\n");
        let made = run(&format!(
            "luksFormat -q -c null --type {kind} {CHEAP} {key} box"
        ))
        .expect(0);
        assert!(made.stderr.contains(WARNING), "{kind}: {}", made.stderr);
        let opened = run(&format!("open --test-passphrase {key} box")).expect(0);
        assert!(
            opened.stderr.contains("nothing there is encrypted"),
            "{}",
            opened.stderr
        );
        if kind == "luks1" {
            // Any passphrase gives the same key there.
            let run = place
                .run("cryptsetup open --test-passphrase --key-file pw box")
                .expect(2);
            assert!(run.stderr.contains("No key available"), "{}", run.stderr);
            let run = place
                .run_with(&format!("cryptsetup luksAddKey -q {CHEAP} box pw"), b"\n")
                .expect(1);
            assert!(run.stderr.contains("only an empty"), "{}", run.stderr);
        }
        // The verbs refuse it unless they are told otherwise.
        let file = if kind == "luks1" { "empty" } else { "pw" };
        let test = format!("key test box --key-file {file}");
        place.run(&test).expect(4);
    }
}

#[test]
fn cryptsetups_command_line_takes_a_weak_volume_key_with_a_warning() {
    const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    let place = Place::new();
    place.write("pw", "secret");
    place.write("twice", [7; 64]);
    let half_of_zeros: Vec<u8> = [[7; 32], [0; 32]].concat();
    place.write("zeros-behind", half_of_zeros);
    for kind in ["luks1", "luks2"] {
        for (key, warning) in [
            ("/dev/zero", Some("all zeros")),
            ("twice", Some("two halves")),
            ("zeros-behind", None),
        ] {
            place.write("box", vec![0; 20 << 20]);
            let line = format!(
                "cryptsetup luksFormat -q --type {kind} -s 512 {CHEAP} --key-file pw --volume-key-file {key} box"
            );
            let run = place.run(&line).expect(0);
            match warning {
                Some(warning) => assert!(run.stderr.contains(warning), "{}", run.stderr),
                None => assert_eq!(run.stderr, ""),
            }
            place
                .run("cryptsetup open --test-passphrase --key-file pw box")
                .expect(0);
            let open = format!("cryptsetup open --test-passphrase --volume-key-file {key} box");
            place.run(&open).expect(0);
            // What is before the zeros has the same digest, and is another key all the same.
            let run = place.run(&format!("{open} --key-size 256")).expect(2);
            assert_eq!(run.stderr, "Volume key does not match the volume.\n");
        }
    }
}
